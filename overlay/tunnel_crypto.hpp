// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "dataplane/base/error.hpp"
#include "dataplane/packet.hpp"

namespace weft::overlay {

enum class Cipher : std::uint8_t { Aes128Gcm, Aes256Gcm, ChaCha20Poly1305 };

[[nodiscard]] constexpr std::size_t key_size(Cipher cipher) {
    return cipher == Cipher::Aes128Gcm ? 16 : 32;
}

// Who does the work. `Vector` is libipsec-mb, which knows the two GCM ciphers and needs AES instructions; `Portable` is
// OpenSSL and knows all three. Both make the same bytes.
enum class CryptoBackend : std::uint8_t { Vector, Portable };
[[nodiscard]] bool backend_serves(CryptoBackend backend, Cipher cipher) noexcept;

// One key of an authenticated cipher: 12-byte nonces, 16-byte tags.
//
// Threading: one user at a time (the OpenSSL form keeps a context). Errors: creation may fail, seal and open do not.
// The key and what was expanded from it are wiped on destruction.
class AeadKey {
  public:
    static constexpr std::size_t kNonceSize = 12;
    static constexpr std::size_t kTagSize = 16;
    using Nonce = std::array<std::byte, kNonceSize>;

    // Without a back end named: the fastest that serves the cipher here.
    static Result<std::unique_ptr<AeadKey>> create(Cipher cipher, std::span<const std::byte> key,
                                                   std::optional<CryptoBackend> backend = std::nullopt);
    virtual ~AeadKey() = default;
    AeadKey(const AeadKey&) = delete;
    AeadKey& operator=(const AeadKey&) = delete;

    // Encrypts `first`, then the slices, in order, to `out`, and writes the tag behind them. `out` may not overlap
    // them.
    virtual void seal(const Nonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> first,
                      std::span<const Slice> rest, std::byte* out) noexcept = 0;
    // Decrypts `sealed` (ciphertext, tag) in place. False: the tag is wrong, and the bytes are garbage of the sender's
    // choosing, not to be looked at.
    [[nodiscard]] virtual bool open(const Nonce& nonce, std::span<const std::byte> associated,
                                    std::span<std::byte> sealed) noexcept = 0;

  protected:
    AeadKey() = default;
};

// Known answers (NIST's GCM cases, RFC 8439) for each cipher by each back end that serves it here. Call once at start,
// before the first key is made.
[[nodiscard]] Result<void> self_test();

}  // namespace weft::overlay
