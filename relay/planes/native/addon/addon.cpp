// The door between JavaScript and the engine: Node-API, version 8. Arguments come from native-plane.ts alone, which has checked
// them; what is wrong here is a mistake of ours and throws.
#define NAPI_VERSION 8
#include <node_api.h>

#include <cstring>
#include <memory>
#include <string>

#include "engine.hpp"
#include "hashes.hpp"

namespace {

using namespace turnpike;

// As relay/planes/native/engine-budgets.ts numbers them.
enum class Question : uint32_t { kExceeded, kReserve, kRefund, kLeaveAtMost, kSpent };

struct Door {
  std::unique_ptr<Engine> engine;
  napi_threadsafe_function wake = nullptr;
  // The manual clock's memory lives as long as this reference.
  napi_ref clock = nullptr;
};

napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

napi_value nothing(napi_env env) {
  napi_value result;
  napi_get_undefined(env, &result);
  return result;
}

// The arguments of one call, the engine's handle always first.
class Call {
 public:
  Call(napi_env env, napi_callback_info info) : env(env) { napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr); }

  Door& door() const {
    void* data = nullptr;
    napi_get_value_external(env, values_[0], &data);
    return **static_cast<std::shared_ptr<Door>*>(data);
  }
  Engine& engine() const { return *door().engine; }
  napi_value value(size_t index) const { return values_[index]; }

  double real(size_t index) const {
    double result = 0;
    napi_get_value_double(env, values_[index], &result);
    return result;
  }
  uint32_t whole(size_t index) const { return static_cast<uint32_t>(real(index)); }
  bool truth(size_t index) const {
    bool result = false;
    napi_get_value_bool(env, values_[index], &result);
    return result;
  }
  uint8_t* bytes(size_t index, size_t& length) const { return bytesOf(env, values_[index], length); }

  static uint8_t* bytesOf(napi_env env, napi_value value, size_t& length) {
    void* data = nullptr;
    length = 0;
    napi_get_typedarray_info(env, value, nullptr, &length, &data, nullptr, nullptr);
    return static_cast<uint8_t*>(data);
  }

  Address address(size_t index) const {
    size_t length;
    const uint8_t* octets = bytes(index, length);
    return length == 16 ? Address::of(octets) : Address{};
  }

  napi_env env;

 private:
  size_t count_ = 10;
  napi_value values_[10] = {};
};

napi_value member(napi_env env, napi_value object, const char* name) {
  napi_value result;
  napi_get_named_property(env, object, name, &result);
  return result;
}

double realMember(napi_env env, napi_value object, const char* name) {
  double result = 0;
  napi_get_value_double(env, member(env, object, name), &result);
  return result;
}

void callUp(napi_env env, napi_value callback, void*, void*) {
  if (env == nullptr) return;  // the environment is going down
  napi_value receiver;
  napi_get_undefined(env, &receiver);
  napi_call_function(env, receiver, callback, 0, nullptr, nullptr);
}

// create({ threads, slots, hairpin, bufferBytes, counterFile, clock, now, seed }, onNotices); throws when there is no memory
napi_value create(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const napi_value options = call.value(0);
  auto door = std::make_shared<Door>();
  EngineOptions engine;
  engine.threads = static_cast<uint8_t>(realMember(env, options, "threads"));
  engine.slots = static_cast<uint32_t>(realMember(env, options, "slots"));
  engine.hairpin = static_cast<Hairpin>(static_cast<uint8_t>(realMember(env, options, "hairpin")));
  engine.bufferBytes = static_cast<int>(realMember(env, options, "bufferBytes"));
  char path[4096] = "";
  size_t length = 0;
  napi_get_value_string_utf8(env, member(env, options, "counterFile"), path, sizeof path, &length);
  engine.counterFile.assign(path, length);

  const napi_value clock = member(env, options, "clock");
  bool isManual = false;
  napi_is_typedarray(env, clock, &isManual);
  if (isManual) {
    napi_create_reference(env, clock, 1, &door->clock);
    engine.clock = Clock(reinterpret_cast<const double*>(Call::bytesOf(env, clock, length)), 0);
  } else {
    engine.clock = Clock(nullptr, realMember(env, options, "now") - Clock::system());
  }

  napi_value name;
  napi_create_string_utf8(env, "turnpike", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, call.value(1), nullptr, name, 0, 1, nullptr, nullptr, nullptr, callUp, &door->wake);
  const napi_threadsafe_function wake = door->wake;
  engine.call = [wake] { napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking); };
  if (hashSeed == 0) hashSeed = static_cast<uint64_t>(realMember(env, options, "seed"));
  door->engine = std::make_unique<Engine>(std::move(engine));
  if (const int error = door->engine->map(); error != 0) {
    napi_release_threadsafe_function(wake, napi_tsfn_release);
    napi_throw_error(env, nullptr, std::strerror(error));
    return nullptr;
  }

  napi_value handle;
  auto* held = new std::shared_ptr<Door>(door);
  napi_create_external(
      env, held, [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Door>*>(data); }, nullptr, &handle);
  return handle;
}

// listen(engine, address, port, family): { error, port }, error 0 when it listens
napi_value listen(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Listen listen{{call.address(1), static_cast<uint16_t>(call.whole(2))}, call.whole(3) == 4 ? AF_INET : AF_INET6};
  napi_value result;
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "error", number(env, call.engine().listen(listen)));
  napi_set_named_property(env, result, "port", number(env, listen.endpoint.port));
  return result;
}

// start(engine): 0, or an errno
napi_value start(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  return number(env, call.engine().start());
}

// send(engine, listener, address, port, bytes): 0, or an errno
napi_value send(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  size_t length;
  const uint8_t* bytes = call.bytes(4, length);
  return number(env, call.engine().send(call.whole(1), {call.address(2), static_cast<uint16_t>(call.whole(3))}, bytes, length));
}

// count(engine, row, class, leg, bytes): one packet that JavaScript has carried
napi_value count(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  call.engine().counters().count(call.whole(1), static_cast<PeerClass>(call.whole(2)), static_cast<Leg>(call.whole(3)),
                                 static_cast<uint64_t>(call.real(4)));
  return nothing(env);
}

// limit(engine, index, packetsPerSecond, bitsPerSecond, bytes): sets an allowance that nobody has
napi_value limit(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  call.engine().allowance(call.whole(1)).set(call.real(2), call.real(3), call.real(4));
  return nothing(env);
}

// allows(engine, index, question, amount, now): what JavaScript asks an allowance for the allocations that it serves
napi_value allows(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Allowance& allowance = call.engine().allowance(call.whole(1));
  const auto bytes = static_cast<size_t>(call.real(3));
  uint32_t answer = 0;
  switch (static_cast<Question>(call.whole(2))) {
    case Question::kExceeded:
      answer = static_cast<uint32_t>(allowance.exceeded(bytes, call.real(4)));
      break;
    case Question::kReserve:
      answer = allowance.reserve(bytes);
      break;
    case Question::kRefund:
      allowance.refund(bytes);
      break;
    case Question::kLeaveAtMost:
      allowance.leaveAtMost(call.real(3));
      break;
    case Question::kSpent:
      answer = allowance.spent();
      break;
  }
  return number(env, answer);
}

// words(engine): the counters' memory, a view that stays
napi_value words(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  void* data = nullptr;
  napi_get_value_external(env, call.value(0), &data);
  auto* held = new std::shared_ptr<Door>(*static_cast<std::shared_ptr<Door>*>(data));
  Engine& engine = *(*held)->engine;
  napi_value buffer;
  napi_create_external_arraybuffer(
      env, engine.words(), engine.wordCount() * sizeof(uint64_t),
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<Door>*>(hint); }, held, &buffer);
  napi_value result;
  napi_create_typedarray(env, napi_biguint64_array, engine.wordCount(), buffer, 0, &result);
  return result;
}

// bind(engine, address, port, family): a socket, or the negative of an errno
napi_value bind(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Endpoint endpoint{call.address(1), static_cast<uint16_t>(call.whole(2))};
  return number(env, call.engine().bindSocket(endpoint, call.whole(3) == 4 ? AF_INET : AF_INET6));
}

// watch(engine, worker, slot, fd): 0, or an errno
napi_value watch(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Worker& worker = call.engine().worker(static_cast<uint8_t>(call.whole(1)));
  return number(env, worker.watch(call.whole(2), static_cast<int>(call.real(3))));
}

// tell(engine, worker, record)
napi_value tell(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  size_t length;
  const uint8_t* record = call.bytes(2, length);
  call.engine().worker(static_cast<uint8_t>(call.whole(1))).tell(record, length);
  return nothing(env);
}

// drain(engine, worker, into): octets of whole records
napi_value drain(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  call.engine().calledUp();
  size_t length;
  uint8_t* into = call.bytes(2, length);
  return number(env, static_cast<double>(call.engine().worker(static_cast<uint8_t>(call.whole(1))).drain(into, length)));
}

// workerOf(engine, address, port)
napi_value workerOf(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  return number(env, call.engine().workerOf({call.address(1), static_cast<uint16_t>(call.whole(2))}));
}

// settle(engine, isIpv4, port, slot, generation, worker, app)
napi_value settle(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const Resident resident{call.whole(3), static_cast<uint16_t>(call.whole(4)), static_cast<uint8_t>(call.whole(5)), true};
  call.engine().shared().settle(call.truth(1), static_cast<uint16_t>(call.whole(2)), resident, call.whole(6));
  return nothing(env);
}

// leave(engine, isIpv4, port)
napi_value leave(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  call.engine().shared().leave(call.truth(1), static_cast<uint16_t>(call.whole(2)));
  return nothing(env);
}

// service(engine, port, isOurs)
napi_value service(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  call.engine().shared().service(static_cast<uint16_t>(call.whole(1)), call.truth(2));
  return nothing(env);
}

// stop(engine): threads end, sockets close; the counters' memory stays
napi_value stop(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Door& door = call.door();
  door.engine->stop();
  if (door.wake != nullptr) napi_release_threadsafe_function(door.wake, napi_tsfn_release);
  door.wake = nullptr;
  if (door.clock != nullptr) napi_delete_reference(env, door.clock);
  door.clock = nullptr;
  return nothing(env);
}

// The memory that a hasher works in is JavaScript's, and lives as long as the hasher.
struct Hasher {
  std::unique_ptr<Hashes> hashes;
  uint8_t* memory;
  napi_ref held;
};

// hasher(hash, key length or -1, text length): hashes what lies at kHasherText with the key at kHasherKey, or with none, into the
// memory's beginning. Numbers alone go in and out: a view for each would cost more than the hash.
constexpr size_t kHasherKey = 64;
constexpr size_t kHasherText = 256;

napi_value hashWith(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3];
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, values, nullptr, &data);
  Hasher& hasher = *static_cast<Hasher*>(data);
  uint32_t hash = 0;
  int32_t keyLength = -1;
  uint32_t length = 0;
  napi_get_value_uint32(env, values[0], &hash);
  napi_get_value_int32(env, values[1], &keyLength);
  napi_get_value_uint32(env, values[2], &length);
  const uint8_t* text = hasher.memory + kHasherText;
  const bool isDone = keyLength < 0 ? hasher.hashes->digest(static_cast<Algorithm>(hash), text, length, hasher.memory)
                                    : hasher.hashes->hmac(static_cast<Algorithm>(hash), hasher.memory + kHasherKey,
                                                          static_cast<size_t>(keyLength), text, length, hasher.memory);
  if (!isDone) napi_throw_error(env, nullptr, "OpenSSL failed on a hash");
  return nullptr;
}

// hasher(memory): the function above, or undefined where the process has no OpenSSL that it could call
napi_value hasher(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  auto hashes = Hashes::open();
  if (hashes == nullptr) return nothing(env);
  size_t length;
  auto* made = new Hasher{std::move(hashes), call.bytes(0, length), nullptr};
  napi_create_reference(env, call.value(0), 1, &made->held);
  napi_value function;
  napi_create_function(env, "hash", NAPI_AUTO_LENGTH, hashWith, made, &function);
  const auto drop = [](napi_env env, void* data, void*) {
    auto* hasher = static_cast<Hasher*>(data);
    napi_delete_reference(env, hasher->held);
    delete hasher;
  };
  napi_add_finalizer(env, function, made, drop, nullptr, nullptr);
  return function;
}

napi_value init(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"create", create}, {"listen", listen}, {"start", start},   {"words", words}, {"bind", bind},
      {"send", send},     {"tell", tell},     {"drain", drain},   {"count", count}, {"limit", limit},
      {"allows", allows}, {"workerOf", workerOf}, {"settle", settle}, {"leave", leave}, {"service", service},
      {"stop", stop},     {"watch", watch},   {"hasher", hasher},
  };
  for (const auto& [name, function] : functions) {
    napi_value value;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
    napi_set_named_property(env, exports, name, value);
  }
  return exports;
}

}  // namespace

NAPI_MODULE(turnpike, init)
