// Many datagrams out of the kernel in one call, runs that it has put together (UDP_GRO) taken apart again. What several calls
// read lies here side by side until it is cleared, so that it can be sent on together.
#pragma once

#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <vector>

#include "endpoint.hpp"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace turnpike {

class Inbox {
 public:
  static constexpr unsigned kBatch = 64;
  static constexpr size_t kRoom = 65536;  // a datagram, or a run of them
  // From one message's room to the next: at a power of two, all would compete for the same few lines of the processor's caches.
  static constexpr size_t kStride = kRoom + 1088;

  Inbox() {
    // Pages that no packet reaches are never there.
    memory_ = static_cast<uint8_t*>(mmap(nullptr, kBatch * kStride, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    for (unsigned index = 0; index < kBatch; index += 1) {
      vectors_[index] = {memory_ + index * kStride, kRoom};
      msghdr& header = headers_[index].msg_hdr;
      header.msg_name = &names_[index];
      header.msg_iov = &vectors_[index];
      header.msg_iovlen = 1;
      header.msg_control = ancillary_[index].data();
    }
    end_ = kBatch;
    clear();
  }
  ~Inbox() { munmap(memory_, kBatch * kStride); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  bool usable() const { return memory_ != MAP_FAILED; }

  // Reads as many messages as there is room for, behind those that are here. False when the socket has no more for now.
  bool read(int fd) {
    const int room = static_cast<int>(kBatch - end_);
    const int count = recvmmsg(fd, headers_.data() + end_, static_cast<unsigned>(room), MSG_DONTWAIT, nullptr);
    if (count > 0) end_ += static_cast<unsigned>(count);
    return count == room;
  }

  // Messages are numbered from 0; those before `end()` are here.
  unsigned end() const { return end_; }

  void clear() {
    // The kernel has written over the lengths of those that it filled, and of no other.
    for (unsigned index = 0; index < end_; index += 1) {
      msghdr& header = headers_[index].msg_hdr;
      header.msg_namelen = sizeof names_[index];
      header.msg_controllen = ancillary_[index].size();
      header.msg_flags = 0;
    }
    end_ = 0;
  }

  const sockaddr_storage& source(unsigned index) const { return names_[index]; }

  // Calls `each(bytes, length)` for every datagram in a message.
  template <typename Each>
  void datagrams(unsigned index, Each each) {
    const uint8_t* bytes = memory_ + index * kStride;
    const size_t length = headers_[index].msg_len;
    size_t segment = length;
    msghdr& header = headers_[index].msg_hdr;
    for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
      if (control->cmsg_level != SOL_UDP || control->cmsg_type != UDP_GRO) continue;
      int size;
      std::memcpy(&size, CMSG_DATA(control), sizeof size);
      if (size > 0) segment = static_cast<size_t>(size);
    }
    if (length == 0) return each(bytes, static_cast<size_t>(0));
    for (size_t at = 0; at < length; at += segment) {
      each(bytes + at, length - at < segment ? length - at : segment);
    }
  }

 private:
  uint8_t* memory_;
  unsigned end_ = 0;
  std::array<mmsghdr, kBatch> headers_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<sockaddr_storage, kBatch> names_{};
  std::array<std::array<uint8_t, CMSG_SPACE(sizeof(int))>, kBatch> ancillary_{};
};

}  // namespace turnpike
