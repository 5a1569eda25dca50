// What all threads of an engine see. JavaScript decides and writes, workers read: a packet may meet the state of a moment ago,
// never a mixture.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "ring.hpp"

namespace turnpike {

// In place of a worker's number: the allocation is served in JavaScript.
constexpr uint8_t kScript = 0xff;

enum class Hairpin : uint8_t { kNone, kApp, kAny };

// The live allocation behind a relay port: one word, so that it is read whole.
struct Resident {
  uint32_t slot = 0;
  uint16_t generation = 0;
  uint8_t worker = 0;
  bool present = false;
};
static_assert(sizeof(Resident) == 8);

class Shared {
 public:
  explicit Shared(Hairpin hairpin, uint32_t slots)
      : hairpin_(hairpin), residents_(2 * 65536), services_(65536 / 64), apps_(slots) {}

  Resident resident(bool is4, uint16_t port) const {
    return residents_[index(is4, port)].load(std::memory_order_acquire);
  }

  void settle(bool is4, uint16_t port, Resident resident, uint32_t app) {
    apps_[resident.slot].store(app, std::memory_order_relaxed);
    residents_[index(is4, port)].store(resident, std::memory_order_release);
  }

  void leave(bool is4, uint16_t port) { residents_[index(is4, port)].store(Resident{}, std::memory_order_release); }

  bool mayMeet(uint32_t slot, uint32_t other) const {
    if (hairpin_ == Hairpin::kAny) return true;
    return hairpin_ == Hairpin::kApp &&
           apps_[slot].load(std::memory_order_relaxed) == apps_[other].load(std::memory_order_relaxed);
  }

  // Ports of own addresses at which something of ours is, so that no peer may be there.
  bool isService(uint16_t port) const {
    return (services_[port / 64].load(std::memory_order_relaxed) >> (port % 64) & 1) != 0;
  }

  void service(uint16_t port, bool is) {
    const uint64_t bit = 1ULL << (port % 64);
    if (is) services_[port / 64].fetch_or(bit, std::memory_order_relaxed);
    else services_[port / 64].fetch_and(~bit, std::memory_order_relaxed);
  }

 private:
  static size_t index(bool is4, uint16_t port) { return (is4 ? 0 : 65536) + static_cast<size_t>(port); }

  const Hairpin hairpin_;
  std::vector<std::atomic<Resident>> residents_;
  std::vector<std::atomic<uint64_t>> services_;
  std::vector<std::atomic<uint32_t>> apps_;
};

}  // namespace turnpike
