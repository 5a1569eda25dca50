// Byte and packet counters, one row an allocation, in one mapping that JavaScript reads as it is and that may be a file: what
// was counted is there even when the process is not. One thread writes a row; the exception is named below. Octets of answers are
// JavaScript's to count, who sends them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace turnpike {

enum PeerClass : int { kDenied = -1, kInternet = 0, kOwnRelay = 1, kSfu = 2 };
enum Leg : int { kClientRx = 0, kClientTx = 1, kPeerRx = 2, kPeerTx = 3 };

// As relay/planes/plane.ts orders them.
enum Drop : int {
  kMalformed,
  kNoAllocation,
  kNoPermission,
  kNoChannel,
  kPeerDenied,
  kPacketRate,
  kBitRate,
  kByteQuota,
  kTooLarge,
  kSendFailed,
  kExpired,
  kOverload,
  kDropReasons,
};

constexpr size_t kLegs = 4;
constexpr size_t kPerClass = 2 * kLegs;
// 256 octets: rows of different threads never share a cache line.
constexpr size_t kRowWords = 32;

class Counters {
 public:
  Counters() = default;
  Counters(uint64_t* words, uint64_t* drops) : words_(words), drops_(drops) {}

  void count(uint32_t row, PeerClass peerClass, Leg leg, uint64_t bytes) {
    uint64_t* word = words_ + row * kRowWords + static_cast<size_t>(peerClass) * kPerClass + leg;
    // Where two threads may count for one allocation: packets from and for a neighbour, which may be on another one.
    if (peerClass == kOwnRelay) {
      __atomic_fetch_add(word, bytes, __ATOMIC_RELAXED);
      __atomic_fetch_add(word + kLegs, 1, __ATOMIC_RELAXED);
      return;
    }
    add(word, bytes);
    add(word + kLegs, 1);
  }

  void drop(Drop reason, uint64_t packets = 1) { add(drops_ + reason, packets); }

 private:
  static void add(uint64_t* word, uint64_t amount) {
    __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
  }

  uint64_t* words_ = nullptr;
  uint64_t* drops_ = nullptr;
};

}  // namespace turnpike
