// Load for bench:relay, as an addon: plain datagrams in batches from one thread, counted by another. No runs (UDP_SEGMENT): on
// loopback they would reach the server in one piece, as no network delivers them.
#define NAPI_VERSION 8
#include <arpa/inet.h>
#include <netinet/in.h>
#include <node_api.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>
#include <vector>

namespace {

constexpr int kBatch = 32;
// Octets at the end of each payload that carry the moment of sending, in nanoseconds.
constexpr size_t kStamp = 8;

uint64_t nanoseconds(clockid_t clock = CLOCK_MONOTONIC) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000ULL + static_cast<uint64_t>(time.tv_nsec);
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

struct Flow {
  int fd;
  sockaddr_in to;
  std::vector<uint8_t> bytes;
};

struct Load {
  std::vector<Flow> flows;
  std::vector<int> sinks;
  double rate = 0;
  double seconds = 0;
  size_t least = 0;  // octets of a datagram that counts

  uint64_t sent = 0;
  uint64_t received = 0;
  double sendCpu = 0;
  double receiveCpu = 0;
  std::vector<uint32_t> latencies;  // microseconds
  std::atomic<bool> done{false};

  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

void sendAll(Load& load) {
  const uint64_t start = nanoseconds();
  const uint64_t cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  const auto length = static_cast<uint64_t>(load.seconds * 1e9);
  // A flow sends a few packets at a time, as a video frame is.
  constexpr int kRun = 4;
  std::vector<mmsghdr> headers(kRun);
  std::vector<iovec> vectors(kRun);
  std::vector<std::vector<uint8_t>> copies(kRun);
  size_t flow = 0;
  for (;;) {
    const uint64_t now = nanoseconds();
    if (now - start >= length) break;
    auto due = static_cast<int64_t>(static_cast<double>(now - start) * 1e-9 * load.rate) - static_cast<int64_t>(load.sent);
    if (due < kRun) {
      timespec pause{0, 100000};
      nanosleep(&pause, nullptr);
      continue;
    }
    for (; due >= kRun; due -= kRun) {
      Flow& from = load.flows[flow];
      flow = (flow + 1) % load.flows.size();
      const uint64_t stamp = nanoseconds();
      for (int index = 0; index < kRun; index += 1) {
        copies[index] = from.bytes;
        std::memcpy(copies[index].data() + copies[index].size() - kStamp, &stamp, kStamp);
        vectors[index] = {copies[index].data(), copies[index].size()};
        msghdr& header = headers[index].msg_hdr;
        header = {};
        header.msg_name = &from.to;
        header.msg_namelen = sizeof from.to;
        header.msg_iov = &vectors[index];
        header.msg_iovlen = 1;
      }
      const int taken = sendmmsg(from.fd, headers.data(), kRun, 0);
      load.sent += static_cast<uint64_t>(taken > 0 ? taken : 0);
      if (taken <= 0) break;
    }
  }
  load.sendCpu = static_cast<double>(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e-9;
}

void receiveAll(Load& load) {
  const uint64_t cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  std::vector<pollfd> polls;
  for (const int fd : load.sinks) polls.push_back({fd, POLLIN, 0});
  std::vector<mmsghdr> headers(kBatch);
  std::vector<iovec> vectors(kBatch);
  std::vector<std::vector<uint8_t>> buffers(kBatch, std::vector<uint8_t>(2048));
  for (int index = 0; index < kBatch; index += 1) {
    vectors[index] = {buffers[index].data(), buffers[index].size()};
    headers[index].msg_hdr = {};
    headers[index].msg_hdr.msg_iov = &vectors[index];
    headers[index].msg_hdr.msg_iovlen = 1;
  }
  load.latencies.reserve(1 << 20);
  uint64_t last = nanoseconds();
  while (!load.done || nanoseconds() - last < 300000000ULL) {
    if (poll(polls.data(), polls.size(), 50) <= 0) continue;
    for (const pollfd& ready : polls) {
      if ((ready.revents & POLLIN) == 0) continue;
      const int count = recvmmsg(ready.fd, headers.data(), kBatch, MSG_DONTWAIT, nullptr);
      const uint64_t now = nanoseconds();
      for (int index = 0; index < count; index += 1) {
        const size_t length = headers[index].msg_len;
        if (length < load.least) continue;
        load.received += 1;
        last = now;
        if ((load.received & 15) != 0 || load.latencies.size() == load.latencies.capacity()) continue;
        uint64_t stamp;
        std::memcpy(&stamp, buffers[index].data() + length - kStamp, kStamp);
        // A server that puts something behind the payload of an indication hides the stamp.
        if (stamp > now || now - stamp > 30000000000ULL) continue;
        load.latencies.push_back(static_cast<uint32_t>((now - stamp) / 1000));
      }
    }
    if (load.done && nanoseconds() - last >= 300000000ULL) break;
  }
  load.receiveCpu = static_cast<double>(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e-9;
}

double numberOf(napi_env env, napi_value value) {
  double result = 0;
  napi_get_value_double(env, value, &result);
  return result;
}

napi_value numberTo(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

napi_value member(napi_env env, napi_value object, const char* name) {
  napi_value result;
  napi_get_named_property(env, object, name, &result);
  return result;
}

std::vector<uint8_t> bytesOf(napi_env env, napi_value value) {
  void* data = nullptr;
  size_t length = 0;
  napi_get_typedarray_info(env, value, nullptr, &length, &data, nullptr, nullptr);
  const auto* octets = static_cast<uint8_t*>(data);
  return {octets, octets + length};
}

// open(): { fd, port }
napi_value open(napi_env env, napi_callback_info) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int buffer = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  bind(fd, reinterpret_cast<sockaddr*>(&address), length);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  napi_value result;
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "fd", numberTo(env, fd));
  napi_set_named_property(env, result, "port", numberTo(env, ntohs(address.sin_port)));
  return result;
}

napi_value closeSocket(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value values[1];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  close(static_cast<int>(numberOf(env, values[0])));
  return nullptr;
}

// exchange(fd, bytes, port, milliseconds): the first datagram that comes back, or undefined
napi_value exchange(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value values[4];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  const int fd = static_cast<int>(numberOf(env, values[0]));
  const std::vector<uint8_t> bytes = bytesOf(env, values[1]);
  const sockaddr_in to = loopback(static_cast<uint16_t>(numberOf(env, values[2])));
  sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  pollfd ready{fd, POLLIN, 0};
  if (poll(&ready, 1, static_cast<int>(numberOf(env, values[3]))) <= 0) return nullptr;
  uint8_t answer[2048];
  const ssize_t length = recv(fd, answer, sizeof answer, 0);
  if (length < 0) return nullptr;
  napi_value result;
  napi_create_buffer_copy(env, static_cast<size_t>(length), answer, nullptr, &result);
  return result;
}

// run({ flows: [{ fd, port, bytes }], sinks: [fd], rate, seconds, least }): a promise of what was sent and what came
napi_value run(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value values[1];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  auto* load = new Load;
  const napi_value flows = member(env, values[0], "flows");
  uint32_t length = 0;
  napi_get_array_length(env, flows, &length);
  for (uint32_t index = 0; index < length; index += 1) {
    napi_value flow;
    napi_get_element(env, flows, index, &flow);
    load->flows.push_back({static_cast<int>(numberOf(env, member(env, flow, "fd"))),
                           loopback(static_cast<uint16_t>(numberOf(env, member(env, flow, "port")))),
                           bytesOf(env, member(env, flow, "bytes"))});
  }
  const napi_value sinks = member(env, values[0], "sinks");
  napi_get_array_length(env, sinks, &length);
  for (uint32_t index = 0; index < length; index += 1) {
    napi_value fd;
    napi_get_element(env, sinks, index, &fd);
    load->sinks.push_back(static_cast<int>(numberOf(env, fd)));
  }
  load->rate = numberOf(env, member(env, values[0], "rate"));
  load->seconds = numberOf(env, member(env, values[0], "seconds"));
  load->least = static_cast<size_t>(numberOf(env, member(env, values[0], "least")));

  napi_value promise;
  napi_create_promise(env, &load->deferred, &promise);
  napi_value name;
  napi_create_string_utf8(env, "load", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(
      env, nullptr, name,
      [](napi_env, void* data) {
        auto& load = *static_cast<Load*>(data);
        std::thread receiver([&load] { receiveAll(load); });
        sendAll(load);
        load.done = true;
        receiver.join();
      },
      [](napi_env env, napi_status, void* data) {
        auto* load = static_cast<Load*>(data);
        std::sort(load->latencies.begin(), load->latencies.end());
        const auto percentile = [load](double share) {
          if (load->latencies.empty()) return 0.0;
          const auto at = static_cast<size_t>(share * static_cast<double>(load->latencies.size() - 1));
          return static_cast<double>(load->latencies[at]);
        };
        napi_value result;
        napi_create_object(env, &result);
        napi_set_named_property(env, result, "sent", numberTo(env, static_cast<double>(load->sent)));
        napi_set_named_property(env, result, "received", numberTo(env, static_cast<double>(load->received)));
        napi_set_named_property(env, result, "sendCpu", numberTo(env, load->sendCpu));
        napi_set_named_property(env, result, "receiveCpu", numberTo(env, load->receiveCpu));
        napi_set_named_property(env, result, "p50", numberTo(env, percentile(0.5)));
        napi_set_named_property(env, result, "p99", numberTo(env, percentile(0.99)));
        napi_resolve_deferred(env, load->deferred, result);
        napi_delete_async_work(env, load->work);
        delete load;
      },
      load, &load->work);
  napi_queue_async_work(env, load->work);
  return promise;
}

napi_value init(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {{"open", open}, {"close", closeSocket}, {"exchange", exchange}, {"run", run}};
  for (const auto& [name, function] : functions) {
    napi_value value;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
    napi_set_named_property(env, exports, name, value);
  }
  return exports;
}

}  // namespace

NAPI_MODULE(load, init)
