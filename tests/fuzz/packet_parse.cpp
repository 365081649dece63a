// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a packet: offsets lie in bounds, nothing outside the head is read, the answer depends on the bytes only,
// and a packet built anew from what the parser found is found the same.
#include "dataplane/base/check.hpp"
#include "dataplane/net/parse.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/mend.hpp"
#include "tests/support/packet_builder.hpp"

namespace {

using namespace weft;

void check_bounds(const net::Parsed& parsed, std::span<const std::byte> head, std::uint32_t total, net::ParseAs as) {
    WEFT_CHECK(parsed.version == 4 || parsed.version == 6, "no such version");
    WEFT_CHECK(parsed.l4_offset >= (parsed.is_v4() ? 20 : 40), "L4 begins inside the IP header");
    WEFT_CHECK(parsed.l4_offset <= head.size(), "L4 begins behind the head");
    WEFT_CHECK(parsed.payload_offset >= parsed.l4_offset && parsed.payload_offset <= head.size(),
               "payload out of bounds");
    WEFT_CHECK(parsed.fragment_header == 0 || parsed.fragment_header + 8U <= parsed.l4_offset, "fragment header");
    WEFT_CHECK(as == net::ParseAs::Quoted || parsed.total_length == total, "a length that was not checked");
    WEFT_CHECK(parsed.source.version() == parsed.version && parsed.destination.version() == parsed.version, "families");
    WEFT_CHECK(parsed.fragment != net::FragmentKind::Later || (parsed.source_port | parsed.destination_port) == 0,
               "ports where there are none");
    WEFT_CHECK((parsed.fragment == net::FragmentKind::Whole) == (parsed.fragment_offset == 0 && !parsed.more_fragments),
               "kind of fragment");
    if (as == net::ParseAs::Packet)
        WEFT_CHECK(parsed.fragment_offset + (total - parsed.l4_offset) <= 65535, "a fragment beyond any packet");
}

bool same(const net::Parsed& a, const net::Parsed& b) {
    return a.source == b.source && a.destination == b.destination && a.source_port == b.source_port &&
           a.destination_port == b.destination_port && a.protocol == b.protocol && a.tos == b.tos && a.ttl == b.ttl &&
           a.tcp_flags == b.tcp_flags && a.total_length == b.total_length && a.l4_offset == b.l4_offset &&
           a.payload_offset == b.payload_offset && a.dont_fragment == b.dont_fragment && a.icmp == b.icmp;
}

// parse(serialise(x)) == x, for what the builder can say.
void check_round_trip(const net::Parsed& parsed, std::size_t payload) {
    const bool is_tcp = parsed.protocol == net::kProtocolTcp;
    if ((!is_tcp && parsed.protocol != net::kProtocolUdp) || parsed.fragment != net::FragmentKind::Whole) return;
    test::PacketBuilder builder;
    builder.ip(parsed.source, parsed.destination).ttl(parsed.ttl).tos(parsed.tos).df(parsed.dont_fragment);
    if (is_tcp) {
        builder.tcp(parsed.source_port, parsed.destination_port).flags(parsed.tcp_flags);
    } else {
        builder.udp(parsed.source_port, parsed.destination_port);
    }
    const auto bytes = builder.payload(payload).build();
    auto expected = parsed;
    expected.l4_offset = parsed.is_v4() ? 20 : 40;
    expected.payload_offset = static_cast<std::uint16_t>(expected.l4_offset + (is_tcp ? 20 : 8));
    expected.total_length = static_cast<std::uint32_t>(bytes.size());
    const auto again = net::parse(bytes, expected.total_length);
    WEFT_CHECK(again && same(*again, expected), "a packet built from what was parsed is parsed otherwise");
}

}  // namespace

// Byte 0: bits 0-1 how to parse, bit 2 mend lengths and sums first, bit 3 a part lies in the tail (byte 1 says how
// much).
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const unsigned choice = input.byte();
    const std::size_t in_tail = input.byte();
    const auto as = static_cast<net::ParseAs>((choice & 3) % 3);
    const fuzz::HeapBytes whole(input.rest());
    if ((choice & 4) != 0) fuzz::mend(whole.span());

    const auto total = static_cast<std::uint32_t>(whole.span().size());
    const std::size_t cut = (choice & 8) != 0 ? std::min(in_tail * 8, whole.span().size()) : 0;
    const fuzz::HeapBytes head(whole.span().first(whole.span().size() - cut));
    const auto parsed = net::parse(head.span(), total, as);
    const auto again = net::parse(head.span(), total, as);
    WEFT_CHECK(parsed.has_value() == again.has_value(), "two answers for one packet");
    if (!parsed) {
        WEFT_CHECK(parsed.error() == again.error(), "two reasons for one packet");
        return 0;
    }
    WEFT_CHECK(same(*parsed, *again), "two readings of one packet");
    check_bounds(*parsed, head.span(), total, as);
    if (as == net::ParseAs::Packet) check_round_trip(*parsed, total - parsed->payload_offset);
    return 0;
}
