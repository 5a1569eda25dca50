#include "outbox.hpp"

#include <netinet/udp.h>

#include <array>
#include <cerrno>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace turnpike {
namespace {

// The kernel takes 64 segments in one go, and no more octets than one datagram may have.
constexpr size_t kMostSegments = 64;
const uint8_t kZeros[4] = {};

void refund(Allocation& allocation, size_t bytes) {
  if (allocation.allowance != nullptr) allocation.allowance->refund(bytes);
}

}  // namespace

Outbox::Outbox(Counters* counters) : counters_(counters), parcels_(kParcels) {
  vectors_.reserve(kParcels * 3);
  messages_.reserve(kParcels);
  headers_.resize(kParcels);
  ancillary_.resize(kParcels);
}

Parcel& Outbox::add(Outlet& outlet, const Endpoint& to) {
  if (used_ == kParcels) flush();
  const auto index = static_cast<int32_t>(used_++);
  Parcel& parcel = parcels_[index];
  parcel.next = -1;
  if (outlet.first < 0) {
    outlet.first = index;
    outlets_.push_back(&outlet);
  } else {
    parcels_[outlet.last].next = index;
  }
  outlet.last = index;
  const SocketAddress address = SocketAddress::of(to, outlet.family);
  std::memcpy(&parcel.to, &address.storage, sizeof parcel.to);
  parcel.toLength = address.length;
  return parcel;
}

void Outbox::flush() {
  for (Outlet* outlet : outlets_) send(*outlet);
  outlets_.clear();
  used_ = 0;
}

// How many parcels from `first` on go as one message: equal destination and size, but the last may be shorter.
size_t Outbox::run(const Outlet& outlet, int32_t first) const {
  const Parcel& head = parcels_[first];
  const size_t size = head.size();
  if (!outlet.segments || size == 0) return 1;
  size_t octets = size;
  size_t count = 1;
  for (int32_t at = head.next; at >= 0 && count < kMostSegments; at = parcels_[at].next) {
    const Parcel& parcel = parcels_[at];
    const size_t own = parcel.size();
    octets += own;
    if (own > size || own == 0 || octets > outlet.largest) break;
    if (parcel.toLength != head.toLength || std::memcmp(&parcel.to, &head.to, head.toLength) != 0) break;
    count += 1;
    if (own < size) break;
  }
  return count;
}

void Outbox::send(Outlet& outlet) {
  messages_.clear();
  vectors_.clear();
  for (int32_t at = outlet.first; at >= 0;) {
    Message message{vectors_.size(), 0, at, static_cast<int32_t>(run(outlet, at)), 0};
    if (message.parcels > 1) message.segment = static_cast<uint16_t>(parcels_[at].size());
    for (int32_t count = 0; count < message.parcels; count += 1) {
      Parcel& parcel = parcels_[at];
      if (parcel.headLength > 0) vectors_.push_back({parcel.head, parcel.headLength});
      if (parcel.bodyLength > 0) vectors_.push_back({const_cast<uint8_t*>(parcel.body), parcel.bodyLength});
      if (parcel.padding > 0) vectors_.push_back({const_cast<uint8_t*>(kZeros), parcel.padding});
      at = parcel.next;
    }
    message.vectors = vectors_.size() - message.firstVector;
    messages_.push_back(message);
  }
  outlet.first = -1;
  outlet.last = -1;
  for (size_t index = 0; index < messages_.size(); index += 1) {
    const Message& message = messages_[index];
    Parcel& parcel = parcels_[message.firstParcel];
    msghdr& header = headers_[index].msg_hdr;
    header = {};
    header.msg_name = &parcel.to;
    header.msg_namelen = parcel.toLength;
    header.msg_iov = vectors_.data() + message.firstVector;
    header.msg_iovlen = message.vectors;
    if (message.segment == 0) continue;
    header.msg_control = ancillary_[index].data();
    header.msg_controllen = ancillary_[index].size();
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    std::memcpy(CMSG_DATA(control), &message.segment, sizeof message.segment);
  }
  hand(outlet);
}

void Outbox::hand(Outlet& outlet) {
  for (size_t at = 0; at < messages_.size();) {
    const int taken = sendmmsg(outlet.fd, headers_.data() + at, static_cast<unsigned>(messages_.size() - at), 0);
    if (taken > 0) {
      for (int index = 0; index < taken; index += 1) settle(messages_[at + index], 0);
      at += static_cast<size_t>(taken);
      continue;
    }
    if (errno == EINTR) continue;
    const int error = errno;
    if (messages_[at].segment != 0 && error != EAGAIN && error != ENOBUFS) {
      // EIO: no checksum offload on the way; EINVAL, EMSGSIZE: a segment is larger than the path. One by one then.
      if (error == EIO || error == EOPNOTSUPP || error == ENOPROTOOPT) outlet.segments = false;
      resend(outlet, messages_[at]);
    } else {
      settle(messages_[at], error);
    }
    at += 1;
  }
}

void Outbox::resend(Outlet& outlet, const Message& message) {
  int32_t at = message.firstParcel;
  for (int32_t count = 0; count < message.parcels; count += 1) {
    Parcel& parcel = parcels_[at];
    iovec vectors[3] = {
        {parcel.head, parcel.headLength},
        {const_cast<uint8_t*>(parcel.body), parcel.bodyLength},
        {const_cast<uint8_t*>(kZeros), parcel.padding},
    };
    msghdr header{};
    header.msg_name = &parcel.to;
    header.msg_namelen = parcel.toLength;
    header.msg_iov = vectors;
    header.msg_iovlen = 3;
    ssize_t sent;
    do sent = sendmsg(outlet.fd, &header, 0);
    while (sent < 0 && errno == EINTR);
    settle(parcel, sent < 0 ? errno : 0);
    at = parcel.next;
  }
}

void Outbox::settle(const Message& message, int error) {
  int32_t at = message.firstParcel;
  for (int32_t count = 0; count < message.parcels; count += 1) {
    const int32_t next = parcels_[at].next;
    settle(parcels_[at], error);
    at = next;
  }
}

void Outbox::settle(Parcel& parcel, int error) {
  const size_t bytes = parcel.size();
  if (error == 0) {
    counters_->count(parcel.row, parcel.peerClass, parcel.cargo == Cargo::kToClient ? kClientTx : kPeerTx, bytes);
    return;
  }
  if (error == EMSGSIZE) counters_->drop(kTooLarge);
  else counters_->drop(error == EAGAIN || error == ENOBUFS ? kOverload : kSendFailed);
  if (parcel.cargo == Cargo::kToClient) refund(*parcel.allocation, bytes);
}

}  // namespace turnpike
