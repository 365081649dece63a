// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include <gtest/gtest.h>

#include "tests/unit/balancer/services.hpp"

namespace weft::overlay::test {
namespace {

constexpr std::uint32_t kFlows = 100'000;

std::vector<std::uint32_t> numbers_up_to(std::uint32_t count) {
    std::vector<std::uint32_t> numbers(count);
    std::iota(numbers.begin(), numbers.end(), 0U);
    return numbers;
}
std::vector<std::uint32_t> without(std::vector<std::uint32_t> numbers, std::uint32_t one) {
    std::erase(numbers, one);
    return numbers;
}

// Whom each of kFlows flows gets.
std::vector<int> choices(const std::vector<std::uint32_t>& numbers, const MaglevTable* table) {
    const auto address = ServiceBuilder(numbers).address(Policy::RoundRobin);
    std::vector<int> chosen;
    for (std::uint32_t n = 0; n < kFlows; ++n)
        chosen.push_back(number(pick_stateless(address, flow(n), table)));
    return chosen;
}

// Share of flows that changed although whom they had is still there.
double moved_needlessly(const std::vector<int>& before, const std::vector<int>& after, int gone) {
    std::uint32_t moved = 0;
    for (std::uint32_t n = 0; n < kFlows; ++n)
        moved += before[n] != gone && before[n] != after[n];
    return static_cast<double>(moved) / kFlows;
}

// Largest and smallest count divided by the fair one.
std::pair<double, double> share_bounds(const std::vector<int>& chosen, std::size_t instances) {
    std::vector<int> counts(instances);
    for (const int one : chosen)
        ++counts[static_cast<std::size_t>(one)];
    const double fair = static_cast<double>(kFlows) / static_cast<double>(instances);
    return {*std::ranges::max_element(counts) / fair, *std::ranges::min_element(counts) / fair};
}

TEST(Rendezvous, SharesFlowsEvenly) {
    for (const std::uint32_t count : {2U, 7U, 16U}) {
        const auto [most, least] = share_bounds(choices(numbers_up_to(count), nullptr), count);
        EXPECT_LT(most, 1.1) << count;
        EXPECT_GT(least, 0.9) << count;
    }
}

TEST(Rendezvous, MovesNoFlowOfAnInstanceThatStays) {
    const auto all = numbers_up_to(16);
    const auto before = choices(all, nullptr);
    for (const std::uint32_t gone : {0U, 7U, 15U})
        EXPECT_EQ(moved_needlessly(before, choices(without(all, gone), nullptr), static_cast<int>(gone)), 0.0) << gone;
}

TEST(Rendezvous, TreatsDrainingLikeGone) {
    const auto address = ServiceBuilder({0, 1, 2}).unusable(1).address(Policy::RoundRobin);
    const auto reduced = ServiceBuilder({0, 2}).address(Policy::RoundRobin);
    for (std::uint32_t n = 0; n < 1000; ++n)
        EXPECT_EQ(number(pick_stateless(address, flow(n), nullptr)), number(pick_stateless(reduced, flow(n), nullptr)));
}

TEST(Maglev, TakesTheSmallestTableThatSharesWell) {
    EXPECT_EQ(MaglevTable::slots_for(17), 4099U);
    EXPECT_EQ(MaglevTable::slots_for(40), 4099U);
    EXPECT_EQ(MaglevTable::slots_for(41), 16411U);
    EXPECT_EQ(MaglevTable::slots_for(164), 16411U);
    EXPECT_EQ(MaglevTable::slots_for(165), 65537U);
    EXPECT_EQ(MaglevTable::slots_for(60000), 65537U);
}

TEST(Maglev, GivesEveryInstanceTheSameShareButForOneSlot) {
    for (const std::uint32_t count : {1U, 17U, 40U, 100U}) {
        const MaglevTable table(numbers_up_to(count));
        std::vector<std::size_t> counts(count);
        for (std::size_t slot = 0; slot < table.slots(); ++slot)
            ++counts[table.find(slot).value()];
        EXPECT_LE(*std::ranges::max_element(counts) - *std::ranges::min_element(counts), 1U) << count;
    }
}

TEST(Maglev, DoesNotDependOnTheOrderOfTheList) {
    auto numbers = numbers_up_to(30);
    const MaglevTable forwards(numbers);
    std::ranges::reverse(numbers);
    const MaglevTable backwards(numbers);
    for (std::size_t slot = 0; slot < forwards.slots(); ++slot)
        EXPECT_EQ(forwards.find(slot), backwards.find(slot));
}

TEST(Maglev, IsEmptyWithoutInstances) {
    EXPECT_EQ(MaglevTable({}).find(7), std::nullopt);
}

// The measured figures are 2.6 % and 0.6 %; the bounds leave room for the choice of the one that goes.
TEST(Maglev, MovesFewFlowsNeedlesslyWhenOneOfAHundredGoes) {
    const auto all = numbers_up_to(100);
    for (const auto& [slots, bound] : {std::pair{4099U, 0.04}, {65537U, 0.012}}) {
        const MaglevTable full(all, slots);
        const auto before = choices(all, &full);
        for (const std::uint32_t gone : {3U, 50U, 99U}) {
            const auto rest = without(all, gone);
            const MaglevTable reduced(rest, slots);
            EXPECT_LT(moved_needlessly(before, choices(rest, &reduced), static_cast<int>(gone)), bound) << slots;
        }
    }
}

TEST(Maglev, SendsFlowsOfAnOutdatedTableToLivingInstances) {
    const auto all = numbers_up_to(30);
    const MaglevTable outdated(all);
    const auto before = choices(all, &outdated);
    const auto after = choices(without(all, 5), &outdated);
    EXPECT_EQ(moved_needlessly(before, after, 5), 0.0);
    EXPECT_EQ(std::ranges::count(after, 5), 0);
    EXPECT_EQ(std::ranges::count(after, -1), 0);
}

TEST(Maglev, IsNotAskedForFewInstances) {
    const auto all = numbers_up_to(16);
    const MaglevTable table(all);
    EXPECT_EQ(choices(all, &table), choices(all, nullptr));
}

}  // namespace
}  // namespace weft::overlay::test
