// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/net/address.hpp"

namespace weft::test {

// The Internet checksum by the letter of RFC 1071, one 16-bit word after the other, in host order. Deliberately shares
// nothing with dataplane/net/checksum: it is what that is measured against.
[[nodiscard]] inline std::uint16_t reference_sum(std::span<const std::byte> bytes, std::uint16_t initial = 0) {
    std::uint32_t total = initial;
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        const auto high = std::to_integer<std::uint32_t>(bytes[i]);
        const auto low = i + 1 < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i + 1]) : 0;
        total += high << 8 | low;
        total = (total & 0xFFFF) + (total >> 16);
    }
    return static_cast<std::uint16_t>(total);
}

[[nodiscard]] inline std::uint16_t reference_pseudo_sum(const net::IpAddress& source, const net::IpAddress& destination,
                                                        std::uint8_t protocol, std::size_t l4_length) {
    std::uint16_t total = reference_sum(std::as_bytes(std::span(source.data(), source.size())));
    total = reference_sum(std::as_bytes(std::span(destination.data(), destination.size())), total);
    const std::byte tail[6]{std::byte(l4_length >> 24 & 0xFF),
                            std::byte(l4_length >> 16 & 0xFF),
                            std::byte(l4_length >> 8 & 0xFF),
                            std::byte(l4_length & 0xFF),
                            std::byte{0},
                            std::byte{protocol}};
    return reference_sum(tail, total);
}

}  // namespace weft::test
