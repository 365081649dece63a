// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "dataplane/drop.hpp"
#include "dataplane/net/address.hpp"

namespace weft::net {

inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
inline constexpr std::uint8_t kProtocolIcmp6 = 58;

enum class FragmentKind : std::uint8_t { Whole, First, Later };
enum class IcmpKind : std::uint8_t { NotIcmp, EchoRequest, EchoReply, Error, Other };

// What one pass over a packet's headers found. Offsets count from the first byte of the IP header. A `Later` fragment
// has no ports (both zero) and l4_offset is where its payload begins.
struct Parsed {
    IpAddress source, destination;
    std::uint16_t source_port = 0;  // TCP and UDP ports; ICMP echo: both are the identifier; otherwise 0
    std::uint16_t destination_port = 0;
    std::uint32_t total_length = 0;  // of the IP packet, as its header says; a superpacket's true size
    std::uint32_t fragment_id = 0;
    std::uint32_t fragment_offset = 0;  // bytes
    std::uint16_t l4_offset = 0;
    std::uint16_t payload_offset = 0;   // behind the TCP/UDP/ICMP header
    std::uint16_t fragment_header = 0;  // IPv6: offset of the fragment header, 0 if none
    std::uint8_t version = 4;
    std::uint8_t protocol = 0;  // after IPv6 extension headers
    std::uint8_t tos = 0;       // DSCP and ECN; IPv6: traffic class
    std::uint8_t ttl = 0;
    std::uint8_t tcp_flags = 0;
    FragmentKind fragment = FragmentKind::Whole;
    bool more_fragments = false;
    bool dont_fragment = true;  // IPv6: always
    IcmpKind icmp = IcmpKind::NotIcmp;
    std::uint8_t icmp_type = 0;

    [[nodiscard]] bool is_v4() const { return version == 4; }
};

// How much to insist on. Superpacket: the IP and UDP length fields may be wrong or zero (the kernel leaves them so for
// GSO), the true size is `total_size`; only TCP and UDP, never a fragment. Quoted: the packet inside an ICMP error, cut
// anywhere behind the first 8 bytes of L4; lengths and source are not checked.
enum class ParseAs : std::uint8_t { Packet, Superpacket, Quoted };

// The only parser of weftd. `head` holds the headers contiguously; `total_size` counts payload beyond it. Checks
// lengths, versions, header chains (at most 8 extension headers, 256 bytes), the IPv4 header checksum (not for Quoted),
// TCP data offset, UDP length (>= 8 and <= what is there), source addresses that nobody may use (0/8, 127/8, 224/4,
// 240/4, ::, ::1, fe80::/10, ff00::/8, v4-mapped: Drop::SourceSpoofed), fragments (Drop::Fragment unless offset +
// length
// <= 65535, the first holds the whole L4 header, no other begins inside it, all but the last are multiples of 8 bytes).
// Trailing bytes behind the IP length are Drop::BadHeader for a Packet. A protocol that is none of ours (AH and a
// routing header with segments left among them) is no error: it has no ports, and l4_offset is where it begins.
// Never reads outside `head`. Pure; any thread.
[[nodiscard]] std::expected<Parsed, Drop> parse(std::span<const std::byte> head, std::uint32_t total_size,
                                                ParseAs as = ParseAs::Packet) noexcept;

}  // namespace weft::net
