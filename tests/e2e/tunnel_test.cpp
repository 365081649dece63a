// SPDX-License-Identifier: Apache-2.0
//
// What crosses the wire, and what happens to sessions when the wire or a node fails.
#include <algorithm>
#include <string_view>

#include "tests/e2e/cluster.hpp"

namespace weft::test {
namespace {

using testing::AllOf;

constexpr std::string_view kMarker = "the-quick-brown-fox-is-secret";

bool contains(const Bytes& bytes, std::string_view text) {
    const auto as_bytes = std::as_bytes(std::span(text));
    return !std::ranges::search(bytes, as_bytes).empty();
}

class Encrypted : public Cluster {
  protected:
    Encrypted() : Cluster(overlay::Security::Aead) {}
};
class Clear : public Cluster {};

// The first packet waits for the handshake and is not lost.
TEST_F(Encrypted, FirstPacketWaitsForItsSession) {
    const auto request = send_from(a, syn("10.18.0.2", 40000, "10.30.0.12", 80));
    ASSERT_EQ(request.node, &b);
    EXPECT_THAT(request.bytes, AllOf(From("10.30.0.2:40000"), To("10.18.0.66:80")));
    EXPECT_EQ(a.counters().waiting.value(), 0U);
    EXPECT_EQ(a.dropped(), 0U);
}

TEST_F(Encrypted, NothingReadableIsOnTheWire) {
    std::size_t datagrams = 0;
    std::size_t seen = 0;
    network.tap = [&](const auto&, const auto&, const Bytes& datagram) {
        ++datagrams;
        seen += contains(datagram, kMarker) ? 1 : 0;
    };
    const auto request = send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(kMarker));
    ASSERT_EQ(request.node, &b);
    EXPECT_TRUE(contains(request.bytes, kMarker));
    EXPECT_GT(datagrams, 0U);
    EXPECT_EQ(seen, 0U);
}

// The same look at the wire does see it in clear mode: the detector works.
TEST_F(Clear, TheMarkerIsOnTheWire) {
    std::size_t seen = 0;
    network.tap = [&](const auto&, const auto&, const Bytes& datagram) { seen += contains(datagram, kMarker) ? 1 : 0; };
    ASSERT_EQ(send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(kMarker)).node, &b);
    EXPECT_GT(seen, 0U);
}

TEST_F(Encrypted, ReplayedAndAlteredDatagramsAreDroppedByName) {
    std::vector<std::pair<net::Endpoint, Bytes>> captured;
    network.tap = [&](const auto& from, const auto& to, const Bytes& datagram) {
        if (to == b.endpoint()) captured.emplace_back(from, datagram);
    };
    for (int i = 0; i < 20; ++i)
        ASSERT_EQ(send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(32)).node, &b);
    network.tap = nullptr;
    b.take_delivered();
    for (const auto& [from, datagram] : captured)
        b.receive(from, datagram);
    network.run();
    EXPECT_TRUE(b.take_delivered().empty());
    EXPECT_GE(b.counters().dropped(Drop::TunnelReplay), 20U);

    Bytes altered = captured.back().second;
    altered.back() ^= std::byte{1};
    b.receive(captured.back().first, altered);
    network.run();
    EXPECT_TRUE(b.take_delivered().empty());
    EXPECT_EQ(b.counters().dropped(Drop::TunnelAuth), 1U);
}

TEST_F(Encrypted, AWeakerModeIsRefused) {
    ASSERT_EQ(send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(32)).node, &b);
    const auto bare = PacketBuilder().ipv4("10.30.0.2", "10.18.0.66").udp(1, 2).payload("bare").build();
    b.receive(a.endpoint(), bare);
    network.run();
    EXPECT_TRUE(b.take_delivered().empty());
    EXPECT_EQ(b.counters().dropped(Drop::TunnelFormat), 1U);
}

class Restarts : public Cluster, public testing::WithParamInterface<overlay::Security> {
  protected:
    Restarts() : Cluster(GetParam()) {}
};

// The client's node dies with its keys; flows and tables are found again, the connection goes on.
TEST_P(Restarts, TheClientsNodeComesBackAndTheConnectionGoesOn) {
    const auto request = send_from(a, syn("10.18.0.2", 40000, "10.30.0.10", 80));
    const auto other = send_from(a, syn("10.18.0.2", 40001, "10.30.0.10", 80));
    ASSERT_EQ(other.node, &b);
    ASSERT_EQ(send_from(b, answer_to(other.bytes, kSyn | kAck)).node, &a);
    a.restart();
    network.advance(std::chrono::seconds(1));
    const auto more =
        send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").tcp(40001, 80).flags(kAck).payload(10));
    ASSERT_EQ(more.node, &b);
    const auto back = send_from(b, answer_to(more.bytes, kAck));
    ASSERT_EQ(back.node, &a);
    EXPECT_THAT(back.bytes, AllOf(From("10.30.0.10:80"), To("10.18.0.2:40001")));
}

TEST_P(Restarts, TheServersNodeComesBackAndTheConnectionGoesOn) {
    send_from(a, syn("10.18.0.2", 40000, "10.30.0.10", 80));
    const auto request = send_from(a, syn("10.18.0.2", 40001, "10.30.0.10", 80));
    ASSERT_EQ(request.node, &b);
    ASSERT_EQ(send_from(b, answer_to(request.bytes, kSyn | kAck)).node, &a);
    b.restart();
    network.advance(std::chrono::seconds(1));
    const auto more =
        send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").tcp(40001, 80).flags(kAck).payload(10));
    ASSERT_EQ(more.node, &b);
    const auto back = send_from(b, answer_to(more.bytes, kAck));
    ASSERT_EQ(back.node, &a);
    EXPECT_THAT(back.bytes, AllOf(From("10.30.0.10:80"), To("10.18.0.2:40001")));
}

// It starts while the wire is cut: nobody tells the others. They notice that it does not answer.
TEST_P(Restarts, APeerThatLostItsKeysUnheardIsNoticed) {
    ASSERT_EQ(send_from(a, syn("10.18.0.2", 40001, "10.30.0.12", 80)).node, &b);
    network.cut("b", true);
    b.restart();
    network.advance(std::chrono::milliseconds(100));
    network.cut("b", false);
    bool arrived = false;
    for (int i = 0; i < 50 && !arrived; ++i) {
        network.advance(std::chrono::milliseconds(100));
        arrived =
            send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").tcp(40001, 80).flags(kAck).payload(10)).node ==
            &b;
    }
    EXPECT_TRUE(arrived);
}

TEST_P(Restarts, ALossyWireOnlyDelaysTheSession) {
    network.set_faults({.loss = 0.4, .duplicate = 0.1, .reorder = 0.1, .corrupt = 0});
    bool arrived = false;
    for (int i = 0; i < 100 && !arrived; ++i) {
        arrived = send_from(a, syn("10.18.0.2", static_cast<std::uint16_t>(40000 + i), "10.30.0.12", 80)).node == &b;
        network.advance(std::chrono::milliseconds(200));
        arrived = arrived || !b.take_delivered().empty();
    }
    EXPECT_TRUE(arrived);
    network.set_faults({});
    network.advance(std::chrono::seconds(10));
}

TEST_P(Restarts, KeysAreRenewedUnderTrafficWithoutLoss) {
    int lost = 0;
    for (int second = 0; second < 400; ++second) {
        lost += send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(1000, 2000).payload(32)).node == &b
                    ? 0
                    : 1;
        lost += send_from(b, PacketBuilder().ipv4("10.18.0.66", "10.30.0.2").udp(2000, 1000).payload(32)).node == &a
                    ? 0
                    : 1;
        network.advance(std::chrono::seconds(1));
        for (VirtualNode* node : {&a, &b})
            node->take_delivered();
    }
    EXPECT_EQ(lost, 0);
}

INSTANTIATE_TEST_SUITE_P(Modes, Restarts, testing::Values(overlay::Security::Clear, overlay::Security::Aead),
                         [](const auto& mode) { return mode.param == overlay::Security::Clear ? "Clear" : "Aead"; });

TEST_F(Encrypted, RoundTripTimeIsMeasuredByProbes) {
    send_from(a, syn("10.18.0.2", 40000, "10.30.0.12", 80));
    network.advance(std::chrono::seconds(3));
    for (const auto& [id, peer] : a.services().peers())
        EXPECT_TRUE(peer.endpoint != b.endpoint() || peer.state->last_seen_ns.load() > 0) << id;
    EXPECT_GT(a.counters().absorbed.value(), 0U);
}

// The reference system's format: the inner packet with nothing before it.
TEST(BarePeer, ExchangesInnerPacketsAsTheyAre) {
    VirtualNetwork network;
    auto& node = network.add(
        {.id = "a", .subnet = "10.18.0.0/26", .host = "192.168.77.11", .security = overlay::Security::Bare});
    node.deploy(kClientService, 0, "10.18.0.2", {"InstanceNumber 10.30.0.2"});
    control::ServicePush push{.name = kApi, .labels = {}, .service_ips = {}, .instances = {}};
    push.service_ips.push_back({overlay::Policy::RoundRobin, *net::IpAddress::parse("10.30.0.10"), {}, ""});
    const net::Endpoint reference{*net::IpAddress::parse("192.168.77.12"), 50103};
    push.instances.push_back(
        {0, reference, *net::IpAddress::parse("10.18.0.66"), {}, *net::IpAddress::parse("10.30.0.12"), {}});
    ASSERT_TRUE(node.services().put_pushed(push));
    node.tables_changed();

    std::vector<Bytes> wire;
    network.tap = [&](const auto&, const auto& to, const Bytes& datagram) {
        if (to == reference) wire.push_back(datagram);
    };
    node.send(PacketBuilder()
                  .ipv4("10.18.0.2", "10.30.0.10")
                  .tcp(40000, 80)
                  .flags(kSyn)
                  .mss(1460)
                  .partial_checksum()
                  .packet());
    network.run();
    ASSERT_EQ(wire.size(), 1U);
    EXPECT_THAT(wire[0],
                AllOf(From("10.30.0.2:40000"), To("10.18.0.66:80"), HasTcpFlags(kSyn)));  // step 1, full checksum

    node.receive({reference.address, 33333},
                 PacketBuilder().ipv4("10.30.0.12", "10.18.0.2").tcp(80, 40000).flags(kSyn | kAck).build());
    network.run();
    EXPECT_THAT(node.take_one(), AllOf(From("10.30.0.10:80"), To("10.18.0.2:40000")));  // step 4

    node.send(PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").udp(65535, 80).payload("kills a reference node").build());
    network.run();
    EXPECT_EQ(wire.size(), 1U);
    EXPECT_EQ(node.counters().dropped(Drop::BareUnsafe), 1U);

    node.deploy("shop.default.anon.default", 0, "10.18.0.9", {});
    node.send(PacketBuilder().ipv4("10.18.0.9", "10.30.0.10").tcp(40000, 80).flags(kSyn).build());
    network.run();
    EXPECT_EQ(node.counters().dropped(Drop::NoInstanceIp), 1U);
    network.expect_conservation();
}

}  // namespace
}  // namespace weft::test
