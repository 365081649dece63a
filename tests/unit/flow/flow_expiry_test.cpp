// SPDX-License-Identifier: Apache-2.0
#include "overlay/flow_expiry.hpp"

#include <gtest/gtest.h>

#include "dataplane/net/tcp.hpp"
#include "tests/unit/flow/flows.hpp"

namespace weft::overlay::test {
namespace {

using net::kProtocolIcmp;
using net::kProtocolIcmp6;
using net::kProtocolTcp;
using net::kProtocolUdp;
using net::kTcpAck;
using net::kTcpFin;
using net::kTcpRst;
using net::kTcpSyn;

struct TimeoutCase {
    const char* what;
    std::uint8_t protocol;
    FlowState state;
    std::chrono::seconds normal, crowded;
};
constexpr TimeoutCase kTimeouts[] = {
    {"half-open TCP", kProtocolTcp, FlowState::HalfOpen, 60s, 10s},
    {"established TCP", kProtocolTcp, FlowState::Established, 2h + 4min, 2h + 4min},
    {"closing TCP", kProtocolTcp, FlowState::Closing, 4min, 10s},
    {"closed TCP", kProtocolTcp, FlowState::Closed, 4min, 10s},
    {"unanswered UDP", kProtocolUdp, FlowState::New, 2min, 20s},
    {"answered UDP", kProtocolUdp, FlowState::Established, 5min, 60s},
    {"unanswered ICMP", kProtocolIcmp, FlowState::New, 60s, 10s},
    {"answered ICMPv6", kProtocolIcmp6, FlowState::Established, 60s, 10s},
};

TEST(Expiry, HasItsTimeForEveryState) {
    for (const auto& c : kTimeouts) {
        EXPECT_EQ(flow_timeout(c.protocol, c.state, Pressure::Normal), c.normal) << c.what;
        EXPECT_EQ(flow_timeout(c.protocol, c.state, Pressure::Crowded), c.crowded) << c.what;
    }
}

struct Step {
    Role from;
    unsigned flags;
    FlowState then;
};
struct Life {
    const char* what;
    std::uint8_t protocol;
    FlowState first;
    std::vector<Step> steps;
};
const Life kLives[] = {
    {"a TCP connection from SYN to the second FIN",
     kProtocolTcp,
     FlowState::HalfOpen,
     {{Role::Opener, kTcpSyn, FlowState::HalfOpen},
      {Role::Opener, kTcpSyn, FlowState::HalfOpen},
      {Role::Answer, kTcpSyn | kTcpAck, FlowState::Established},
      {Role::Opener, kTcpAck, FlowState::Established},
      {Role::Opener, kTcpFin | kTcpAck, FlowState::Closing},
      {Role::Answer, kTcpAck, FlowState::Closing},
      {Role::Answer, kTcpFin | kTcpAck, FlowState::Closed},
      {Role::Opener, kTcpAck, FlowState::Closed}}},
    {"one side repeats its FIN",
     kProtocolTcp,
     FlowState::HalfOpen,
     {{Role::Answer, kTcpAck, FlowState::Established},
      {Role::Answer, kTcpFin | kTcpAck, FlowState::Closing},
      {Role::Answer, kTcpFin | kTcpAck, FlowState::Closing}}},
    {"refused",
     kProtocolTcp,
     FlowState::HalfOpen,
     {{Role::Opener, kTcpSyn, FlowState::HalfOpen},
      {Role::Answer, kTcpRst | kTcpAck, FlowState::Closed},
      {Role::Answer, kTcpFin, FlowState::Closed}}},
    {"however much is sent, an unanswered connection stays half-open",
     kProtocolTcp,
     FlowState::HalfOpen,
     {{Role::Opener, kTcpSyn, FlowState::HalfOpen}, {Role::Opener, kTcpAck, FlowState::HalfOpen}}},
    {"UDP, answered",
     kProtocolUdp,
     FlowState::New,
     {{Role::Opener, 0, FlowState::New},
      {Role::Answer, 0, FlowState::Established},
      {Role::Opener, 0, FlowState::Established}}},
    {"TCP flags mean nothing to UDP", kProtocolUdp, FlowState::New, {{Role::Opener, kTcpRst, FlowState::New}}},
    {"ping",
     kProtocolIcmp,
     FlowState::New,
     {{Role::Opener, 0, FlowState::New}, {Role::Answer, 0, FlowState::Established}}},
};

TEST(Expiry, FollowsAConnectionThroughItsLife) {
    for (const Life& life : kLives) {
        auto table = open_table(options(8));
        const FlowHandle opener = add(*table, connection(1, life.protocol));
        EXPECT_EQ(table->get(opener).state, life.first) << life.what;
        for (const Step& step : life.steps) {
            table->touch(step.from == Role::Opener ? opener : table->partner(opener), 1, 60,
                         static_cast<std::uint8_t>(step.flags), at(kStart));
            EXPECT_EQ(table->get(opener).state, step.then) << life.what;
            EXPECT_EQ(table->get(table->partner(opener)).state, step.then) << life.what;
        }
    }
}

TEST(Expiry, LetsAConnectionBePickedUpInItsMiddle) {
    auto table = open_table(options(8));
    auto c = connection(1);
    c.opener.state = FlowState::Established;
    EXPECT_EQ(table->get(add(*table, c)).state, FlowState::Established);
}

TEST(Expiry, CountsFromTheLastPacketOfEitherSide) {
    auto table = open_table(options(8));
    const FlowHandle opener = add(*table, connection(1, kProtocolUdp));
    table->touch(table->partner(opener), 1, 60, 0, at(kStart + 1min));
    table->touch(opener, 1, 60, 0, at(kStart + 2min));
    EXPECT_EQ(table->sweep(at(kStart + 7min - 100ms), 10), 0U);
    table->touch(table->partner(opener), 1, 60, 0, at(kStart + 6min));
    EXPECT_EQ(table->sweep(at(kStart + 11min - 100ms), 10), 0U);
    EXPECT_EQ(table->sweep(at(kStart + 11min), 10), 1U);
}

TEST(Expiry, IsSoonerWhereTheTableIsCrowded) {
    auto table = open_table(options(100));
    for (std::uint32_t n = 0; n < 80; ++n)
        add(*table, connection(n, kProtocolUdp));
    EXPECT_EQ(table->sweep(at(kStart + 20s), 1000), 0U);
    add(*table, connection(80, kProtocolUdp));
    EXPECT_EQ(table->sweep(at(kStart + 20s), 1000), 1U);  // no longer crowded after the first
}

}  // namespace
}  // namespace weft::overlay::test
