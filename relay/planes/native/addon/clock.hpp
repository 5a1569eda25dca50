// Monotonic milliseconds as JavaScript's clock tells them. A test moves its own: a number in memory that both sides see.
#pragma once

#include <ctime>

namespace turnpike {

class Clock {
 public:
  Clock() = default;
  Clock(const double* manual, double offset) : manual_(manual), offset_(offset) {}

  double now() const {
    if (manual_ != nullptr) {
      double value;
      __atomic_load(manual_, &value, __ATOMIC_ACQUIRE);
      return value;
    }
    return system() + offset_;
  }

  static double system() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
  }

 private:
  const double* manual_ = nullptr;
  double offset_ = 0;
};

}  // namespace turnpike
