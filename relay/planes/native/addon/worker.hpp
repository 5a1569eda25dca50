// One thread of the plane: its listeners, its allocations, and the packet path between them. Owns everything it touches;
// commands, notices and neighbours' packets come and go through rings.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "allocation.hpp"
#include "clock.hpp"
#include "commands.hpp"
#include "inbox.hpp"
#include "outbox.hpp"
#include "ring.hpp"
#include "shared.hpp"

namespace turnpike {

class Engine;

class Worker {
 public:
  Worker(Engine& engine, uint8_t index, Counters counters);
  ~Worker();

  // 0, or the errno of what failed.
  int start();
  void join();
  // Once the thread has ended: every socket of its own.
  void closeSockets();

  // From JavaScript's thread. Waits for room: a worker always makes some. What is told is obeyed before any packet that comes
  // later is judged; the thread is woken for that alone which JavaScript waits for.
  void tell(const uint8_t* record, size_t size);
  // From JavaScript's thread, once kOpen is told: from now on the thread hears the relay socket. 0, or the errno.
  int watch(uint32_t slot, int fd);
  // From JavaScript's thread: moves whole records into `into`, returns the octets moved.
  size_t drain(uint8_t* into, size_t room);

  // From any thread.
  void wake();

  std::vector<Outlet> listeners;

 private:
  // A payload on its way, judged at `now`.
  struct Passage {
    const uint8_t* data;
    size_t length;
    size_t received;  // octets of the whole frame as the client sent it
    double now;
  };
  // A neighbour's packet, in the ring between two workers; the payload behind it.
  struct Hop {
    Record record;
    uint32_t slot;
    uint32_t from;
    uint16_t generation;
    uint16_t port;
    uint32_t length;
    uint8_t address[16];
  };

  static constexpr int kEvents = 128;

  void run();
  int wait(std::array<epoll_event, kEvents>& events);
  bool isBusy();
  void obey();
  void obey(const uint8_t* record);
  void open(const OpenCommand& command);
  void end(Allocation& allocation);
  void permit(const PeerCommand& command);
  void decline(const ClientCommand& command);
  void undecline(const ClientCommand& command);
  void finish(uint32_t slot);
  void hops();

  void pass();
  void receive(uint32_t listener);
  void receiveRelay(uint32_t slot);
  void fromClient(uint32_t listener, const Endpoint& source, const uint8_t* bytes, size_t length, double now);
  void fromPeer(Allocation& allocation, const Endpoint& source, const uint8_t* bytes, size_t length, double now);
  Allocation& meant(Allocation& found, const uint8_t* bytes, size_t length, double now);
  void channelData(Allocation& allocation, const uint8_t* bytes, size_t length, double now);
  void sendIndication(Allocation& allocation, const uint8_t* bytes, size_t length, double now);
  void toPeer(Allocation& allocation, Peer& peer, uint16_t port, const Passage& passage);
  void toNeighbour(Allocation& allocation, const Peer& peer, uint16_t port, const Passage& passage);
  void toScript(const Allocation& allocation, bool is4, uint16_t port, const Passage& passage);
  bool hop(Allocation& neighbour, const Endpoint& from, const Passage& passage);
  bool toClient(Allocation& allocation, Peer& peer, uint16_t port, PeerClass peerClass, const Passage& passage);
  PeerClass judge(const Allocation& allocation, const Peer& peer, uint16_t port) const;

  // Datagrams for JavaScript: STUN control, and the data of clients that it serves.
  void handUp(uint32_t listener, const Endpoint& source, const uint8_t* bytes, size_t length);
  uint8_t* roomForData(size_t size);
  void notify(NoticeType type, uint32_t slot);
  void retryNotices();
  const uint8_t* transactionId();
  void drop(Drop reason) { counters_.drop(reason); }
  Allocation* at(uint32_t slot) { return slot < allocations_.size() ? allocations_[slot].get() : nullptr; }

  Engine& engine_;
  const uint8_t index_;
  Counters counters_;
  Inbox inbox_;
  Outbox outbox_;
  Clock clock_;
  int epoll_ = -1;
  int event_ = -1;
  bool stopping_ = false;
  // Messages that listeners received since a window of time began, and whether those of the last one were many.
  unsigned received_ = 0;
  double windowBegan_ = 0;
  bool isBusy_ = false;
  std::thread thread_;

  std::vector<std::unique_ptr<Allocation>> allocations_;  // by slot
  std::vector<FlatMap<Endpoint, Allocation*>> clients_;   // by listener
  Allocation declined_;                                   // stands there for clients that JavaScript serves
  std::vector<uint32_t> over_;                            // slots whose quota was filled in this turn
  std::vector<SlotNotice> unsent_;
  std::vector<bool> poked_;

  Memory commandMemory_;
  Memory noticeMemory_;
  Ring commands_;
  Ring notices_;
  std::array<uint8_t, 12 * 512> ids_{};
  size_t idsUsed_ = sizeof ids_;
};

}  // namespace turnpike
