// What JavaScript tells a worker and what a worker tells JavaScript: records of a Ring, native byte order, as
// relay/planes/native/records.ts writes and reads them. Both begin with `size` and `type`.
#pragma once

#include <cstdint>

namespace turnpike {

enum class CommandType : uint32_t {
  kOpen = 1,
  kExtend,
  kEnd,
  kFinish,
  kPermit,
  kRevoke,
  kBind,
  kUnbind,
  kDecline,
  kUndecline,
  kStop,
};
enum class NoticeType : uint32_t { kDatagram = 1, kHop, kFinished, kQuota };

struct Record {
  uint32_t size;
  uint32_t type;
};

struct WireEndpoint {
  uint8_t octets[16];
  uint16_t port;
  uint16_t unused[3];
};

struct OpenCommand {
  Record record;
  uint32_t slot;
  uint32_t generation;
  int32_t fd;
  uint32_t listener;
  uint32_t family;  // of the relay socket: 4 or 6
  uint32_t unused;
  WireEndpoint client;
  WireEndpoint relayed;
  double deadline;
  uint32_t allowance;  // 0: unlimited
  uint32_t unused2;
};

// kDecline, kUndecline: whether data of this client is JavaScript's business.
struct ClientCommand {
  Record record;
  uint32_t listener;
  uint32_t unused;
  WireEndpoint client;
};

struct SlotCommand {  // kExtend, kEnd, kFinish
  Record record;
  uint32_t slot;
  uint32_t unused;
  double deadline;
};

struct PeerCommand {  // kPermit, kRevoke; `spans` times a PortVerdict behind it
  Record record;
  uint32_t slot;
  uint32_t own;
  uint8_t address[16];
  double deadline;
  uint32_t spans;
  uint32_t unused;
};

struct WireSpan {
  uint32_t last;
  int32_t verdict;
};

struct ChannelCommand {  // kBind, kUnbind
  Record record;
  uint32_t slot;
  uint16_t number;
  uint16_t port;
  uint8_t address[16];
  double deadline;
};

struct DatagramNotice {  // the datagram behind it
  Record record;
  uint32_t listener;
  uint32_t length;
  WireEndpoint from;
};

struct HopNotice {  // the payload behind it: for an allocation that JavaScript serves
  Record record;
  uint32_t slot;  // of the sender
  uint16_t family;
  uint16_t port;
  uint32_t length;
  uint32_t unused;
};

struct SlotNotice {  // kFinished, kQuota
  Record record;
  uint32_t slot;
  uint32_t unused;
};

}  // namespace turnpike
