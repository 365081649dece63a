// SPDX-License-Identifier: Apache-2.0
//
// What a network owes its hosts: whole superpackets, right checksums, sizes, fragments, errors about translated flows.
#include "tests/e2e/cluster.hpp"

namespace weft::test {
namespace {

using testing::AllOf;

class Network : public Cluster {
  protected:
    // Opens a flow to api#1 on b and gives the session time to stand.
    void open_flow(std::uint16_t port) {
        const auto request = send_from(a, syn("10.18.0.2", port, "10.30.0.12", 80));
        ASSERT_EQ(request.node, &b);
        send_from(b, answer_to(request.bytes, kSyn | kAck));
    }
};

TEST_F(Network, ASuperpacketArrivesAsOneWithItsChecksumStillPartial) {
    open_flow(40000);
    a.send(PacketBuilder()
               .ipv4("10.18.0.2", "10.30.0.12")
               .df()
               .tcp(40000, 80)
               .payload(44 * 1388)
               .partial_checksum()
               .gso(1388)
               .packet());
    network.run();
    const auto delivered = b.take_delivered();
    ASSERT_EQ(delivered.size(), 1U);
    EXPECT_EQ(delivered[0].gso, Gso::Tcp);
    EXPECT_EQ(delivered[0].gso_size, 1388);
    EXPECT_EQ(delivered[0].segments, 44);
    EXPECT_EQ(delivered[0].checksum, ChecksumState::Partial);
    EXPECT_THAT(delivered[0].bytes, AllOf(From("10.30.0.2:40000", ChecksumState::Partial),
                                          HasPayload(pattern(44 * 1388), ChecksumState::Partial)));
    EXPECT_EQ(a.counters().tun.rx.value() - 1, 44U + 0U) << "counted in packets on a wire";
}

TEST_F(Network, ASuperpacketIsCutForTheWireAndNeverLarger) {
    open_flow(40000);
    std::size_t largest = 0;
    std::size_t datagrams = 0;
    network.tap = [&](const auto&, const auto&, const Bytes& datagram) {
        largest = std::max(largest, datagram.size());
        ++datagrams;
    };
    a.send(PacketBuilder()
               .ipv4("10.18.0.2", "10.30.0.12")
               .df()
               .tcp(40000, 80)
               .payload(20000)
               .partial_checksum()
               .gso(1388)
               .packet());
    network.run();
    EXPECT_EQ(datagrams, 15U);
    EXPECT_EQ(largest, 16U + 40U + 1388U);
}

TEST_F(Network, UdpSuperpacketsKeepTheirBoundaries) {
    ASSERT_EQ(send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(10)).node, &b);
    a.send(PacketBuilder()
               .ipv4("10.18.0.2", "10.30.0.12")
               .udp(1000, 2000)
               .payload(10 * 1200)
               .partial_checksum()
               .gso(1200)
               .packet());
    network.run();
    const auto delivered = b.take_delivered();
    ASSERT_EQ(delivered.size(), 1U);
    EXPECT_EQ(delivered[0].segments, 10);
    EXPECT_EQ(delivered[0].gso_size, 1200);
}

TEST_F(Network, SynIsClampedToTheInnerMtu) {
    const auto request =
        send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").tcp(40000, 80).flags(kSyn).mss(8960));
    EXPECT_THAT(request.bytes, HasMss(1400));
    const auto reply = send_from(b, answer_to(request.bytes, kSyn | kAck).mss(8960));
    EXPECT_THAT(reply.bytes, HasMss(1400));
    EXPECT_THAT(send_from(a, syn("10.18.0.2", 40001, "10.30.0.12", 80).mss(536)).bytes, IsSound());
}

TEST_F(Network, WhatIsTooBigIsReportedWithTheMtu) {
    const auto answer =
        send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").df().udp(1000, 2000).payload(1500));
    ASSERT_EQ(answer.node, &a);
    EXPECT_THAT(answer.bytes, AllOf(From("10.18.0.1"), To("10.18.0.2"), HasIcmp(3, 4),
                                    QuotesFromTo("10.18.0.2:1000", "10.30.0.12:2000")));
    EXPECT_EQ(std::to_integer<unsigned>(answer.bytes[26]) << 8 | std::to_integer<unsigned>(answer.bytes[27]), 1440U);
    const auto v6 = send_from(a, PacketBuilder().ipv6("fc00::2", "fdff::12").udp(1000, 2000).payload(1500));
    EXPECT_THAT(v6.bytes, AllOf(To("fc00::2"), HasIcmp(2, 0)));
    EXPECT_EQ(a.counters().dropped(Drop::TooBig), 2U);
}

TEST_F(Network, ADatagramInFragmentsArrivesWhole) {
    const auto whole = PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(4000).build();
    for (const auto& piece : fragments(whole, 1416))
        a.send(piece);
    network.run();
    const auto delivered = b.take_delivered();
    ASSERT_EQ(delivered.size(), 3U);
    std::size_t payload = 0;
    for (const auto& piece : delivered) {
        EXPECT_THAT(piece.bytes, AllOf(From("10.30.0.2"), To("10.18.0.66")));
        payload += piece.bytes.size() - 20;
    }
    EXPECT_EQ(payload, 4008U);
}

TEST_F(Network, FragmentsMayComeInAnyOrder) {
    auto pieces =
        fragments(PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(4000).build(), 1416);
    std::ranges::reverse(pieces);
    for (const auto& piece : pieces)
        a.send(piece);
    network.run();
    EXPECT_EQ(b.take_delivered().size(), 3U);
    EXPECT_EQ(a.counters().waiting.value(), 0U);
}

TEST_F(Network, FragmentsWhoseFirstNeverComesAreDroppedByName) {
    const auto pieces =
        fragments(PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(4000).build(), 1416);
    a.send(pieces[1]);
    a.send(pieces[2]);
    network.run();
    EXPECT_EQ(a.counters().waiting.value(), 2U);
    network.advance(std::chrono::seconds(20));
    EXPECT_EQ(a.counters().waiting.value(), 0U);
    EXPECT_EQ(a.counters().dropped(Drop::Fragment), 2U);
    EXPECT_TRUE(b.take_delivered().empty());
}

TEST_F(Network, AnErrorFromTheServerReachesTheClientInItsOwnTerms) {
    const auto question = send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").udp(1000, 9).payload("anyone?"));
    ASSERT_NE(question.node, nullptr);
    VirtualNode& server = *question.node;
    const auto error = send_from(
        server, PacketBuilder()
                    .ip(net::parse(question.bytes, static_cast<std::uint32_t>(question.bytes.size()))->destination,
                        *net::IpAddress::parse("10.30.0.2"))
                    .icmp_error(3, 3, question.bytes));
    ASSERT_EQ(error.node, &a);
    EXPECT_THAT(error.bytes, AllOf(From("10.30.0.10"), To("10.18.0.2"), HasIcmp(3, 3),
                                   QuotesFromTo("10.18.0.2:1000", "10.30.0.10:9")));
}

TEST_F(Network, AnErrorFromTheServersHostCarriesItsBridgeAddress) {
    const auto question = send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 9).payload("anyone?"));
    ASSERT_EQ(question.node, &b);
    const auto error = send_from(b, PacketBuilder().ipv4("10.19.1.254", "10.30.0.2").icmp_error(3, 1, question.bytes));
    ASSERT_EQ(error.node, &a);
    EXPECT_THAT(error.bytes, AllOf(From("10.18.0.65"), To("10.18.0.2"), HasIcmp(3, 1),
                                   QuotesFromTo("10.18.0.2:1000", "10.30.0.12:9")));
}

TEST_F(Network, AnErrorAboutNoFlowIsDropped) {
    const auto stranger = PacketBuilder().ipv4("10.30.0.2", "10.18.0.66").udp(1, 2).payload("never sent").build();
    EXPECT_EQ(send_from(b, PacketBuilder().ipv4("10.18.0.66", "10.30.0.2").icmp_error(3, 3, stranger)).node, nullptr);
    EXPECT_EQ(b.counters().dropped(Drop::UnknownService), 1U);
}

TEST_F(Network, CongestionOnTheWayIsHandedOn) {
    send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(10));
    Bytes last;
    network.tap = [&](const auto&, const auto& to, const Bytes& datagram) {
        if (to == b.endpoint()) last = datagram;
    };
    send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").tos(0x02).udp(1000, 2000).payload(10));
    b.receive(a.endpoint(), last, 0x03);  // a router marked it
    network.run();
    EXPECT_THAT(b.take_one(), HasTos(0x03));
    send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").tos(0x00).udp(1000, 2000).payload(10));
    b.receive(a.endpoint(), last, 0x03);  // its ends would not understand the mark
    network.run();
    EXPECT_TRUE(b.take_delivered().empty());
    EXPECT_EQ(b.counters().dropped(Drop::BadHeader), 1U);
}

}  // namespace
}  // namespace weft::test
