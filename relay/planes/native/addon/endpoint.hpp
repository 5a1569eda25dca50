// Transport addresses as the packet path compares them: an IPv4 address in its IPv4-mapped form, so that one key serves both
// families. The mapped spelling never comes from the network (IPv6 sockets are V6ONLY), so no two addresses share a key.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdint>
#include <cstring>

namespace turnpike {

struct Address {
  uint64_t high = 0;
  uint64_t low = 0;

  bool operator==(const Address& other) const { return high == other.high && low == other.low; }

  // Octets in network order, 16 of them.
  static Address of(const uint8_t* octets) {
    Address address;
    std::memcpy(&address.high, octets, 8);
    std::memcpy(&address.low, octets + 8, 8);
    return address;
  }

  static Address of4(const uint8_t* octets) {
    uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::memcpy(mapped + 12, octets, 4);
    return of(mapped);
  }

  void octets(uint8_t* into) const {
    std::memcpy(into, &high, 8);
    std::memcpy(into + 8, &low, 8);
  }

  bool is4() const {
    uint8_t bytes[16];
    octets(bytes);
    static constexpr uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(bytes, mapped, 12) == 0;
  }
};

struct Endpoint {
  Address address;
  uint16_t port = 0;  // host order

  bool operator==(const Endpoint& other) const { return port == other.port && address == other.address; }
};

// A socket address for the kernel, in the family of the socket that it is for.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  static SocketAddress of(const Endpoint& endpoint, int family) {
    SocketAddress result;
    uint8_t octets[16];
    endpoint.address.octets(octets);
    if (family == AF_INET) {
      auto* in = reinterpret_cast<sockaddr_in*>(&result.storage);
      in->sin_family = AF_INET;
      in->sin_port = htons(endpoint.port);
      std::memcpy(&in->sin_addr, octets + 12, 4);
      result.length = sizeof(sockaddr_in);
    } else {
      auto* in6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
      in6->sin6_family = AF_INET6;
      in6->sin6_port = htons(endpoint.port);
      std::memcpy(&in6->sin6_addr, octets, 16);
      result.length = sizeof(sockaddr_in6);
    }
    return result;
  }
};

// The sender of a datagram. False for a link-local one, whose zone no five-tuple can carry.
inline bool endpointOf(const sockaddr_storage& from, Endpoint& endpoint) {
  if (from.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(from);
    endpoint.address = Address::of4(reinterpret_cast<const uint8_t*>(&in.sin_addr));
    endpoint.port = ntohs(in.sin_port);
    return true;
  }
  if (from.ss_family != AF_INET6) return false;
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(from);
  if (in6.sin6_scope_id != 0) return false;
  endpoint.address = Address::of(in6.sin6_addr.s6_addr);
  endpoint.port = ntohs(in6.sin6_port);
  return true;
}

}  // namespace turnpike
