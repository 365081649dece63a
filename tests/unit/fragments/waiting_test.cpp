// SPDX-License-Identifier: Apache-2.0
#include "overlay/waiting.hpp"

#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/packet_builder.hpp"

namespace weft::overlay::test {
namespace {

using namespace std::chrono_literals;
using weft::test::PacketBuilder;
using weft::test::TestPacket;

constexpr TimePoint kNow(1h);

TestPacket packet(std::size_t payload, std::uint16_t port = 5000) {
    return PacketBuilder().ipv4("10.18.0.2", "10.19.0.5").udp(port, 53).payload(payload).packet();
}

class WaitingTest : public ::testing::Test {
  protected:
    // Releases what waits for these peers; the source ports, in order.
    std::vector<std::uint16_t> release(const std::vector<PeerIndex>& ready) {
        std::vector<std::uint16_t> ports;
        waiting_.release([&](PeerIndex peer) { return std::ranges::count(ready, peer) > 0; },
                         [&](PeerIndex, Packet& released) {
                             ports.push_back(net::parse(released.bytes(), released.size).value().source_port);
                         });
        waiting_.recycle();
        return ports;
    }
    std::uint32_t expire(TimePoint deadline) {
        std::uint32_t count = 0;
        waiting_.expire(deadline, [&](std::uint32_t packets) { count += packets; });
        waiting_.recycle();
        return count;
    }
    Waiting waiting_;
};

TEST_F(WaitingTest, GivesBackEveryByteAndTheChecksumState) {
    for (const std::size_t size : {0U, 1U, 228U, 229U, 1400U, 2020U}) {
        auto parked = PacketBuilder()
                          .ipv6("fc00::2", "fc00::1:5")
                          .udp(1, 2)
                          .payload(size > 20 ? size - 20 : size)
                          .partial_checksum()
                          .packet();
        parked.split(48, 500);
        const auto bytes = parked.bytes();
        ASSERT_TRUE(waiting_.park(3, parked.packet(), kNow)) << size;
        std::uint32_t count = 0;
        waiting_.release([](PeerIndex) { return true; },
                         [&](PeerIndex peer, Packet& released) {
                             EXPECT_EQ(peer, 3);
                             EXPECT_EQ(weft::test::bytes_of(released), bytes);
                             EXPECT_EQ(released.checksum, ChecksumState::Partial);
                             EXPECT_EQ(released.segments, 1);
                             EXPECT_EQ(released.tail_count, 0);
                             ++count;
                         });
        EXPECT_EQ(count, 1U);
        waiting_.recycle();
    }
}

TEST_F(WaitingTest, ReleasesInOrderOnlyWhoseSessionIsThere) {
    for (std::uint16_t n = 0; n < 6; ++n)
        ASSERT_TRUE(waiting_.park(n % 2, packet(10, n + 1).packet(), kNow));
    EXPECT_THAT(release({1}), ::testing::ElementsAre(2, 4, 6));
    EXPECT_EQ(waiting_.size(), 3U);
    EXPECT_THAT(release({1}), ::testing::IsEmpty());
    EXPECT_THAT(release({0}), ::testing::ElementsAre(1, 3, 5));
    EXPECT_EQ(waiting_.size(), 0U);
}

TEST_F(WaitingTest, TakesNoSuperpacketAndNothingLarge) {
    auto super = PacketBuilder().ipv4("10.18.0.2", "10.19.0.5").tcp(1, 2).payload(900).gso(300).packet();
    EXPECT_FALSE(waiting_.park(1, super.packet(), kNow));
    EXPECT_FALSE(waiting_.park(1, packet(2021).packet(), kNow));
    EXPECT_TRUE(waiting_.park(1, packet(2020).packet(), kNow));
}

TEST_F(WaitingTest, HoldsAtMostItsShareForOnePeer) {
    for (std::size_t n = 0; n < Waiting::kPerPeer; ++n)
        ASSERT_TRUE(waiting_.park(1, packet(10).packet(), kNow));
    EXPECT_FALSE(waiting_.park(1, packet(10).packet(), kNow));
    EXPECT_TRUE(waiting_.park(2, packet(10).packet(), kNow));
}

TEST_F(WaitingTest, IsBoundedAndUsableAgainAfterwards) {
    for (int round = 0; round < 3; ++round) {
        std::size_t parked = 0;
        for (PeerIndex peer = 0; peer < 10; ++peer)
            for (int n = 0; n < 100; ++n)
                parked += waiting_.park(peer, packet(10).packet(), kNow);
        EXPECT_EQ(parked, Waiting::kPackets);
        EXPECT_EQ(waiting_.size(), parked);
        EXPECT_EQ(expire(kNow + 1ns), parked);
        EXPECT_EQ(waiting_.size(), 0U);
    }
}

TEST_F(WaitingTest, ForgetsTheOldAndCountsThem) {
    for (std::uint16_t n = 0; n < 4; ++n)
        ASSERT_TRUE(waiting_.park(1, packet(10, n + 1).packet(), kNow + n * 1s));
    EXPECT_EQ(expire(kNow + 2s), 2U);
    EXPECT_EQ(expire(kNow + 2s), 0U);
    EXPECT_THAT(release({1}), ::testing::ElementsAre(3, 4));
}

// Ports read what they were given until they flush.
TEST_F(WaitingTest, LeavesReleasedBytesAloneUntilTheyAreRecycled) {
    for (std::size_t n = 0; n < 70; ++n)
        ASSERT_TRUE(waiting_.park(1, packet(1000, 111).packet(), kNow));
    std::vector<std::pair<Packet, weft::test::Bytes>> given;
    waiting_.release(
        [](PeerIndex) { return true; },
        [&](PeerIndex, Packet& released) { given.emplace_back(released, weft::test::bytes_of(released)); });
    ASSERT_EQ(given.size(), 70U);
    std::size_t parked = 0;
    for (std::size_t n = 0; n < 70; ++n)
        parked += waiting_.park(2, packet(1000, 222).packet(), kNow);
    EXPECT_LT(parked, 70U);
    for (const auto& [view, bytes] : given)
        EXPECT_EQ(weft::test::bytes_of(view), bytes);
    waiting_.recycle();
    EXPECT_TRUE(waiting_.park(2, packet(1000, 222).packet(), kNow));
}

TEST_F(WaitingTest, MayParkAnewWhileItReleases) {
    for (std::uint16_t n = 0; n < 3; ++n)
        ASSERT_TRUE(waiting_.park(1, packet(10, n + 1).packet(), kNow));
    std::uint32_t calls = 0;
    waiting_.release([](PeerIndex) { return true; },
                     [&](PeerIndex peer, Packet& released) {
                         ++calls;
                         EXPECT_TRUE(waiting_.park(peer, released, kNow));
                     });
    EXPECT_EQ(calls, 3U);
    waiting_.recycle();
    EXPECT_THAT(release({1}), ::testing::ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace weft::overlay::test
