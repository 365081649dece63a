// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "overlay/key_derivation.hpp"
#include "overlay/noise.hpp"
#include "overlay/tunnel_crypto.hpp"

namespace weft::overlay::test {

inline std::vector<std::byte> bytes_from_hex(std::string_view text) {
    const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        bytes.push_back(std::byte(digit(text[i]) << 4 | digit(text[i + 1])));
    return bytes;
}

// The first message of NNpsk0 written out step by step, with any point as ephemeral key: what a dishonest holder of the
// pre-shared key can send.
class NaiveNoise {
  public:
    NaiveNoise(Bytes prologue, Bytes preshared) : preshared_(preshared.begin(), preshared.end()) {
        std::memcpy(hash_.data(), NoiseHandshake::kProtocolName.data(), 32);
        chaining_key_ = hash_;
        hash_ = sha256({hash_, prologue});
    }

    std::vector<std::byte> first_message(const CurveKey& point, Bytes payload) {
        const Hash temporary = hmac_sha256(chaining_key_, {preshared_});
        const Hash one = numbered(temporary, {}, 1), two = numbered(temporary, one, 2);
        chaining_key_ = one;
        hash_ = sha256({hash_, two});

        hash_ = sha256({hash_, point});
        const Hash second = hmac_sha256(chaining_key_, {point});
        chaining_key_ = numbered(second, {}, 1);
        const Hash cipher_key = numbered(second, chaining_key_, 2);

        std::vector<std::byte> message(32 + payload.size() + 16);
        std::memcpy(message.data(), point.data(), 32);
        const auto key = *AeadKey::create(Cipher::Aes256Gcm, cipher_key, CryptoBackend::Portable);
        key->seal({}, hash_, payload, {}, message.data() + 32);
        return message;
    }

  private:
    static Hash numbered(const Hash& key, Bytes before, unsigned number) {
        const std::byte last{static_cast<std::uint8_t>(number)};
        return hmac_sha256(key, {before, Bytes(&last, 1)});
    }

    std::vector<std::byte> preshared_;
    Hash hash_{}, chaining_key_{};
};

}  // namespace weft::overlay::test
