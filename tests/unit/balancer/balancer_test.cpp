// SPDX-License-Identifier: Apache-2.0
#include "overlay/balancer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/balancer/services.hpp"

namespace weft::overlay::test {
namespace {

using ::testing::ElementsAre;

std::vector<int> picks(const ServiceAddress& address, std::uint32_t count, Turn turn = Turn::Take) {
    std::vector<int> numbers;
    for (std::uint32_t n = 0; n < count; ++n)
        numbers.push_back(number(pick(address, flow(n), turn)));
    return numbers;
}

TEST(RoundRobin, GivesEveryInstanceItsTurnExactly) {
    const auto address = ServiceBuilder({1, 2, 3}).address(Policy::RoundRobin);
    EXPECT_THAT(picks(address, 7), ElementsAre(1, 2, 3, 1, 2, 3, 1));
}

TEST(RoundRobin, SkipsThoseThatTakeNoNewFlowsWithoutGivingTheirTurnToANeighbour) {
    const auto address = ServiceBuilder({1, 2, 3, 4}).unusable(2).unusable(3).address(Policy::RoundRobin);
    EXPECT_THAT(picks(address, 4), ElementsAre(1, 4, 1, 4));
}

TEST(RoundRobin, GoesOnWhereItStoodWhenAnInstanceIsAdded) {
    ServiceBuilder before({1, 2});
    EXPECT_THAT(picks(before.address(Policy::RoundRobin), 1), ElementsAre(1));
    const auto after = ServiceBuilder({1, 2, 3}).address(Policy::RoundRobin);
    after.service->state->turn = before.address(Policy::RoundRobin).service->state->turn.load();
    EXPECT_THAT(picks(after, 3), ElementsAre(2, 3, 1));
}

TEST(RoundRobin, StaysInRangeWhenInstancesAreRemoved) {
    const auto address = ServiceBuilder({1, 2}).address(Policy::RoundRobin);
    address.service->state->turn = 77;
    EXPECT_THAT(picks(address, 2), ElementsAre(2, 1));
}

TEST(RoundRobin, LeavesTheTurnAloneWhenOnlyAsked) {
    const auto address = ServiceBuilder({1, 2, 3}).address(Policy::RoundRobin);
    EXPECT_THAT(picks(address, 3, Turn::Peek), ElementsAre(1, 1, 1));
    EXPECT_THAT(picks(address, 1), ElementsAre(1));
    EXPECT_THAT(picks(address, 1, Turn::Peek), ElementsAre(2));
}

TEST(Closest, TakesTheNearestThatTakesFlows) {
    auto builder = ServiceBuilder({1, 2, 3}).by_distance({2, 0, 1});
    EXPECT_THAT(picks(builder.address(Policy::Closest), 2), ElementsAre(3, 3));
    EXPECT_THAT(picks(builder.unusable(3).address(Policy::Closest), 2), ElementsAre(1, 1));
}

TEST(Closest, PutsThoseOfUnknownDistanceLastAndIgnoresPlacesThatAreNot) {
    EXPECT_THAT(picks(ServiceBuilder({1, 2, 3}).by_distance({9, 1}).address(Policy::Closest), 1), ElementsAre(2));
    EXPECT_THAT(picks(ServiceBuilder({1, 2}).unusable(2).by_distance({1}).address(Policy::Closest), 1), ElementsAre(1));
}

TEST(Underutilized, TakesWhoHasTheFewestFlows) {
    const auto address =
        ServiceBuilder({1, 2, 3}).active(1, 5).active(2, 3).active(3, 9).address(Policy::Underutilized);
    EXPECT_THAT(picks(address, 2), ElementsAre(2, 2));
}

TEST(Underutilized, TakesTurnsAmongEquals) {
    const auto address = ServiceBuilder({1, 2, 3}).active(2, 8).address(Policy::Underutilized);
    EXPECT_THAT(picks(address, 4), ElementsAre(1, 3, 1, 3));
}

TEST(Underutilized, EvensOutUnequalLoads) {
    const auto address = ServiceBuilder({1, 2, 3}).active(1, 30).active(2, 10).address(Policy::Underutilized);
    for (std::uint32_t n = 0; n < 80; ++n)
        pick(address, flow(n), Turn::Take)->state->active_flows.fetch_add(1);
    for (const auto& instance : address.service->instances)
        EXPECT_EQ(instance->state->active_flows.load(), 40);
}

TEST(InstanceNumber, IsThatInstanceOrNone) {
    auto address = ServiceBuilder({1, 2, 3}).address(Policy::InstanceNumber);
    address.instance = address.service->instances[1];
    EXPECT_THAT(picks(address, 2), ElementsAre(2, 2));
    EXPECT_EQ(number(pick_stateless(address, flow(1), nullptr)), 2);
    auto draining = std::make_shared<Instance>(*address.instance);
    draining->usable = false;
    address.instance = draining;
    EXPECT_THAT(picks(address, 1), ElementsAre(-1));
    address.instance = nullptr;
    EXPECT_THAT(picks(address, 1), ElementsAre(-1));
}

class EveryPolicy : public ::testing::TestWithParam<Policy> {};
INSTANTIATE_TEST_SUITE_P(Policy, EveryPolicy,
                         ::testing::Values(Policy::RoundRobin, Policy::Closest, Policy::Underutilized));

TEST_P(EveryPolicy, PicksNobodyWhereNobodyTakesFlows) {
    EXPECT_THAT(picks(ServiceBuilder({}).address(GetParam()), 1), ElementsAre(-1));
    EXPECT_THAT(picks(ServiceBuilder({1, 2}).unusable(1).unusable(2).by_distance({0, 1}).address(GetParam()), 1),
                ElementsAre(-1));
    EXPECT_EQ(pick({.policy = GetParam(), .service = nullptr, .instance = nullptr}, flow(1), Turn::Take), nullptr);
}

TEST_P(EveryPolicy, PicksOnlyInstancesThatTheFamilyReaches) {
    const auto address = ServiceBuilder({1, 2}).only_ipv6(1).by_distance({0, 1}).address(GetParam());
    EXPECT_THAT(picks(address, 3), ElementsAre(2, 2, 2));
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(number(pick(address, ipv6_flow(), Turn::Take)), 1);
    EXPECT_EQ(number(pick_stateless(address, flow(1), nullptr)), 2);
    EXPECT_EQ(number(pick_stateless(address, ipv6_flow(), nullptr)), 1);
}

}  // namespace
}  // namespace weft::overlay::test
