// SPDX-License-Identifier: Apache-2.0
#include "dataplane/vnet_header.hpp"

#include <cstring>
#include <optional>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_check.hpp"

namespace weft {
namespace {

using test::PacketBuilder;
using test::TestPacket;

constexpr std::uint8_t kNeeds = VnetHeader::kNeedsChecksum;

PacketBuilder tcp4() {
    return PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").tcp(40000, 80);
}
PacketBuilder tcp6() {
    return PacketBuilder().ipv6("fc00::2", "fdff::1").tcp(40000, 80);
}
PacketBuilder udp4() {
    return PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").udp(5000, 53);
}

struct Case {
    const char* sentence;
    PacketBuilder packet;
    VnetHeader header;
    std::optional<Drop> drop;
    Gso gso = Gso::None;
    unsigned segments = 1;
    ChecksumState checksum = ChecksumState::Full;
};

const std::vector<Case>& cases() {
    static constexpr auto kPartial = ChecksumState::Partial;
    static const std::vector<Case> all{
        {"a zero header changes nothing", tcp4().payload(10), {}, {}},
        {"header length is not believed", tcp4().payload(10), {0, 0, 9999, 77, 0, 0}, {}},
        {"a partial sum in TCP", tcp4().payload(10), {kNeeds, 0, 0, 0, 20, 16}, {}, Gso::None, 1, kPartial},
        {"a partial sum in UDP", udp4().payload(10), {kNeeds, 0, 0, 0, 20, 6}, {}, Gso::None, 1, kPartial},
        {"a partial sum behind IPv4 options",
         tcp4().ipv4_options({std::byte{1}}).payload(10),
         {kNeeds, 0, 0, 0, 24, 16},
         {},
         Gso::None,
         1,
         kPartial},
        {"TCP over IPv4, 3 segments", tcp4().payload(2500), {kNeeds, 1, 0, 1000, 20, 16}, {}, Gso::Tcp, 3, kPartial},
        {"a whole number of segments", tcp4().payload(2000), {kNeeds, 1, 0, 1000, 20, 16}, {}, Gso::Tcp, 2, kPartial},
        {"with the ECN bit", tcp4().payload(2500), {kNeeds, 0x81, 0, 1000, 20, 16}, {}, Gso::Tcp, 3, kPartial},
        {"TCP options count as header",
         tcp4().mss(1460).payload(2000),
         {kNeeds, 1, 0, 1000, 20, 16},
         {},
         Gso::Tcp,
         2,
         kPartial},
        {"TCP over IPv6", tcp6().payload(2500), {kNeeds, 4, 0, 1000, 40, 16}, {}, Gso::Tcp, 3, kPartial},
        {"UDP", udp4().payload(2500), {kNeeds, 5, 0, 1000, 20, 6}, {}, Gso::Udp, 3, kPartial},
        {"one segment only is an ordinary packet",
         tcp4().payload(900),
         {kNeeds, 1, 0, 1000, 20, 16},
         {},
         Gso::None,
         1,
         kPartial},
        {"no gso_size", tcp4().payload(2500), {kNeeds, 1, 0, 0, 20, 16}, Drop::BadHeader},
        {"IPv6 said, IPv4 there", tcp4().payload(2500), {kNeeds, 4, 0, 1000, 20, 16}, Drop::BadHeader},
        {"TCP said, UDP there", udp4().payload(2500), {kNeeds, 1, 0, 1000, 20, 16}, Drop::BadHeader},
        {"UDP said, TCP there", tcp4().payload(2500), {kNeeds, 5, 0, 1000, 20, 6}, Drop::BadHeader},
        {"an unknown kind", tcp4().payload(2500), {kNeeds, 9, 0, 1000, 20, 16}, Drop::BadHeader},
        {"UDP fragmentation, which we never asked for",
         udp4().payload(2500),
         {kNeeds, 3, 0, 1000, 20, 6},
         Drop::BadHeader},
        {"the sum begins elsewhere", tcp4().payload(2500), {kNeeds, 1, 0, 1000, 24, 16}, Drop::BadHeader},
        {"the sum lies elsewhere", tcp4().payload(2500), {kNeeds, 1, 0, 1000, 20, 6}, Drop::BadHeader},
        {"a superpacket without a due sum", tcp4().payload(2500), {0, 1, 0, 1000, 20, 16}, Drop::BadHeader},
        {"a sum beyond the packet", tcp4().payload(10), {kNeeds, 0, 0, 0, 20, 40}, Drop::BadHeader},
        {"a sum at an odd place", tcp4().payload(10), {kNeeds, 0, 0, 0, 21, 16}, Drop::BadHeader},
        {"a superpacket of ICMP",
         PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").icmp_echo(1, 1).payload(2500),
         {kNeeds, 1, 0, 1000, 20, 16},
         Drop::BadHeader},
    };
    return all;
}

TEST(VnetHeader, IsCarriedIntoThePacketOrNamesWhyNot) {
    for (const Case& c : cases()) {
        SCOPED_TRACE(c.sentence);
        TestPacket packet(c.packet.build());
        const auto applied = apply_vnet_header(c.header, packet.packet());
        ASSERT_EQ(applied.has_value(), !c.drop.has_value());
        if (c.drop) {
            EXPECT_EQ(applied.error(), *c.drop);
            continue;
        }
        EXPECT_EQ(packet.packet().gso, c.gso);
        EXPECT_EQ(packet.packet().segments, c.segments);
        EXPECT_EQ(packet.packet().gso_size, c.gso == Gso::None ? 0 : c.header.gso_size);
        EXPECT_EQ(packet.packet().checksum, c.checksum);
    }
}

TEST(VnetHeader, WhatWasReadIsWhatWouldBeWritten) {
    for (const Case& c : cases()) {
        if (c.drop) continue;
        SCOPED_TRACE(c.sentence);
        TestPacket packet(c.packet.build());
        ASSERT_TRUE(apply_vnet_header(c.header, packet.packet()).has_value());
        const auto made = make_vnet_header(packet.packet());
        ASSERT_TRUE(made.has_value());
        if (c.checksum == ChecksumState::Full) {
            EXPECT_EQ(made->flags, 0);
            continue;
        }
        EXPECT_EQ(made->flags, kNeeds) << "never DATA_VALID";
        EXPECT_EQ(made->checksum_start, c.header.checksum_start);
        EXPECT_EQ(made->checksum_offset, c.header.checksum_offset);
        EXPECT_EQ(made->gso_type, c.gso == Gso::None ? 0 : c.header.gso_type & ~VnetHeader::kGsoEcn);
        EXPECT_EQ(made->gso_size, c.gso == Gso::None ? 0 : c.header.gso_size);
    }
}

TEST(VnetHeader, TellsTheKernelOfTheHeaderAndOfCwr) {
    TestPacket packet = tcp4().mss(1460).flags(test::kAck | 0x80).payload(2500).partial_checksum().gso(1000).packet();
    const auto made = make_vnet_header(packet.packet());
    ASSERT_TRUE(made.has_value());
    EXPECT_EQ(made->header_length, 20 + 24);
    EXPECT_EQ(made->gso_type, VnetHeader::kGsoTcp4 | VnetHeader::kGsoEcn);
}

TEST(VnetHeader, ASuperpacketWithAFullSumIsNotWritten) {
    TestPacket packet = tcp4().payload(2500).gso(1000).packet();
    packet.packet().checksum = ChecksumState::Full;
    EXPECT_FALSE(make_vnet_header(packet.packet()).has_value());
}

// A first segment of somebody's UDP tunnel: the outer sum is done, the inner one is due.
TEST(VnetHeader, ADueSumInsideATunnelledPacketIsFinished) {
    auto inner = PacketBuilder().ipv4("192.168.1.1", "192.168.1.2").tcp(1, 2).payload(301);
    for (const std::size_t head_size : {std::size_t{80}, std::size_t{2000}}) {
        SCOPED_TRACE(head_size);
        const test::Bytes with_due_sum = PacketBuilder(inner).partial_checksum().build();
        TestPacket packet(udp4().payload(with_due_sum).build());
        packet.split(head_size, 100);
        ASSERT_TRUE(apply_vnet_header({kNeeds, 0, 0, 0, 28 + 20, 16}, packet.packet()).has_value());
        EXPECT_EQ(packet.packet().checksum, ChecksumState::Full);
        const test::Bytes whole = packet.bytes();
        EXPECT_THAT(std::span(whole).subspan(28), test::IsSound());
    }
}

TEST(VnetHeader, HeadersThatGoOnInTheTailAreRefused) {
    const test::Bytes bytes = tcp4().mss(1460).payload(2500).build();
    for (std::size_t head_size = 0; head_size < 60; ++head_size) {
        SCOPED_TRACE(head_size);
        TestPacket packet(bytes);
        packet.split(head_size, bytes.size());
        EXPECT_EQ(apply_vnet_header({kNeeds, 1, 0, 1000, 20, 16}, packet.packet()).has_value(), head_size >= 44);
    }
}

TEST(VnetHeader, NeverReadsOutsideWhateverItIsGiven) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const test::Bytes templates[] = {tcp4().payload(300).build(), tcp6().payload(300).build(),
                                     udp4().payload(300).build()};
    unsigned superpackets = 0;
    for (int i = 0; i < 20'000; ++i) {
        test::Bytes bytes = templates[random() % 3];
        bytes.resize(random() % bytes.size());
        for (auto changes = random() % 3; changes > 0 && !bytes.empty(); --changes)
            bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        VnetHeader header;
        header.flags = static_cast<std::uint8_t>(random() % 4);
        header.gso_type = static_cast<std::uint8_t>(random() % 6);
        header.gso_size = static_cast<std::uint16_t>(random() % 400);
        header.checksum_start = random() % 2 == 0 ? 20 : static_cast<std::uint16_t>(random());
        header.checksum_offset = random() % 2 == 0 ? 16 : static_cast<std::uint16_t>(random());
        TestPacket packet(bytes);
        if (random() % 2 == 0) packet.split(random() % (bytes.size() + 1), 50);
        if (!apply_vnet_header(header, packet.packet()).has_value()) continue;
        if (packet.packet().gso == Gso::None) continue;
        ++superpackets;
        EXPECT_GT(packet.packet().segments, 1U);
        EXPECT_TRUE(make_vnet_header(packet.packet()).has_value());
    }
    EXPECT_GT(superpackets, 10U) << "the test must get past the checks";
}

}  // namespace
}  // namespace weft
