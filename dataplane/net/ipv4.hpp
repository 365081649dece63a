// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/net/address.hpp"
#include "dataplane/net/byte_order.hpp"

namespace weft::net {

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-------+-------+---------------+-------------------------------+
//   |version|  IHL  |   TOS (DSCP,  |         total length          |
//   |   4   |5 .. 15|      ECN)     |                               |
//   +-------+-------+---------------+-----+-------------------------+
//   |       identification          |0 D M|   fragment offset / 8   |
//   +---------------+---------------+-----+-------------------------+
//   |      TTL      |   protocol    |        header checksum        |
//   +---------------+---------------+-------------------------------+
//   |                        source address                         |
//   +---------------------------------------------------------------+
//   |                      destination address                      |
//   +---------------------------------------------------------------+
//   |              options, up to 40 bytes ...                      |
struct Ipv4Header {
    static constexpr std::size_t kSize = 20;
    static constexpr std::size_t kMaxSize = 60;
    static constexpr std::uint16_t kDontFragment = 0x4000;
    static constexpr std::uint16_t kMoreFragments = 0x2000;
    static constexpr std::uint16_t kOffsetMask = 0x1FFF;

    std::uint8_t version_ihl;
    std::uint8_t tos;
    Be16 total_length;
    Be16 id;
    Be16 flags_and_offset;
    std::uint8_t ttl;
    std::uint8_t protocol;
    Be16 checksum;
    std::array<std::uint8_t, 4> source;
    std::array<std::uint8_t, 4> destination;

    [[nodiscard]] int version() const { return version_ihl >> 4; }
    [[nodiscard]] std::size_t header_size() const { return std::size_t{4} * (version_ihl & 0x0F); }
    [[nodiscard]] bool dont_fragment() const { return (flags_and_offset.value() & kDontFragment) != 0; }
    [[nodiscard]] bool more_fragments() const { return (flags_and_offset.value() & kMoreFragments) != 0; }
    [[nodiscard]] std::uint32_t fragment_offset() const { return 8U * (flags_and_offset.value() & kOffsetMask); }
    [[nodiscard]] IpAddress source_address() const { return IpAddress::v4_from(source.data()); }
    [[nodiscard]] IpAddress destination_address() const { return IpAddress::v4_from(destination.data()); }
    void set_header_size(std::size_t bytes) { version_ihl = static_cast<std::uint8_t>(0x40 | (bytes / 4)); }
    void set_source(const IpAddress& address) { std::memcpy(source.data(), address.data(), source.size()); }
    void set_destination(const IpAddress& address) {
        std::memcpy(destination.data(), address.data(), destination.size());
    }
};
static_assert(sizeof(Ipv4Header) == Ipv4Header::kSize && alignof(Ipv4Header) == 1);

}  // namespace weft::net
