// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>

namespace weft::overlay {

// SHA-256, HMAC and HKDF (RFC 2104, RFC 5869) over OpenSSL, as Noise, the frames' macs and the lanes' keys need them.
// Threading: any. Errors: none but a broken OpenSSL, which aborts.

using Hash = std::array<std::byte, 32>;
using Bytes = std::span<const std::byte>;

// The bytes of a text, without its terminator.
[[nodiscard]] inline Bytes bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

// Overwrites secrets in a way no optimiser removes.
void wipe(std::span<std::byte> secret) noexcept;
[[nodiscard]] bool equal_in_constant_time(Bytes a, Bytes b) noexcept;

// The parts are hashed one after the other.
[[nodiscard]] Hash sha256(std::initializer_list<Bytes> parts);
[[nodiscard]] Hash hmac_sha256(Bytes key, std::initializer_list<Bytes> parts);
// Extract with `salt`, then expand with `info`, to fill `out` (at most 255 * 32 bytes).
void hkdf_sha256(Bytes salt, Bytes key_material, Bytes info, std::span<std::byte> out);

}  // namespace weft::overlay
