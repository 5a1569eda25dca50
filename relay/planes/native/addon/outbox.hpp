// Datagrams on their way into the kernel: collected over one turn of a worker, then handed over in as few calls as there are
// sockets, runs of equal size to one destination as one (UDP_SEGMENT). Counted when the kernel has taken them.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <vector>

#include "allocation.hpp"
#include "counters.hpp"
#include "frame.hpp"

namespace turnpike {

enum class Cargo : uint8_t { kToClient, kToPeer };

struct Parcel {
  int32_t next;
  uint8_t head[kLargestDataHeader];
  uint8_t headLength;
  uint8_t padding;
  Cargo cargo;
  PeerClass peerClass;
  uint32_t row;
  Allocation* allocation;
  const uint8_t* body;
  uint32_t bodyLength;
  socklen_t toLength;
  sockaddr_in6 to;  // or a sockaddr_in in its place

  size_t size() const { return headLength + bodyLength + padding; }
};

class Outbox {
 public:
  explicit Outbox(Counters* counters);

  // The next parcel for an outlet, its head, body and cargo to be filled in. `to` is set. Never null: a full box is sent first.
  Parcel& add(Outlet& outlet, const Endpoint& to);

  // Whether the next `add` would send what is there, so that bodies lying in receive buffers are not kept too long.
  void flush();

 private:
  struct Message {
    size_t firstVector;
    size_t vectors;
    int32_t firstParcel;
    int32_t parcels;
    uint16_t segment;
  };

  void send(Outlet& outlet);
  void hand(Outlet& outlet);
  void resend(Outlet& outlet, const Message& message);
  void settle(const Message& message, int error);
  void settle(Parcel& parcel, int error);
  size_t run(const Outlet& outlet, int32_t first) const;

  static constexpr size_t kParcels = 512;
  Counters* const counters_;
  std::vector<Parcel> parcels_;
  size_t used_ = 0;
  std::vector<Outlet*> outlets_;
  std::vector<iovec> vectors_;
  std::vector<Message> messages_;
  std::vector<mmsghdr> headers_;
  std::vector<std::array<uint8_t, CMSG_SPACE(sizeof(uint16_t))>> ancillary_;
};

}  // namespace turnpike
