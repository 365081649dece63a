// SPDX-License-Identifier: Apache-2.0
// The oracle is the builder: a packet translated must equal, byte for byte, the packet built with the new addresses and
// ports, whose sums are computed anew by the reference checksum.
#include "overlay/translate.hpp"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/net/icmp.hpp"
#include "dataplane/net/ipv6.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_check.hpp"

namespace weft::overlay {
namespace {

using net::IpAddress;
using test::Bytes;
using test::bytes_of;
using test::describe;
using test::kAck;
using test::kFin;
using test::kSyn;
using test::PacketBuilder;
using test::TestPacket;

Rewrite rewrite(const char* source, std::uint16_t source_port, const char* destination,
                std::uint16_t destination_port) {
    return {*IpAddress::parse(source), *IpAddress::parse(destination), source_port, destination_port};
}

// What a packet is, but for where it comes from and goes to.
enum class Kind { Tcp, Udp, UdpWithoutSum, EchoRequest, EchoReply };
constexpr Kind kKinds[] = {Kind::Tcp, Kind::Udp, Kind::UdpWithoutSum, Kind::EchoRequest, Kind::EchoReply};

bool is_echo(Kind kind) {
    return kind == Kind::EchoRequest || kind == Kind::EchoReply;
}

PacketBuilder build_as(Kind kind, const Rewrite& ends, PacketBuilder base = {}) {
    base.ip(ends.source, ends.destination);
    switch (kind) {
        case Kind::Tcp:
            return base.tcp(ends.source_port, ends.destination_port);
        case Kind::Udp:
            return base.udp(ends.source_port, ends.destination_port);
        case Kind::UdpWithoutSum:
            return base.udp(ends.source_port, ends.destination_port).no_udp_checksum();
        case Kind::EchoRequest:
            return base.icmp_echo(ends.source_port, 3);
        case Kind::EchoReply:
            return base.icmp_echo_reply(ends.destination_port, 3);
    }
    return base;
}

class Translate : public testing::Test {
  protected:
    void SetUp() override {
        const auto seed = std::random_device{}();
        trace_.emplace(__FILE__, __LINE__, "seed " + std::to_string(seed));
        random_.seed(seed);
    }
    std::size_t below(std::size_t bound) { return random_() % bound; }
    bool coin() { return below(2) == 0; }

    // Often at the edges, where one's complement arithmetic goes wrong.
    std::uint16_t port() {
        const std::uint16_t edges[] = {0, 1, 0x00FF, 0xFF00, 0xFFFE, 0xFFFF};
        return coin() ? edges[below(std::size(edges))] : static_cast<std::uint16_t>(random_());
    }
    IpAddress address(bool is_v4) {
        std::array<std::uint8_t, 16> raw{};
        const auto kind = below(4);
        for (auto& byte : raw)
            byte = kind == 0 ? 0x00 : kind == 1 ? 0xFF : static_cast<std::uint8_t>(random_());
        raw[0] = is_v4 ? 10 : 0xFD;  // some source that may be used
        return is_v4 ? IpAddress::v4_from(raw.data()) : IpAddress::v6_from(raw.data());
    }
    Rewrite ends(bool is_v4, Kind kind) {
        Rewrite made{address(is_v4), address(is_v4), port(), port()};
        if (overlay::is_echo(kind)) made.destination_port = made.source_port;
        return made;
    }
    Bytes payload(std::size_t below_size) {
        Bytes bytes(below(below_size));
        const auto kind = below(3);
        for (auto& byte : bytes)
            byte = kind == 0 ? std::byte{0} : kind == 1 ? std::byte{0xFF} : std::byte(random_() & 0xFF);
        return bytes;
    }

    std::mt19937_64 random_;
    std::optional<testing::ScopedTrace> trace_;
};

TEST_F(Translate, EqualsThePacketBuiltAnew) {
    for (int round = 0; round < 200000; ++round) {
        const bool is_v4 = coin();
        const Kind kind = kKinds[below(std::size(kKinds))];
        const Rewrite from = ends(is_v4, kind), to = ends(is_v4, kind);
        PacketBuilder base;
        base.payload(payload(48))
            .ttl(1 + static_cast<unsigned>(below(255)))
            .id(static_cast<std::uint32_t>(random_()) & 0xFFFF);
        if (coin() && !is_echo(kind) && kind != Kind::UdpWithoutSum) base.partial_checksum();
        if (is_v4 && below(8) == 0) base.ipv4_options(Bytes(4 * below(11), std::byte{1}));
        if (!is_v4 && below(8) == 0) base.extension(net::kNextDestination, Bytes(below(30)));

        const Bytes before = build_as(kind, from, base).build();
        TestPacket packet = build_as(kind, from, base).packet();
        auto parsed = packet.parse();
        ASSERT_TRUE(parsed);
        translate(packet.packet(), *parsed, to);
        ASSERT_EQ(packet.bytes(), build_as(kind, to, base).build())
            << describe(before) << " became " << describe(packet.bytes());

        const auto again = packet.parse();
        ASSERT_TRUE(again);
        ASSERT_EQ(parsed->source, again->source);
        ASSERT_EQ(parsed->destination, again->destination);
        ASSERT_EQ(parsed->source_port, again->source_port);
        ASSERT_EQ(parsed->destination_port, again->destination_port);

        translate(packet.packet(), *parsed, from);
        ASSERT_EQ(packet.bytes(), before) << "the way back from " << describe(build_as(kind, to, base).build());
    }
}

// Every value of a port passes every value of the sum, the two zeros among them.
TEST_F(Translate, KeepsTheZeroRulesForEverySum) {
    for (const Kind kind : {Kind::Tcp, Kind::Udp, Kind::UdpWithoutSum, Kind::EchoRequest}) {
        for (const bool is_v4 : {true, false}) {
            const Rewrite from = ends(is_v4, kind);
            int zeros = 0;
            for (unsigned value = 0; value <= 0xFFFF; ++value) {
                Rewrite to = from;
                to.source_port = static_cast<std::uint16_t>(value);
                if (is_echo(kind)) to.destination_port = to.source_port;
                TestPacket packet = build_as(kind, from).packet();
                auto parsed = packet.parse();
                translate(packet.packet(), *parsed, to);
                const Bytes after = packet.bytes();
                ASSERT_EQ(after, build_as(kind, to).build()) << describe(after);
                const std::size_t sum = kind == Kind::Tcp ? 16 : is_echo(kind) ? 2 : 6;
                if (after[parsed->l4_offset + sum] == std::byte{0} &&
                    after[parsed->l4_offset + sum + 1] == std::byte{0})
                    ++zeros;
            }
            EXPECT_EQ(zeros > 0, kind != Kind::Udp) << "a UDP sum never becomes none";
        }
    }
}

TEST_F(Translate, GivesAnEmptyEchoReplyTheSumOfNothing) {
    const auto from = rewrite("10.30.0.10", 5, "10.18.0.2", 5), to = rewrite("10.30.0.11", 0, "10.18.0.2", 0);
    for (const std::size_t size : {0, 1, 8, 200}) {
        const PacketBuilder base = PacketBuilder().payload(Bytes(size));
        auto of = [&](const Rewrite& ends) {
            return PacketBuilder(base).ip(ends.source, ends.destination).icmp_echo_reply(ends.source_port, 0);
        };
        TestPacket packet = of(from).packet();
        packet.split(28, 64);
        auto parsed = packet.parse();
        translate(packet.packet(), *parsed, to);
        EXPECT_EQ(packet.bytes(), of(to).build());
        translate(packet.packet(), *parsed, from);
        EXPECT_EQ(packet.bytes(), of(from).build());
    }
}

TEST_F(Translate, LeavesPortsOutOfAPartialSum) {
    TestPacket packet =
        PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").tcp(40000, 80).payload(1000).partial_checksum().packet();
    auto parsed = packet.parse();
    const Bytes before = packet.bytes();
    translate(packet.packet(), *parsed, rewrite("10.18.0.2", 50000, "10.30.0.10", 8080));
    const Bytes after = packet.bytes();
    EXPECT_EQ(before[36], after[36]);
    EXPECT_EQ(before[37], after[37]);
    EXPECT_THAT(after, test::To("10.30.0.10:8080", ChecksumState::Partial));
}

TEST_F(Translate, TouchesOnlyTheHeadersOfASuperpacket) {
    for (const bool is_v4 : {true, false}) {
        for (const Kind kind : {Kind::Tcp, Kind::Udp}) {
            const Rewrite from = ends(is_v4, kind), to = ends(is_v4, kind);
            const PacketBuilder base = PacketBuilder().payload(60000).partial_checksum().gso(1388);
            TestPacket packet = build_as(kind, from, base).packet();
            packet.split(packet.parse()->payload_offset, 1388);
            auto parsed = packet.parse();
            ASSERT_TRUE(parsed);
            translate(packet.packet(), *parsed, to);
            EXPECT_EQ(packet.bytes(), build_as(kind, to, base).build());
            EXPECT_EQ(packet.packet().segments, 44);
        }
    }
}

TEST_F(Translate, FragmentsAddUpToTheTranslatedPacket) {
    for (int round = 0; round < 2000; ++round) {
        const bool is_v4 = coin();
        const Kind kind = kKinds[below(std::size(kKinds))];
        const Rewrite from = ends(is_v4, kind), to = ends(is_v4, kind);
        const PacketBuilder base = PacketBuilder().payload(100 + below(400));
        const std::size_t piece = 64 + 8 * below(20);
        const auto pieces = test::fragments(build_as(kind, from, base).build(), piece);
        const auto expected = test::fragments(build_as(kind, to, base).build(), piece);
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            TestPacket packet(pieces[i]);
            auto parsed = packet.parse();
            ASSERT_TRUE(parsed);
            translate(packet.packet(), *parsed, to);
            ASSERT_EQ(packet.bytes(), expected[i]) << "piece " << i << ": " << describe(pieces[i]);
            ASSERT_TRUE(i == 0 || parsed->source_port == 0) << "a later fragment has no ports";
        }
    }
}

TEST_F(Translate, GivesOtherProtocolsNewAddressesOnly) {
    auto of = [](const char* source, const char* destination) {
        return PacketBuilder().ipv4(source, destination).protocol(132).payload(40);
    };
    TestPacket packet = of("10.18.0.2", "10.30.0.10").packet();
    auto parsed = packet.parse();
    translate(packet.packet(), *parsed, rewrite("10.18.0.2", 1, "10.18.1.3", 2));
    EXPECT_EQ(packet.bytes(), of("10.18.0.2", "10.18.1.3").build());
    EXPECT_EQ(parsed->source_port, 0);
}

// ICMP errors: outer and quoted addresses, and all three sums.

struct ErrorKind {
    std::uint8_t type, code;
    std::uint32_t rest;
};

// A quote of this much L4 ends within the TCP checksum.
constexpr std::size_t kHalfATcpSum = 17;

TEST_F(Translate, IcmpErrorsEqualThoseBuiltAnew) {
    for (int round = 0; round < 100000; ++round) {
        const bool is_v4 = coin();
        const Kind kind = kKinds[below(std::size(kKinds))];
        const Rewrite from = ends(is_v4, kind), to = ends(is_v4, kind);
        const Rewrite outer_from = ends(is_v4, Kind::Tcp), outer_to = ends(is_v4, Kind::Tcp);
        PacketBuilder base;
        base.payload(payload(60)).ttl(1 + static_cast<unsigned>(below(255)));
        if (is_v4 && below(8) == 0) base.ipv4_options(Bytes(4 * below(11), std::byte{1}));
        if (!is_v4 && below(8) == 0) base.extension(net::kNextDestination, Bytes(below(30)));
        const Bytes inner_from = build_as(kind, from, base).build(), inner_to = build_as(kind, to, base).build();
        const std::size_t l4 = net::parse(inner_from, static_cast<std::uint32_t>(inner_from.size()))->l4_offset;
        std::size_t kept = l4 + 8 + below(inner_from.size() - l4 - 8 + 1);
        if (kept == l4 + kHalfATcpSum && kind == Kind::Tcp) ++kept;  // see LeavesHalfASumInAQuoteAlone

        const auto error = is_v4 ? ErrorKind{3, 4, 1400} : ErrorKind{2, 0, 1400};
        auto about = [&](const Rewrite& ends, const Bytes& inner) {
            const Bytes quote(inner.begin(), inner.begin() + static_cast<std::ptrdiff_t>(kept));
            return PacketBuilder()
                .ip(ends.source, ends.destination)
                .icmp_error(error.type, error.code, quote, error.rest)
                .build();
        };

        TestPacket packet(about(outer_from, inner_from));
        auto parsed = packet.parse();
        ASSERT_TRUE(parsed);
        const auto tuple = quoted_tuple(packet.packet(), *parsed);
        ASSERT_TRUE(tuple) << drop_name(tuple.error());
        ASSERT_EQ(tuple->source, from.source);
        ASSERT_EQ(tuple->destination, from.destination);
        ASSERT_EQ(tuple->source_port, from.source_port);
        ASSERT_EQ(tuple->destination_port, from.destination_port);

        translate_icmp_error(packet.packet(), *parsed, outer_to.source, outer_to.destination, to);
        ASSERT_EQ(packet.bytes(), about(outer_to, inner_to)) << describe(packet.bytes()) << " cut to " << kept;
        ASSERT_EQ(parsed->source, outer_to.source);

        translate_icmp_error(packet.packet(), *parsed, outer_from.source, outer_from.destination, from);
        ASSERT_EQ(packet.bytes(), about(outer_from, inner_from)) << "the way back";
    }
}

TEST_F(Translate, LeavesHalfASumInAQuoteAlone) {
    Bytes inner = PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").tcp(40000, 80).build();
    inner.resize(20 + kHalfATcpSum);
    TestPacket packet = PacketBuilder().ipv4("10.30.0.10", "10.18.0.2").icmp_error(3, 1, inner).packet();
    auto parsed = packet.parse();
    const auto to = rewrite("10.18.0.2", 40000, "10.18.1.3", 8080);
    translate_icmp_error(packet.packet(), *parsed, to.destination, to.source, to);
    EXPECT_THAT(packet.bytes(), test::QuotesFromTo("10.18.0.2:40000", "10.18.1.3:8080"));
    EXPECT_EQ(packet.bytes().back(), inner.back());
}

TEST_F(Translate, ReadsTheTupleOfACutQuote) {
    for (const bool is_v4 : {true, false}) {
        const Rewrite from = ends(is_v4, Kind::Tcp);
        const Bytes inner = build_as(Kind::Tcp, from).build();
        const std::size_t enough = (is_v4 ? 20 : 40) + 8;
        for (std::size_t kept = 0; kept <= inner.size(); ++kept) {
            const Bytes quote(inner.begin(), inner.begin() + static_cast<std::ptrdiff_t>(kept));
            TestPacket packet = PacketBuilder().ip(from.destination, from.source).icmp_error(3, 1, quote).packet();
            const auto parsed = packet.parse();
            ASSERT_TRUE(parsed);
            const auto tuple = quoted_tuple(packet.packet(), *parsed);
            EXPECT_EQ(tuple.has_value(), kept >= enough) << kept;
            EXPECT_TRUE(tuple || tuple.error() == Drop::Truncated) << kept;
        }
    }
}

TEST_F(Translate, RefusesQuotesThatNameNoFlow) {
    auto tuple_of = [](const PacketBuilder& outer) {
        TestPacket packet = outer.packet();
        return quoted_tuple(packet.packet(), *packet.parse());
    };
    const auto v4 = PacketBuilder().ipv4("10.18.0.2", "10.30.0.10");
    const auto v6 = PacketBuilder().ipv6("fc00::2", "fdff::10");
    const auto later = test::fragments(PacketBuilder(v4).udp(1, 2).payload(200).build(), 64)[1];
    struct Case {
        const char* what;
        Bytes quote;
        Drop expected;
    };
    const Case cases[] = {
        {"an ICMP error", PacketBuilder(v4).icmp_error(3, 1, PacketBuilder(v4).udp(1, 2).build()).build(),
         Drop::UnsupportedProtocol},
        {"another protocol", PacketBuilder(v4).protocol(132).payload(20).build(), Drop::UnsupportedProtocol},
        {"a later fragment", later, Drop::Fragment},
        {"another IP version", PacketBuilder(v6).udp(1, 2).build(), Drop::BadHeader},
        {"no IP at all", test::pattern(40), Drop::NotIp},
    };
    for (const auto& c : cases) {
        const auto tuple = tuple_of(PacketBuilder(v4).icmp_error(3, 1, c.quote));
        ASSERT_FALSE(tuple) << c.what;
        EXPECT_EQ(drop_name(tuple.error()), drop_name(c.expected)) << c.what;
    }
    EXPECT_FALSE(tuple_of(PacketBuilder(v4).icmp_echo(1, 2).payload(64)));
}

// MSS.

TEST_F(Translate, ClampsTheMssOfSynAndSynAck) {
    struct Case {
        const char* what;
        bool is_v4;
        unsigned flags;
        Bytes options;
        unsigned mtu, expected;
    };
    auto mss = [](unsigned value) { return bytes_of({2, 4, value >> 8, value & 0xFF}); };
    const Bytes at_odd_place = bytes_of({1, 2, 4, 0x05, 0xB4, 1, 1, 1});
    const Bytes among_others = bytes_of({4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 3, 3, 7, 2, 4, 0x05, 0xB4, 0});
    const Case cases[] = {
        {"a SYN", true, kSyn, mss(1460), 1440, 1400},
        {"a SYN-ACK", true, kSyn | kAck, mss(1460), 1440, 1400},
        {"over IPv6", false, kSyn, mss(1440), 1420, 1360},
        {"never raised", true, kSyn, mss(536), 1440, 536},
        {"just right", true, kSyn, mss(1400), 1440, 1400},
        {"largest", true, kSyn, mss(65535), 1440, 1400},
        {"absent stays absent", true, kSyn, {}, 1440, 0},
        {"not on a later segment", true, kAck, mss(1460), 1440, 1460},
        {"at an odd place", true, kSyn, at_odd_place, 1440, 1400},
        {"at an odd place, IPv6", false, kSyn, at_odd_place, 1280, 1220},
        {"among other options", true, kSyn, among_others, 1440, 1400},
        {"behind the end of options", true, kSyn, bytes_of({0, 2, 4, 0x05, 0xB4, 0, 0, 0}), 1440, 0},
        {"a mtu below any header", true, kSyn, mss(1460), 40, 1460},
    };
    for (const auto& c : cases) {
        for (const bool is_partial : {false, true}) {
            PacketBuilder builder =
                c.is_v4 ? PacketBuilder().ipv4("10.18.0.2", "10.30.0.10") : PacketBuilder().ipv6("fc00::2", "fdff::10");
            builder.tcp(1, 2).flags(c.flags).tcp_options(c.options);
            if (is_partial) builder.partial_checksum();
            TestPacket packet = builder.packet();
            clamp_mss(packet.packet(), *packet.parse(), static_cast<std::uint16_t>(c.mtu));
            const auto state = is_partial ? ChecksumState::Partial : ChecksumState::Full;
            EXPECT_THAT(packet.bytes(), test::HasMss(c.expected, state)) << c.what;
        }
    }
}

TEST_F(Translate, ClampSurvivesMalformedOptions) {
    for (int round = 0; round < 50000; ++round) {
        Bytes options(4 * below(11));
        for (auto& byte : options)
            byte = std::byte(random_() % 7);
        TestPacket packet =
            PacketBuilder().ip(address(true), address(true)).tcp(1, 2).flags(kSyn).tcp_options(options).packet();
        clamp_mss(packet.packet(), *packet.parse(), 1440);
        ASSERT_THAT(packet.bytes(), test::IsSound());
    }
}

}  // namespace
}  // namespace weft::overlay
