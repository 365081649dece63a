// SPDX-License-Identifier: Apache-2.0
//
// Rewriting any packet: what the sum was off by before, it is off by after (so a right one stays right and a wrong one
// wrong), the inverse brings every byte back, and what `parsed` then says is what a fresh parse finds.
#include "overlay/translate.hpp"

#include <algorithm>
#include <vector>

#include "dataplane/base/check.hpp"
#include "dataplane/net/header_at.hpp"
#include "dataplane/net/icmp.hpp"
#include "dataplane/net/ipv4.hpp"
#include "dataplane/net/tcp.hpp"
#include "dataplane/net/udp.hpp"
#include "overlay/answer.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/mend.hpp"
#include "tests/support/reference_checksum.hpp"

namespace {

using namespace weft;
using Bytes = std::vector<std::byte>;

// An address of the family, never one that nobody may use.
net::IpAddress address(fuzz::Input& input, bool is_v4) {
    if (is_v4) return net::IpAddress::v4(10U << 24 | static_cast<unsigned>(input.word()) << 8 | input.byte());
    std::array<std::uint8_t, 16> bytes{0xFC};
    for (std::size_t i = 8; i < 16; ++i)
        bytes[i] = input.byte();
    return net::IpAddress::v6_from(bytes.data());
}

overlay::Rewrite rewrite(fuzz::Input input, const net::Parsed& parsed) {
    overlay::Rewrite to{.source = address(input, parsed.is_v4()), .destination = address(input, parsed.is_v4())};
    to.source_port = input.word();
    to.destination_port = parsed.icmp == net::IcmpKind::NotIcmp ? input.word() : to.source_port;
    return to;
}

overlay::Rewrite as_it_is(const net::Parsed& parsed) {
    return {parsed.source, parsed.destination, parsed.source_port, parsed.destination_port};
}

bool has_ports(const net::Parsed& parsed) {
    return parsed.protocol == net::kProtocolTcp || parsed.protocol == net::kProtocolUdp;
}

net::Be16* field_at(std::span<std::byte> packet, std::size_t offset) {
    return net::writable_header_at<net::Be16>(packet, offset);
}

std::size_t l4_sum_offset(const net::Parsed& parsed) {
    const std::size_t within = parsed.protocol == net::kProtocolTcp   ? net::TcpHeader::kChecksumOffset
                               : parsed.protocol == net::kProtocolUdp ? net::UdpHeader::kChecksumOffset
                                                                      : net::IcmpHeader::kChecksumOffset;
    return parsed.l4_offset + within;
}

// One's complement has two zeros, and a sum that was zero may come back as the other.
Bytes without_sums(std::span<const std::byte> packet, const net::Parsed& parsed) {
    Bytes bytes(packet.begin(), packet.end());
    for (const std::size_t at : {l4_sum_offset(parsed), parsed.is_v4() ? std::size_t{10} : bytes.size()})
        if (auto* field = field_at(bytes, at)) *field = 0;
    return bytes;
}

bool is_carried_without_sum(std::span<std::byte> packet, const net::Parsed& parsed) {
    const auto* field = field_at(packet, l4_sum_offset(parsed));
    return parsed.protocol == net::kProtocolUdp && field != nullptr && field->value() == 0;
}

void check_full(fuzz::Input choices, std::span<std::byte> bytes, const net::Parsed& before) {
    Packet packet;
    packet.reset(bytes.data(), static_cast<std::uint32_t>(bytes.size()), 0);
    const Bytes original = without_sums(bytes, before);
    const unsigned residue = fuzz::l4_residue(bytes);
    const bool no_sum = is_carried_without_sum(bytes, before);
    const bool is_whole = before.fragment == net::FragmentKind::Whole;

    const auto to = rewrite(choices, before);
    auto parsed = before;
    overlay::translate(packet, parsed, to);
    const auto fresh = net::parse(bytes, packet.size);
    WEFT_CHECK(fresh.has_value(), "a translated packet that is no longer valid");
    WEFT_CHECK(fresh->source == to.source && fresh->destination == to.destination, "addresses were not rewritten");
    WEFT_CHECK(parsed.source == fresh->source && parsed.destination == fresh->destination, "`parsed` was not updated");
    WEFT_CHECK(parsed.source_port == fresh->source_port && parsed.destination_port == fresh->destination_port,
               "`parsed` has other ports than the packet");
    if (has_ports(before) && before.fragment != net::FragmentKind::Later)
        WEFT_CHECK(fresh->source_port == to.source_port && fresh->destination_port == to.destination_port, "ports");
    if (is_whole && !no_sum) WEFT_CHECK(fuzz::l4_residue(bytes) == residue, "the L4 sum was not carried over");
    if (is_whole && no_sum) WEFT_CHECK(is_carried_without_sum(bytes, *fresh), "a datagram without a sum was given one");

    overlay::translate(packet, parsed, as_it_is(before));
    WEFT_CHECK(without_sums(bytes, before) == original, "the inverse does not restore the bytes");
    if (is_whole && !no_sum) WEFT_CHECK(fuzz::l4_residue(bytes) == residue, "the inverse spoils the sum");
}

// A partial field follows the pseudo header only.
void check_partial(fuzz::Input choices, std::span<std::byte> bytes, const net::Parsed& before) {
    fuzz::mend_l4_sum(bytes, fuzz::Sum::Partial);
    Packet packet;
    packet.reset(bytes.data(), static_cast<std::uint32_t>(bytes.size()), 0);
    packet.checksum = ChecksumState::Partial;
    auto parsed = before;
    overlay::translate(packet, parsed, rewrite(choices, before));
    const unsigned expected =
        test::reference_pseudo_sum(parsed.source, parsed.destination, parsed.protocol, bytes.size() - parsed.l4_offset);
    WEFT_CHECK(field_at(bytes, l4_sum_offset(parsed))->value() % 0xFFFFU == expected % 0xFFFFU,
               "the partial sum is wrong");
}

void check_icmp_error(fuzz::Input choices, std::span<std::byte> bytes, const net::Parsed& before) {
    Packet packet;
    packet.reset(bytes.data(), static_cast<std::uint32_t>(bytes.size()), 0);
    const auto quoted = overlay::quoted_tuple(packet, before);
    if (!quoted) return;
    const unsigned residue = fuzz::l4_residue(bytes);
    const auto outer = rewrite(choices, before);
    auto parsed = before;
    overlay::Rewrite inner{quoted->destination, quoted->source, quoted->destination_port, quoted->source_port};
    overlay::translate_icmp_error(packet, parsed, outer.source, outer.destination, inner);
    const auto fresh = net::parse(bytes, packet.size);
    WEFT_CHECK(fresh && fresh->source == outer.source && fresh->destination == outer.destination, "outer addresses");
    WEFT_CHECK(fuzz::l4_residue(bytes) == residue, "the outer sum was not carried over");
    const auto now = overlay::quoted_tuple(packet, parsed);
    WEFT_CHECK(now && now->source == inner.source && now->destination == inner.destination, "quoted addresses");
}

// What is born here about this packet.
void check_answers(std::span<std::byte> bytes, const net::Parsed& parsed) {
    Packet packet;
    packet.reset(bytes.data(), static_cast<std::uint32_t>(bytes.size()), 0);
    const auto from = *net::IpAddress::parse(parsed.is_v4() ? "10.18.0.1" : "fc00::1");
    const auto check = [&](std::span<std::byte> room, std::size_t size) {
        WEFT_CHECK(size <= room.size(), "an answer larger than its room");
        if (size == 0) return;
        const auto answer = net::parse(room.first(size), static_cast<std::uint32_t>(size));
        WEFT_CHECK(answer || answer.error() == Drop::SourceSpoofed, "an answer that is no valid packet");
        if (!answer) return;
        WEFT_CHECK(answer->destination == parsed.source, "an answer to somebody else");
        WEFT_CHECK(fuzz::l4_residue(room.first(size)) == 0, "an answer with a wrong sum");
    };
    for (const std::size_t space : {overlay::kMaxIcmpError, std::size_t{60}}) {
        const fuzz::HeapBytes room{Bytes(space)};
        check(room.span(),
              overlay::make_icmp_error(room.span(), overlay::IcmpError::TooBig, 1400, packet, parsed, from));
        check(room.span(), overlay::make_tcp_reset(room.span(), packet, parsed));
    }
    if (parsed.protocol != net::kProtocolTcp || parsed.fragment != net::FragmentKind::Whole) return;
    const unsigned residue = fuzz::l4_residue(bytes);
    overlay::clamp_mss(packet, parsed, 1300);
    WEFT_CHECK(fuzz::l4_residue(bytes) == residue, "clamping the MSS spoils the sum");
}

}  // namespace

// Byte 0: bit 0 make the L4 sum right first, bit 1 partial. Then 40 bytes that name the new addresses and ports.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const unsigned choice = input.byte();
    const auto names = input.take(40);
    const fuzz::HeapBytes packet(input.rest());
    fuzz::mend(packet.span());
    if ((choice & 1) != 0) fuzz::mend_l4_sum(packet.span(), fuzz::Sum::Full);
    const auto parsed = net::parse(packet.span(), static_cast<std::uint32_t>(packet.span().size()));
    if (!parsed) return 0;

    const std::vector<std::uint8_t> choices = [&] {
        std::vector<std::uint8_t> all;
        for (const std::byte byte : names)
            all.push_back(std::to_integer<std::uint8_t>(byte));
        return all;
    }();
    const fuzz::Input named(choices.data(), choices.size());
    const bool is_echo = parsed->icmp == net::IcmpKind::EchoRequest || parsed->icmp == net::IcmpKind::EchoReply;
    check_answers(packet.span(), *parsed);
    if (parsed->icmp == net::IcmpKind::Error && parsed->fragment == net::FragmentKind::Whole)
        check_icmp_error(named, packet.span(), *parsed);
    if (!has_ports(*parsed) && !is_echo) return 0;
    if ((choice & 2) != 0 && has_ports(*parsed) && parsed->fragment == net::FragmentKind::Whole)
        return check_partial(named, packet.span(), *parsed), 0;
    check_full(named, packet.span(), *parsed);
    return 0;
}
