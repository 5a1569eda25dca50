// MD5, SHA-1 and SHA-256, and HMAC with them, by the OpenSSL that is in the process already: Node's own, statically linked or not.
// There is no header of it to compile with, and an object of node:crypto for each HMAC costs many times the hash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace turnpike {

// As relay/planes/native/native-hashes.ts numbers them.
enum class Algorithm : uint32_t { kMd5, kSha1, kSha256 };

class Hashes {
 public:
  // nullptr where this process has not all of it.
  static std::unique_ptr<Hashes> open();
  ~Hashes();
  Hashes(const Hashes&) = delete;
  Hashes& operator=(const Hashes&) = delete;

  // Each writes 16, 20 or 32 octets to `out` and returns whether it could.
  bool digest(Algorithm hash, const uint8_t* text, size_t length, uint8_t* out);
  bool hmac(Algorithm hash, const uint8_t* key, size_t keyLength, const uint8_t* text, size_t length, uint8_t* out);

 private:
  struct Digest {
    void* algorithm = nullptr;
    void* context = nullptr;
    size_t length = 0;
  };
  struct Span {
    const uint8_t* octets;
    size_t length;
  };

  Hashes();
  static bool run(const Digest& digest, Span first, Span second, uint8_t* out);

  std::array<Digest, 3> digests_;
};

}  // namespace turnpike
