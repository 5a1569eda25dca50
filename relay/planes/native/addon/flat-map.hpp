// An open-addressing hash map (linear probing, backward-shift deletion), empty until something is in it. Keys come from the
// network in part, so the hash is keyed with a seed of the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "endpoint.hpp"

namespace turnpike {

// Not cryptographic; keyed, so that nobody outside can aim at one bucket.
inline uint64_t mixed(uint64_t value) {
  value ^= value >> 32;
  value *= 0xd6e8feb86659fd93ULL;
  value ^= value >> 32;
  value *= 0xd6e8feb86659fd93ULL;
  value ^= value >> 32;
  return value;
}

inline uint64_t hashSeed = 0;  // set once, before any thread starts

struct Hash {
  uint64_t operator()(uint32_t key) const { return mixed(key ^ hashSeed); }
  uint64_t operator()(const Address& key) const {
    return mixed(mixed(key.low ^ hashSeed) ^ key.high);
  }
  uint64_t operator()(const Endpoint& key) const {
    return mixed((*this)(key.address) ^ (static_cast<uint64_t>(key.port) << 17));
  }
};

template <typename Key, typename Value>
class FlatMap {
 public:
  size_t size() const { return size_; }

  Value* find(const Key& key) {
    if (size_ == 0) return nullptr;
    for (size_t at = Hash{}(key) & mask();; at = (at + 1) & mask()) {
      Entry& entry = entries_[at];
      if (!entry.used) return nullptr;
      if (entry.key == key) return &entry.value;
    }
  }

  void set(const Key& key, Value value) {
    if (Value* known = find(key)) {
      *known = std::move(value);
      return;
    }
    if ((size_ + 1) * 4 > entries_.size() * 3) grow();
    place(key, std::move(value));
    size_ += 1;
  }

  bool erase(const Key& key) {
    if (size_ == 0) return false;
    size_t hole = Hash{}(key) & mask();
    for (; !(entries_[hole].key == key); hole = (hole + 1) & mask()) {
      if (!entries_[hole].used) return false;
    }
    if (!entries_[hole].used) return false;
    for (size_t at = (hole + 1) & mask(); entries_[at].used; at = (at + 1) & mask()) {
      const size_t home = Hash{}(entries_[at].key) & mask();
      // Moves an entry back unless its home lies cyclically behind the hole.
      if (((at - home) & mask()) < ((at - hole) & mask())) continue;
      entries_[hole] = std::move(entries_[at]);
      hole = at;
    }
    entries_[hole] = Entry{};
    size_ -= 1;
    if (size_ == 0) std::vector<Entry>().swap(entries_);
    return true;
  }

  template <typename Visit>
  void each(Visit visit) {
    for (Entry& entry : entries_) {
      if (entry.used) visit(entry.key, entry.value);
    }
  }

 private:
  struct Entry {
    Key key{};
    Value value{};
    bool used = false;
  };

  size_t mask() const { return entries_.size() - 1; }

  void place(const Key& key, Value value) {
    size_t at = Hash{}(key) & mask();
    while (entries_[at].used) at = (at + 1) & mask();
    entries_[at].key = key;
    entries_[at].value = std::move(value);
    entries_[at].used = true;
  }

  void grow() {
    std::vector<Entry> old(entries_.empty() ? 2 : entries_.size() * 2);
    old.swap(entries_);
    for (Entry& entry : old) {
      if (entry.used) place(entry.key, std::move(entry.value));
    }
  }

  std::vector<Entry> entries_;
  size_t size_ = 0;
};

}  // namespace turnpike
