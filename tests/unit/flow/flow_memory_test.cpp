// SPDX-License-Identifier: Apache-2.0
//
// What a million connections cost, and that nothing is allocated on the way. Replaces operator new for the whole
// program.
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <new>
#include <random>

#include <gtest/gtest.h>
#include <unistd.h>

#include "dataplane/net/tcp.hpp"
#include "overlay/flow_entry.hpp"
#include "overlay/flow_index.hpp"
#include "tests/unit/flow/flows.hpp"

namespace {
std::atomic<std::uint64_t> allocations{0};
}

void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace weft::overlay::test {
namespace {

std::size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::size_t size = 0, resident = 0;
    statm >> size >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(FlowMemory, HoldsAMillionConnectionsIn160MiB) {
    const std::size_t before = resident_bytes();
    auto table = open_table(options(1'000'000));
    for (std::uint32_t n = 0; n < 1'000'000; ++n)
        add(*table, connection(n));
    EXPECT_EQ(table->size(), 1'000'000U);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LE((resident_bytes() - before) >> 20, 160U);
#else
    (void)before;
#endif
    for (std::uint32_t n = 0; n < 1'000'000; n += 997)
        EXPECT_NE(table->find(connection(n).answer.key), kNoFlow);
}

TEST(FlowMemory, CostsNextToNothingBeforeItIsUsed) {
    const std::size_t before = resident_bytes();
    auto table = open_table(options(1'000'000));
    EXPECT_LE((resident_bytes() - before) >> 20, 4U);
}

TEST(FlowMemory, AllocatesNothingAfterItWasOpened) {
    auto table = open_table(options(1000));
    std::uint64_t gone = 0;
    table->on_removed([&gone](const Flow&) { ++gone; });
    std::vector<Connection> connections;
    for (std::uint32_t n = 0; n < 3000; ++n)
        connections.push_back(connection(n, net::kProtocolTcp, n % 2 == 1));

    const std::uint64_t before = allocations.load();
    std::uint64_t inserted = 0;
    for (int round = 0; round < 20; ++round) {
        const auto now = at(kStart + round * 30s);
        for (const Connection& c : connections) {
            const FlowHandle known = table->find(c.opener.key);
            if (known == kNoFlow) {
                inserted += table->insert(c.opener, c.answer, now).has_value();
            } else {
                table->touch(table->partner(known), 1, 100, net::kTcpAck, now);
                if (round % 3 == 0) table->erase(known);
            }
        }
        table->sweep(now, 100);
    }
    EXPECT_EQ(allocations.load(), before);
    EXPECT_GT(inserted, 1000U);
    EXPECT_GT(gone, 100U);
}

// Keys that differ in one field only, and keys as regular as they come: no chain grows under a random secret.
TEST(FlowHash, SpreadsRegularKeysEvenly) {
    std::random_device device;
    const auto word = [&] { return std::uint64_t{device()} << 32 | device(); };
    const HashSecret secret{{word(), word(), word(), word(), word(), word()}};
    const auto longest = [&](auto key_of) {
        constexpr std::uint32_t kKeys = 1'000'000;
        auto index = FlowIndex::create(kKeys);
        FlowKey key = connection(0).opener.key;
        for (std::uint32_t n = 0; n < kKeys; ++n) {
            key_of(key, n);
            const std::uint64_t hash = key.source.is_v4() ? EntryKey<EntryAddress4>(key).hash(secret)
                                                          : EntryKey<EntryAddress6>(key).hash(secret);
            EXPECT_TRUE(index->insert(hash, n));
        }
        return index->longest_chain();
    };
    const auto v6 = ip("fc00::");
    EXPECT_LE(longest([](FlowKey& key, std::uint32_t n) { key.source = net::IpAddress::v4(n); }), 4U);
    EXPECT_LE(longest([](FlowKey& key, std::uint32_t n) { key.source = net::IpAddress::v4(n << 12 | n >> 20); }), 4U);
    EXPECT_LE(longest([](FlowKey& key, std::uint32_t n) {
                  key.source_port = static_cast<std::uint16_t>(n);
                  key.destination_port = static_cast<std::uint16_t>(n >> 16);
              }),
              4U);
    EXPECT_LE(longest([&](FlowKey& key, std::uint32_t n) {
                  key.destination = v6;
                  key.source = v6.plus(n);
              }),
              4U);
}

TEST(FlowIndex, FindsWhatItHoldsThroughOverflowAndErasure) {
    auto index = FlowIndex::create(64);
    const auto hash = [](std::uint32_t n) { return std::uint64_t{n % 5} << 48 | 0x1234; };  // few buckets, one tag
    for (int round = 0; round < 100; ++round) {
        for (std::uint32_t n = 0; n < 60; ++n)
            ASSERT_TRUE(index->insert(hash(n), n));
        for (std::uint32_t n = 0; n < 60; ++n)
            ASSERT_EQ(index->find(hash(n), [n](std::uint32_t entry) { return entry == n; }), n);
        for (std::uint32_t n = 0; n < 60; n += 2)
            index->erase(hash(n), n);
        for (std::uint32_t n = 0; n < 60; ++n)
            ASSERT_EQ(index->find(hash(n), [n](std::uint32_t entry) { return entry == n; }),
                      n % 2 == 0 ? FlowIndex::kNone : n);
        for (std::uint32_t n = 1; n < 60; n += 2)
            index->erase(hash(n), n);
        ASSERT_EQ(index->longest_chain(), 1U);
    }
}

}  // namespace
}  // namespace weft::overlay::test
