// SPDX-License-Identifier: Apache-2.0
// The detector must see: every negative finding of the packet checks has its twin here.
#include "tests/support/packet_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/packet_builder.hpp"

namespace weft::test {
namespace {

using testing::AllOf;
using testing::Not;

PacketBuilder v4() {
    return PacketBuilder().ipv4("10.18.0.2", "10.30.0.10");
}
PacketBuilder v6() {
    return PacketBuilder().ipv6("fc00::2", "fdff::10");
}

TEST(PacketCheck, TakesWhatTheBuilderMakes) {
    for (const auto& base : {v4(), v6()}) {
        EXPECT_THAT(PacketBuilder(base).tcp(40000, 80).flags(kSyn).mss(1400).build(),
                    AllOf(HasTcpFlags(kSyn), HasMss(1400), HasPayload({}), HasTtl(64), HasProtocol(6)));
        EXPECT_THAT(PacketBuilder(base).udp(1, 2).payload("hello").tos(4).build(),
                    AllOf(HasTos(4), HasPayload(bytes_of({'h', 'e', 'l', 'l', 'o'}))));
        EXPECT_THAT(PacketBuilder(base).icmp_echo(7, 1).payload(5).build(), IsSound());
        EXPECT_THAT(PacketBuilder(base).tcp(1, 2).payload(1000).partial_checksum().build(),
                    IsSound(ChecksumState::Partial));
        EXPECT_EQ(fault_of(PacketBuilder(base).tcp(1, 2).payload(60000).partial_checksum().gso(1388).packet().packet()),
                  "");
        for (const auto& piece : fragments(PacketBuilder(base).udp(1, 2).payload(3000).build(), 1400))
            EXPECT_THAT(piece, IsSound());
    }
    EXPECT_THAT(v4().tcp(40000, 80).build(), AllOf(From("10.18.0.2:40000"), From("10.18.0.2"), To("10.30.0.10:80")));
    EXPECT_THAT(v6().udp(40000, 80).build(), AllOf(From("[fc00::2]:40000"), To("fdff::10")));
    EXPECT_THAT(v4().icmp_error(3, 1, v4().udp(5, 6).build()).build(),
                AllOf(HasIcmp(3, 1), QuotesFromTo("10.18.0.2:5", "10.30.0.10:6")));
}

TEST(PacketCheck, SeesEveryFlippedBit) {
    for (const auto& base : {v4(), v6()}) {
        for (const auto& packet : {PacketBuilder(base).tcp(40000, 80).mss(1400).payload(9).build(),
                                   PacketBuilder(base).udp(40000, 80).payload(9).build(),
                                   PacketBuilder(base).icmp_echo(7, 1).payload(9).build()}) {
            for (std::size_t bit = 0; bit < packet.size() * 8; ++bit) {
                // Nothing sums the IPv6 traffic class, flow label and hop limit.
                if (base.build()[0] >> 4 == std::byte{6} && (bit < 32 || bit / 8 == 7)) continue;
                Bytes broken = packet;
                broken[bit / 8] ^= std::byte{1} << bit % 8;
                // A next header that nobody knows hides the sum from everybody.
                const auto parsed = net::parse(broken, static_cast<std::uint32_t>(broken.size()));
                if (parsed && parsed->is_v4() == false && bit / 8 == 6) continue;
                EXPECT_THAT(broken, Not(IsSound())) << "bit " << bit << " of " << describe(packet);
            }
        }
    }
}

TEST(PacketCheck, TellsFullAndPartialSumsApart) {
    EXPECT_THAT(v4().tcp(1, 2).payload(100).build(), Not(IsSound(ChecksumState::Partial)));
    EXPECT_THAT(v4().tcp(1, 2).payload(100).partial_checksum().build(), Not(IsSound()));
}

TEST(PacketCheck, SeesAWrongSumInAQuote) {
    Bytes quote = v4().udp(5, 6).payload(8).build();
    quote[10] ^= std::byte{1};
    EXPECT_THAT(v4().icmp_error(3, 3, quote).build(), Not(IsSound()));
}

TEST(PacketCheck, AllowsNoUdpChecksumOverIpv4Only) {
    EXPECT_THAT(v4().udp(1, 2).no_udp_checksum().build(), IsSound());
    EXPECT_THAT(v6().udp(1, 2).no_udp_checksum().build(), Not(IsSound()));
}

TEST(PacketCheck, DescribesPacketsInOneLine) {
    EXPECT_EQ(describe(v4().tcp(40000, 80).flags(kSyn).seq(5).ack(0).mss(1460).df().build()),
              "10.18.0.2:40000 > 10.30.0.10:80 tcp S seq 5 ack 0 win 65535 mss 1460 ttl 64 df length 44 payload 0");
    EXPECT_EQ(describe(v6().udp(1, 2).payload(3).build()), "[fc00::2]:1 > [fdff::10]:2 udp ttl 64 length 51 payload 3");
    EXPECT_EQ(describe(v4().icmp_error(3, 3, v4().udp(5, 6).build()).build()),
              "10.18.0.2 > 10.30.0.10 icmp 3/3 ttl 64 length 56 payload 28 about "
              "[10.18.0.2:5 > 10.30.0.10:6 udp ttl 64 length 28 payload 0]");
    EXPECT_EQ(describe(bytes_of({1, 2, 3})), "3 bytes: the parser refuses it as not_ip");
}

TEST(TestPacket, KeepsItsBytesHoweverItIsSplit) {
    const Bytes whole = v4().tcp(1, 2).payload(10000).build();
    for (const std::size_t head : {40, 100, 10040}) {
        TestPacket packet(whole);
        packet.gso(Gso::Tcp, 1000).split(head, 300);
        EXPECT_EQ(packet.bytes(), whole);
        EXPECT_EQ(packet.packet().size, whole.size());
        EXPECT_EQ(packet.packet().segments, 10);
        EXPECT_TRUE(packet.parse());
        EXPECT_EQ(packet.packet().tail_count, (whole.size() - head + 299) / 300);
    }
}

}  // namespace
}  // namespace weft::test
