// SPDX-License-Identifier: Apache-2.0
#include "config/address_range.hpp"

#include <random>

#include <gtest/gtest.h>

namespace weft::config {
namespace {

std::string blocks(const char* text) {
    const auto range = AddressRange::parse(text);
    if (!range) return "refused";
    std::string joined;
    for (const auto& prefix : range->prefixes())
        joined += (joined.empty() ? "" : " ") + prefix.to_string();
    return joined;
}

TEST(AddressRange, IsCoveredByTheFewestBlocks) {
    EXPECT_EQ(blocks("10.18.0.0-10.29.255.255"), "10.18.0.0/15 10.20.0.0/14 10.24.0.0/14 10.28.0.0/15");
    EXPECT_EQ(blocks("10.18.0.0/16"), "10.18.0.0/16");
    EXPECT_EQ(blocks("10.0.0.1-10.0.0.1"), "10.0.0.1/32");
    EXPECT_EQ(blocks("10.0.0.1-10.0.0.6"), "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32");
    EXPECT_EQ(blocks("0.0.0.0-255.255.255.255"), "0.0.0.0/0");
    EXPECT_EQ(blocks("255.255.255.254-255.255.255.255"), "255.255.255.254/31");
    EXPECT_EQ(blocks("fc00::/64"), "fc00::/64");
    EXPECT_EQ(blocks("fc00::-fc00::1:ffff"), "fc00::/111");
}

TEST(AddressRange, BlocksOfRandomRangesAreAdjacentAndEndWhereTheRangeEnds) {
    const auto seed = std::random_device{}();
    RecordProperty("seed", std::to_string(seed));
    std::mt19937 random(seed);
    for (int round = 0; round < 500; ++round) {
        auto first = static_cast<std::uint32_t>(random());
        auto last = static_cast<std::uint32_t>(random());
        if (last < first) std::swap(first, last);
        const AddressRange range{net::IpAddress::v4(first), net::IpAddress::v4(last)};
        net::IpAddress expected = range.first;
        const auto prefixes = range.prefixes();
        for (const auto& prefix : prefixes) {
            ASSERT_EQ(prefix.address, expected) << range.to_string() << " seed " << seed;
            ASSERT_EQ(prefix.address.masked(prefix.length), prefix.address) << range.to_string() << " seed " << seed;
            expected = prefix.last().plus(1);
        }
        ASSERT_EQ(prefixes.back().last(), range.last) << range.to_string() << " seed " << seed;
        ASSERT_LE(prefixes.size(), 62U);
    }
}

TEST(AddressRange, RefusesWhatIsNoRange) {
    for (const char* text : {"", "-", "10.0.0.0", "10.0.0.9-10.0.0.1", "10.0.0.0-fc00::1", "10.0.0.0/33", "10.0.0.1/24",
                             "10.0.0.0 - 10.0.0.9", "10.0.0.0-10.0.0.9-10.0.0.12"}) {
        EXPECT_FALSE(AddressRange::parse(text)) << text;
    }
}

TEST(AddressRange, KnowsWhatLiesInItAndWhatItTouches) {
    const auto range = *AddressRange::parse("10.18.0.0-10.29.255.255");
    EXPECT_TRUE(range.contains(*net::IpAddress::parse("10.18.0.0")));
    EXPECT_TRUE(range.contains(*net::IpAddress::parse("10.29.255.255")));
    EXPECT_FALSE(range.contains(*net::IpAddress::parse("10.30.0.0")));
    EXPECT_FALSE(range.contains(*net::IpAddress::parse("::10.18.0.1")));
    EXPECT_TRUE(range.overlaps(*net::Prefix::parse("10.0.0.0/8")));
    EXPECT_TRUE(range.overlaps(*net::Prefix::parse("10.29.255.0/24")));
    EXPECT_FALSE(range.overlaps(*net::Prefix::parse("10.30.0.0/16")));
    EXPECT_FALSE(range.contains(*net::Prefix::parse("10.0.0.0/8")));
    EXPECT_EQ(AddressRange::parse(range.to_string()), range);
}

}  // namespace
}  // namespace weft::config
