#include "hashes.hpp"

#include <dlfcn.h>

#include <cstring>

namespace turnpike {
namespace {

// Octets that all three take in at a time, and the most that one gives.
constexpr size_t kBlock = 64;
constexpr size_t kMost = 32;

// OpenSSL 3 as its manual has it (EVP_DigestInit(3)); what is opaque there is a pointer here.
struct {
  void* (*fetch)(void* context, const char* algorithm, const char* properties);
  void (*free)(void* algorithm);
  void* (*newContext)();
  void (*freeContext)(void* context);
  int (*init)(void* context, const void* algorithm, void* engine);
  int (*update)(void* context, const void* data, size_t length);
  int (*final)(void* context, unsigned char* out, unsigned int* length);
} openssl;

template <typename Function>
bool find(Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

bool findAll() {
  return find(openssl.fetch, "EVP_MD_fetch") && find(openssl.free, "EVP_MD_free") &&
         find(openssl.newContext, "EVP_MD_CTX_new") && find(openssl.freeContext, "EVP_MD_CTX_free") &&
         find(openssl.init, "EVP_DigestInit_ex") && find(openssl.update, "EVP_DigestUpdate") &&
         find(openssl.final, "EVP_DigestFinal_ex");
}

}  // namespace

Hashes::Hashes() {
  const struct {
    const char* name;
    size_t length;
  } algorithms[] = {{"MD5", 16}, {"SHA1", 20}, {"SHA256", 32}};
  for (size_t index = 0; index < digests_.size(); index += 1) {
    digests_[index] = {openssl.fetch(nullptr, algorithms[index].name, nullptr), openssl.newContext(), algorithms[index].length};
  }
}

Hashes::~Hashes() {
  for (const Digest& digest : digests_) {
    openssl.freeContext(digest.context);
    openssl.free(digest.algorithm);
  }
}

std::unique_ptr<Hashes> Hashes::open() {
  static const bool isThere = findAll();
  if (!isThere) return nullptr;
  std::unique_ptr<Hashes> hashes(new Hashes());
  // A build or a policy (FIPS) may be without one of them.
  for (const Digest& digest : hashes->digests_) {
    if (digest.algorithm == nullptr || digest.context == nullptr) return nullptr;
  }
  return hashes;
}

bool Hashes::run(const Digest& digest, Span first, Span second, uint8_t* out) {
  return openssl.init(digest.context, digest.algorithm, nullptr) == 1 &&
         openssl.update(digest.context, first.octets, first.length) == 1 &&
         openssl.update(digest.context, second.octets, second.length) == 1 &&
         openssl.final(digest.context, out, nullptr) == 1;
}

bool Hashes::digest(Algorithm hash, const uint8_t* text, size_t length, uint8_t* out) {
  return run(digests_[static_cast<size_t>(hash)], {text, length}, {text, 0}, out);
}

// RFC 2104.
bool Hashes::hmac(Algorithm hash, const uint8_t* key, size_t keyLength, const uint8_t* text, size_t length, uint8_t* out) {
  const Digest& digest = digests_[static_cast<size_t>(hash)];
  uint8_t block[kBlock] = {};
  if (keyLength <= kBlock) std::memcpy(block, key, keyLength);
  else if (!run(digest, {key, keyLength}, {key, 0}, block)) return false;
  uint8_t pad[kBlock];
  uint8_t inner[kMost];
  for (size_t index = 0; index < kBlock; index += 1) pad[index] = block[index] ^ 0x36;
  if (!run(digest, {pad, kBlock}, {text, length}, inner)) return false;
  for (size_t index = 0; index < kBlock; index += 1) pad[index] = block[index] ^ 0x5c;
  return run(digest, {pad, kBlock}, {inner, digest.length}, out);
}

}  // namespace turnpike
