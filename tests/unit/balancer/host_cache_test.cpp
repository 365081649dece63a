// SPDX-License-Identifier: Apache-2.0
#include "overlay/host_cache.hpp"

#include <gtest/gtest.h>

namespace weft::overlay {
namespace {

using namespace std::chrono_literals;

const net::IpAddress kHost = net::IpAddress::v4(0x0A130005);
constexpr TimePoint kNow(1h);

TEST(HostCache, KnowsNobodyAtFirst) {
    EXPECT_EQ(HostCache().find(kHost, kNow), std::nullopt);
    EXPECT_EQ(HostCache().find(net::IpAddress(), kNow), std::nullopt);
}

TEST(HostCache, RemembersWhomItHeardLast) {
    HostCache cache;
    cache.learn(kHost, 4, kNow);
    EXPECT_EQ(cache.find(kHost, kNow), 4);
    cache.learn(kHost, 9, kNow + 1s);
    EXPECT_EQ(cache.find(kHost, kNow + 1s), 9);
    EXPECT_EQ(cache.find(kHost.plus(1), kNow), std::nullopt);
}

TEST(HostCache, ForgetsAfterFiveMinutesOfSilence) {
    HostCache cache;
    cache.learn(kHost, 4, kNow);
    EXPECT_EQ(cache.find(kHost, kNow + 5min - 1ns), 4);
    EXPECT_EQ(cache.find(kHost, kNow + 5min), std::nullopt);
    cache.learn(kHost, 4, kNow + 5min);
    EXPECT_EQ(cache.find(kHost, kNow + 9min), 4);
}

TEST(HostCache, TellsTheFamiliesApart) {
    HostCache cache;
    const net::IpAddress v6 = net::IpAddress::v6_from(kHost.data());
    cache.learn(kHost, 4, kNow);
    cache.learn(v6, 5, kNow);
    EXPECT_EQ(cache.find(kHost, kNow), 4);
    EXPECT_EQ(cache.find(v6, kNow), 5);
}

TEST(HostCache, KeepsTheNewestWhenThereAreTooMany) {
    HostCache cache;
    for (std::uint32_t n = 0; n < 100'000; ++n)
        cache.learn(kHost.plus(n), 1, kNow + n * 1us);
    cache.learn(kHost, 2, kNow + 1s);
    EXPECT_EQ(cache.find(kHost, kNow + 1s), 2);
    std::size_t known = 0;
    for (std::uint32_t n = 1; n < 100'000; ++n)
        known += cache.find(kHost.plus(n), kNow + 1s).has_value();
    EXPECT_GT(known, HostCache::kEntries * 9 / 10);
    EXPECT_LT(known, HostCache::kEntries);
}

}  // namespace
}  // namespace weft::overlay
