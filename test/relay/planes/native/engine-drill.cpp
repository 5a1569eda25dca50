// The engine without Node, under a sanitizer: clients that send what is right and what is wrong, peers that answer, neighbours that
// meet across threads, and a commander that permits, takes back, ends and begins anew all the while. Built and run by
// sanitizers.test.ts; nothing is asserted here but that the sanitizer stays silent and that the engine relays.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "engine.hpp"

using namespace turnpike;

namespace {

constexpr uint32_t kClients = 6;
constexpr uint8_t kThreads = 3;
constexpr double kLifetime = 1e9;

std::mt19937 randomness(1);
uint32_t below(uint32_t bound) { return randomness() % bound; }

Endpoint loopback(uint16_t port) {
  const uint8_t octets[4] = {127, 0, 0, 1};
  return {Address::of4(octets), port};
}

WireEndpoint wire(const Endpoint& endpoint) {
  WireEndpoint result{};
  endpoint.address.octets(result.octets);
  result.port = endpoint.port;
  return result;
}

struct Socket {
  Socket() : fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    SocketAddress address = SocketAddress::of(loopback(0), AF_INET);
    bind(fd, reinterpret_cast<sockaddr*>(&address.storage), address.length);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
    endpointOf(address.storage, local);
  }
  void send(const Endpoint& to, const std::vector<uint8_t>& bytes) const {
    const SocketAddress address = SocketAddress::of(to, AF_INET);
    sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&address.storage), address.length);
  }
  size_t drain() const {
    uint8_t bytes[65536];
    size_t count = 0;
    while (recv(fd, bytes, sizeof bytes, 0) >= 0) count += 1;
    return count;
  }
  int fd;
  Endpoint local;
};

std::vector<uint8_t> channelData(uint16_t channel, size_t length) {
  std::vector<uint8_t> bytes(kChannelHeader + length, 0x5a);
  writeChannelHeader(bytes.data(), channel, length);
  return bytes;
}

std::vector<uint8_t> sendIndication(const Endpoint& peer, size_t length) {
  const uint8_t id[12] = {1, 2, 3};
  std::vector<uint8_t> bytes(dataHeader(true) + padded(length), 0x5a);
  writeDataHeader(bytes.data(), id, peer, length);
  bytes[1] = 0x16;  // a Data indication in everything but its type
  return bytes;
}

// One to four places changed, most of them in the headers; now and then cut or grown.
std::vector<uint8_t> spoilt(std::vector<uint8_t> bytes) {
  for (uint32_t rounds = 1 + below(4); rounds > 0; rounds -= 1) {
    const uint32_t what = below(4);
    const auto size = static_cast<uint32_t>(bytes.size());
    if (what == 0 && below(4) == 0) bytes.resize(below(size + 1));
    else if (what == 1 && below(4) == 0) bytes.resize(size + below(40), 0xff);
    else if (size > 0) bytes[below(std::min(size, 48U))] = static_cast<uint8_t>(below(2) == 0 ? below(256) : below(8));
  }
  return bytes;
}

// What the packet path reads of a datagram, out of memory that ends where the datagram does.
void entry(const std::vector<uint8_t>& datagram) {
  const size_t length = datagram.size();
  const std::unique_ptr<uint8_t[]> memory(new uint8_t[length]);
  std::copy(datagram.begin(), datagram.end(), memory.get());
  const uint8_t* bytes = memory.get();
  if (isChannelData(bytes, length)) {
    const int payload = channelDataLength(bytes, length);
    if (payload >= 0 && kChannelHeader + static_cast<size_t>(payload) > length) std::abort();
  }
  SendIndication indication;
  if (!isStun(bytes, length) || !isSendIndication(bytes, length)) return;
  if (!parseSendIndication(bytes, length, indication)) return;
  if (indication.data < bytes || indication.data + indication.length > bytes + length) std::abort();
}

void entries(int count) {
  for (int index = 0; index < count; index += 1) {
    const size_t length = below(64);
    entry(spoilt(index % 2 == 0 ? channelData(0x4001, length) : sendIndication(loopback(5000), length)));
  }
}

class Drill {
 public:
  Drill() : engine_({kThreads, 64, Hairpin::kAny, 1 << 16, "", Clock(nullptr, 0), [] {}}) {
    Listen listen{loopback(0), AF_INET};
    if (engine_.map() != 0 || engine_.listen(listen) != 0 || engine_.start() != 0) std::abort();
    server_ = listen.endpoint;
    engine_.allowance(1).set(1e6, 1e9, 1e12);
    for (uint32_t client = 0; client < kClients; client += 1) open(client);
  }

  void run(int rounds) {
    for (int round = 0; round < rounds; round += 1) {
      for (uint32_t client = 0; client < kClients; client += 1) packets(client);
      command(below(kClients));
      drain();
    }
    // Whatever was under way.
    for (int wait = 0; wait < 50; wait += 1) {
      usleep(10000);
      drain();
    }
    engine_.stop();
  }

  size_t delivered() const { return delivered_; }
  uint64_t counted() {
    uint64_t sum = 0;
    for (uint32_t slot = 1; slot <= kClients; slot += 1) {
      const uint64_t* row = engine_.words() + (Engine::kDropRows + slot) * kRowWords;
      for (const int of : {kClientTx, kPeerTx}) sum += __atomic_load_n(row + kLegs + of, __ATOMIC_RELAXED);
      sum += __atomic_load_n(row + kPerClass + kLegs + kClientTx, __ATOMIC_RELAXED);
    }
    return sum;
  }

 private:
  struct Party {
    Socket socket;
    uint8_t worker = 0;
    uint16_t relay = 0;
    uint32_t unfinished = 0;
    bool live = false;
  };

  template <typename Command>
  void tell(uint32_t client, Command command, CommandType type, const void* more = nullptr, size_t length = 0) {
    command.record = {static_cast<uint32_t>(sizeof command + length), static_cast<uint32_t>(type)};
    std::vector<uint8_t> bytes(sizeof command + length);
    std::memcpy(bytes.data(), &command, sizeof command);
    if (length > 0) std::memcpy(bytes.data() + sizeof command, more, length);
    engine_.worker(parties_[client].worker).tell(bytes.data(), bytes.size());
  }

  void open(uint32_t client) {
    Party& party = parties_[client];
    Endpoint relay = loopback(0);
    const int fd = engine_.bindSocket(relay, AF_INET);
    if (fd < 0) std::abort();
    party.relay = relay.port;
    party.worker = engine_.workerOf(party.socket.local);
    party.live = true;
    generation_ += 1;
    OpenCommand command{};
    command.slot = client + 1;
    command.generation = generation_;
    command.fd = fd;
    command.family = 4;
    command.client = wire(party.socket.local);
    command.relayed = wire(relay);
    command.deadline = kLifetime;
    command.allowance = client % 2;
    tell(client, command, CommandType::kOpen);
    if (engine_.worker(party.worker).watch(command.slot, fd) != 0) std::abort();
    const Resident resident{client + 1, static_cast<uint16_t>(generation_), party.worker, true};
    engine_.shared().settle(true, relay.port, resident, client % 2);
    permit(client);
  }

  void permit(uint32_t client) {
    PeerCommand command{};
    command.slot = client + 1;
    command.own = static_cast<uint32_t>(Own::kRelayed);
    loopback(0).address.octets(command.address);
    command.deadline = kLifetime;
    command.spans = 1;
    const WireSpan span{65535, kInternet};
    tell(client, command, CommandType::kPermit, &span, sizeof span);
    channel(client, 0x4001, peer_.local.port, CommandType::kBind);
    channel(client, 0x4002, parties_[(client + 1) % kClients].relay, CommandType::kBind);
  }

  void channel(uint32_t client, uint16_t number, uint16_t port, CommandType type) {
    ChannelCommand command{};
    command.slot = client + 1;
    command.number = number;
    command.port = port;
    loopback(0).address.octets(command.address);
    command.deadline = kLifetime;
    tell(client, command, type);
  }

  void packets(uint32_t client) {
    const Party& party = parties_[client];
    const size_t length = below(1200);
    party.socket.send(server_, channelData(0x4001, length));
    party.socket.send(server_, channelData(0x4002, length));
    party.socket.send(server_, sendIndication(peer_.local, length));
    party.socket.send(server_, spoilt(channelData(0x4001, length)));
    party.socket.send(server_, spoilt(sendIndication(peer_.local, length)));
    for (int run = 0; run < 3; run += 1) peer_.send(loopback(party.relay), std::vector<uint8_t>(length, 0x21));
  }

  void command(uint32_t client) {
    Party& party = parties_[client];
    if (!party.live) return;
    switch (below(7)) {
      case 0: {
        party.live = false;
        engine_.shared().leave(true, party.relay);
        tell(client, SlotCommand{{}, client + 1, 0, 0}, CommandType::kEnd);
        party.unfinished = kThreads;
        tell(client, SlotCommand{{}, client + 1, 0, 0}, CommandType::kFinish);
        return;
      }
      case 1:
        return channel(client, 0x4001, 0, CommandType::kUnbind);
      case 2: {
        PeerCommand command{};
        command.slot = client + 1;
        loopback(0).address.octets(command.address);
        return tell(client, command, CommandType::kRevoke);
      }
      case 3:
        return tell(client, SlotCommand{{}, client + 1, 0, kLifetime}, CommandType::kExtend);
      case 4:
        engine_.shared().service(static_cast<uint16_t>(below(65536)), below(2) == 0);
        engine_.allowance(1).refund(1);
        engine_.send(0, party.socket.local, reinterpret_cast<const uint8_t*>("hello"), 5);
        return;
      default:
        return permit(client);
    }
  }

  // As native-offload.ts: the owner is done first, then everybody else.
  void drain() {
    std::vector<uint8_t> notices(1 << 18);
    for (uint8_t worker = 0; worker < kThreads; worker += 1) {
      const size_t length = engine_.worker(worker).drain(notices.data(), notices.size());
      for (size_t at = 0; at < length;) {
        SlotNotice notice;
        std::memcpy(&notice, notices.data() + at, sizeof notice);
        at += notice.record.size;
        if (notice.record.type != static_cast<uint32_t>(NoticeType::kFinished)) continue;
        finished(worker, notice.slot - 1);
      }
    }
    for (const Party& party : parties_) delivered_ += party.socket.drain();
    delivered_ += peer_.drain();
  }

  void finished(uint8_t worker, uint32_t client) {
    Party& party = parties_[client];
    party.unfinished -= 1;
    if (worker == party.worker) {
      const SlotCommand command{{sizeof command, static_cast<uint32_t>(CommandType::kFinish)}, client + 1, 0, 0};
      for (uint8_t other = 0; other < kThreads; other += 1) {
        if (other != worker) engine_.worker(other).tell(reinterpret_cast<const uint8_t*>(&command), sizeof command);
      }
    }
    if (party.unfinished == 0) open(client);
  }

  Engine engine_;
  Endpoint server_;
  Socket peer_;
  Party parties_[kClients];
  uint32_t generation_ = 0;
  size_t delivered_ = 0;
};

}  // namespace

// engine-drill ROUNDS DATAGRAMS
int main(int, char** arguments) {
  entries(std::atoi(arguments[2]));
  Drill drill;
  drill.run(std::atoi(arguments[1]));
  std::printf("%zu delivered, %llu counted\n", drill.delivered(), static_cast<unsigned long long>(drill.counted()));
  return drill.delivered() > 0 && drill.counted() > 0 ? 0 : 1;
}
