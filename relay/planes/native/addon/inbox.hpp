// Many datagrams out of the kernel in one call, runs that it has put together (UDP_GRO) taken apart again.
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

  Inbox() {
    // Pages that no packet reaches are never there.
    memory_ = static_cast<uint8_t*>(mmap(nullptr, kBatch * kRoom, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    for (unsigned index = 0; index < kBatch; index += 1) {
      vectors_[index] = {memory_ + index * kRoom, kRoom};
      msghdr& header = headers_[index].msg_hdr;
      header.msg_iov = &vectors_[index];
      header.msg_iovlen = 1;
    }
  }
  ~Inbox() { munmap(memory_, kBatch * kRoom); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  bool usable() const { return memory_ != MAP_FAILED; }

  // Reads up to kBatch messages; -1 with errno when there is none.
  int read(int fd) {
    for (unsigned index = 0; index < kBatch; index += 1) {
      msghdr& header = headers_[index].msg_hdr;
      header.msg_name = &names_[index];
      header.msg_namelen = sizeof names_[index];
      header.msg_control = ancillary_[index].data();
      header.msg_controllen = ancillary_[index].size();
      header.msg_flags = 0;
    }
    return recvmmsg(fd, headers_.data(), kBatch, MSG_DONTWAIT, nullptr);
  }

  const sockaddr_storage& source(int index) const { return names_[index]; }

  // Calls `each(bytes, length)` for every datagram in a message.
  template <typename Each>
  void datagrams(int index, Each each) {
    const uint8_t* bytes = memory_ + static_cast<size_t>(index) * kRoom;
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
  std::array<mmsghdr, kBatch> headers_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<sockaddr_storage, kBatch> names_{};
  std::array<std::array<uint8_t, CMSG_SPACE(sizeof(int))>, kBatch> ancillary_{};
};

}  // namespace turnpike
