// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/net/byte_order.hpp"

namespace weft::net {

inline constexpr std::uint8_t kIcmpEchoReply = 0;
inline constexpr std::uint8_t kIcmpUnreachable = 3;
inline constexpr std::uint8_t kIcmpSourceQuench = 4;
inline constexpr std::uint8_t kIcmpRedirect = 5;
inline constexpr std::uint8_t kIcmpEchoRequest = 8;
inline constexpr std::uint8_t kIcmpTimeExceeded = 11;
inline constexpr std::uint8_t kIcmpParameterProblem = 12;

inline constexpr std::uint8_t kIcmpCodeHostUnreachable = 1;
inline constexpr std::uint8_t kIcmpCodePortUnreachable = 3;
inline constexpr std::uint8_t kIcmpCodeFragmentationNeeded = 4;

inline constexpr std::uint8_t kIcmp6Unreachable = 1;
inline constexpr std::uint8_t kIcmp6PacketTooBig = 2;
inline constexpr std::uint8_t kIcmp6TimeExceeded = 3;
inline constexpr std::uint8_t kIcmp6ParameterProblem = 4;
inline constexpr std::uint8_t kIcmp6FirstInformational = 128;
inline constexpr std::uint8_t kIcmp6EchoRequest = 128;
inline constexpr std::uint8_t kIcmp6EchoReply = 129;
inline constexpr std::uint8_t kIcmp6Redirect = 137;

inline constexpr std::uint8_t kIcmp6CodeAddressUnreachable = 3;
inline constexpr std::uint8_t kIcmp6CodePortUnreachable = 4;

// ICMP and ICMPv6 alike; only ICMPv6 sums a pseudo-header.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +---------------+---------------+-------------------------------+
//   |     type      |     code      |           checksum            |
//   +---------------+---------------+-------------------------------+
//   |     echo: identifier          |     echo: sequence number     |
//   |     v4 errors: unused         |     v4 too big: next MTU      |
//   |     v6 too big: next MTU, all 32 bits                         |
//   +-------------------------------+-------------------------------+
//   |     errors: the packet they are about, cut ...                |
struct IcmpHeader {
    static constexpr std::size_t kSize = 8;
    static constexpr std::size_t kChecksumOffset = 2;

    std::uint8_t type;
    std::uint8_t code;
    Be16 checksum;
    Be16 identifier;  // of an echo
    Be16 sequence;    // of an echo; the low half of an MTU

    [[nodiscard]] std::uint32_t mtu() const { return std::uint32_t{identifier.value()} << 16 | sequence.value(); }
    void set_mtu(std::uint32_t mtu) {
        identifier = static_cast<std::uint16_t>(mtu >> 16);
        sequence = static_cast<std::uint16_t>(mtu & 0xFFFF);
    }
};
static_assert(sizeof(IcmpHeader) == IcmpHeader::kSize && alignof(IcmpHeader) == 1);

}  // namespace weft::net
