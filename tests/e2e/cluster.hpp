// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_check.hpp"
#include "tests/support/virtual_node.hpp"

namespace weft::test {

inline constexpr const char* kClientService = "shop.default.cli.default";
inline constexpr const char* kApi = "shop.default.api.default";

// Three hosts in memory, a client on `a`, and the service `api` with one instance on each:
//
//   a 192.168.77.11  10.18.0.0/26    cli#0 10.18.0.2 (10.30.0.2)   api#0 10.18.0.3 (10.30.0.11)
//   b 192.168.77.12  10.18.0.64/26   api#1 10.18.0.66 (10.30.0.12)
//   c 192.168.77.13  10.18.0.128/26  api#2 10.18.0.130 (10.30.0.13)
//   service IPs of api: RR 10.30.0.10, Closest 10.30.0.110, Underutilized 10.30.0.111; IPv6 likewise under fdff::
class Cluster : public testing::Test {
  protected:
    explicit Cluster(overlay::Security security = overlay::Security::Clear, std::uint32_t seed = 1)
        : network(seed),
          a(network.add({.id = "a",
                         .subnet = "10.18.0.0/26",
                         .subnet_v6 = "fc00::/120",
                         .host = "192.168.77.11",
                         .security = security})),
          b(network.add({.id = "b",
                         .subnet = "10.18.0.64/26",
                         .subnet_v6 = "fc00::100/120",
                         .host = "192.168.77.12",
                         .security = security})),
          c(network.add({.id = "c",
                         .subnet = "10.18.0.128/26",
                         .subnet_v6 = "fc00::200/120",
                         .host = "192.168.77.13",
                         .security = security})) {
        const std::vector<std::string> shared{"RR 10.30.0.10 fdff:2000::10", "Closest 10.30.0.110",
                                              "Underutilized 10.30.0.111"};
        const auto with = [&](std::string own) {
            auto all = shared;
            all.push_back(std::move(own));
            return all;
        };
        a.deploy(kClientService, 0, "10.18.0.2", {"InstanceNumber 10.30.0.2 fdff::2"}, "fc00::2");
        a.deploy(kApi, 0, "10.18.0.3", with("InstanceNumber 10.30.0.11 fdff::11"), "fc00::3");
        b.deploy(kApi, 1, "10.18.0.66", with("InstanceNumber 10.30.0.12 fdff::12"), "fc00::102");
        c.deploy(kApi, 2, "10.18.0.130", with("InstanceNumber 10.30.0.13 fdff::13"), "fc00::202");
        everyone_learns();
    }

    void TearDown() override { network.expect_conservation(); }

    void everyone_learns() {
        for (VirtualNode* node : {&a, &b, &c})
            for (VirtualNode* other : {&a, &b, &c})
                if (node != other) node->learn_from(*other);
    }

    // Sends from a's TUN and gives back where it came out, and what.
    struct Arrival {
        VirtualNode* node = nullptr;
        Bytes bytes;
    };
    Arrival send_from(VirtualNode& node, TestPacket packet) {
        for (VirtualNode* each : {&a, &b, &c})
            each->take_delivered();
        node.send(std::move(packet));
        network.run();
        Arrival arrival;
        for (VirtualNode* each : {&a, &b, &c})
            for (auto& delivered : each->take_delivered()) {
                EXPECT_EQ(arrival.node, nullptr) << "came out twice";
                arrival = {each, std::move(delivered.bytes)};
            }
        return arrival;
    }
    Arrival send_from(VirtualNode& node, const PacketBuilder& builder) { return send_from(node, builder.packet()); }

    static PacketBuilder syn(std::string_view from, std::uint16_t from_port, std::string_view to,
                             std::uint16_t to_port) {
        return PacketBuilder().ipv4(from, to).df().tcp(from_port, to_port).flags(kSyn).mss(1400);
    }
    // What a container would answer to a packet it got: addresses and ports turned around.
    static PacketBuilder answer_to(const Bytes& packet, unsigned flags) {
        const auto parsed = net::parse(packet, static_cast<std::uint32_t>(packet.size()));
        EXPECT_TRUE(parsed);
        PacketBuilder builder;
        builder.ip(parsed->destination, parsed->source);
        if (parsed->protocol == net::kProtocolTcp)
            return builder.df().tcp(parsed->destination_port, parsed->source_port).flags(flags);
        if (parsed->protocol == net::kProtocolUdp) return builder.udp(parsed->destination_port, parsed->source_port);
        return builder.icmp_echo_reply(parsed->source_port, 1);
    }

    VirtualNetwork network;
    VirtualNode& a;
    VirtualNode& b;
    VirtualNode& c;
};

}  // namespace weft::test
