// All threads of the plane, what they share, and the memory their counters are in.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "clock.hpp"
#include "counters.hpp"
#include "shared.hpp"
#include "worker.hpp"

namespace turnpike {

struct Listen {
  Endpoint endpoint;
  int family;  // AF_INET, AF_INET6
};

struct EngineOptions {
  uint8_t threads;
  uint32_t slots;
  Hairpin hairpin;
  int bufferBytes;
  std::string counterFile;  // empty: in memory alone
  Clock clock;
  std::function<void()> call;  // from any thread: JavaScript has notices to read
};

class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Each returns 0, or the errno of what failed. Listeners are numbered in the order of their opening, before `start`.
  int map();
  int listen(Listen& listen);
  int start();
  // Threads end, sockets close. The counters' memory stays.
  void stop();

  // Sends from JavaScript's thread, out of a listener. 0, or the errno.
  int send(uint32_t listener, const Endpoint& to, const uint8_t* bytes, size_t length);

  // A bound UDP socket, or -errno. `endpoint` gets the port that was taken.
  int bindSocket(Endpoint& endpoint, int family) const;

  // Which thread the kernel gives a client's datagrams to.
  uint8_t workerOf(const Endpoint& client) const;

  // JavaScript hears of notices once, and asks again after this. An exchange: who found the call made already has what it wrote
  // seen by the drain that follows.
  void calledUp() { called_.exchange(false, std::memory_order_acq_rel); }
  void call() {
    if (!called_.exchange(true, std::memory_order_acq_rel)) options_.call();
  }

  uint8_t threads() const { return options_.threads; }
  uint32_t slots() const { return options_.slots; }
  const Clock& clock() const { return options_.clock; }
  Shared& shared() { return shared_; }
  Allowance& allowance(uint32_t index) { return reinterpret_cast<Allowance*>(allowances_->octets())[index]; }
  Counters counters() { return Counters(words_ + kDropRows * kRowWords, nullptr); }
  Worker& worker(uint8_t index) { return *workers_[index]; }
  Ring& hops(uint8_t from, uint8_t to) { return *hops_[from * threads() + to]; }

  // Rows of kRowWords words: row 0 and those of slots; before them, one row of drops for each possible thread.
  static constexpr size_t kDropRows = 256;
  uint64_t* words() { return words_; }
  size_t wordCount() const { return (kDropRows + options_.slots) * kRowWords; }

 private:
  void makeWorkers();
  int steer(int fd, int family) const;

  EngineOptions options_;
  Shared shared_;
  uint64_t* words_ = nullptr;
  std::unique_ptr<Memory> allowances_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Memory>> hopMemory_;
  std::vector<std::unique_ptr<Ring>> hops_;
  std::atomic<bool> called_{false};
  bool running_ = false;
};

}  // namespace turnpike
