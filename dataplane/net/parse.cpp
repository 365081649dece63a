// SPDX-License-Identifier: Apache-2.0
#include "dataplane/net/parse.hpp"

#include <algorithm>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/header_at.hpp"
#include "dataplane/net/icmp.hpp"
#include "dataplane/net/ipv4.hpp"
#include "dataplane/net/ipv6.hpp"
#include "dataplane/net/tcp.hpp"
#include "dataplane/net/udp.hpp"

// From the first byte to the ports, in the order of the bytes: IP header and lengths, who sent it, extension headers,
// fragment, then the one L4 header. Each step reads only behind a length check and ends in a named drop.

namespace weft::net {

namespace {

constexpr std::size_t kMaxExtensions = 8;
constexpr std::size_t kMaxExtensionBytes = 256;
constexpr std::uint32_t kMaxReassembled = 65535;

// What the steps share.
struct Walk {
    std::span<const std::byte> head;
    std::uint32_t total_size;
    ParseAs as;

    [[nodiscard]] std::uint32_t left_from(std::size_t offset) const {
        return offset < total_size ? total_size - static_cast<std::uint32_t>(offset) : 0;
    }
};

using Step = std::expected<void, Drop>;

constexpr std::unexpected<Drop> drop(Drop why) {
    return std::unexpected(why);
}

// `claimed` is the length by the IP header.
Step check_length(const Walk& walk, Parsed& parsed, std::uint32_t claimed) {
    parsed.total_length = claimed;
    switch (walk.as) {
        case ParseAs::Packet:
            if (claimed > walk.total_size) return drop(Drop::Truncated);
            if (claimed < walk.total_size) return drop(Drop::BadHeader);
            break;
        case ParseAs::Superpacket:
            parsed.total_length = walk.total_size;
            break;
        case ParseAs::Quoted:
            break;  // a quote is cut; some hosts even quote a length they have already changed
    }
    return {};
}

bool usable_source_v4(const Ipv4Header& ip) {
    const std::uint8_t first = ip.source[0];
    return first != 0 && first != 127 && first < 224;
}

bool usable_source_v6(const Ipv6Header& ip) {
    const auto& source = ip.source;
    if (source[0] == 0xFF) return false;                                // multicast
    if (source[0] == 0xFE && (source[1] & 0xC0) == 0x80) return false;  // link-local: no overlay address
    if (std::any_of(source.begin(), source.begin() + 10, [](std::uint8_t byte) { return byte != 0; })) return true;
    if (source[10] == 0xFF && source[11] == 0xFF) return false;  // v4-mapped
    const bool only_last =
        std::all_of(source.begin() + 10, source.end() - 1, [](std::uint8_t byte) { return byte == 0; });
    return !only_last || source[15] > 1;  // neither :: nor ::1
}

// RFC 791, 1858, 3128, 5722: pieces that no honest stack sends. Where the first one must hold the whole L4 header, a
// later piece that begins inside a TCP header can only be meant to overwrite it.
Step check_fragment(const Walk& walk, Parsed& parsed, std::size_t offset, std::size_t ip_header_size) {
    if (parsed.fragment_offset == 0 && !parsed.more_fragments) return {};
    parsed.fragment = parsed.fragment_offset == 0 ? FragmentKind::First : FragmentKind::Later;
    if (walk.as == ParseAs::Quoted) return {};
    if (walk.as == ParseAs::Superpacket) return drop(Drop::BadHeader);

    const std::uint32_t length = walk.left_from(offset);
    if (length == 0 || (parsed.more_fragments && length % 8 != 0)) return drop(Drop::Fragment);
    const auto before = static_cast<std::uint32_t>(parsed.is_v4() ? ip_header_size : offset - Ipv6Header::kSize - 8);
    if (before + parsed.fragment_offset + length > kMaxReassembled) return drop(Drop::Fragment);
    if (parsed.fragment == FragmentKind::Later && parsed.protocol == kProtocolTcp &&
        parsed.fragment_offset < TcpHeader::kSize) {
        return drop(Drop::Fragment);
    }
    return {};
}

// A header that does not fit: a tiny first fragment is an attack on filters, anything else is just cut.
std::unexpected<Drop> cut(const Walk& walk, const Parsed& parsed) {
    const bool tiny_first = parsed.fragment == FragmentKind::First && walk.as == ParseAs::Packet;
    return drop(tiny_first ? Drop::Fragment : Drop::Truncated);
}

// Of a quote only the first eight bytes of L4 are sure (RFC 792): the ports, or an echo's identifier.
Step parse_tcp(const Walk& walk, Parsed& parsed) {
    const auto* tcp = header_at<TcpHeader>(walk.head, parsed.l4_offset);
    if (tcp == nullptr) {
        const auto* ports = header_at<UdpHeader>(walk.head, parsed.l4_offset);  // where UDP has them, too
        if (walk.as != ParseAs::Quoted || ports == nullptr) return cut(walk, parsed);
        parsed.source_port = ports->source_port.value();
        parsed.destination_port = ports->destination_port.value();
        parsed.payload_offset = static_cast<std::uint16_t>(walk.head.size());
        return {};
    }
    const std::size_t size = tcp->header_size();
    if (size < TcpHeader::kSize) return drop(Drop::BadHeader);
    const bool whole = parsed.l4_offset + size <= walk.head.size();
    if (!whole && walk.as != ParseAs::Quoted) return cut(walk, parsed);
    parsed.source_port = tcp->source_port.value();
    parsed.destination_port = tcp->destination_port.value();
    parsed.tcp_flags = tcp->flags;
    parsed.payload_offset = static_cast<std::uint16_t>(std::min(parsed.l4_offset + size, walk.head.size()));
    return {};
}

Step parse_udp(const Walk& walk, Parsed& parsed) {
    const auto* udp = header_at<UdpHeader>(walk.head, parsed.l4_offset);
    if (udp == nullptr) return cut(walk, parsed);
    if (walk.as == ParseAs::Packet) {
        const std::uint32_t length = udp->length.value();
        if (length < UdpHeader::kSize) return drop(Drop::BadHeader);
        // The length is the whole datagram's, so a first fragment holds less.
        if (parsed.fragment == FragmentKind::Whole && length > walk.left_from(parsed.l4_offset)) {
            return drop(Drop::Truncated);
        }
    }
    parsed.source_port = udp->source_port.value();
    parsed.destination_port = udp->destination_port.value();
    parsed.payload_offset = static_cast<std::uint16_t>(parsed.l4_offset + UdpHeader::kSize);
    return {};
}

IcmpKind icmp_kind(bool is_v4, std::uint8_t type) {
    if (is_v4) {
        switch (type) {
            case kIcmpEchoRequest:
                return IcmpKind::EchoRequest;
            case kIcmpEchoReply:
                return IcmpKind::EchoReply;
            case kIcmpUnreachable:
            case kIcmpTimeExceeded:
            case kIcmpParameterProblem:
                return IcmpKind::Error;
            default:
                return IcmpKind::Other;
        }
    }
    if (type == kIcmp6EchoRequest) return IcmpKind::EchoRequest;
    if (type == kIcmp6EchoReply) return IcmpKind::EchoReply;
    return type >= kIcmp6Unreachable && type <= kIcmp6ParameterProblem ? IcmpKind::Error : IcmpKind::Other;
}

Step parse_icmp(const Walk& walk, Parsed& parsed) {
    const auto* icmp = header_at<IcmpHeader>(walk.head, parsed.l4_offset);
    if (icmp == nullptr) return cut(walk, parsed);
    parsed.icmp_type = icmp->type;
    parsed.icmp = icmp_kind(parsed.is_v4(), icmp->type);
    if (parsed.icmp == IcmpKind::EchoRequest || parsed.icmp == IcmpKind::EchoReply) {
        parsed.source_port = parsed.destination_port = icmp->identifier.value();
    }
    parsed.payload_offset = static_cast<std::uint16_t>(parsed.l4_offset + IcmpHeader::kSize);
    return {};
}

// A protocol that is not ours has no ports; whoever needs them drops it.
Step parse_l4(const Walk& walk, Parsed& parsed) {
    parsed.payload_offset = parsed.l4_offset;
    if (parsed.fragment == FragmentKind::Later) return {};
    if (walk.as == ParseAs::Superpacket && parsed.protocol != kProtocolTcp && parsed.protocol != kProtocolUdp) {
        return drop(Drop::BadHeader);
    }
    if (parsed.protocol == kProtocolTcp) return parse_tcp(walk, parsed);
    if (parsed.protocol == kProtocolUdp) return parse_udp(walk, parsed);
    if (parsed.protocol == (parsed.is_v4() ? kProtocolIcmp : kProtocolIcmp6)) return parse_icmp(walk, parsed);
    return {};
}

Step parse_v4(const Walk& walk, Parsed& parsed) {
    const auto* ip = header_at<Ipv4Header>(walk.head);
    if (ip == nullptr) return drop(Drop::Truncated);
    const std::size_t size = ip->header_size();
    if (size < Ipv4Header::kSize) return drop(Drop::BadHeader);
    if (size > walk.head.size()) return drop(Drop::Truncated);
    if (walk.as == ParseAs::Packet && ip->total_length.value() < size) return drop(Drop::BadHeader);
    if (const auto length = check_length(walk, parsed, ip->total_length.value()); !length) return length;
    if (walk.as != ParseAs::Quoted) {
        if (fold(sum(walk.head.first(size))) != 0xFFFF) return drop(Drop::BadChecksum);
        if (!usable_source_v4(*ip)) return drop(Drop::SourceSpoofed);
    }

    parsed.version = 4;
    parsed.source = ip->source_address();
    parsed.destination = ip->destination_address();
    parsed.tos = ip->tos;
    parsed.ttl = ip->ttl;
    parsed.protocol = ip->protocol;
    parsed.dont_fragment = ip->dont_fragment();
    parsed.more_fragments = ip->more_fragments();
    parsed.fragment_offset = ip->fragment_offset();
    parsed.fragment_id = ip->id.value();
    parsed.l4_offset = static_cast<std::uint16_t>(size);
    if (const auto fragment = check_fragment(walk, parsed, size, size); !fragment) return fragment;
    return parse_l4(walk, parsed);
}

Step read_fragment_header(const Walk& walk, Parsed& parsed) {
    const auto* fragment = header_at<Ipv6Fragment>(walk.head, parsed.l4_offset);
    if (fragment == nullptr) return cut(walk, parsed);
    if (parsed.fragment_header != 0) return drop(Drop::BadHeader);
    parsed.fragment_header = parsed.l4_offset;
    parsed.l4_offset = static_cast<std::uint16_t>(parsed.l4_offset + Ipv6Fragment::kSize);
    parsed.protocol = fragment->next_header;
    parsed.fragment_id = fragment->id.value();
    parsed.fragment_offset = fragment->fragment_offset();
    parsed.more_fragments = fragment->more_fragments();
    return check_fragment(walk, parsed, parsed.l4_offset, 0);
}

bool is_chained(std::uint8_t protocol) {
    return protocol == kNextHopByHop || protocol == kNextRouting || protocol == kNextDestination ||
           protocol == kNextFragment;
}

// Follows the chain: `protocol` and `l4_offset` move from header to header, up to one that is L4 or not ours to look
// behind. A later fragment's payload is no chain.
Step walk_extensions(const Walk& walk, Parsed& parsed) {
    for (std::size_t seen = 0; is_chained(parsed.protocol) && parsed.fragment != FragmentKind::Later; ++seen) {
        if (seen == kMaxExtensions) return drop(Drop::BadHeader);
        if (parsed.protocol == kNextFragment) {
            if (const auto fragment = read_fragment_header(walk, parsed); !fragment) return fragment;
            continue;
        }
        if (parsed.protocol == kNextHopByHop && seen != 0) return drop(Drop::BadHeader);  // RFC 8200: the first or none
        const auto* extension = header_at<Ipv6Extension>(walk.head, parsed.l4_offset);
        if (extension == nullptr) return cut(walk, parsed);
        // Still on its way through a list of routers: its sums were made with another destination than the one here.
        if (parsed.protocol == kNextRouting && extension->segments_left != 0) break;
        const std::size_t end = parsed.l4_offset + extension->size();
        if (end > walk.head.size()) return cut(walk, parsed);
        parsed.l4_offset = static_cast<std::uint16_t>(end);
        parsed.protocol = extension->next_header;
    }
    if (parsed.l4_offset > Ipv6Header::kSize + kMaxExtensionBytes) return drop(Drop::BadHeader);
    return {};
}

Step parse_v6(const Walk& walk, Parsed& parsed) {
    const auto* ip = header_at<Ipv6Header>(walk.head);
    if (ip == nullptr) return drop(Drop::Truncated);
    const auto claimed = static_cast<std::uint32_t>(Ipv6Header::kSize + ip->payload_length.value());
    if (const auto length = check_length(walk, parsed, claimed); !length) return length;
    if (walk.as != ParseAs::Quoted && !usable_source_v6(*ip)) return drop(Drop::SourceSpoofed);

    parsed.version = 6;
    parsed.source = ip->source_address();
    parsed.destination = ip->destination_address();
    parsed.tos = ip->traffic_class();
    parsed.ttl = ip->hop_limit;
    parsed.protocol = ip->next_header;
    parsed.l4_offset = Ipv6Header::kSize;
    if (const auto chain = walk_extensions(walk, parsed); !chain) return chain;
    return parse_l4(walk, parsed);
}

}  // namespace

std::expected<Parsed, Drop> parse(std::span<const std::byte> head, std::uint32_t total_size, ParseAs as) noexcept {
    std::expected<Parsed, Drop> parsed{std::in_place};  // the one thing returned, so that it is made in its place
    if (total_size < head.size()) head = head.first(total_size);
    const Walk walk{.head = head, .total_size = total_size, .as = as};
    const int version = head.empty() ? 0 : std::to_integer<int>(head[0]) >> 4;
    Step step = drop(head.empty() ? Drop::Truncated : Drop::NotIp);
    if (version == 4) step = parse_v4(walk, *parsed);
    if (version == 6) step = parse_v6(walk, *parsed);
    if (!step) parsed = drop(step.error());
    return parsed;
}

}  // namespace weft::net
