// What the packet path reads and writes of RFC 8656: ChannelData, Send and Data indications. Everything else with a sound STUN
// header is the core's. Nothing here allocates, and nothing reads outside the bytes it is given.
#pragma once

#include <cstddef>
#include <cstdint>

#include "endpoint.hpp"

namespace turnpike {

constexpr size_t kChannelHeader = 4;
constexpr size_t kStunHeader = 20;
constexpr size_t kAttributeHeader = 4;
constexpr uint32_t kMagicCookie = 0x2112a442;
// Octets of a Data indication before its payload: header, XOR-PEER-ADDRESS, DATA's own header.
constexpr size_t dataHeader(bool is4) { return kStunHeader + 2 * kAttributeHeader + (is4 ? 8 : 20); }
constexpr size_t kLargestDataHeader = dataHeader(false);

inline uint16_t read16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
inline uint32_t read32(const uint8_t* at) { return static_cast<uint32_t>(read16(at)) << 16 | read16(at + 2); }
inline void write16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
inline void write32(uint8_t* at, uint32_t value) {
  write16(at, static_cast<uint16_t>(value >> 16));
  write16(at + 2, static_cast<uint16_t>(value));
}
constexpr size_t padded(size_t length) { return (length + 3) & ~static_cast<size_t>(3); }

// The first octet tells (RFC 8656 §12): 0x40 to 0x4F.
inline bool isChannelData(const uint8_t* bytes, size_t length) { return length > 0 && (bytes[0] & 0xf0) == 0x40; }

// Octets of payload in one datagram that isChannelData; -1 when length field and datagram do not go together (§12.5, §12.6).
inline int channelDataLength(const uint8_t* bytes, size_t length) {
  if (length < kChannelHeader) return -1;
  const size_t claimed = read16(bytes + 2);
  const size_t present = length - kChannelHeader;
  return present >= claimed && present <= padded(claimed) ? static_cast<int>(claimed) : -1;
}

// STUN, whole, and exactly as long as it says (RFC 8489 §5).
inline bool isStun(const uint8_t* bytes, size_t length) {
  if (length < kStunHeader || (bytes[0] & 0xc0) != 0 || read32(bytes + 4) != kMagicCookie) return false;
  const size_t body = read16(bytes + 2);
  return (body & 3) == 0 && body + kStunHeader == length;
}

inline bool isSendIndication(const uint8_t* bytes, size_t length) {
  return length >= 2 && bytes[0] == 0x00 && bytes[1] == 0x16;
}

struct SendIndication {
  Endpoint peer;
  const uint8_t* data = nullptr;
  size_t length = 0;
};

// As parseSendIndication of relay/stun/send-indication.ts, rule for rule: the first of equal attributes counts, what stands
// behind MESSAGE-INTEGRITY does not, an attribute that must be understood and is not spoils the message.
bool parseSendIndication(const uint8_t* bytes, size_t length, SendIndication& result);

// Writes the dataHeader(…) octets that belong in front of `length` octets of payload. The padding behind them is the caller's.
void writeDataHeader(uint8_t* into, const uint8_t* transactionId, const Endpoint& peer, size_t length);

inline void writeChannelHeader(uint8_t* into, uint16_t channel, size_t length) {
  write16(into, channel);
  write16(into + 2, static_cast<uint16_t>(length));
}

}  // namespace turnpike
