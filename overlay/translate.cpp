// SPDX-License-Identifier: Apache-2.0
#include "overlay/translate.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/base/check.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/header_at.hpp"
#include "dataplane/net/icmp.hpp"
#include "dataplane/net/ipv4.hpp"
#include "dataplane/net/ipv6.hpp"
#include "dataplane/net/tcp.hpp"
#include "dataplane/net/udp.hpp"

// How much the words under a sum change is worked out once, from the parsed and the new values; each sum that covers
// them takes that delta. Which sum covers what:
//
//                      addresses         ports, echo identifier
//   IPv4 header        yes               no
//   TCP, UDP full      yes               yes
//   TCP, UDP partial   yes               no: they are summed later, by whoever finishes the sum
//   ICMP               no                yes
//   ICMPv6             yes               yes
//   ICMP error         its quoted packet's words, the sums among them; ICMPv6: also the outer addresses

namespace weft::overlay {

namespace {

using net::Be16;
using net::FragmentKind;
using net::IcmpKind;
using net::IpAddress;
using net::Parsed;
using Bytes = std::span<std::byte>;

// new - old of one address; by 32-bit words, which is the same modulo 65535.
std::uint64_t address_difference(const IpAddress& from, const IpAddress& to) {
    std::uint64_t total = 0;
    for (std::size_t at = 0; at < from.size(); at += sizeof(std::uint32_t)) {
        std::uint32_t old_word = 0, new_word = 0;
        std::memcpy(&old_word, from.data() + at, sizeof old_word);
        std::memcpy(&new_word, to.data() + at, sizeof new_word);
        total += std::uint64_t{new_word} + static_cast<std::uint32_t>(~old_word);
    }
    return total;
}

std::uint16_t addresses_delta(const Parsed& parsed, const IpAddress& source, const IpAddress& destination) {
    return net::fold(address_difference(parsed.source, source) + address_difference(parsed.destination, destination));
}

std::uint16_t port_delta(std::uint16_t from, std::uint16_t to) {
    return net::delta16(Be16(from).raw(), Be16(to).raw());
}

std::uint16_t ports_delta(const Parsed& parsed, const Rewrite& to) {
    return net::combine(port_delta(parsed.source_port, to.source_port),
                        port_delta(parsed.destination_port, to.destination_port));
}

// An echo has one identifier for both ends: the asking end's.
std::uint16_t new_identifier(const Parsed& parsed, const Rewrite& to) {
    return parsed.icmp == IcmpKind::EchoReply ? to.destination_port : to.source_port;
}

bool is_echo(const Parsed& parsed) {
    return parsed.icmp == IcmpKind::EchoRequest || parsed.icmp == IcmpKind::EchoReply;
}

void adjust(Be16& field, std::uint16_t delta, ChecksumState state) {
    field = Be16::from_raw(state == ChecksumState::Full ? net::adjust_full(field.raw(), delta)
                                                        : net::adjust_partial(field.raw(), delta));
}

// A finished UDP sum of zero means that there is none: it stays none, and no sum becomes it.
void adjust_udp(Be16& field, std::uint16_t delta) {
    if (field.raw() == 0) return;
    adjust(field, delta, ChecksumState::Full);
    if (field.raw() == 0) field = 0xFFFF;
}

void write_addresses(Bytes bytes, bool is_v4, const IpAddress& source, const IpAddress& destination,
                     std::uint16_t delta) {
    if (is_v4) {
        auto& ip = *net::writable_header_at<net::Ipv4Header>(bytes);
        ip.set_source(source);
        ip.set_destination(destination);
        adjust(ip.checksum, delta, ChecksumState::Full);
        return;
    }
    auto& ip = *net::writable_header_at<net::Ipv6Header>(bytes);
    ip.set_source(source);
    ip.set_destination(destination);
}

template <class Header>
void write_ports(Header& l4, const Rewrite& to) {
    l4.source_port = to.source_port;
    l4.destination_port = to.destination_port;
}

void translate_tcp(Bytes bytes, const Parsed& parsed, const Rewrite& to, std::uint16_t addresses, ChecksumState state) {
    auto& tcp = *net::writable_header_at<net::TcpHeader>(bytes, parsed.l4_offset);
    write_ports(tcp, to);
    const bool is_full = state == ChecksumState::Full;
    adjust(tcp.checksum, is_full ? net::combine(addresses, ports_delta(parsed, to)) : addresses, state);
}

void translate_udp(Bytes bytes, const Parsed& parsed, const Rewrite& to, std::uint16_t addresses, ChecksumState state) {
    auto& udp = *net::writable_header_at<net::UdpHeader>(bytes, parsed.l4_offset);
    write_ports(udp, to);
    if (state == ChecksumState::Full) {
        adjust_udp(udp.checksum, net::combine(addresses, ports_delta(parsed, to)));
    } else {
        adjust(udp.checksum, addresses, state);
    }
}

// The one message whose sum comes out as the other zero: an ICMPv4 echo reply without any bit set.
bool is_all_zero(const Packet& packet, std::size_t from) {
    auto zero = [](std::byte byte) { return byte == std::byte{0}; };
    return std::ranges::all_of(packet.bytes().subspan(from), zero) &&
           std::ranges::all_of(packet.tails(), [zero](const Slice& slice) {
               return std::all_of(slice.data, slice.data + slice.size, zero);
           });
}

void translate_icmp(Packet& packet, const Parsed& parsed, const Rewrite& to, std::uint16_t addresses) {
    auto& icmp = *net::writable_header_at<net::IcmpHeader>(packet.bytes(), parsed.l4_offset);
    const std::uint16_t covered = parsed.is_v4() ? 0 : addresses;
    if (packet.checksum == ChecksumState::Partial) {
        adjust(icmp.checksum, covered, ChecksumState::Partial);
        if (is_echo(parsed)) icmp.identifier = new_identifier(parsed, to);
        return;
    }
    std::uint16_t delta = covered;
    if (is_echo(parsed)) {
        delta = net::combine(delta, port_delta(parsed.source_port, new_identifier(parsed, to)));
        icmp.identifier = new_identifier(parsed, to);
    }
    adjust(icmp.checksum, delta, ChecksumState::Full);
    if (icmp.checksum.raw() == 0 && parsed.is_v4() && is_all_zero(packet, parsed.l4_offset)) icmp.checksum = 0xFFFF;
}

std::expected<Parsed, Drop> parse_quote(const Packet& packet, const Parsed& parsed) {
    if (parsed.icmp != IcmpKind::Error) return std::unexpected(Drop::UnsupportedProtocol);
    const auto quote = packet.bytes().subspan(parsed.payload_offset);
    auto inner = net::parse(quote, packet.size - parsed.payload_offset, net::ParseAs::Quoted);
    if (inner && inner->version != parsed.version) return std::unexpected(Drop::BadHeader);
    return inner;
}

// Changes a 16-bit field of a quote and says by how much; nothing happens where the quote ends before it.
template <class Change>
std::uint16_t change_word(Bytes quote, std::size_t at, Change change) {
    auto* field = net::writable_header_at<Be16>(quote, at);
    if (field == nullptr) return 0;
    const std::uint16_t before = field->raw();
    change(*field);
    return net::delta16(before, field->raw());
}

// The quoted packet's L4 header, as far as it is there; returns the delta of all its words. Its sum is taken for a full
// one: whoever quotes a packet has it as it came over a wire.
std::uint16_t translate_quoted_l4(Bytes quote, const Parsed& inner, const Rewrite& to, std::uint16_t addresses) {
    if (inner.fragment == FragmentKind::Later) return 0;
    const bool is_tcp = inner.protocol == net::kProtocolTcp;
    if (is_tcp || inner.protocol == net::kProtocolUdp) {
        const std::size_t at =
            inner.l4_offset + (is_tcp ? net::TcpHeader::kChecksumOffset : net::UdpHeader::kChecksumOffset);
        const std::uint16_t ports = ports_delta(inner, to);
        // TCP and UDP ports lie alike, and the parser saw eight bytes of L4.
        write_ports(*net::writable_header_at<net::UdpHeader>(quote, inner.l4_offset), to);
        const std::uint16_t covered = net::combine(addresses, ports);
        return net::combine(ports, change_word(quote, at, [&](Be16& sum) {
                                if (is_tcp) {
                                    adjust(sum, covered, ChecksumState::Full);
                                } else {
                                    adjust_udp(sum, covered);
                                }
                            }));
    }
    if (inner.icmp == IcmpKind::NotIcmp) return 0;
    std::uint16_t identifier = 0;
    auto& icmp = *net::writable_header_at<net::IcmpHeader>(quote, inner.l4_offset);
    if (is_echo(inner)) {
        identifier = port_delta(inner.source_port, new_identifier(inner, to));
        icmp.identifier = new_identifier(inner, to);
    }
    const std::uint16_t covered = inner.is_v4() ? identifier : net::combine(addresses, identifier);
    return net::combine(identifier, change_word(quote, inner.l4_offset + net::IcmpHeader::kChecksumOffset,
                                                [&](Be16& sum) { adjust(sum, covered, ChecksumState::Full); }));
}

// The whole quoted packet; returns the delta of all words of it. An IPv4 header's words and its sum cancel out.
std::uint16_t translate_quote(Bytes quote, const Parsed& inner, const Rewrite& to) {
    const std::uint16_t addresses = addresses_delta(inner, to.source, to.destination);
    std::uint16_t changed = addresses;
    if (inner.is_v4()) {
        const auto* ip = net::header_at<net::Ipv4Header>(quote);
        const std::uint16_t sum_before = ip->checksum.raw();
        write_addresses(quote, true, to.source, to.destination, addresses);
        changed = net::combine(changed, net::delta16(sum_before, ip->checksum.raw()));
    } else {
        write_addresses(quote, false, to.source, to.destination, addresses);
    }
    return net::combine(changed, translate_quoted_l4(quote, inner, to, addresses));
}

}  // namespace

void translate(Packet& packet, Parsed& parsed, const Rewrite& to) noexcept {
    WEFT_CHECK(to.source.version() == parsed.version && to.destination.version() == parsed.version,
               "a packet keeps its IP version");
    const std::uint16_t addresses = addresses_delta(parsed, to.source, to.destination);
    write_addresses(packet.bytes(), parsed.is_v4(), to.source, to.destination, addresses);
    if (parsed.fragment != FragmentKind::Later) {
        if (parsed.protocol == net::kProtocolTcp) {
            translate_tcp(packet.bytes(), parsed, to, addresses, packet.checksum);
        } else if (parsed.protocol == net::kProtocolUdp) {
            translate_udp(packet.bytes(), parsed, to, addresses, packet.checksum);
        } else if (parsed.icmp != IcmpKind::NotIcmp) {
            translate_icmp(packet, parsed, to, addresses);
        }
        if (is_echo(parsed)) {
            parsed.source_port = parsed.destination_port = new_identifier(parsed, to);
        } else if (parsed.protocol == net::kProtocolTcp || parsed.protocol == net::kProtocolUdp) {
            parsed.source_port = to.source_port;
            parsed.destination_port = to.destination_port;
        }
    }
    parsed.source = to.source;
    parsed.destination = to.destination;
}

std::expected<FlowKey, Drop> quoted_tuple(const Packet& packet, const Parsed& parsed) noexcept {
    const auto inner = parse_quote(packet, parsed);
    if (!inner) return std::unexpected(inner.error());
    if (inner->fragment == FragmentKind::Later) return std::unexpected(Drop::Fragment);
    const bool has_ports =
        inner->protocol == net::kProtocolTcp || inner->protocol == net::kProtocolUdp || is_echo(*inner);
    if (!has_ports) return std::unexpected(Drop::UnsupportedProtocol);
    return FlowKey{.source = inner->source,
                   .destination = inner->destination,
                   .source_port = inner->source_port,
                   .destination_port = inner->destination_port,
                   .protocol = inner->protocol};
}

void translate_icmp_error(Packet& packet, Parsed& parsed, const IpAddress& source, const IpAddress& destination,
                          const Rewrite& quoted) noexcept {
    const auto inner = parse_quote(packet, parsed);
    WEFT_CHECK(inner, "quoted_tuple has read this quote");
    WEFT_CHECK(source.version() == parsed.version && destination.version() == parsed.version &&
                   quoted.source.version() == parsed.version && quoted.destination.version() == parsed.version,
               "a packet keeps its IP version");
    const std::uint16_t changed = translate_quote(packet.bytes().subspan(parsed.payload_offset), *inner, quoted);
    const std::uint16_t addresses = addresses_delta(parsed, source, destination);
    write_addresses(packet.bytes(), parsed.is_v4(), source, destination, addresses);

    auto& icmp = *net::writable_header_at<net::IcmpHeader>(packet.bytes(), parsed.l4_offset);
    const std::uint16_t pseudo = parsed.is_v4() ? 0 : addresses;
    const bool is_full = packet.checksum == ChecksumState::Full;
    adjust(icmp.checksum, is_full ? net::combine(pseudo, changed) : pseudo, packet.checksum);
    parsed.source = source;
    parsed.destination = destination;
}

void clamp_mss(Packet& packet, const Parsed& parsed, std::uint16_t mtu) noexcept {
    if (parsed.protocol != net::kProtocolTcp || (parsed.tcp_flags & net::kTcpSyn) == 0) return;
    const auto headers = static_cast<std::uint16_t>(net::TcpHeader::kSize +
                                                    (parsed.is_v4() ? net::Ipv4Header::kSize : net::Ipv6Header::kSize));
    if (mtu <= headers) return;
    const auto limit = static_cast<std::uint16_t>(mtu - headers);
    const Bytes header = packet.bytes().first(parsed.payload_offset).subspan(parsed.l4_offset);

    std::size_t at = net::TcpHeader::kSize;
    while (at + net::kTcpOptionMssSize <= header.size()) {
        const auto kind = std::to_integer<std::uint8_t>(header[at]);
        if (kind == net::kTcpOptionEnd) return;
        if (kind == net::kTcpOptionNop) {
            ++at;
            continue;
        }
        const auto size = std::to_integer<std::size_t>(header[at + 1]);
        if (kind != net::kTcpOptionMss) {
            if (size < 2) return;  // malformed: the ends may sort it out
            at += size;
            continue;
        }
        auto& mss = *net::writable_header_at<Be16>(header, at + 2);
        if (size != net::kTcpOptionMssSize || mss.value() <= limit) return;
        const std::uint16_t before = mss.raw();
        mss = limit;
        if (packet.checksum == ChecksumState::Partial) return;  // options are summed later
        // A sender may put the option at an odd place; then its bytes lie the other way round in the sum's words.
        const std::uint16_t delta = at % 2 == 0 ? net::delta16(before, mss.raw())
                                                : net::delta16(std::byteswap(before), std::byteswap(mss.raw()));
        adjust(net::writable_header_at<net::TcpHeader>(header)->checksum, delta, ChecksumState::Full);
        return;
    }
}

}  // namespace weft::overlay
