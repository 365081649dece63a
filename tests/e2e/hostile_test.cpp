// SPDX-License-Identifier: Apache-2.0
//
// What nobody should send: dropped under a name, and nobody else notices.
#include <iostream>
#include <random>

#include "tests/e2e/cluster.hpp"

namespace weft::test {
namespace {

class Hostile : public Cluster {
  protected:
    void expect_good_traffic() {
        const auto request = send_from(a, syn("10.18.0.2", next_port_++, "10.30.0.12", 80));
        ASSERT_EQ(request.node, &b);
        ASSERT_EQ(send_from(b, answer_to(request.bytes, kSyn | kAck)).node, &a);
    }
    // A packet as a peer would wrap it in clear mode: taken from the wire, its inner bytes replaced.
    Bytes wrapped(const Bytes& inner) {
        Bytes header;
        network.tap = [&](const auto&, const auto& to, const Bytes& datagram) {
            if (to == b.endpoint()) header.assign(datagram.begin(), datagram.begin() + 16);
        };
        send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(5, 5).payload(10));
        network.tap = nullptr;
        header.insert(header.end(), inner.begin(), inner.end());
        return header;
    }
    std::uint16_t next_port_ = 50000;
};

TEST_F(Hostile, APeerMaySpeakOnlyForItsOwn) {
    expect_good_traffic();
    // c's instance, an unknown address, b's own container: none is a's to speak for.
    for (const char* source : {"10.30.0.13", "10.18.0.130", "10.18.1.77", "10.30.9.9"}) {
        const auto before = b.counters().dropped(Drop::PeerSource);
        b.receive(a.endpoint(), wrapped(PacketBuilder().ipv4(source, "10.18.0.66").udp(1, 2).payload("x").build()));
        network.run();
        EXPECT_TRUE(b.take_delivered().empty()) << source;
        EXPECT_EQ(b.counters().dropped(Drop::PeerSource), before + 1) << source;
    }
    // The same wrapping with a's own client is delivered: the detector sees.
    b.receive(a.endpoint(), wrapped(PacketBuilder().ipv4("10.30.0.2", "10.18.0.66").udp(1, 2).payload("x").build()));
    network.run();
    EXPECT_EQ(b.take_delivered().size(), 1U);
}

TEST_F(Hostile, AFlowOfOnePeerCannotBeContinuedByAnother) {
    const auto request = send_from(a, syn("10.18.0.2", 40000, "10.30.0.12", 80));
    ASSERT_EQ(request.node, &b);
    send_from(c, PacketBuilder().ipv4("10.18.0.130", "10.30.0.12").udp(1, 1).payload("session"));
    Bytes header;
    network.tap = [&](const auto& from, const auto& to, const Bytes& datagram) {
        if (from == c.endpoint() && to == b.endpoint()) header.assign(datagram.begin(), datagram.begin() + 16);
    };
    send_from(c, PacketBuilder().ipv4("10.18.0.130", "10.30.0.12").udp(1, 1).payload("again"));
    network.tap = nullptr;
    const auto forged =
        PacketBuilder().ipv4("10.30.0.2", "10.18.0.66").tcp(40000, 80).flags(kAck).payload("injected").build();
    header.insert(header.end(), forged.begin(), forged.end());
    b.receive(c.endpoint(), header);
    network.run();
    EXPECT_TRUE(b.take_delivered().empty());
    EXPECT_EQ(b.counters().dropped(Drop::PeerSource), 1U);
}

TEST_F(Hostile, AContainerMayNotBorrowAnAddress) {
    struct Case {
        const char* source;
        Drop why;
    };
    for (const auto& [source, why] : {Case{"10.18.0.66", Drop::SourceSpoofed}, Case{"10.30.0.2", Drop::SourceSpoofed},
                                      Case{"192.0.2.1", Drop::UnknownSource}, Case{"127.0.0.1", Drop::SourceSpoofed},
                                      Case{"224.0.0.1", Drop::SourceSpoofed}}) {
        const auto before = a.counters().dropped(why);
        EXPECT_EQ(send_from(a, syn(source, 40000, "10.30.0.12", 80)).node, nullptr) << source;
        EXPECT_EQ(a.counters().dropped(why), before + 1) << source;
    }
}

TEST_F(Hostile, AnEmptyDatagramDisturbsNobody) {
    b.receive({*net::IpAddress::parse("203.0.113.9"), 4000}, {});
    network.run();
    EXPECT_EQ(b.counters().dropped(Drop::TunnelFormat), 1U);
    expect_good_traffic();
}

TEST_F(Hostile, RandomDatagramsGetSilenceAndAName) {
    expect_good_traffic();
    const auto seed = std::random_device{}();
    std::cout << "seed " << seed << '\n';
    std::mt19937 die(seed);
    std::size_t answers = 0;
    const net::Endpoint stranger{*net::IpAddress::parse("203.0.113.9"), 4000};
    network.tap = [&](const auto&, const auto& to, const Bytes&) { answers += to == stranger ? 1 : 0; };
    for (int i = 0; i < 20000; ++i) {
        Bytes bytes(die() % 200);
        for (auto& byte : bytes)
            byte = static_cast<std::byte>(die());
        if (i % 3 == 0 && bytes.size() > 2) {
            bytes[0] = std::byte{0xF7};
            bytes[1] = static_cast<std::byte>(0x10 | die() % 8);
        }
        b.receive(i % 2 == 0 ? stranger : a.endpoint(), bytes);
        if (i % 64 == 0) network.run();
    }
    network.run();
    EXPECT_TRUE(b.take_delivered().empty());
    EXPECT_EQ(answers, 0U);
    network.tap = nullptr;
    expect_good_traffic();
}

TEST_F(Hostile, BrokenPacketsFromInsideAreDroppedByName) {
    const auto good = syn("10.18.0.2", 40000, "10.30.0.12", 80).build();
    const auto expect_drop = [&](Bytes packet, Drop why) {
        const auto before = a.counters().dropped(why);
        EXPECT_EQ(send_from(a, TestPacket(packet)).node, nullptr) << drop_name(why);
        EXPECT_EQ(a.counters().dropped(why), before + 1) << drop_name(why);
    };
    Bytes version = good;
    version[0] = std::byte{0x75};
    expect_drop(version, Drop::NotIp);
    expect_drop(Bytes(good.begin(), good.begin() + 30), Drop::Truncated);
    Bytes checksum = good;
    checksum[10] ^= std::byte{1};
    expect_drop(checksum, Drop::BadChecksum);
    expect_drop(PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").protocol(132).payload(40).build(),
                Drop::UnsupportedProtocol);
    expect_drop(syn("10.18.0.2", 40000, "192.0.2.1", 80).build(), Drop::NotServiceAddress);
    expect_drop(syn("10.18.0.2", 40000, "10.18.0.40", 80).build(), Drop::Loop);
}

TEST_F(Hostile, ANamespaceIpOfNobodyIsUnreachable) {
    const auto answer = send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.18.5.5").udp(1, 2).payload(4));
    EXPECT_THAT(answer.bytes, testing::AllOf(To("10.18.0.2"), HasIcmp(3, 1)));
    EXPECT_EQ(a.counters().dropped(Drop::PeerUnknown), 1U);
}

TEST_F(Hostile, AFullTableRefusesNewFlowsAndKeepsTheEstablished) {
    const auto first = send_from(a, syn("10.18.0.2", 40000, "10.30.0.12", 80));
    send_from(b, answer_to(first.bytes, kSyn | kAck));
    send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").tcp(40000, 80).flags(kAck));
    for (std::uint32_t port = 1; port < 3000; ++port)
        a.send(syn("10.18.0.2", static_cast<std::uint16_t>(port), "10.30.0.12", 80).build());
    network.run();
    b.take_delivered();
    EXPECT_GT(a.counters().dropped(Drop::FlowTableFull), 0U);
    EXPECT_EQ(
        send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").tcp(40000, 80).flags(kAck).payload("still here"))
            .node,
        &b);
}

TEST_F(Hostile, ADeadPeerCostsItsOwnPacketsOnly) {
    network.cut("b", true);
    const auto to_dead = send_from(a, syn("10.18.0.2", 40000, "10.30.0.12", 80));
    EXPECT_EQ(to_dead.node, nullptr);
    EXPECT_EQ(send_from(a, syn("10.18.0.2", 40001, "10.30.0.13", 80)).node, &c);
    EXPECT_EQ(a.counters().waiting.value(), 1U);
    network.advance(std::chrono::seconds(10));
    EXPECT_EQ(a.counters().waiting.value(), 0U);
    EXPECT_EQ(a.counters().dropped(Drop::LookupFailed), 1U);
}

TEST_F(Hostile, TooManyWaitingPacketsAreDroppedByName) {
    network.cut("b", true);
    for (std::uint16_t port = 1; port < 400; ++port)
        a.send(PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(port, 80).payload(4).build());
    network.run();
    EXPECT_GT(a.counters().dropped(Drop::LookupQueueFull), 0U);
    network.advance(std::chrono::seconds(10));
}

}  // namespace
}  // namespace weft::test
