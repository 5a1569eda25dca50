// Load for bench:relay, as an addon: datagrams in batches from one thread, counted by another. Receivers may take runs in
// one piece (UDP_GRO): on loopback a run is cut up in the time of its sender, which elsewhere is work of the network card.
#define NAPI_VERSION 8
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <node_api.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>
#include <vector>

namespace {

constexpr int kBatch = 32;
// A flow sends a few packets at a time, as a video frame is.
constexpr int kRun = 4;
// Octets read of a message. Of a run of datagrams that is the first one, the others are counted by the message's length.
constexpr size_t kRoom = 2048;
// Nanoseconds without a packet after which no more are awaited.
constexpr uint64_t kStragglers = 300000000;
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
  bool gro = false;  // whether sinks take runs in one piece
  bool runs = false;  // whether a flow's packets are sent as one run

  uint64_t sent = 0;
  uint64_t received = 0;
  double sendCpu = 0;
  double receiveCpu = 0;
  std::vector<uint32_t> latencies;  // microseconds
  std::atomic<bool> done{false};

  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

// Hands packets of one flow to the kernel, with the moment in them: one by one, or as one run (UDP_SEGMENT), which reaches a socket
// that takes runs (UDP_GRO) in one piece, as from a network card that puts them together. Any other gets the same datagrams as ever.
class Sender {
 public:
  explicit Sender(bool runs) {
    for (mmsghdr& header : headers_) {
      header.msg_hdr.msg_namelen = sizeof(sockaddr_in);
      header.msg_hdr.msg_iov = vectors_.data();
      header.msg_hdr.msg_iovlen = 1;
    }
    if (!runs) return;
    messages_ = 1;
    msghdr& header = headers_[0].msg_hdr;
    header.msg_iovlen = kRun;
    header.msg_control = ancillary_.data();
    header.msg_controllen = ancillary_.size();
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  }

  // Returns how many packets the kernel took.
  uint64_t send(Flow& flow, uint64_t now) {
    std::memcpy(flow.bytes.data() + flow.bytes.size() - kStamp, &now, kStamp);
    vectors_.fill({flow.bytes.data(), flow.bytes.size()});
    for (mmsghdr& header : headers_) header.msg_hdr.msg_name = &flow.to;
    const auto size = static_cast<uint16_t>(flow.bytes.size());
    if (messages_ == 1) std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&headers_[0].msg_hdr)), &size, sizeof size);
    const int taken = sendmmsg(flow.fd, headers_.data(), messages_, 0);
    return taken <= 0 ? 0 : static_cast<uint64_t>(taken) * (kRun / messages_);
  }

 private:
  unsigned messages_ = kRun;
  std::array<iovec, kRun> vectors_{};
  std::array<mmsghdr, kRun> headers_{};
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(uint16_t))> ancillary_{};
};

// Each flow has its turn, as often as the rate wants it, until the time is over.
void sendAll(Load& load) {
  const uint64_t start = nanoseconds();
  const uint64_t cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  const uint64_t end = start + static_cast<uint64_t>(load.seconds * 1e9);
  Sender sender(load.runs);
  size_t flow = 0;
  for (uint64_t now = start; now < end; now = nanoseconds()) {
    const double due = static_cast<double>(now - start) * 1e-9 * load.rate;
    if (due < static_cast<double>(load.sent + kRun)) {
      const timespec pause{0, 100000};
      nanosleep(&pause, nullptr);
      continue;
    }
    load.sent += sender.send(load.flows[flow], now);
    flow = (flow + 1) % load.flows.size();
  }
  load.sendCpu = static_cast<double>(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e-9;
}

// The segments' size in a message that is a run of datagrams, else 0.
size_t segmentOf(msghdr& header) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != SOL_UDP || control->cmsg_type != UDP_GRO) continue;
    int size;
    std::memcpy(&size, CMSG_DATA(control), sizeof size);
    return static_cast<size_t>(size);
  }
  return 0;
}

// What came in one message is counted, and of every sixteenth packet or so it is asked when it was sent. `bytes` are those of the
// message's first datagram.
void take(Load& load, const uint8_t* bytes, size_t length, size_t segment, uint64_t now) {
  const size_t first = segment == 0 ? length : std::min(length, segment);
  if (first < load.least || first > kRoom) return;
  const uint64_t before = load.received;
  load.received += (length + first - 1) / first;
  if (before / 16 == load.received / 16 || load.latencies.size() == load.latencies.capacity()) return;
  uint64_t stamp;
  std::memcpy(&stamp, bytes + first - kStamp, kStamp);
  // A server that puts something behind the payload of an indication hides the stamp.
  if (stamp > now || now - stamp > 30000000000ULL) return;
  load.latencies.push_back(static_cast<uint32_t>((now - stamp) / 1000));
}

void receiveAll(Load& load) {
  const uint64_t cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  const int gro = load.gro;
  for (const int fd : load.sinks) {
    setsockopt(fd, SOL_UDP, UDP_GRO, &gro, sizeof gro);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
  std::vector<uint8_t> memory(kBatch * kRoom);
  std::array<mmsghdr, kBatch> headers{};
  std::array<iovec, kBatch> vectors;
  std::array<std::array<uint8_t, CMSG_SPACE(sizeof(int))>, kBatch> ancillary;
  for (int index = 0; index < kBatch; index += 1) {
    vectors[index] = {memory.data() + index * kRoom, kRoom};
    headers[index].msg_hdr.msg_iov = &vectors[index];
    headers[index].msg_hdr.msg_iovlen = 1;
    headers[index].msg_hdr.msg_control = ancillary[index].data();
  }
  load.latencies.reserve(1 << 20);
  std::array<epoll_event, kBatch> ready;
  uint64_t last = nanoseconds();
  while (!load.done || nanoseconds() - last < kStragglers) {
    const int sockets = epoll_wait(epoll, ready.data(), kBatch, 50);
    for (int socket = 0; socket < sockets; socket += 1) {
      for (mmsghdr& header : headers) header.msg_hdr.msg_controllen = sizeof ancillary[0];
      const int flags = MSG_DONTWAIT | MSG_TRUNC;
      const int count = recvmmsg(ready[socket].data.fd, headers.data(), kBatch, flags, nullptr);
      last = nanoseconds();
      for (int index = 0; index < count; index += 1) {
        mmsghdr& header = headers[index];
        take(load, memory.data() + index * kRoom, header.msg_len, segmentOf(header.msg_hdr), last);
      }
    }
  }
  close(epoll);
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

// Whether it has the transaction id of the question: who asked twice may be answered twice.
bool isAnswerTo(const uint8_t* answer, ssize_t length, const std::vector<uint8_t>& question) {
  return length >= 20 && std::memcmp(answer + 8, question.data() + 8, 12) == 0;
}

// exchange([{ fd, bytes }], port, milliseconds): the answer to each, or undefined. All are sent before any answer is waited for.
napi_value exchange(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  uint32_t questions = 0;
  napi_get_array_length(env, values[0], &questions);
  const sockaddr_in to = loopback(static_cast<uint16_t>(numberOf(env, values[1])));
  std::vector<int> fds;
  std::vector<std::vector<uint8_t>> asked;
  for (uint32_t index = 0; index < questions; index += 1) {
    napi_value question;
    napi_get_element(env, values[0], index, &question);
    asked.push_back(bytesOf(env, member(env, question, "bytes")));
    fds.push_back(static_cast<int>(numberOf(env, member(env, question, "fd"))));
    sendto(fds.back(), asked.back().data(), asked.back().size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  napi_value answers;
  napi_create_array_with_length(env, questions, &answers);
  for (uint32_t index = 0; index < questions; index += 1) {
    napi_value answer;
    napi_get_undefined(env, &answer);
    pollfd ready{fds[index], POLLIN, 0};
    uint8_t bytes[2048];
    while (poll(&ready, 1, static_cast<int>(numberOf(env, values[2]))) > 0) {
      const ssize_t length = recv(fds[index], bytes, sizeof bytes, 0);
      if (!isAnswerTo(bytes, length, asked[index])) continue;
      napi_create_buffer_copy(env, static_cast<size_t>(length), bytes, nullptr, &answer);
      break;
    }
    napi_set_element(env, answers, index, answer);
  }
  return answers;
}

// run({ flows: [{ fd, port, bytes }], sinks: [fd], rate, seconds, least, runs, gro }): a promise of what was sent and what came
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
  load->gro = numberOf(env, member(env, values[0], "gro")) != 0;
  load->runs = numberOf(env, member(env, values[0], "runs")) != 0;
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
