// What a credential allows its allocations, on whichever threads they are: as relay/planes/dgram/allowance.ts, which says why.
// Every thread may ask and take at any moment; what two take at once may go beyond a limit by a packet for each thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

namespace turnpike {

// A token bucket of one second's worth, told by the moment at which it would be full again: one word, so that no lock is needed.
class Bucket {
 public:
  // Sixteenths of a nanosecond: exact enough for 10 Gbit/s, and enough of them for eighteen years.
  static int64_t ticks(double milliseconds) { return static_cast<int64_t>(milliseconds * 16e6); }

  // A negative rate is none.
  void set(double perSecond) {
    perSecond_ = perSecond;
    fullAt_.store(INT64_MIN, std::memory_order_relaxed);
  }

  bool admits(int64_t now) const {
    if (perSecond_ < 0) return true;
    const int64_t fullAt = fullAt_.load(std::memory_order_relaxed);
    return perSecond_ > 0 && (fullAt <= now || fullAt - now < kSecond);
  }

  void take(double amount, int64_t now) {
    if (perSecond_ <= 0) return;
    const auto cost = static_cast<int64_t>(std::ceil(std::min(1e17, amount * kSecond / perSecond_)));
    int64_t fullAt = fullAt_.load(std::memory_order_relaxed);
    while (!fullAt_.compare_exchange_weak(fullAt, std::max(fullAt, now) + cost, std::memory_order_relaxed)) {
    }
  }

 private:
  static constexpr int64_t kSecond = 16'000'000'000;
  double perSecond_;
  std::atomic<int64_t> fullAt_;
};

enum class Exceeded : uint32_t { kNone, kPacketRate, kBitRate };

// Lives in the engine's table; JavaScript sets it before any worker is told of it.
class Allowance {
 public:
  // Negative = unlimited. Bytes are whole numbers below 2^53.
  void set(double packetsPerSecond, double bitsPerSecond, double bytes) {
    packets_.set(packetsPerSecond);
    bits_.set(bitsPerSecond);
    hasQuota_ = bytes >= 0;
    bytesLeft_.store(hasQuota_ ? static_cast<int64_t>(bytes) : 0, std::memory_order_relaxed);
  }

  // The rate that one more packet would exceed; if there is none it is charged.
  Exceeded exceeded(size_t framedBytes, double milliseconds) {
    const int64_t now = Bucket::ticks(milliseconds);
    if (!packets_.admits(now)) return Exceeded::kPacketRate;
    if (!bits_.admits(now)) return Exceeded::kBitRate;
    packets_.take(1, now);
    bits_.take(static_cast<double>(framedBytes) * 8, now);
    return Exceeded::kNone;
  }

  bool reserve(size_t bytes) {
    if (!hasQuota_) return true;
    const auto amount = static_cast<int64_t>(bytes);
    if (bytesLeft_.fetch_sub(amount, std::memory_order_relaxed) >= amount) return true;
    bytesLeft_.fetch_add(amount, std::memory_order_relaxed);
    return false;
  }

  void refund(size_t bytes) {
    if (hasQuota_) bytesLeft_.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  }

  void leaveAtMost(double bytes) {
    if (!hasQuota_) return;
    const auto most = static_cast<int64_t>(bytes);
    int64_t left = bytesLeft_.load(std::memory_order_relaxed);
    while (left > most && !bytesLeft_.compare_exchange_weak(left, most, std::memory_order_relaxed)) {
    }
  }

  bool spent() const { return hasQuota_ && bytesLeft_.load(std::memory_order_relaxed) <= 0; }

 private:
  Bucket packets_;
  Bucket bits_;
  bool hasQuota_;
  std::atomic<int64_t> bytesLeft_;
};

}  // namespace turnpike
