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
//   +-------+---------------+---------------------------------------+
//   |version| traffic class |              flow label               |
//   +-------+---------------+-------+---------------+---------------+
//   |        payload length         |  next header  |   hop limit   |
//   +-------------------------------+---------------+---------------+
//   |                   source address, 16 bytes                    |
//   +---------------------------------------------------------------+
//   |                 destination address, 16 bytes                 |
//   +---------------------------------------------------------------+
struct Ipv6Header {
    static constexpr std::size_t kSize = 40;

    Be32 version_class_label;
    Be16 payload_length;  // extension headers included
    std::uint8_t next_header;
    std::uint8_t hop_limit;
    std::array<std::uint8_t, 16> source;
    std::array<std::uint8_t, 16> destination;

    [[nodiscard]] int version() const { return static_cast<int>(version_class_label.value() >> 28); }
    [[nodiscard]] std::uint8_t traffic_class() const {
        return static_cast<std::uint8_t>(version_class_label.value() >> 20 & 0xFF);
    }
    [[nodiscard]] std::uint32_t flow_label() const { return version_class_label.value() & 0xFFFFF; }
    [[nodiscard]] IpAddress source_address() const { return IpAddress::v6_from(source.data()); }
    [[nodiscard]] IpAddress destination_address() const { return IpAddress::v6_from(destination.data()); }
    void set_first_word(std::uint8_t traffic_class, std::uint32_t flow_label) {
        version_class_label = 6U << 28 | std::uint32_t{traffic_class} << 20 | (flow_label & 0xFFFFF);
    }
    void set_source(const IpAddress& address) { std::memcpy(source.data(), address.data(), source.size()); }
    void set_destination(const IpAddress& address) {
        std::memcpy(destination.data(), address.data(), destination.size());
    }
};
static_assert(sizeof(Ipv6Header) == Ipv6Header::kSize && alignof(Ipv6Header) == 1);

inline constexpr std::uint8_t kNextHopByHop = 0;
inline constexpr std::uint8_t kNextRouting = 43;
inline constexpr std::uint8_t kNextFragment = 44;
inline constexpr std::uint8_t kNextAuthentication = 51;
inline constexpr std::uint8_t kNextNone = 59;
inline constexpr std::uint8_t kNextDestination = 60;

// Hop-by-hop, routing and destination options open alike; `length` counts 8-byte units beyond the first.
//
//   +---------------+---------------+-------------------------------+
//   |  next header  |    length     |  routing: type, segments left |
//   +---------------+---------------+-------------------------------+
//   |                             ...                               |
//   +---------------------------------------------------------------+
struct Ipv6Extension {
    static constexpr std::size_t kSize = 8;  // of the shortest

    std::uint8_t next_header;
    std::uint8_t length;
    std::uint8_t routing_type;
    std::uint8_t segments_left;
    std::array<std::uint8_t, 4> rest;

    [[nodiscard]] std::size_t size() const { return 8 + std::size_t{8} * length; }
};
static_assert(sizeof(Ipv6Extension) == Ipv6Extension::kSize && alignof(Ipv6Extension) == 1);

//   +---------------+---------------+-------------------------+---+-+
//   |  next header  |       0       |   fragment offset / 8   | 0 |M|
//   +---------------+---------------+-------------------------+---+-+
//   |                        identification                         |
//   +---------------------------------------------------------------+
struct Ipv6Fragment {
    static constexpr std::size_t kSize = 8;
    static constexpr std::uint16_t kMoreFragments = 1;

    std::uint8_t next_header;
    std::uint8_t reserved;
    Be16 offset_and_flags;  // the offset's unit is 8 bytes and its place 3 bits up: masked, it reads in bytes
    Be32 id;

    [[nodiscard]] std::uint32_t fragment_offset() const { return offset_and_flags.value() & 0xFFF8U; }
    [[nodiscard]] bool more_fragments() const { return (offset_and_flags.value() & kMoreFragments) != 0; }
};
static_assert(sizeof(Ipv6Fragment) == Ipv6Fragment::kSize && alignof(Ipv6Fragment) == 1);

}  // namespace weft::net
