#include "worker.hpp"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "engine.hpp"

namespace turnpike {
namespace {

// 65,535 octets less the UDP header, and for IPv4 less the IP header.
constexpr size_t kLargest4 = 65507;
constexpr size_t kLargest6 = 65527;
constexpr size_t kCommandOctets = 1 << 20;
constexpr size_t kNoticeOctets = 4 << 20;
// Batches read from one socket before the others have their turn.
constexpr int kTurns = 4;
// A thread that slept is woken by the first packet of a burst. From so many messages of clients a millisecond on it lets more of the
// burst come in, for so many nanoseconds, before it reads, as a network card does before it interrupts: fewer calls, longer runs. At
// lower rates nothing would follow and it would only be late; what peers send comes through many sockets and gains nothing.
constexpr double kBurstRate = 125;
constexpr long kBurst = 35'000;
constexpr double kRateWindow = 2;  // milliseconds

// What an epoll event is about: nothing but the wake-up call, a listener, or the relay socket of a slot.
constexpr uint64_t kWakeUp = 0;
constexpr uint64_t kListener = 1ULL << 32;
constexpr uint64_t kRelay = 2ULL << 32;

template <typename Command>
Command read(const uint8_t* record) {
  Command command;
  std::memcpy(&command, record, sizeof command);
  return command;
}

Drop reasonOf(Exceeded exceeded) { return exceeded == Exceeded::kPacketRate ? kPacketRate : kBitRate; }

Endpoint endpointOf(const WireEndpoint& wire) { return {Address::of(wire.octets), wire.port}; }

}  // namespace

Worker::Worker(Engine& engine, uint8_t index, Counters counters)
    : engine_(engine),
      index_(index),
      counters_(counters),
      outbox_(&counters_),
      clock_(engine.clock()),
      allocations_(engine.slots()),
      poked_(engine.threads()),
      commandMemory_(kCommandOctets),
      noticeMemory_(kNoticeOctets),
      commands_(commandMemory_.octets(), kCommandOctets),
      notices_(noticeMemory_.octets(), kNoticeOctets) {}

Worker::~Worker() { closeSockets(); }

void Worker::closeSockets() {
  for (const Outlet& listener : listeners) close(listener.fd);
  listeners.clear();
  for (const auto& allocation : allocations_) {
    if (allocation != nullptr && allocation->relay.fd >= 0) close(allocation->relay.fd);
  }
  allocations_.clear();
  for (int* fd : {&epoll_, &event_}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
}

int Worker::start() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_ < 0 || event_ < 0) return errno;
  if (!inbox_.usable()) return ENOMEM;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeUp;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &event);
  clients_.resize(listeners.size());
  for (uint32_t index = 0; index < listeners.size(); index += 1) {
    event.data.u64 = kListener | index;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, listeners[index].fd, &event);
  }
  // Signals are JavaScript's: a thread inherits the mask of the one that makes it.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  char name[16];
  std::snprintf(name, sizeof name, "relay-%u", index_);
  pthread_setname_np(thread_.native_handle(), name);
  return 0;
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::wake() {
  const uint64_t one = 1;
  // Full means that it is awake already.
  [[maybe_unused]] const ssize_t written = write(event_, &one, sizeof one);
}

void Worker::tell(const uint8_t* record, size_t size) {
  uint8_t* room;
  while ((room = commands_.reserve(size)) == nullptr) {
    wake();
    std::this_thread::yield();
  }
  std::memcpy(room + sizeof(uint32_t), record + sizeof(uint32_t), size - sizeof(uint32_t));
  commands_.publish();
  const auto type = static_cast<CommandType>(read<Record>(record).type);
  if (type == CommandType::kFinish || type == CommandType::kStop) wake();
}

int Worker::watch(uint32_t slot, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kRelay | slot;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

size_t Worker::drain(uint8_t* into, size_t room) {
  size_t moved = 0;
  for (const uint8_t* record = notices_.peek(); record != nullptr; record = notices_.peek()) {
    const size_t size = read<Record>(record).size;
    if (moved + size > room) break;
    std::memcpy(into + moved, record, size);
    notices_.consume();
    moved += size;
  }
  return moved;
}

// How many events there are to see to.
int Worker::wait(std::array<epoll_event, kEvents>& events) {
  int count = epoll_wait(epoll_, events.data(), kEvents, 0);
  if (count != 0) return count;
  count = epoll_wait(epoll_, events.data(), kEvents, unsent_.empty() ? -1 : 1);
  if (count <= 0 || !isBusy()) return count;
  const timespec burst{0, kBurst};
  nanosleep(&burst, nullptr);
  return epoll_wait(epoll_, events.data(), kEvents, 0);
}

// By the messages of clients since the last window of time began.
bool Worker::isBusy() {
  const double now = Clock::system();
  const double passed = now - windowBegan_;
  if (passed >= kRateWindow) {
    isBusy_ = received_ >= kBurstRate * passed;
    received_ = 0;
    windowBegan_ = now;
  }
  return isBusy_;
}

void Worker::run() {
  // Else the kernel adds 50 µs to so short a sleep.
  prctl(PR_SET_TIMERSLACK, 1);
  std::array<epoll_event, kEvents> events;
  while (!stopping_) {
    const int count = wait(events);
    // Commands first: a client that has its answer finds what the answer promised.
    obey();
    hops();
    for (int index = 0; index < count; index += 1) {
      const uint64_t what = events[index].data.u64;
      const auto number = static_cast<uint32_t>(what);
      if (what == kWakeUp) {
        uint64_t calls;
        [[maybe_unused]] const ssize_t got = ::read(event_, &calls, sizeof calls);
        obey();
        hops();
      } else if ((what & ~0xffffffffULL) == kListener) {
        receive(number);
      } else {
        receiveRelay(number);
      }
    }
    pass();
    for (const uint32_t slot : over_) {
      Allocation* allocation = at(slot);
      if (allocation == nullptr || allocation->ended) continue;
      end(*allocation);
      notify(NoticeType::kQuota, slot);
    }
    over_.clear();
    retryNotices();
    for (uint8_t other = 0; other < poked_.size(); other += 1) {
      if (!poked_[other]) continue;
      poked_[other] = false;
      engine_.worker(other).wake();
    }
  }
}

// --- Commands

void Worker::obey() {
  for (const uint8_t* record = commands_.peek(); record != nullptr; record = commands_.peek()) {
    obey(record);
    commands_.consume();
  }
}

void Worker::obey(const uint8_t* record) {
  const auto type = static_cast<CommandType>(read<Record>(record).type);
  switch (type) {
    case CommandType::kOpen:
      return open(read<OpenCommand>(record));
    case CommandType::kPermit:
      return permit(*reinterpret_cast<const PeerCommand*>(record));
    case CommandType::kFinish:
      return finish(read<SlotCommand>(record).slot);
    case CommandType::kDecline:
      return decline(read<ClientCommand>(record));
    case CommandType::kUndecline:
      return undecline(read<ClientCommand>(record));
    case CommandType::kStop:
      stopping_ = true;
      return;
    default:
      break;
  }
  const uint32_t slot = read<SlotCommand>(record).slot;  // the first member of every record after its head
  Allocation* allocation = at(slot);
  if (allocation == nullptr || allocation->ended) return;
  switch (type) {
    case CommandType::kExtend:
      allocation->deadline = read<SlotCommand>(record).deadline;
      return;
    case CommandType::kEnd:
      outbox_.flush();
      return end(*allocation);
    case CommandType::kRevoke:
      return allocation->revoke(Address::of(read<PeerCommand>(record).address));
    case CommandType::kBind: {
      const auto command = read<ChannelCommand>(record);
      return allocation->bind(command.number, Address::of(command.address), command.port, command.deadline);
    }
    case CommandType::kUnbind:
      return allocation->unbind(read<ChannelCommand>(record).number);
    default:
      return;
  }
}

void Worker::open(const OpenCommand& command) {
  auto allocation = std::make_unique<Allocation>();
  allocation->slot = command.slot;
  allocation->generation = command.generation;
  allocation->listener = command.listener;
  allocation->client = endpointOf(command.client);
  allocation->relayed = endpointOf(command.relayed);
  allocation->deadline = command.deadline;
  allocation->relay.fd = command.fd;
  allocation->relay.family = command.family == 4 ? AF_INET : AF_INET6;
  allocation->relay.largest = command.family == 4 ? kLargest4 : kLargest6;
  if (command.allowance != 0) allocation->allowance = &engine_.allowance(command.allowance);
  auto& clients = clients_[command.listener];
  if (Allocation** other = clients.find(allocation->client); other != nullptr && *other != &declined_) {
    allocation->sibling = *other;
    (*other)->sibling = allocation.get();
  } else {
    clients.set(allocation->client, allocation.get());
  }
  allocations_[command.slot] = std::move(allocation);
}

// Nothing is relayed any more. The allocation itself stays until JavaScript is done with it.
void Worker::end(Allocation& allocation) {
  allocation.ended = true;
  auto& clients = clients_[allocation.listener];
  if (allocation.sibling != nullptr) {
    allocation.sibling->sibling = nullptr;
    clients.set(allocation.client, allocation.sibling);
    allocation.sibling = nullptr;
  } else if (Allocation** known = clients.find(allocation.client); known != nullptr && *known == &allocation) {
    clients.erase(allocation.client);
  }
  close(allocation.relay.fd);
  allocation.relay.fd = -1;
  allocation.peers = {};
  allocation.channels = {};
}

void Worker::finish(uint32_t slot) {
  outbox_.flush();
  hops();
  outbox_.flush();
  allocations_[slot] = nullptr;
  notify(NoticeType::kFinished, slot);
}

void Worker::permit(const PeerCommand& command) {
  Allocation* allocation = at(command.slot);
  if (allocation == nullptr || allocation->ended) return;
  Peer& peer = allocation->peerFor(Address::of(command.address));
  // A peer that is only judged anew keeps the permission it has.
  if (command.deadline > kNever) peer.permission = command.deadline;
  peer.own = static_cast<Own>(command.own);
  peer.verdicts.resize(command.spans);
  const auto* spans = reinterpret_cast<const uint8_t*>(&command) + sizeof command;
  for (uint32_t index = 0; index < command.spans; index += 1) {
    WireSpan span;
    std::memcpy(&span, spans + index * sizeof span, sizeof span);
    peer.verdicts[index] = {static_cast<uint16_t>(span.last), static_cast<int8_t>(span.verdict)};
  }
}

void Worker::decline(const ClientCommand& command) {
  clients_[command.listener].set(endpointOf(command.client), &declined_);
}

void Worker::undecline(const ClientCommand& command) {
  auto& clients = clients_[command.listener];
  const Endpoint client = endpointOf(command.client);
  if (Allocation** known = clients.find(client); known != nullptr && *known == &declined_) clients.erase(client);
}

// --- Notices

void Worker::handUp(uint32_t listener, const Endpoint& source, const uint8_t* bytes, size_t length) {
  const size_t size = sizeof(DatagramNotice) + length;
  uint8_t* room = isStun(bytes, length) && !isSendIndication(bytes, length) ? notices_.reserve(size) : roomForData(size);
  if (room == nullptr) return drop(kOverload);
  DatagramNotice notice{};
  notice.record.size = read<Record>(room).size;
  notice.record.type = static_cast<uint32_t>(NoticeType::kDatagram);
  notice.listener = listener;
  notice.length = static_cast<uint32_t>(length);
  source.address.octets(notice.from.octets);
  notice.from.port = source.port;
  std::memcpy(room, &notice, sizeof notice);
  std::memcpy(room + sizeof notice, bytes, length);
  notices_.publish();
  engine_.call();
}

// Data leaves half of the queue to requests, which are few and must not be crowded out.
uint8_t* Worker::roomForData(size_t size) {
  return notices_.waiting() > kNoticeOctets / 2 ? nullptr : notices_.reserve(size);
}

void Worker::notify(NoticeType type, uint32_t slot) {
  unsent_.push_back({{sizeof(SlotNotice), static_cast<uint32_t>(type)}, slot, 0});
  retryNotices();
}

// Unlike a datagram, what is said of an allocation is never dropped: it waits until there is room.
void Worker::retryNotices() {
  size_t sent = 0;
  for (; sent < unsent_.size(); sent += 1) {
    uint8_t* room = notices_.reserve(sizeof(SlotNotice));
    if (room == nullptr) break;
    std::memcpy(room, &unsent_[sent], sizeof(SlotNotice));
    notices_.publish();
  }
  if (sent == 0) return;
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<ptrdiff_t>(sent));
  engine_.call();
}

// --- Packets

// What was read goes out: its room is wanted, or the turn is over.
void Worker::pass() {
  outbox_.flush();
  inbox_.clear();
}

void Worker::receive(uint32_t listener) {
  bool more = true;
  for (int turn = 0; turn < kTurns && more; turn += 1) {
    if (inbox_.end() > Inbox::kBatch / 2) pass();
    const unsigned first = inbox_.end();
    more = inbox_.read(listeners[listener].fd);
    // What was told before these came is obeyed before they are judged.
    obey();
    received_ += inbox_.end() - first;
    const double now = clock_.now();
    for (unsigned index = first; index < inbox_.end(); index += 1) {
      Endpoint source;
      const bool known = turnpike::endpointOf(inbox_.source(index), source);
      inbox_.datagrams(index, [&](const uint8_t* bytes, size_t length) {
        if (known) fromClient(listener, source, bytes, length, now);
        else drop(kMalformed);
      });
    }
  }
}

void Worker::receiveRelay(uint32_t slot) {
  bool more = true;
  for (int turn = 0; turn < kTurns && more; turn += 1) {
    const Allocation* before = at(slot);
    if (before == nullptr || before->ended) return;
    const uint32_t generation = before->generation;
    if (inbox_.end() > Inbox::kBatch / 2) pass();
    const unsigned first = inbox_.end();
    more = inbox_.read(before->relay.fd);
    obey();
    Allocation* present = at(slot);
    if (present == nullptr || present->ended || present->generation != generation) return;
    Allocation& allocation = *present;
    const double now = clock_.now();
    for (unsigned index = first; index < inbox_.end(); index += 1) {
      Endpoint source;
      const bool known = turnpike::endpointOf(inbox_.source(index), source);
      inbox_.datagrams(index, [&](const uint8_t* bytes, size_t length) {
        if (known) fromPeer(allocation, source, bytes, length, now);
        else drop(kNoPermission);
      });
    }
  }
}

void Worker::fromClient(uint32_t listener, const Endpoint& source, const uint8_t* bytes, size_t length, double now) {
  const bool isChannel = isChannelData(bytes, length);
  if (!isChannel && !isSendIndication(bytes, length)) {
    if (!isStun(bytes, length)) return drop(kMalformed);
    return handUp(listener, source, bytes, length);
  }
  Allocation** found = clients_[listener].find(source);
  if (found == nullptr) return drop(kNoAllocation);
  if (*found == &declined_) return handUp(listener, source, bytes, length);
  Allocation& allocation = (*found)->sibling == nullptr ? **found : meant(**found, bytes, length, now);
  if (allocation.deadline <= now) return drop(kExpired);
  if (isChannel) channelData(allocation, bytes, length, now);
  else sendIndication(allocation, bytes, length, now);
}

// Which of a client's two allocations its data is for: the one that has the channel, or relays in the family of the peer.
Allocation& Worker::meant(Allocation& found, const uint8_t* bytes, size_t length, double now) {
  if (isChannelData(bytes, length)) {
    const Channel* channel = length < kChannelHeader ? nullptr : found.channels.find(read16(bytes));
    return channel != nullptr && channel->deadline > now ? found : *found.sibling;
  }
  SendIndication indication;
  if (!parseSendIndication(bytes, length, indication)) return found;
  return indication.peer.address.is4() == (found.relay.family == AF_INET) ? found : *found.sibling;
}

void Worker::channelData(Allocation& allocation, const uint8_t* bytes, size_t length, double now) {
  const int payload = channelDataLength(bytes, length);
  if (payload < 0) return drop(kMalformed);
  const Channel* channel = allocation.channels.find(read16(bytes));
  if (channel == nullptr || channel->deadline <= now) return drop(kNoChannel);
  const Passage passage{bytes + kChannelHeader, static_cast<size_t>(payload), length, now};
  toPeer(allocation, *channel->peer, channel->port, passage);
}

void Worker::sendIndication(Allocation& allocation, const uint8_t* bytes, size_t length, double now) {
  SendIndication indication;
  if (!parseSendIndication(bytes, length, indication)) return drop(kMalformed);
  Peer* peer = allocation.peer(indication.peer.address);
  if (peer == nullptr) return drop(kNoPermission);
  toPeer(allocation, *peer, indication.peer.port, {indication.data, indication.length, length, now});
}

void Worker::toPeer(Allocation& allocation, Peer& peer, uint16_t port, const Passage& passage) {
  if (peer.permission <= passage.now) return drop(kNoPermission);
  const PeerClass peerClass = judge(allocation, peer, port);
  if (peerClass == kDenied) return drop(kPeerDenied);
  if (allocation.allowance != nullptr) {
    const Exceeded exceeded = allocation.allowance->exceeded(passage.received, passage.now);
    if (exceeded != Exceeded::kNone) return drop(reasonOf(exceeded));
  }
  counters_.count(allocation.slot, peerClass, kClientRx, passage.received);
  if (peerClass == kOwnRelay) return toNeighbour(allocation, peer, port, passage);
  Parcel& parcel = outbox_.add(allocation.relay, {peer.address, port});
  parcel.headLength = 0;
  parcel.padding = 0;
  parcel.body = passage.data;
  parcel.bodyLength = static_cast<uint32_t>(passage.length);
  parcel.cargo = Cargo::kToPeer;
  parcel.peerClass = peerClass;
  parcel.allocation = &allocation;
  parcel.row = allocation.slot;
}

// One hop: straight to the client of the allocation whose relayed address the peer is, through its own thread.
void Worker::toNeighbour(Allocation& allocation, const Peer& peer, uint16_t port, const Passage& passage) {
  const Resident resident = engine_.shared().resident(peer.address.is4(), port);
  if (!resident.present) return drop(kPeerDenied);
  if (resident.worker == kScript) return toScript(allocation, peer.address.is4(), port, passage);
  if (resident.worker == index_) {
    Allocation* neighbour = at(resident.slot);
    if (neighbour == nullptr || neighbour->ended) return drop(kPeerDenied);
    if (hop(*neighbour, allocation.relayed, passage)) {
      counters_.count(allocation.slot, kOwnRelay, kPeerTx, passage.length);
    }
    return;
  }
  Ring& ring = engine_.hops(index_, resident.worker);
  uint8_t* room = ring.reserve(sizeof(Hop) + passage.length);
  if (room == nullptr) return drop(kOverload);
  Hop record{};
  record.record.size = read<Record>(room).size;
  record.slot = resident.slot;
  record.generation = resident.generation;
  record.from = allocation.slot;
  record.port = allocation.relayed.port;
  record.length = static_cast<uint32_t>(passage.length);
  allocation.relayed.address.octets(record.address);
  std::memcpy(room, &record, sizeof record);
  std::memcpy(room + sizeof record, passage.data, passage.length);
  ring.publish();
  poked_[resident.worker] = true;
}

// To an allocation that JavaScript serves, which judges and counts the rest.
void Worker::toScript(const Allocation& allocation, bool is4, uint16_t port, const Passage& passage) {
  uint8_t* room = roomForData(sizeof(HopNotice) + passage.length);
  if (room == nullptr) return drop(kOverload);
  HopNotice notice{};
  notice.record.size = read<Record>(room).size;
  notice.record.type = static_cast<uint32_t>(NoticeType::kHop);
  notice.slot = allocation.slot;
  notice.family = is4 ? 4 : 6;
  notice.port = port;
  notice.length = static_cast<uint32_t>(passage.length);
  std::memcpy(room, &notice, sizeof notice);
  std::memcpy(room + sizeof notice, passage.data, passage.length);
  notices_.publish();
  engine_.call();
}

// Whether the neighbour's own rules let the packet in.
bool Worker::hop(Allocation& neighbour, const Endpoint& from, const Passage& passage) {
  if (neighbour.deadline <= passage.now) {
    drop(kExpired);
    return false;
  }
  Peer* back = neighbour.peer(from.address);
  if (back == nullptr || back->permission <= passage.now) {
    drop(kNoPermission);
    return false;
  }
  return toClient(neighbour, *back, from.port, kOwnRelay, passage);
}

void Worker::hops() {
  for (uint8_t other = 0; other < engine_.threads(); other += 1) {
    if (other == index_) continue;
    Ring& ring = engine_.hops(other, index_);
    const double now = clock_.now();
    for (uint8_t* record = ring.peek(); record != nullptr; record = ring.peek()) {
      const auto packet = read<Hop>(record);
      Allocation* neighbour = at(packet.slot);
      if (neighbour == nullptr || neighbour->ended || static_cast<uint16_t>(neighbour->generation) != packet.generation) {
        drop(kPeerDenied);
      } else {
        const Passage passage{record + sizeof packet, packet.length, 0, now};
        if (hop(*neighbour, {Address::of(packet.address), packet.port}, passage)) {
          counters_.count(packet.from, kOwnRelay, kPeerTx, packet.length);
        }
      }
      // The payload lies in the ring.
      outbox_.flush();
      ring.consume();
    }
  }
}

void Worker::fromPeer(Allocation& allocation, const Endpoint& source, const uint8_t* bytes, size_t length, double now) {
  if (allocation.deadline <= now) return drop(kExpired);
  Peer* peer = allocation.peer(source.address);
  if (peer == nullptr || peer->permission <= now) return drop(kNoPermission);
  const PeerClass peerClass = judge(allocation, *peer, source.port);
  if (peerClass == kDenied) return drop(kPeerDenied);
  toClient(allocation, *peer, source.port, peerClass, {bytes, length, 0, now});
}

// Returns whether the allocation's limits let the packet in. A packet that then fails is counted as dropped here.
bool Worker::toClient(Allocation& allocation, Peer& peer, uint16_t port, PeerClass peerClass, const Passage& passage) {
  Outlet& listener = listeners[allocation.listener];
  const uint16_t* number = peer.channels.find(port);
  const Channel* channel = number == nullptr ? nullptr : allocation.channels.find(*number);
  if (channel != nullptr && channel->deadline <= passage.now) channel = nullptr;
  const bool is4 = peer.address.is4();
  const size_t head = channel != nullptr ? kChannelHeader : dataHeader(is4);
  const size_t padding = channel != nullptr ? 0 : padded(passage.length) - passage.length;
  const size_t framed = head + passage.length + padding;
  const bool fits = framed <= listener.largest;
  if (Allowance* allowance = allocation.allowance; allowance != nullptr && fits) {
    const Exceeded exceeded = allowance->exceeded(framed, passage.now);
    if (exceeded != Exceeded::kNone) {
      drop(reasonOf(exceeded));
      return false;
    }
    const bool inQuota = allowance->reserve(framed);
    if (!inQuota || allowance->spent()) over_.push_back(allocation.slot);
    if (!inQuota) {
      drop(kByteQuota);
      return false;
    }
  }
  counters_.count(allocation.slot, peerClass, kPeerRx, passage.length);
  if (!fits) {
    drop(kTooLarge);
    return true;
  }
  Parcel& parcel = outbox_.add(listener, allocation.client);
  parcel.headLength = static_cast<uint8_t>(head);
  if (channel != nullptr) writeChannelHeader(parcel.head, channel->number, passage.length);
  else writeDataHeader(parcel.head, transactionId(), {peer.address, port}, passage.length);
  parcel.padding = static_cast<uint8_t>(padding);
  parcel.body = passage.data;
  parcel.bodyLength = static_cast<uint32_t>(passage.length);
  parcel.cargo = Cargo::kToClient;
  parcel.peerClass = peerClass;
  parcel.allocation = &allocation;
  parcel.row = allocation.slot;
  return true;
}

// kOwnRelay only where a live allocation that may be reached stands there; every other place on this relay is denied, unless an
// operator's range covers it and nothing of ours is there.
PeerClass Worker::judge(const Allocation& allocation, const Peer& peer, uint16_t port) const {
  const PeerClass verdict = peer.verdict(port);
  if (verdict == kDenied || peer.own == Own::kNo) return verdict == kOwnRelay ? kDenied : verdict;
  const Shared& shared = engine_.shared();
  if (peer.own == Own::kRelayed) {
    const Resident resident = shared.resident(peer.address.is4(), port);
    if (resident.present) return shared.mayMeet(allocation.slot, resident.slot) ? kOwnRelay : kDenied;
  }
  return verdict == kOwnRelay || shared.isService(port) ? kDenied : verdict;
}

// 12 octets that nobody can guess (RFC 8656 §11.3), drawn many at a time.
const uint8_t* Worker::transactionId() {
  if (idsUsed_ == sizeof ids_) {
    for (size_t got = 0; got < sizeof ids_;) {
      const ssize_t more = getrandom(ids_.data() + got, sizeof ids_ - got, 0);
      if (more > 0) got += static_cast<size_t>(more);
    }
    idsUsed_ = 0;
  }
  idsUsed_ += 12;
  return ids_.data() + idsUsed_ - 12;
}

}  // namespace turnpike
