// SPDX-License-Identifier: Apache-2.0
#include "dataplane/net/parse.hpp"

#include <memory>
#include <random>

#include <gtest/gtest.h>

#include "dataplane/net/icmp.hpp"
#include "dataplane/net/ipv6.hpp"
#include "dataplane/net/tcp.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_check.hpp"

namespace weft::net {
namespace {

using test::Bytes;
using test::bytes_of;
using test::More;
using test::PacketBuilder;

// Every parse goes through a heap block of exactly the packet's size, so that a sanitizer sees a step outside.
std::expected<Parsed, Drop> parse_exact(std::span<const std::byte> bytes, ParseAs as = ParseAs::Packet,
                                        std::uint32_t more_in_tail = 0) {
    const auto block = std::make_unique<std::byte[]>(bytes.size());
    std::ranges::copy(bytes, block.get());
    return parse({block.get(), bytes.size()}, static_cast<std::uint32_t>(bytes.size()) + more_in_tail, as);
}

std::string_view fate(const std::expected<Parsed, Drop>& parsed) {
    return parsed ? "parsed" : drop_name(parsed.error());
}

PacketBuilder v4() {
    return PacketBuilder().ipv4("10.18.0.2", "10.30.0.10");
}
PacketBuilder v6() {
    return PacketBuilder().ipv6("fc00::2", "fdff::10");
}

void set16(Bytes& bytes, std::size_t at, unsigned value) {
    bytes.at(at) = std::byte(value >> 8 & 0xFF);
    bytes.at(at + 1) = std::byte(value & 0xFF);
}

// After a change in the IPv4 header: only that change is to be seen.
Bytes with_ipv4_sum(Bytes bytes) {
    set16(bytes, 10, 0);
    std::uint32_t total = 0;
    const std::size_t size =
        std::min<std::size_t>(4 * std::to_integer<std::size_t>(bytes[0] & std::byte{0x0F}), bytes.size());
    for (std::size_t i = 0; i + 1 < size; i += 2) {
        total += std::to_integer<unsigned>(bytes[i]) << 8 | std::to_integer<unsigned>(bytes[i + 1]);
    }
    while (total > 0xFFFF)
        total = (total & 0xFFFF) + (total >> 16);
    set16(bytes, 10, ~total & 0xFFFF);
    return bytes;
}

TEST(Parse, ReadsAnIpv4TcpPacket) {
    const auto bytes = v4().tcp(40000, 80).flags(kTcpSyn).mss(1460).ttl(63).tos(0xB9).id(4711).df().payload(10).build();
    const auto parsed = parse_exact(bytes);
    ASSERT_TRUE(parsed) << fate(parsed);
    EXPECT_EQ(parsed->version, 4);
    EXPECT_EQ(parsed->source.to_string(), "10.18.0.2");
    EXPECT_EQ(parsed->destination.to_string(), "10.30.0.10");
    EXPECT_EQ(parsed->source_port, 40000);
    EXPECT_EQ(parsed->destination_port, 80);
    EXPECT_EQ(parsed->protocol, kProtocolTcp);
    EXPECT_EQ(parsed->tcp_flags, kTcpSyn);
    EXPECT_EQ(parsed->total_length, 54U);
    EXPECT_EQ(parsed->l4_offset, 20);
    EXPECT_EQ(parsed->payload_offset, 44);
    EXPECT_EQ(parsed->tos, 0xB9);
    EXPECT_EQ(parsed->ttl, 63);
    EXPECT_EQ(parsed->fragment_id, 4711U);
    EXPECT_TRUE(parsed->dont_fragment);
    EXPECT_EQ(parsed->fragment, FragmentKind::Whole);
    EXPECT_EQ(parsed->icmp, IcmpKind::NotIcmp);
}

TEST(Parse, ReadsAnIpv6UdpPacket) {
    const auto parsed = parse_exact(v6().udp(65535, 53).ttl(7).tos(0x2E).payload(0).build());
    ASSERT_TRUE(parsed) << fate(parsed);
    EXPECT_EQ(parsed->version, 6);
    EXPECT_EQ(parsed->source.to_string(), "fc00::2");
    EXPECT_EQ(parsed->destination.to_string(), "fdff::10");
    EXPECT_EQ(parsed->source_port, 65535);
    EXPECT_EQ(parsed->destination_port, 53);
    EXPECT_EQ(parsed->total_length, 48U);
    EXPECT_EQ(parsed->l4_offset, 40);
    EXPECT_EQ(parsed->payload_offset, 48);
    EXPECT_EQ(parsed->tos, 0x2E);
    EXPECT_EQ(parsed->ttl, 7);
    EXPECT_TRUE(parsed->dont_fragment);
    EXPECT_EQ(parsed->fragment_header, 0);
}

TEST(Parse, SkipsIpv4OptionsUpToTheLargestHeader) {
    for (std::size_t size = 0; size <= 40; size += 4) {
        const auto parsed = parse_exact(v4().ipv4_options(Bytes(size, std::byte{1})).udp(1, 2).payload(3).build());
        ASSERT_TRUE(parsed) << fate(parsed);
        EXPECT_EQ(parsed->l4_offset, 20 + size);
        EXPECT_EQ(parsed->destination_port, 2);
    }
}

TEST(Parse, TellsIcmpKindsApart) {
    struct Case {
        bool is_v4;
        std::uint8_t type;
        IcmpKind kind;
    };
    const Case cases[] = {
        {true, 0, IcmpKind::EchoReply},      {true, 8, IcmpKind::EchoRequest},  {true, 3, IcmpKind::Error},
        {true, 11, IcmpKind::Error},         {true, 12, IcmpKind::Error},       {true, 4, IcmpKind::Other},
        {true, 5, IcmpKind::Other},          {true, 13, IcmpKind::Other},       {true, 128, IcmpKind::Other},
        {false, 128, IcmpKind::EchoRequest}, {false, 129, IcmpKind::EchoReply}, {false, 0, IcmpKind::Other},
        {false, 1, IcmpKind::Error},         {false, 2, IcmpKind::Error},       {false, 3, IcmpKind::Error},
        {false, 4, IcmpKind::Error},         {false, 5, IcmpKind::Other},       {false, 8, IcmpKind::Other},
        {false, 134, IcmpKind::Other},       {false, 137, IcmpKind::Other},
    };
    for (const auto& c : cases) {
        const auto parsed = parse_exact((c.is_v4 ? v4() : v6()).icmp(c.type, 0, 0x12345678).payload(40).build());
        ASSERT_TRUE(parsed) << fate(parsed);
        EXPECT_EQ(parsed->icmp, c.kind) << "v" << int{parsed->version} << " type " << int{c.type};
        EXPECT_EQ(parsed->icmp_type, c.type);
        const bool is_echo = c.kind == IcmpKind::EchoRequest || c.kind == IcmpKind::EchoReply;
        EXPECT_EQ(parsed->source_port, is_echo ? 0x1234 : 0);
        EXPECT_EQ(parsed->destination_port, is_echo ? 0x1234 : 0);
    }
}

TEST(Parse, LeavesOtherProtocolsWithoutPorts) {
    const auto sctp = parse_exact(v4().protocol(132).payload(20).build());
    ASSERT_TRUE(sctp);
    EXPECT_EQ(sctp->source_port, 0);
    EXPECT_EQ(sctp->protocol, 132);
    for (const std::uint8_t other :
         {kNextAuthentication, kNextNone, std::uint8_t{50}, kProtocolIcmp, std::uint8_t{253}}) {
        const auto parsed = parse_exact(v6().protocol(other).payload(24).build());
        ASSERT_TRUE(parsed) << fate(parsed);
        EXPECT_EQ(parsed->protocol, other);
        EXPECT_EQ(parsed->source_port, 0);
        EXPECT_EQ(parsed->icmp, IcmpKind::NotIcmp);
        EXPECT_EQ(parsed->l4_offset, 40);
    }
    // ICMPv6 inside IPv4 is no ICMP of ours.
    const auto crossed =
        parse_exact(v4().protocol(kProtocolIcmp6).payload(bytes_of({128, 0, 0, 0, 1, 1, 1, 1})).build());
    ASSERT_TRUE(crossed);
    EXPECT_EQ(crossed->icmp, IcmpKind::NotIcmp);
}

TEST(Parse, WalksIpv6ExtensionHeaders) {
    const auto bytes =
        v6().extension(kNextHopByHop).extension(kNextDestination, Bytes(14)).extension(kNextRouting).tcp(1, 2).build();
    const auto parsed = parse_exact(bytes);
    ASSERT_TRUE(parsed) << fate(parsed);
    EXPECT_EQ(parsed->protocol, kProtocolTcp);
    EXPECT_EQ(parsed->l4_offset, 40 + 8 + 16 + 8);
    EXPECT_EQ(parsed->source_port, 1);
}

TEST(Parse, DoesNotLookBehindAnUnfinishedRoute) {
    const auto parsed = parse_exact(v6().extension(kNextRouting, bytes_of({0, 1, 0, 0, 0, 0})).tcp(1, 2).build());
    ASSERT_TRUE(parsed) << fate(parsed);
    EXPECT_EQ(parsed->protocol, kNextRouting);
    EXPECT_EQ(parsed->source_port, 0);
}

TEST(Parse, BoundsTheExtensionChain) {
    auto chain_of = [](std::size_t count, std::size_t body) {
        PacketBuilder builder = v6();
        for (std::size_t i = 0; i < count; ++i)
            builder.extension(kNextDestination, Bytes(body));
        return parse_exact(builder.udp(1, 2).build());
    };
    EXPECT_EQ(fate(chain_of(8, 6)), "parsed");
    EXPECT_EQ(fate(chain_of(9, 6)), "bad_header");
    EXPECT_EQ(fate(chain_of(1, 254)), "parsed");
    EXPECT_EQ(fate(chain_of(1, 262)), "bad_header");
    EXPECT_EQ(fate(chain_of(8, 30)), "parsed");
    EXPECT_EQ(fate(chain_of(8, 38)), "bad_header");
    EXPECT_EQ(fate(parse_exact(v6().extension(kNextDestination).extension(kNextHopByHop).udp(1, 2).build())),
              "bad_header");
}

TEST(Parse, ReadsFragments) {
    for (const bool is_v4 : {true, false}) {
        const auto whole = (is_v4 ? v4() : v6()).udp(5000, 53).payload(100).build();
        const auto pieces = test::fragments(whole, 40, 0x1234);
        ASSERT_EQ(pieces.size(), 3U);
        const std::size_t l4 = is_v4 ? 20 : 48;
        const auto first = parse_exact(pieces[0]), middle = parse_exact(pieces[1]), last = parse_exact(pieces[2]);
        ASSERT_TRUE(first && middle && last) << fate(first) << " " << fate(middle) << " " << fate(last);
        EXPECT_EQ(first->fragment, FragmentKind::First);
        EXPECT_EQ(first->destination_port, 53);
        EXPECT_EQ(first->fragment_id, 0x1234U);
        EXPECT_TRUE(first->more_fragments);
        EXPECT_EQ(first->fragment_header, is_v4 ? 0 : 40);
        EXPECT_EQ(middle->fragment, FragmentKind::Later);
        EXPECT_EQ(middle->fragment_offset, 40U);
        EXPECT_TRUE(middle->more_fragments);
        EXPECT_EQ(middle->destination_port, 0);
        EXPECT_EQ(middle->l4_offset, l4);
        EXPECT_EQ(middle->payload_offset, l4);
        EXPECT_EQ(middle->protocol, kProtocolUdp);
        EXPECT_EQ(last->fragment_offset, 80U);
        EXPECT_FALSE(last->more_fragments);
    }
}

TEST(Parse, TakesAnAtomicIpv6FragmentAsWhole) {
    auto bytes = v6().fragment(0, More::Yes).id(99).udp(1, 2).payload(8).build();
    set16(bytes, 42, 0);  // offset 0, no more
    const auto parsed = parse_exact(bytes);
    ASSERT_TRUE(parsed) << fate(parsed);
    EXPECT_EQ(parsed->fragment, FragmentKind::Whole);
    EXPECT_EQ(parsed->fragment_header, 40);
    EXPECT_EQ(parsed->destination_port, 2);
}

TEST(Parse, RefusesFragmentsThatNoHonestStackSends) {
    struct Case {
        const char* what;
        Bytes bytes;
        std::string_view expected;
    };
    const Case cases[] = {
        {"last byte at 65535", v4().fragment(65504, More::No).udp(1, 2).payload(11).build(), "parsed"},
        {"past 65535", v4().fragment(65504, More::No).udp(1, 2).payload(12).build(), "fragment"},
        {"IPv6 last byte at 65535", v6().fragment(65528, More::No).udp(1, 2).payload(7).build(), "parsed"},
        {"IPv6 past 65535", v6().fragment(65528, More::No).udp(1, 2).payload(8).build(), "fragment"},
        {"IPv6 past 65535 with options before",
         v6().extension(kNextDestination).fragment(65528, More::No).udp(1, 2).payload(1).build(), "fragment"},
        {"TCP header cut", v4().fragment(0, More::Yes).protocol(kProtocolTcp).payload(16).build(), "fragment"},
        {"TCP options cut",
         v4().fragment(0, More::Yes)
             .protocol(kProtocolTcp)
             .payload(bytes_of({0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1}))
             .build(),
         "fragment"},
        {"UDP header cut", v6().fragment(0, More::Yes).protocol(kProtocolUdp).payload(0).build(), "fragment"},
        {"inside the TCP header", v4().fragment(8, More::No).tcp(1, 2).payload(40).build(), "fragment"},
        {"inside the TCP header", v6().fragment(16, More::No).tcp(1, 2).payload(40).build(), "fragment"},
        {"behind the TCP header", v4().fragment(24, More::No).tcp(1, 2).payload(40).build(), "parsed"},
        {"odd length with more to come", v4().fragment(8, More::Yes).udp(1, 2).payload(12).build(), "fragment"},
        {"nothing in it", v4().fragment(800, More::Yes).udp(1, 2).payload(0).build(), "fragment"},
        {"two fragment headers",
         v6().extension(kNextFragment, Bytes(6)).fragment(0, More::Yes).udp(1, 2).payload(8).build(), "bad_header"},
    };
    for (const auto& c : cases)
        EXPECT_EQ(fate(parse_exact(c.bytes)), c.expected) << c.what;
}

TEST(Parse, RefusesSourcesThatNobodyMayUse) {
    for (const char* source : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "224.0.0.1", "239.1.1.1",
                               "240.0.0.1", "255.255.255.255"}) {
        EXPECT_EQ(fate(parse_exact(PacketBuilder().ipv4(source, "10.30.0.10").udp(1, 2).build())), "source_spoofed")
            << source;
    }
    for (const char* source : {"1.0.0.0", "126.255.255.255", "128.0.0.1", "223.255.255.255", "10.18.0.2"}) {
        EXPECT_EQ(fate(parse_exact(PacketBuilder().ipv4(source, "10.30.0.10").udp(1, 2).build())), "parsed") << source;
    }
    for (const char* source : {"::", "::1", "fe80::1", "febf::1", "ff00::1", "ff02::1", "::ffff:10.18.0.2"}) {
        EXPECT_EQ(fate(parse_exact(PacketBuilder().ipv6(source, "fdff::10").udp(1, 2).build())), "source_spoofed")
            << source;
    }
    for (const char* source :
         {"::2", "::1:1", "::100", "fec0::1", "fe7f::1", "fc00::2", "2001:db8::1", "1::ffff:a12:2"}) {
        EXPECT_EQ(fate(parse_exact(PacketBuilder().ipv6(source, "fdff::10").udp(1, 2).build())), "parsed") << source;
    }
}

TEST(Parse, NamesWhatIsWrong) {
    const auto tcp4 = v4().tcp(1, 2).payload(4).build();
    const auto udp4 = v4().udp(1, 2).payload(4).build();
    const auto udp6 = v6().udp(1, 2).payload(4).build();
    auto changed = [](Bytes bytes, std::size_t at, unsigned value) {
        bytes.at(at) = std::byte(value);
        return bytes;
    };
    auto longer = [](Bytes bytes) {
        bytes.push_back(std::byte{0});
        return bytes;
    };
    struct Case {
        const char* what;
        Bytes bytes;
        std::string_view expected;
    };
    const Case cases[] = {
        {"nothing", {}, "truncated"},
        {"version 0", changed(tcp4, 0, 0x05), "not_ip"},
        {"version 5", changed(tcp4, 0, 0x55), "not_ip"},
        {"header of 16 bytes", changed(tcp4, 0, 0x44), "bad_header"},
        {"total length within the header", with_ipv4_sum(changed(tcp4, 3, 19)), "bad_header"},
        {"bytes behind the end", longer(tcp4), "bad_header"},
        {"bytes behind the end, IPv6", longer(udp6), "bad_header"},
        {"a jumbogram's length", changed(udp6, 5, 0), "bad_header"},
        {"says more than there is", with_ipv4_sum(changed(tcp4, 3, 45)), "truncated"},
        {"says more than there is, IPv6", changed(udp6, 5, 13), "truncated"},
        {"a flipped bit in the IPv4 header", changed(tcp4, 8, 63), "bad_checksum"},
        {"TCP header of 16 bytes", changed(tcp4, 32, 0x40), "bad_header"},
        {"TCP header longer than the packet", changed(tcp4, 32, 0x70), "truncated"},
        {"UDP length of 7", changed(udp4, 25, 7), "bad_header"},
        {"UDP length beyond the packet", changed(udp4, 25, 13), "truncated"},
        {"UDP length short of the packet", changed(udp4, 25, 9), "parsed"},
    };
    for (const auto& c : cases)
        EXPECT_EQ(fate(parse_exact(c.bytes)), c.expected) << c.what;
}

// With the IP length saying so, and without: a packet cut anywhere is never taken for whole.
TEST(Parse, CutAtEveryLengthIsTruncated) {
    const Bytes packets[] = {
        v4().tcp(1, 2).flags(kTcpSyn).mss(1460).ipv4_options(Bytes(8, std::byte{1})).build(),
        v4().udp(1, 2).build(),
        v4().icmp_echo(1, 2).build(),
        v6().tcp(1, 2).flags(kTcpSyn).mss(1460).build(),
        v6().extension(kNextHopByHop).extension(kNextDestination, Bytes(20)).udp(1, 2).build(),
        v6().icmp_echo(1, 2).build(),
    };
    for (const auto& whole : packets) {
        ASSERT_EQ(fate(parse_exact(whole)), "parsed");
        for (std::size_t size = 0; size < whole.size(); ++size) {
            Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
            EXPECT_EQ(fate(parse_exact(cut)), "truncated") << test::describe(whole) << " cut to " << size;
            const auto rest = static_cast<std::uint32_t>(whole.size() - size);
            EXPECT_EQ(fate(parse_exact(cut, ParseAs::Packet, rest)), "truncated") << "head of " << size;
            EXPECT_FALSE(parse_exact(cut, ParseAs::Superpacket, rest)) << "head of " << size;

            const bool is_v4 = (whole[0] & std::byte{0xF0}) == std::byte{0x40};
            const std::size_t ip_size = is_v4 ? 4 * std::to_integer<std::size_t>(whole[0] & std::byte{0x0F}) : 40;
            if (size < ip_size) continue;
            set16(cut, is_v4 ? 2 : 4, static_cast<unsigned>(is_v4 ? size : size - 40));
            EXPECT_EQ(fate(parse_exact(is_v4 ? with_ipv4_sum(cut) : cut)), "truncated") << "rewritten to " << size;
        }
    }
}

TEST(Parse, BelievesASuperpacketsSizeOverItsLengthFields) {
    for (const bool is_v4 : {true, false}) {
        for (const unsigned claimed : {0U, 60U, 65535U}) {
            auto bytes = (is_v4 ? v4() : v6()).tcp(1, 2).payload(5000).build();
            set16(bytes, is_v4 ? 2 : 4, claimed);
            if (is_v4) bytes = with_ipv4_sum(bytes);
            const auto parsed = parse_exact(std::span(bytes).first(200), ParseAs::Superpacket,
                                            static_cast<std::uint32_t>(bytes.size() - 200));
            ASSERT_TRUE(parsed) << fate(parsed);
            EXPECT_EQ(parsed->total_length, bytes.size());
            EXPECT_EQ(parsed->destination_port, 2);
        }
        auto udp = (is_v4 ? v4() : v6()).udp(1, 2).payload(5000).build();
        set16(udp, is_v4 ? 24 : 44, 0);
        EXPECT_EQ(fate(parse_exact(udp, ParseAs::Superpacket)), "parsed");
    }
}

TEST(Parse, RefusesSuperpacketsThatCannotBeCut) {
    EXPECT_EQ(fate(parse_exact(v4().icmp_echo(1, 2).payload(3000).build(), ParseAs::Superpacket)), "bad_header");
    EXPECT_EQ(fate(parse_exact(v6().protocol(132).payload(3000).build(), ParseAs::Superpacket)), "bad_header");
    EXPECT_EQ(fate(parse_exact(v4().fragment(0, More::Yes).udp(1, 2).payload(3000).build(), ParseAs::Superpacket)),
              "bad_header");
    auto broken = v4().tcp(1, 2).payload(3000).build();
    broken[8] = std::byte{1};
    EXPECT_EQ(fate(parse_exact(broken, ParseAs::Superpacket)), "bad_checksum");
}

TEST(Parse, ReadsPortsOfAQuoteFromItsFirstEightBytes) {
    for (const bool is_v4 : {true, false}) {
        const auto base = is_v4 ? v4() : v6();
        const std::size_t l4 = is_v4 ? 20 : 40;
        for (const auto& whole : {PacketBuilder(base).tcp(1, 2).mss(1460).payload(50).build(),
                                  PacketBuilder(base).udp(1, 2).payload(70).build(),
                                  PacketBuilder(base).icmp_echo(1, 2).payload(70).build()}) {
            for (std::size_t size = 0; size <= whole.size(); ++size) {
                const auto parsed = parse_exact(std::span(whole).first(size), ParseAs::Quoted);
                if (size < l4 + 8) {
                    EXPECT_EQ(fate(parsed), "truncated") << size;
                    continue;
                }
                ASSERT_TRUE(parsed) << fate(parsed) << " at " << size;
                EXPECT_EQ(parsed->source_port, 1);
                EXPECT_EQ(parsed->total_length, whole.size());
                EXPECT_LE(parsed->payload_offset, size);
            }
        }
    }
}

TEST(Parse, DoesNotCheckSumsAndSourcesOfAQuote) {
    auto bytes = PacketBuilder().ipv4("127.0.0.1", "10.30.0.10").udp(1, 2).payload(8).build();
    bytes[8] = std::byte{1};
    EXPECT_EQ(fate(parse_exact(bytes, ParseAs::Quoted)), "parsed");
}

TEST(Parse, RandomBytesNeverLeadOutside) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const Bytes seeds[] = {
        v4().tcp(1, 2).mss(1460).payload(60).build(),
        v4().icmp_error(3, 3, v4().udp(1, 2).payload(20).build()).build(),
        v6().extension(kNextHopByHop).extension(kNextDestination).udp(1, 2).payload(60).build(),
        v6().fragment(0, More::Yes).tcp(1, 2).payload(64).build(),
    };
    int accepted = 0;
    for (int round = 0; round < 300000; ++round) {
        Bytes bytes = seeds[random() % std::size(seeds)];
        for (auto flips = random() % 6; flips > 0; --flips)
            bytes[random() % bytes.size()] = std::byte(random() & 0xFF);
        if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 1));
        if (random() % 2 == 0 && bytes.size() >= 20 && (bytes[0] & std::byte{0xF0}) == std::byte{0x40})
            bytes = with_ipv4_sum(bytes);
        const ParseAs as = std::array{ParseAs::Packet, ParseAs::Superpacket, ParseAs::Quoted}[random() % 3];
        const auto more = random() % 2 == 0 ? 0U : static_cast<std::uint32_t>(random() % 70000);
        const auto parsed = parse_exact(bytes, as, more);
        if (!parsed) continue;
        ++accepted;
        ASSERT_LE(parsed->l4_offset, bytes.size());
        ASSERT_LE(parsed->l4_offset, parsed->payload_offset);
        ASSERT_LE(parsed->payload_offset, bytes.size());
        ASSERT_TRUE(parsed->version == 4 || parsed->version == 6);
    }
    EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace weft::net
