// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "overlay/key_derivation.hpp"
#include "overlay/session.hpp"

namespace weft::overlay {

// X25519 with the low-order points refused (an all-zero result is no secret).
using CurveKey = std::array<std::byte, 32>;
[[nodiscard]] CurveKey curve_public(const CurveKey& secret);
[[nodiscard]] std::optional<CurveKey> curve_shared(const CurveKey& secret, const CurveKey& their_public);

// One side of a Noise handshake (the Noise Protocol Framework, revision 34): Noise_NNpsk0_25519_AESGCM_SHA256. Two
// messages; both sides prove that they hold the pre-shared key, and fresh ephemeral keys give forward secrecy. The
// pattern is a table, so that one with static keys only adds tokens.
//
// Threading: one at a time. Errors: a message that does not verify is nullopt and leaves the state as it was, so that a
// forgery cannot disturb a handshake under way. All secrets are wiped on destruction.
class NoiseHandshake {
  public:
    static constexpr std::string_view kProtocolName = "Noise_NNpsk0_25519_AESGCM_SHA256";
    static constexpr std::size_t kMessageOverhead = 32 + 16;  // ephemeral key and tag

    enum class Role : std::uint8_t { Initiator, Responder };
    // `ephemeral` is this side's fresh secret key, used for this handshake only.
    NoiseHandshake(Role role, Bytes prologue, const std::array<std::byte, 32>& preshared_key,
                   const CurveKey& ephemeral);
    NoiseHandshake(const NoiseHandshake&) = default;
    NoiseHandshake& operator=(const NoiseHandshake&) = default;
    ~NoiseHandshake();

    // The next message, if it is ours to write and the other side's point is a good one.
    [[nodiscard]] std::optional<std::vector<std::byte>> write(Bytes payload);
    // The payload of the other side's message, if it is their turn and all of it verifies.
    [[nodiscard]] std::optional<std::vector<std::byte>> read(Bytes message);

    [[nodiscard]] bool finished() const { return next_message_ == kMessageCount; }
    // Both directions' secrets; only when finished.
    [[nodiscard]] SessionSecrets split() const;

  private:
    static constexpr std::size_t kMessageCount = 2;

    void mix_hash(Bytes data);
    void mix_key(Bytes key_material);
    void mix_key_and_hash(Bytes key_material);
    [[nodiscard]] bool mix_shared();
    [[nodiscard]] std::vector<std::byte> encrypt_and_hash(Bytes plain);
    [[nodiscard]] std::optional<std::vector<std::byte>> decrypt_and_hash(Bytes sealed);
    [[nodiscard]] AeadKey::Nonce next_nonce();
    [[nodiscard]] std::optional<std::vector<std::byte>> read_here(Bytes message);
    [[nodiscard]] bool is_my_turn() const { return (next_message_ % 2 == 0) == (role_ == Role::Initiator); }

    Role role_;
    std::size_t next_message_ = 0;
    Hash hash_{};
    Hash chaining_key_{};
    Hash cipher_key_{};
    std::uint64_t nonce_ = 0;
    std::array<std::byte, 32> preshared_key_;
    CurveKey ephemeral_;
    CurveKey their_ephemeral_{};
};

}  // namespace weft::overlay
