// One allocation as the packet path sees it. Nothing is judged by whether it is still here: every use compares a deadline with
// the packet's own time. It lives on one thread and no other touches it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "allowance.hpp"
#include "counters.hpp"
#include "endpoint.hpp"
#include "flat-map.hpp"

namespace turnpike {

constexpr double kNever = -1e300;

// What may be reached at the ports of one address, as the policy said it: each verdict holds up to and including `last`.
struct PortVerdict {
  uint16_t last;
  int8_t verdict;
};

// How an address is one of this relay's.
enum class Own : uint8_t { kNo, kAddress, kRelayed };

struct Peer {
  Address address;
  double permission = kNever;
  Own own = Own::kNo;
  std::vector<PortVerdict> verdicts;
  FlatMap<uint32_t, uint16_t> channels;  // by port

  PeerClass verdict(uint16_t port) const {
    for (const PortVerdict& span : verdicts) {
      if (port <= span.last) return static_cast<PeerClass>(span.verdict);
    }
    return kDenied;
  }
};

struct Channel {
  uint16_t number = 0;
  uint16_t port = 0;
  Peer* peer = nullptr;
  double deadline = kNever;
};

// A socket that datagrams go out of, with what waits for the end of this turn.
struct Outlet {
  int fd = -1;
  int family = 0;
  size_t largest = 0;      // octets of the largest payload a datagram may have
  bool segments = true;    // whether the kernel takes runs of equal datagrams in one go (UDP_SEGMENT)
  int32_t first = -1;      // items in the outbox
  int32_t last = -1;
};

struct Allocation {
  uint32_t slot = 0;
  uint32_t generation = 0;
  uint32_t listener = 0;
  Endpoint client;
  Endpoint relayed;  // as the world sees it
  double deadline = 0;
  bool ended = false;
  Outlet relay;
  Allowance* allowance = nullptr;  // none: unlimited
  Allocation* sibling = nullptr;   // the same client's allocation of the other family
  FlatMap<Address, std::unique_ptr<Peer>> peers;
  FlatMap<uint32_t, Channel> channels;

  Peer* peer(const Address& address) {
    auto* found = peers.find(address);
    return found == nullptr ? nullptr : found->get();
  }

  Peer& peerFor(const Address& address) {
    if (Peer* known = peer(address)) return *known;
    auto made = std::make_unique<Peer>();
    made->address = address;
    Peer& result = *made;
    peers.set(address, std::move(made));
    return result;
  }

  void bind(uint16_t number, const Address& address, uint16_t port, double deadline) {
    Peer& peer = peerFor(address);
    if (Channel* known = channels.find(number); known != nullptr && known->peer == &peer && known->port == port) {
      known->deadline = deadline;
      return;
    }
    unbind(number, &peer);
    if (uint16_t* rival = peer.channels.find(port)) channels.erase(*rival);
    channels.set(number, Channel{number, port, &peer, deadline});
    peer.channels.set(port, number);
  }

  void unbind(uint16_t number, const Peer* kept = nullptr) {
    Channel* channel = channels.find(number);
    if (channel == nullptr) return;
    Peer* peer = channel->peer;
    peer->channels.erase(channel->port);
    channels.erase(number);
    if (peer != kept) sweep(peer);
  }

  void revoke(const Address& address) {
    Peer* known = peer(address);
    if (known == nullptr) return;
    known->permission = kNever;
    sweep(known);
  }

 private:
  void sweep(Peer* peer) {
    if (peer->channels.size() == 0 && peer->permission == kNever) peers.erase(Address(peer->address));
  }
};

}  // namespace turnpike
