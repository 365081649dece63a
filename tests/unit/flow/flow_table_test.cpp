// SPDX-License-Identifier: Apache-2.0
#include "overlay/flow_table.hpp"

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/net/tcp.hpp"
#include "tests/unit/flow/flows.hpp"

namespace weft::overlay::test {
namespace {

class BothFamilies : public ::testing::TestWithParam<bool> {
  protected:
    static Connection nth(std::uint32_t n, std::uint8_t protocol = net::kProtocolTcp) {
        return connection(n, protocol, GetParam());
    }
    std::unique_ptr<FlowTable> table_ = open_table(options(64));
};
INSTANTIATE_TEST_SUITE_P(Family, BothFamilies, ::testing::Values(false, true),
                         [](const auto& family) { return family.param ? "IPv6" : "IPv4"; });

TEST_P(BothFamilies, FindsAConnectionByEitherOfItsKeys) {
    const auto c = nth(1);
    const FlowHandle handle = add(*table_, c);
    EXPECT_EQ(table_->find(c.opener.key), handle);
    EXPECT_EQ(table_->find(c.answer.key), table_->partner(handle));
    EXPECT_EQ(table_->partner(table_->partner(handle)), handle);
    EXPECT_EQ(table_->size(), 1U);
    EXPECT_EQ(table_->inserts(), 1U);
}

TEST_P(BothFamilies, GivesBackWhatWasPutIn) {
    const auto c = nth(1);
    const FlowHandle handle = add(*table_, c);
    for (const auto& [half, put] : {std::pair{handle, c.opener}, {table_->partner(handle), c.answer}}) {
        const Flow got = table_->get(half);
        EXPECT_EQ(got.key, put.key);
        EXPECT_EQ(got.rewrite, put.rewrite);
        EXPECT_EQ(got.next_hop, put.next_hop);
        EXPECT_EQ(got.instance, put.instance);
        EXPECT_EQ(got.role, put.role);
        EXPECT_EQ(got.state, FlowState::HalfOpen);
    }
}

TEST_P(BothFamilies, FindsNothingThatDiffersInAnyFieldOfTheKey) {
    const auto c = nth(1);
    add(*table_, c);
    const FlowKey good = c.opener.key;
    std::vector<FlowKey> wrong(7, good);
    wrong[0].source = good.source.plus(1);
    wrong[1].destination = good.destination.plus(1);
    ++wrong[2].source_port;
    ++wrong[3].destination_port;
    wrong[4].protocol = net::kProtocolUdp;
    wrong[5].direction = Direction::Inbound;
    wrong[6].source = good.source.is_v4() ? ip("::1") : ip("1.2.3.4");
    for (const FlowKey& key : wrong)
        EXPECT_EQ(table_->find(key), kNoFlow);
}

TEST_P(BothFamilies, RefusesAConnectionWhoseKeysAreTaken) {
    const auto c = nth(1);
    add(*table_, c);
    auto same_opener = nth(2);
    same_opener.opener.key = c.opener.key;
    auto same_answer = nth(3);
    same_answer.answer.key = c.answer.key;
    auto itself = nth(4);
    itself.answer.key = itself.opener.key;
    for (const auto& refused : {c, same_opener, same_answer, itself})
        EXPECT_EQ(table_->insert(refused.opener, refused.answer, at(kStart)).error(), InsertError::KeyTaken);
    EXPECT_EQ(table_->size(), 1U);
    EXPECT_EQ(table_->find(same_opener.answer.key), kNoFlow);
    EXPECT_EQ(table_->find(same_answer.opener.key), kNoFlow);
}

TEST_P(BothFamilies, ForgetsBothHalvesOnErase) {
    const auto c = nth(1);
    std::vector<FlowKey> gone;
    table_->on_removed([&](const Flow& opener) { gone.push_back(opener.key); });
    table_->erase(table_->partner(add(*table_, c)));
    EXPECT_EQ(table_->find(c.opener.key), kNoFlow);
    EXPECT_EQ(table_->find(c.answer.key), kNoFlow);
    EXPECT_EQ(table_->size(), 0U);
    EXPECT_THAT(gone, ::testing::ElementsAre(c.opener.key));
    add(*table_, c);
    EXPECT_EQ(table_->size(), 1U);
}

TEST_P(BothFamilies, RefusesNewConnectionsWhenFullOfLivingOnes) {
    std::uint32_t n = 0;
    while (table_->insert(nth(n).opener, nth(n).answer, at(kStart)))
        ++n;
    EXPECT_EQ(n, GetParam() ? 16U : 64U);
    EXPECT_EQ(table_->insert(nth(n).opener, nth(n).answer, at(kStart)).error(), InsertError::Full);
    for (std::uint32_t i = 0; i < n; ++i)
        EXPECT_NE(table_->find(nth(i).opener.key), kNoFlow) << i;
}

TEST_P(BothFamilies, ReclaimsWhatHasExpiredForANewConnection) {
    std::uint32_t n = 0;
    while (table_->insert(nth(n).opener, nth(n).answer, at(kStart)))
        ++n;
    std::size_t gone = 0;
    table_->on_removed([&](const Flow&) { ++gone; });
    EXPECT_FALSE(table_->insert(nth(n).opener, nth(n).answer, at(kStart + 9s)));
    EXPECT_TRUE(table_->insert(nth(n).opener, nth(n).answer, at(kStart + 10s)));  // the floor of half-open TCP
    EXPECT_GT(gone, 0U);
}

TEST_P(BothFamilies, TakesAKeyThatOnlyAnExpiredConnectionHolds) {
    const auto c = nth(1);
    add(*table_, c);
    EXPECT_FALSE(table_->insert(c.opener, c.answer, at(kStart + 59s)));
    EXPECT_TRUE(table_->insert(c.opener, c.answer, at(kStart + 60s)));
    EXPECT_EQ(table_->size(), 1U);
}

TEST_P(BothFamilies, FindsAFlowAgainByItsIdAsLongAsItLives) {
    const auto c = nth(1);
    const FlowHandle handle = add(*table_, c);
    const auto id = table_->snapshot(at(kStart), 10, nullptr).at(0).id;
    EXPECT_EQ(table_->by_id(id), handle);
    EXPECT_EQ(table_->by_id(id ^ (1ULL << 40)), kNoFlow);
    EXPECT_EQ(table_->by_id(id | 1), kNoFlow);
    EXPECT_EQ(table_->by_id(id + 2000), kNoFlow);
    table_->erase(handle);
    EXPECT_EQ(table_->by_id(id), kNoFlow);
    add(*table_, nth(2));  // in the same place
    EXPECT_EQ(table_->by_id(id), kNoFlow);
}

TEST_P(BothFamilies, ShowsConnectionsWithTheirCounters) {
    const auto c = nth(1);
    const FlowHandle handle = add(*table_, c);
    table_->touch(handle, 44, 61000, net::kTcpAck, at(kStart + 1s));
    table_->touch(table_->partner(handle), 2, 104, net::kTcpAck, at(kStart + 2s));
    add(*table_, nth(2));
    const auto views =
        table_->snapshot(at(kStart + 5s), 10, [&](const Flow& flow) { return flow.key == c.opener.key; });
    ASSERT_EQ(views.size(), 1U);
    EXPECT_EQ(views[0].answer_key, c.answer.key);
    EXPECT_EQ(views[0].answer_rewrite, c.answer.rewrite);
    EXPECT_EQ(views[0].opener.state, FlowState::Established);
    EXPECT_EQ(views[0].packets_out, 44U);
    EXPECT_EQ(views[0].bytes_out, 61000U);
    EXPECT_EQ(views[0].packets_in, 2U);
    EXPECT_EQ(views[0].bytes_in, 104U);
    EXPECT_EQ(views[0].idle, 3s);
    EXPECT_EQ(views[0].age, 5s);
}

TEST(FlowTable, ShowsNoMoreThanAskedFor) {
    auto table = open_table(options(64));
    for (std::uint32_t n = 0; n < 10; ++n)
        add(*table, connection(n, net::kProtocolUdp, n % 2 == 1));
    EXPECT_EQ(table->snapshot(at(kStart), 7, nullptr).size(), 7U);
    EXPECT_EQ(table->snapshot(at(kStart), 0, nullptr).size(), 0U);
    EXPECT_EQ(table->snapshot(at(kStart), 100, nullptr).size(), 10U);
}

TEST(FlowTable, KeepsManyContainersWithEqualPortsApart) {
    auto table = open_table(options(256));
    std::set<FlowHandle> handles;
    for (std::uint32_t container = 0; container < 100; ++container)
        handles.insert(add(*table, connection(container << 14)));
    EXPECT_EQ(handles.size(), 100U);
    for (std::uint32_t container = 0; container < 100; ++container) {
        const auto c = connection(container << 14);
        EXPECT_EQ(table->get(table->find(c.answer.key)).rewrite.destination, c.opener.key.source);
    }
}

TEST(FlowTable, TakesOnlySensibleSizes) {
    for (const std::uint32_t capacity : {0U, FlowTable::kMaxCapacity + 1})
        EXPECT_FALSE(FlowTable::open(options(capacity), at(kStart)).has_value()) << capacity;
    auto one = open_table(options(1));
    add(*one, connection(1));
    EXPECT_FALSE(one->insert(connection(2).opener, connection(2).answer, at(kStart)));
}

TEST(FlowTable, SweepsNoMoreThanItsBudgetAndGoesRound) {
    auto table = open_table(options(256));
    for (std::uint32_t n = 0; n < 100; ++n)
        add(*table, connection(n, net::kProtocolUdp));
    const auto later = at(kStart + 10min);
    EXPECT_EQ(table->sweep(later, 30), 30U);
    EXPECT_EQ(table->sweep(later, 30), 30U);
    EXPECT_EQ(table->sweep(later, 30), 30U);
    EXPECT_EQ(table->sweep(later, 30), 10U);
    EXPECT_EQ(table->size(), 0U);
    EXPECT_EQ(table->sweep(later, 30), 0U);
}

TEST(FlowTable, NeverEvictsEstablishedTcpForNewConnections) {
    auto table = open_table(options(1000));
    for (std::uint32_t n = 0; n < 300; ++n) {
        const FlowHandle handle = add(*table, connection(n));
        table->touch(table->partner(handle), 1, 60, net::kTcpSyn | net::kTcpAck, at(kStart));
    }
    // A flood of half-open connections for an hour, 25 per second.
    std::uint32_t served = 0;
    for (std::uint32_t n = 0; n < 90'000; ++n) {
        const auto c = connection(100'000 + n);
        served += table->insert(c.opener, c.answer, at(kStart + n * 40ms)).has_value();
    }
    EXPECT_EQ(served, 90'000U);  // a floor of 10 s and 25 per second: some 250 at a time
    for (std::uint32_t n = 0; n < 300; ++n)
        EXPECT_NE(table->find(connection(n).opener.key), kNoFlow) << n;
}

TEST(FlowTable, ShowsConsistentConnectionsWhileTheWorkerChangesThem) {
    auto table = open_table(options(64));
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> seen{0};
    std::thread reader([&] {
        while (!stop.load()) {
            for (const FlowView& view : table->snapshot(at(kStart), 100, nullptr)) {
                // Everything in a connection follows from its client's port.
                const std::uint16_t port = view.opener.key.source_port;
                EXPECT_EQ(view.opener.rewrite.source_port, port);
                EXPECT_EQ(view.answer_key.destination_port, port);
                EXPECT_EQ(view.answer_rewrite.destination_port, port);
                EXPECT_EQ(view.opener.instance.slot, port);
                EXPECT_EQ(view.packets_out, 0U);
                seen.fetch_add(1);
            }
        }
    });
    for (std::uint32_t n = 0; n < 20'000 || seen.load() < 1000; ++n) {
        auto c = connection(n % 8192);
        c.opener.instance.slot = c.opener.key.source_port;
        add(*table, c);
        if (n >= 32) table->erase(table->find(connection((n - 32) % 8192).opener.key));
        table->touch(table->find(c.answer.key), 1, 60, net::kTcpAck, at(kStart));
    }
    stop = true;
    reader.join();
}

}  // namespace
}  // namespace weft::overlay::test
