// SPDX-License-Identifier: Apache-2.0
//
// What users of a service IP see: who is reached, by which addresses, and that it stays so.
#include <map>
#include <set>

#include "tests/e2e/cluster.hpp"

namespace weft::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;

class ServiceTraffic : public Cluster {};

TEST_F(ServiceTraffic, ClientSeesOnlyTheServiceIpAndServerSeesTheInstanceIp) {
    const auto request = send_from(a, syn("10.18.0.2", 40000, "10.30.0.12", 80));
    ASSERT_EQ(request.node, &b);
    EXPECT_THAT(request.bytes, AllOf(From("10.30.0.2:40000"), To("10.18.0.66:80"), HasTcpFlags(kSyn)));

    const auto reply = send_from(b, answer_to(request.bytes, kSyn | kAck));
    ASSERT_EQ(reply.node, &a);
    EXPECT_THAT(reply.bytes, AllOf(From("10.30.0.12:80"), To("10.18.0.2:40000"), HasTcpFlags(kSyn | kAck)));
}

TEST_F(ServiceTraffic, RoundRobinTakesExactTurns) {
    std::vector<std::string> order;
    for (std::uint16_t port = 40000; port < 40009; ++port)
        order.push_back(send_from(a, syn("10.18.0.2", port, "10.30.0.10", 80)).node->id());
    EXPECT_THAT(order, ElementsAre("a", "b", "c", "a", "b", "c", "a", "b", "c"));
}

TEST_F(ServiceTraffic, ThreeHundredConnectionsSpreadEvenlyAndStay) {
    std::map<std::string, int> share;
    std::map<std::uint16_t, VirtualNode*> chosen;
    for (std::uint16_t port = 40000; port < 40300; ++port) {
        const auto request = send_from(a, syn("10.18.0.2", port, "10.30.0.10", 80));
        ASSERT_NE(request.node, nullptr);
        ++share[request.node->id()];
        chosen[port] = request.node;
        const auto reply = send_from(*request.node, answer_to(request.bytes, kSyn | kAck));
        ASSERT_EQ(reply.node, &a);
        EXPECT_THAT(reply.bytes, AllOf(From("10.30.0.10:80"), To("10.18.0.2:" + std::to_string(port))));
    }
    EXPECT_THAT(share, ElementsAre(std::pair("a", 100), std::pair("b", 100), std::pair("c", 100)));
    for (const auto& [port, node] : chosen) {
        const auto more =
            send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").tcp(port, 80).flags(kAck).payload(100));
        EXPECT_EQ(more.node, node);
    }
}

TEST_F(ServiceTraffic, ClosestPrefersTheOwnHost) {
    for (std::uint16_t port = 40000; port < 40005; ++port)
        EXPECT_EQ(send_from(a, syn("10.18.0.2", port, "10.30.0.110", 80)).node, &a);
}

TEST_F(ServiceTraffic, UnderutilizedFillsTheEmptiest) {
    std::map<std::string, int> share;
    for (std::uint16_t port = 40000; port < 40030; ++port)
        ++share[send_from(a, syn("10.18.0.2", port, "10.30.0.111", 80)).node->id()];
    EXPECT_THAT(share, ElementsAre(std::pair("a", 10), std::pair("b", 10), std::pair("c", 10)));
}

TEST_F(ServiceTraffic, SameHostLooksLikeAnyOther) {
    const auto request = send_from(a, syn("10.18.0.2", 40000, "10.30.0.11", 80));
    ASSERT_EQ(request.node, &a);
    EXPECT_THAT(request.bytes, AllOf(From("10.30.0.2:40000"), To("10.18.0.3:80")));
    const auto reply = send_from(a, answer_to(request.bytes, kSyn | kAck));
    EXPECT_THAT(reply.bytes, AllOf(From("10.30.0.11:80"), To("10.18.0.2:40000")));
}

TEST_F(ServiceTraffic, AContainerReachesItselfThroughItsOwnService) {
    const auto request = send_from(a, syn("10.18.0.3", 40000, "10.30.0.110", 80));
    ASSERT_EQ(request.node, &a);
    EXPECT_THAT(request.bytes, AllOf(From("10.30.0.11:40000"), To("10.18.0.3:80")));
    const auto reply = send_from(a, answer_to(request.bytes, kSyn | kAck));
    EXPECT_THAT(reply.bytes, AllOf(From("10.30.0.110:80"), To("10.18.0.3:40000")));
}

TEST_F(ServiceTraffic, IPv6WorksAlike) {
    std::set<std::string> reached;
    for (std::uint16_t port = 40000; port < 40003; ++port) {
        const auto request = send_from(a, PacketBuilder().ipv6("fc00::2", "fdff:2000::10").tcp(port, 80).flags(kSyn));
        ASSERT_NE(request.node, nullptr);
        reached.insert(request.node->id());
        EXPECT_THAT(request.bytes, From("[fdff::2]:" + std::to_string(port)));
        const auto reply = send_from(*request.node, answer_to(request.bytes, kSyn | kAck));
        EXPECT_THAT(reply.bytes, AllOf(From("[fdff:2000::10]:80"), To("[fc00::2]:" + std::to_string(port))));
    }
    EXPECT_THAT(reached, ElementsAre("a", "b", "c"));
}

TEST_F(ServiceTraffic, UdpAndPingAreServed) {
    const auto question = send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(5353, 53).payload("who?"));
    ASSERT_EQ(question.node, &b);
    const auto answer = send_from(b, answer_to(question.bytes, 0).payload("me"));
    EXPECT_THAT(answer.bytes, AllOf(From("10.30.0.12:53"), To("10.18.0.2:5353")));

    const auto ping = send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").icmp_echo(77, 1).payload(56));
    ASSERT_EQ(ping.node, &b);
    EXPECT_THAT(ping.bytes, AllOf(From("10.30.0.2"), To("10.18.0.66"), HasIcmp(8, 0)));
    const auto pong = send_from(b, answer_to(ping.bytes, 0).payload(56));
    EXPECT_THAT(pong.bytes, AllOf(From("10.30.0.12"), To("10.18.0.2"), HasIcmp(0, 0)));
}

TEST_F(ServiceTraffic, ZeroChecksumUdpStaysZero) {
    const auto question =
        send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(5353, 53).no_udp_checksum().payload(32));
    ASSERT_EQ(question.node, &b);
    EXPECT_THAT(question.bytes, AllOf(To("10.18.0.66:53"), HasPayload(pattern(32))));
    EXPECT_EQ(question.bytes[26], std::byte{0});
    EXPECT_EQ(question.bytes[27], std::byte{0});
}

TEST_F(ServiceTraffic, EveryL4PortIsAPort) {
    for (const std::uint16_t port : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{65535}}) {
        const auto question =
            send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.12").udp(65535, port).payload("x"));
        ASSERT_EQ(question.node, &b) << port;
        const auto answer = send_from(b, answer_to(question.bytes, 0).payload("y"));
        EXPECT_THAT(answer.bytes, To("10.18.0.2:65535")) << port;
    }
}

TEST_F(ServiceTraffic, ClientsWithEqualPortsAreKeptApart) {
    a.deploy("shop.default.cli2.default", 0, "10.18.0.4", {"InstanceNumber 10.30.0.4"});
    b.learn_from(a);
    const auto first = send_from(a, syn("10.18.0.2", 40000, "10.30.0.12", 80));
    const auto second = send_from(a, syn("10.18.0.4", 40000, "10.30.0.12", 80));
    const auto to_second = send_from(b, answer_to(second.bytes, kSyn | kAck));
    const auto to_first = send_from(b, answer_to(first.bytes, kSyn | kAck));
    EXPECT_THAT(to_first.bytes, To("10.18.0.2:40000"));
    EXPECT_THAT(to_second.bytes, To("10.18.0.4:40000"));
}

// Both lead to one container, so the answers to equal ports would be equal: the second client port is translated.
TEST_F(ServiceTraffic, TwoServiceIpsOfOneInstanceNeverMixTheirAnswers) {
    b.deploy("shop.default.solo.default", 0, "10.18.0.70", {"RR 10.30.0.50", "Closest 10.30.0.51"});
    a.learn_from(b);
    const auto one = send_from(a, syn("10.18.0.2", 40000, "10.30.0.50", 80));
    const auto two = send_from(a, syn("10.18.0.2", 40000, "10.30.0.51", 80));
    ASSERT_EQ(one.node, &b);
    ASSERT_EQ(two.node, &b);
    EXPECT_THAT(send_from(b, answer_to(one.bytes, kSyn | kAck)).bytes,
                AllOf(From("10.30.0.50:80"), To("10.18.0.2:40000")));
    EXPECT_THAT(send_from(b, answer_to(two.bytes, kSyn | kAck)).bytes,
                AllOf(From("10.30.0.51:80"), To("10.18.0.2:40000")));
}

class ClientsWithoutInstanceIp : public Cluster {
  protected:
    ClientsWithoutInstanceIp() {
        a.deploy("shop.default.anon.default", 0, "10.18.0.9", {});
        b.learn_from(a);
        c.learn_from(a);
    }
};

TEST_F(ClientsWithoutInstanceIp, AreSeenByTheirNamespaceIpElsewhere) {
    const auto request = send_from(a, syn("10.18.0.9", 40000, "10.30.0.12", 80));
    ASSERT_EQ(request.node, &b);
    EXPECT_THAT(request.bytes, AllOf(From("10.18.0.9:40000"), To("10.18.0.66:80")));
    const auto reply = send_from(b, answer_to(request.bytes, kSyn | kAck));
    ASSERT_EQ(reply.node, &a);
    EXPECT_THAT(reply.bytes, AllOf(From("10.30.0.12:80"), To("10.18.0.9:40000")));
}

TEST_F(ClientsWithoutInstanceIp, AreAnsweredByTheServiceIpOnTheSameHost) {
    const auto request = send_from(a, syn("10.18.0.9", 40000, "10.30.0.11", 80));
    ASSERT_EQ(request.node, &a);
    EXPECT_THAT(request.bytes, AllOf(From("10.30.0.11:40000"), To("10.18.0.3:80")));
    const auto reply = send_from(a, answer_to(request.bytes, kSyn | kAck));
    EXPECT_THAT(reply.bytes, AllOf(From("10.30.0.11:80"), To("10.18.0.9:40000")));
}

TEST_F(ClientsWithoutInstanceIp, GetTheirAnswersByTheLearnedHostAfterTheirServiceIsForgotten) {
    const auto request = send_from(a, syn("10.18.0.9", 40000, "10.30.0.12", 80));
    b.services().erase_pushed("shop.default.anon.default");
    b.tables_changed();
    const auto reply = send_from(b, PacketBuilder().ipv4("10.18.0.66", "10.18.0.9").udp(7, 7).payload("new flow"));
    EXPECT_EQ(reply.node, &a);
    EXPECT_THAT(request.bytes, From("10.18.0.9:40000"));
}

TEST_F(ServiceTraffic, InstancesThatLeaveTakeNoNewFlowsAndEndOldOnes) {
    const auto stays = send_from(a, syn("10.18.0.2", 40000, "10.30.0.10", 80));   // a
    const auto leaves = send_from(a, syn("10.18.0.2", 40001, "10.30.0.10", 80));  // b
    ASSERT_EQ(leaves.node, &b);
    auto push = control::ServicePush{.name = kApi, .labels = {}, .service_ips = {}, .instances = {}};
    push.instances.push_back(
        {2, c.endpoint(), *net::IpAddress::parse("10.18.0.130"), {}, *net::IpAddress::parse("10.30.0.13"), {}});
    ASSERT_TRUE(a.services().put_pushed(push));
    a.tables_changed();

    const auto ended =
        send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").tcp(40001, 80).flags(kAck).payload(10));
    ASSERT_EQ(ended.node, &a);
    EXPECT_THAT(ended.bytes, AllOf(From("10.30.0.10:80"), To("10.18.0.2:40001")));
    const auto parsed = net::parse(ended.bytes, static_cast<std::uint32_t>(ended.bytes.size()));
    EXPECT_TRUE(parsed->tcp_flags & kRst);
    EXPECT_EQ(send_from(a, PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").tcp(40000, 80).flags(kAck).payload(10)).node,
              stays.node);
    for (std::uint16_t port = 41000; port < 41010; ++port)
        EXPECT_NE(send_from(a, syn("10.18.0.2", port, "10.30.0.10", 80)).node, &b);
}

TEST_F(ServiceTraffic, AServiceThatIsGoneIsUnreachableAtOnce) {
    for (const char* destination : {"10.30.0.77", "10.30.200.1"}) {
        const auto answer = send_from(a, syn("10.18.0.2", 40000, destination, 80));
        ASSERT_EQ(answer.node, &a);
        EXPECT_THAT(answer.bytes, AllOf(To("10.18.0.2"), HasIcmp(3, 1), QuotesFromTo("10.18.0.2", destination)));
    }
    EXPECT_EQ(a.counters().dropped(Drop::UnknownService), 2U);
}

}  // namespace
}  // namespace weft::test
