// SPDX-License-Identifier: Apache-2.0
#include "control/ipam.hpp"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::control {
namespace {

using std::chrono::seconds;

net::IpAddress ip(const char* text) {
    return *net::IpAddress::parse(text);
}

class IpamTest : public testing::Test {
  protected:
    static Ipam make(const char* subnet, std::optional<const char*> subnet_v6 = std::nullopt) {
        return Ipam(*net::Prefix::parse(subnet), subnet_v6 ? net::Prefix::parse(*subnet_v6) : std::nullopt,
                    {ip("10.19.1.254"), ip("fcef::dead:beef")});
    }
    void fill(Ipam& ipam) {
        while (ipam.take(now_)) {
        }
    }
    TimePoint now_{seconds(1000)};
};

TEST_F(IpamTest, GivesTheLowestFreeAddressFromSubnetPlusTwo) {
    Ipam ipam = make("10.18.0.64/26");
    EXPECT_EQ(ipam.take(now_)->address, ip("10.18.0.66"));
    EXPECT_EQ(ipam.take(now_)->address, ip("10.18.0.67"));
}

TEST_F(IpamTest, GivesTheSameOffsetOfTheIpv6Subnet) {
    Ipam ipam = make("10.18.0.64/26", "fc00::100/120");
    EXPECT_EQ(*ipam.take(now_), (Ipam::Lease{ip("10.18.0.66"), ip("fc00::102")}));
    EXPECT_TRUE(make("10.18.0.64/26").take(now_)->address_v6.is_unspecified());
}

TEST_F(IpamTest, GivesNoIpv6AddressBeyondItsSubnet) {
    Ipam ipam = make("10.18.0.0/16", "fc00::/120");
    for (int i = 2; i < 256; ++i)
        EXPECT_EQ(ipam.take(now_)->address_v6, ip("fc00::").plus(static_cast<unsigned>(i)));
    const auto beyond = ipam.take(now_);
    EXPECT_EQ(beyond->address, ip("10.18.1.0"));
    EXPECT_TRUE(beyond->address_v6.is_unspecified());
}

TEST_F(IpamTest, HasSixtyOneAddressesInASlash26) {
    Ipam ipam = make("10.18.0.0/26");
    EXPECT_EQ(ipam.capacity(), 61U);
    fill(ipam);
    EXPECT_EQ(ipam.held(), 61U);
    const auto refused = ipam.take(now_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::Exhausted);
    EXPECT_THAT(refused.error().text(), testing::HasSubstr("10.18.0.0/26"));
    ipam.release(ip("10.18.0.17"), now_);
    EXPECT_EQ(ipam.take(now_)->address, ip("10.18.0.17"));
}

TEST_F(IpamTest, NeverGivesNetworkBridgeBroadcastOrTheTunsAddress) {
    Ipam ipam = make("10.19.1.192/26");
    std::vector<net::IpAddress> given;
    while (const auto lease = ipam.take(now_))
        given.push_back(lease->address);
    for (const char* never : {"10.19.1.192", "10.19.1.193", "10.19.1.254", "10.19.1.255"})
        EXPECT_THAT(given, testing::Not(testing::Contains(ip(never))));
    EXPECT_EQ(given.size(), 60U);
    EXPECT_EQ(ipam.capacity(), 60U);
    ipam.release(ip("10.19.1.254"), now_);
    EXPECT_FALSE(ipam.take(now_));
}

TEST_F(IpamTest, LetsAFreedAddressRest) {
    Ipam ipam = make("10.18.0.0/26");
    ASSERT_EQ(ipam.take(now_)->address, ip("10.18.0.2"));
    ipam.release(ip("10.18.0.2"), now_);
    EXPECT_EQ(ipam.take(now_ + Ipam::kRest - seconds(1))->address, ip("10.18.0.3"));
    EXPECT_EQ(ipam.take(now_ + Ipam::kRest)->address, ip("10.18.0.2"));
}

TEST_F(IpamTest, GivesTheLongestRestedWhenNoRestedOneIsLeft) {
    Ipam ipam = make("10.18.0.0/26");
    fill(ipam);
    ipam.release(ip("10.18.0.40"), now_);
    ipam.release(ip("10.18.0.9"), now_ + seconds(1));
    EXPECT_EQ(ipam.take(now_ + Ipam::kShortRest)->address, ip("10.18.0.40"));
    EXPECT_EQ(ipam.hurried(), 0U);
    EXPECT_EQ(ipam.take(now_ + Ipam::kShortRest)->address, ip("10.18.0.9"));
    EXPECT_EQ(ipam.hurried(), 1U);
}

TEST_F(IpamTest, SurvivesAThousandQuickRoundsOnASlash26) {
    Ipam ipam = make("10.18.0.0/26");
    const auto first = ipam.take(now_)->address;
    for (int round = 0; round < 1000; ++round) {
        const auto lease = ipam.take(now_);
        ASSERT_TRUE(lease) << round;
        EXPECT_NE(lease->address, first);
        ipam.release(lease->address, now_);
    }
    EXPECT_EQ(ipam.held(), 1U);
}

TEST_F(IpamTest, FreesOnce) {
    Ipam ipam = make("10.18.0.0/29");  // .2 to .6
    fill(ipam);
    ipam.release(ip("10.18.0.2"), now_);
    ipam.release(ip("10.18.0.2"), now_);
    ipam.release(ip("10.99.0.2"), now_);
    EXPECT_TRUE(ipam.take(now_));
    EXPECT_FALSE(ipam.take(now_));
}

TEST_F(IpamTest, GivesNoAddressThatWasClaimed) {
    Ipam ipam = make("10.18.0.0/29");
    ASSERT_TRUE(ipam.claim(ip("10.18.0.3")));
    EXPECT_EQ(ipam.claim(ip("10.18.0.3")).error().code(), ErrorCode::Conflict);
    EXPECT_EQ(ipam.claim(ip("10.18.0.1")).error().code(), ErrorCode::Conflict);
    EXPECT_EQ(ipam.claim(ip("10.18.0.7")).error().code(), ErrorCode::Conflict);
    EXPECT_EQ(ipam.claim(ip("10.18.0.8")).error().code(), ErrorCode::BadInput);
    EXPECT_EQ(ipam.take(now_)->address, ip("10.18.0.2"));
    EXPECT_EQ(ipam.take(now_)->address, ip("10.18.0.4"));
}

TEST_F(IpamTest, LetsAClaimedAddressRestWithoutForgettingTheOnesBelow) {
    Ipam ipam = make("10.18.0.0/29");
    ASSERT_TRUE(ipam.claim(ip("10.18.0.5")));
    ipam.release(ip("10.18.0.5"), now_);
    for (const char* next : {"10.18.0.2", "10.18.0.3", "10.18.0.4", "10.18.0.6", "10.18.0.5"})
        EXPECT_EQ(ipam.take(now_)->address, ip(next));
    EXPECT_FALSE(ipam.take(now_));
}

TEST_F(IpamTest, GivesEachAddressToOneAtATime) {
    const auto seed = std::random_device()();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Ipam ipam = make("10.18.0.0/27");
    std::vector<net::IpAddress> held;
    for (int step = 0; step < 20000; ++step) {
        now_ += seconds(random() % 20);
        if (random() % 2 == 0) {
            const auto lease = ipam.take(now_);
            ASSERT_EQ(lease.has_value(), held.size() < ipam.capacity());
            if (!lease) continue;
            ASSERT_THAT(held, testing::Not(testing::Contains(lease->address)));
            held.push_back(lease->address);
        } else if (!held.empty()) {
            std::swap(held[random() % held.size()], held.back());
            ipam.release(held.back(), now_);
            held.pop_back();
        }
        ASSERT_EQ(ipam.held(), held.size());
    }
}

}  // namespace
}  // namespace weft::control
