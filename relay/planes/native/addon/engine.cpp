#include "engine.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace turnpike {
namespace {

constexpr size_t kHopOctets = 1 << 20;
constexpr uint32_t kSpread = 2654435761U;

uint32_t lastWord(const Address& address) {
  uint8_t octets[16];
  address.octets(octets);
  return read32(octets + 12);
}

void raise(int fd, int name, int bytes) {
  // The kernel clamps to net.core.{r,w}mem_max; the socket works with what it got.
  setsockopt(fd, SOL_SOCKET, name, &bytes, sizeof bytes);
}

void receiveRuns(int fd) {
  const int on = 1;
  setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);  // an older kernel gives datagrams one by one
}

}  // namespace

Engine::Engine(EngineOptions options)
    : options_(std::move(options)), shared_(options_.hairpin, options_.slots) {}

Engine::~Engine() {
  stop();
  workers_.clear();
  if (words_ != nullptr) munmap(words_, wordCount() * sizeof(uint64_t));
}

int Engine::start() {
  running_ = true;
  for (const auto& worker : workers_) {
    if (const int error = worker->start(); error != 0) return error;
  }
  return 0;
}

void Engine::makeWorkers() {
  for (size_t index = 0; index < static_cast<size_t>(threads()) * threads(); index += 1) {
    const bool needed = index / threads() != index % threads();
    const size_t octets = needed ? kHopOctets : 8;
    hopMemory_.push_back(std::make_unique<Memory>(octets));
    hops_.push_back(std::make_unique<Ring>(hopMemory_.back()->octets(), octets));
  }
  uint64_t* rows = words_ + kDropRows * kRowWords;
  for (uint8_t index = 0; index < threads(); index += 1) {
    workers_.push_back(std::make_unique<Worker>(*this, index, Counters(rows, words_ + index * kRowWords)));
  }
}

void Engine::stop() {
  if (!running_) {
    for (const auto& worker : workers_) worker->closeSockets();
    return;
  }
  running_ = false;
  const Record record{sizeof record, static_cast<uint32_t>(CommandType::kStop)};
  for (const auto& worker : workers_) worker->tell(reinterpret_cast<const uint8_t*>(&record), sizeof record);
  for (const auto& worker : workers_) worker->join();
  for (const auto& worker : workers_) worker->closeSockets();
}

int Engine::map() {
  const size_t octets = wordCount() * sizeof(uint64_t);
  int fd = -1;
  if (!options_.counterFile.empty()) {
    fd = open(options_.counterFile.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    // Room on the disk is taken now: a page that cannot be had later would end the process.
    if (const int error = posix_fallocate(fd, 0, static_cast<off_t>(octets)); error != 0) {
      close(fd);
      return error;
    }
  }
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
  void* memory = mmap(nullptr, octets, PROT_READ | PROT_WRITE, flags, fd, 0);
  const int error = errno;
  if (fd >= 0) close(fd);
  if (memory == MAP_FAILED) return error;
  words_ = static_cast<uint64_t*>(memory);
  try {
    allowances_ = std::make_unique<Memory>(options_.slots * sizeof(Allowance));
    makeWorkers();
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
  return 0;
}

int Engine::send(uint32_t listener, const Endpoint& to, const uint8_t* bytes, size_t length) {
  const auto& listeners = workers_[0]->listeners;
  if (listener >= listeners.size()) return ENOTCONN;
  const SocketAddress address = SocketAddress::of(to, listeners[listener].family);
  ssize_t sent;
  do sent = sendto(listeners[listener].fd, bytes, length, 0, reinterpret_cast<const sockaddr*>(&address.storage), address.length);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

int Engine::bindSocket(Endpoint& endpoint, int family) const {
  const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  raise(fd, SO_RCVBUF, options_.bufferBytes);
  raise(fd, SO_SNDBUF, options_.bufferBytes);
  receiveRuns(fd);
  SocketAddress address = SocketAddress::of(endpoint, family);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address.storage), address.length) == 0) {
    if (endpoint.port != 0) return fd;
    Endpoint bound;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) == 0) {
      endpointOf(address.storage, bound);
      endpoint.port = bound.port;
      return fd;
    }
  }
  const int error = errno;
  close(fd);
  return -error;
}

// One socket a thread, all on one port. The first is bound alone, so that a port that somebody else has is noticed.
int Engine::listen(Listen& listen) {
  int fd = bindSocket(listen.endpoint, listen.family);
  if (fd < 0) return -fd;
  const size_t largest = listen.family == AF_INET ? 65507 : 65527;
  if (threads() == 1) {
    workers_[0]->listeners.push_back({fd, listen.family, largest, true, -1, -1});
    return 0;
  }
  close(fd);
  for (uint8_t thread = 0; thread < threads(); thread += 1) {
    fd = socket(listen.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    const int on = 1;
    if (listen.family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    raise(fd, SO_RCVBUF, options_.bufferBytes);
    raise(fd, SO_SNDBUF, options_.bufferBytes);
    receiveRuns(fd);
    workers_[thread]->listeners.push_back({fd, listen.family, largest, true, -1, -1});
    const SocketAddress address = SocketAddress::of(listen.endpoint, listen.family);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
      return errno;
    }
    if (thread == 0) {
      if (const int error = steer(fd, listen.family); error != 0) return error;
    }
  }
  return 0;
}

// The kernel picks the thread as `workerOf` does: by the sender's last four address octets and its port. The sockets of a port
// are numbered in the order in which they were bound.
int Engine::steer(int fd, int family) const {
  const uint32_t net = static_cast<uint32_t>(SKF_NET_OFF);
  const uint32_t source = net + (family == AF_INET ? 12 : 20);
  const uint32_t port = net + (family == AF_INET ? 20 : 40);
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, port),
      BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
      BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, kSpread),
      BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, threads()),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  const sock_fprog filter = {sizeof program / sizeof *program, program};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) == 0 ? 0 : errno;
}

uint8_t Engine::workerOf(const Endpoint& client) const {
  if (threads() == 1) return 0;
  const uint32_t word = lastWord(client.address);
  // The program reads an IPv6 sender's octets 12 to 15: offset 20 of its header is octet 12 of the source address.
  return static_cast<uint8_t>((((word ^ client.port) * kSpread) >> 16) % threads());
}

}  // namespace turnpike
