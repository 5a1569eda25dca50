// A queue of records from one thread to one other, without locks: a power of two of octets, each record whole and aligned to 8.
// A record is a 32-bit size (its own octets, header included) and what its kind says. A size of 0 sends the reader back to the
// beginning of the memory.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

namespace turnpike {

// Zeros whose pages are there once they are written to.
class Memory {
 public:
  explicit Memory(size_t size)
      : size_(size),
        octets_(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (octets_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~Memory() { munmap(octets_, size_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  uint8_t* octets() const { return static_cast<uint8_t*>(octets_); }

 private:
  const size_t size_;
  void* const octets_;
};

class Ring {
 public:
  Ring(uint8_t* memory, size_t octets) : memory_(memory), octets_(octets) {}

  // Room for a record of `size` octets, its size already written; nullptr when the reader is too far behind. `publish` follows.
  uint8_t* reserve(size_t size) {
    size = (size + 7) & ~static_cast<size_t>(7);
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    const size_t at = tail & (octets_ - 1);
    const size_t gap = octets_ - at < size ? octets_ - at : 0;
    if (tail + gap + size - head_.load(std::memory_order_acquire) > octets_) return nullptr;
    if (gap > 0) {
      writeSize(at, 0);
      reserved_ = gap + size;
      writeSize(0, size);
      return memory_;
    }
    reserved_ = size;
    writeSize(at, size);
    return memory_ + at;
  }

  // Octets that wait for the reader.
  size_t waiting() const {
    return tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_acquire);
  }

  void publish() { tail_.store(tail_.load(std::memory_order_relaxed) + reserved_, std::memory_order_release); }

  // The oldest record, or nullptr. `consume` follows.
  uint8_t* peek() {
    const uint64_t tail = tail_.load(std::memory_order_acquire);
    uint64_t head = head_.load(std::memory_order_relaxed);
    if (head == tail) return nullptr;
    if (readSize(head & (octets_ - 1)) == 0) {
      head += octets_ - (head & (octets_ - 1));
      head_.store(head, std::memory_order_release);
      if (head == tail) return nullptr;
    }
    return memory_ + (head & (octets_ - 1));
  }

  void consume() {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    head_.store(head + readSize(head & (octets_ - 1)), std::memory_order_release);
  }

  bool empty() const { return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire); }

 private:
  void writeSize(size_t at, size_t size) {
    const auto value = static_cast<uint32_t>(size);
    std::memcpy(memory_ + at, &value, sizeof value);
  }
  size_t readSize(size_t at) const {
    uint32_t value;
    std::memcpy(&value, memory_ + at, sizeof value);
    return value;
  }

  uint8_t* const memory_;
  const size_t octets_;
  size_t reserved_ = 0;
  alignas(64) std::atomic<uint64_t> tail_{0};
  alignas(64) std::atomic<uint64_t> head_{0};
};

}  // namespace turnpike
