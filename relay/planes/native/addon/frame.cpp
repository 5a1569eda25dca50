#include "frame.hpp"

#include <array>

namespace turnpike {
namespace {

constexpr uint16_t kXorPeerAddress = 0x0012;
constexpr uint16_t kData = 0x0013;
constexpr uint16_t kMessageIntegrity = 0x0008;
constexpr uint16_t kMessageIntegritySha256 = 0x001c;
constexpr uint16_t kFingerprint = 0x8028;
constexpr uint16_t kDataIndication = 0x0017;
constexpr uint32_t kFingerprintXor = 0x5354554e;

// Comprehension-required attributes of RFC 8489 and RFC 8656 but DONT-FRAGMENT, which is not supported. The conformance suite
// sends every type through each plane and holds this list to relay/stun/attributes.ts.
constexpr std::array<uint16_t, 19> kUnderstood = {
    0x0001, 0x0006, 0x0008, 0x0009, 0x000a, 0x000c, 0x000d, 0x0012, 0x0013, 0x0014,
    0x0015, 0x0016, 0x0017, 0x0018, 0x0019, 0x001c, 0x001d, 0x001e, 0x0020,
};
constexpr uint16_t kReservationToken = 0x0022;

bool isUnderstood(uint16_t type) {
  for (const uint16_t known : kUnderstood) {
    if (known == type) return true;
  }
  return type == kReservationToken;
}

constexpr std::array<uint32_t, 256> makeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t index = 0; index < 256; index += 1) {
    uint32_t value = index;
    for (int bit = 0; bit < 8; bit += 1) value = (value & 1) != 0 ? 0xedb88320U ^ (value >> 1) : value >> 1;
    table[index] = value;
  }
  return table;
}
constexpr auto kCrcTable = makeCrcTable();

uint32_t crc32(const uint8_t* bytes, size_t length) {
  uint32_t value = 0xffffffffU;
  for (size_t at = 0; at < length; at += 1) value = kCrcTable[(value ^ bytes[at]) & 0xff] ^ (value >> 8);
  return value ^ 0xffffffffU;
}

bool isFingerprintRight(const uint8_t* bytes, size_t length, size_t at) {
  return at + 8 == length && read16(bytes + at + 2) == 4 &&
         read32(bytes + at + kAttributeHeader) == (crc32(bytes, at) ^ kFingerprintXor);
}

bool readXorPeer(const uint8_t* message, size_t at, Endpoint& peer) {
  const size_t length = read16(message + at + 2);
  const uint8_t* value = message + at + kAttributeHeader;
  uint8_t octets[16];
  if (length == 8 && value[1] == 0x01) {
    for (int index = 0; index < 4; index += 1) octets[index] = value[4 + index] ^ message[4 + index];
    peer.address = Address::of4(octets);
  } else if (length == 20 && value[1] == 0x02) {
    for (int index = 0; index < 16; index += 1) octets[index] = value[4 + index] ^ message[4 + index];
    peer.address = Address::of(octets);
  } else {
    return false;
  }
  peer.port = static_cast<uint16_t>(read16(value + 2) ^ (kMagicCookie >> 16));
  return true;
}

}  // namespace

bool parseSendIndication(const uint8_t* bytes, size_t length, SendIndication& result) {
  if (!isStun(bytes, length)) return false;
  size_t peer = 0;
  size_t data = 0;
  bool sealed = false;
  for (size_t at = kStunHeader; at < length;) {
    const uint16_t type = read16(bytes + at);  // a sound header leaves whole words: these four octets are there
    const size_t next = at + kAttributeHeader + padded(read16(bytes + at + 2));
    if (next > length) return false;
    if (type == kFingerprint) {
      if (!isFingerprintRight(bytes, length, at)) return false;
    } else if (!sealed) {
      if (type == kXorPeerAddress) {
        if (peer == 0) peer = at;
      } else if (type == kData) {
        if (data == 0) data = at;
      } else if (type == kMessageIntegrity || type == kMessageIntegritySha256) {
        sealed = true;
      } else if (type < 0x8000 && !isUnderstood(type)) {
        return false;
      }
    }
    at = next;
  }
  if (peer == 0 || data == 0 || !readXorPeer(bytes, peer, result.peer)) return false;
  result.data = bytes + data + kAttributeHeader;
  result.length = read16(bytes + data + 2);
  return true;
}

void writeDataHeader(uint8_t* into, const uint8_t* transactionId, const Endpoint& peer, size_t length) {
  const bool is4 = peer.address.is4();
  const size_t family = is4 ? 4 : 16;
  write16(into, kDataIndication);
  write16(into + 2, static_cast<uint16_t>(dataHeader(is4) - kStunHeader + padded(length)));
  write32(into + 4, kMagicCookie);
  std::memcpy(into + 8, transactionId, 12);
  uint8_t* at = into + kStunHeader;
  write16(at, kXorPeerAddress);
  write16(at + 2, static_cast<uint16_t>(4 + family));
  at += kAttributeHeader;
  at[0] = 0;
  at[1] = is4 ? 0x01 : 0x02;
  write16(at + 2, static_cast<uint16_t>(peer.port ^ (kMagicCookie >> 16)));
  uint8_t octets[16];
  peer.address.octets(octets);
  const uint8_t* address = is4 ? octets + 12 : octets;
  for (size_t index = 0; index < family; index += 1) at[4 + index] = address[index] ^ into[4 + index];
  at += 4 + family;
  write16(at, kData);
  write16(at + 2, static_cast<uint16_t>(length));
}

}  // namespace turnpike
