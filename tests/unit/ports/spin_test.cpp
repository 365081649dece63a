// SPDX-License-Identifier: Apache-2.0
#include "dataplane/spin.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using std::chrono::microseconds;

constexpr auto kNoSpin = Spin::Duration::zero();

class SpinTest : public testing::Test {
  protected:
    // A packet comes `gap` after the one before, and is dealt with.
    void wake_after(Spin& spin, Spin::Duration gap, std::uint64_t bytes = 100) {
        now_ += gap;
        spin.woke(now_);
        spin.moved(bytes);
    }
    void settle(Spin& spin, Spin::Duration gap) {
        for (int i = 0; i < 100; ++i)
            wake_after(spin, gap);
    }

    TimePoint now_{std::chrono::hours(1)};
};

TEST_F(SpinTest, ANewWorkerBlocks) {
    Spin spin(SpinMode::Auto);
    EXPECT_EQ(spin.budget(), kNoSpin);
}

TEST_F(SpinTest, OffNeverSpinsAndAlwaysNeverBlocks) {
    Spin off(SpinMode::Off);
    Spin always(SpinMode::Always);
    settle(off, microseconds(10));
    EXPECT_EQ(off.budget(), kNoSpin);
    EXPECT_EQ(always.budget(), Spin::Duration::max());
    for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(always.yielded(microseconds(50)));
    EXPECT_EQ(always.budget(), Spin::Duration::max());
}

TEST_F(SpinTest, SpinsUpToTwiceAShortGap) {
    const struct {
        microseconds gap, least, most;
    } cases[] = {
        {microseconds(5), microseconds(10), microseconds(15)},   {microseconds(20), microseconds(40), microseconds(45)},
        {microseconds(49), microseconds(98), microseconds(100)}, {microseconds(60), microseconds(0), microseconds(0)},
        {microseconds(5000), microseconds(0), microseconds(0)},
    };
    for (const auto& [gap, least, most] : cases) {
        SCOPED_TRACE(gap.count());
        Spin spin(SpinMode::Auto);
        settle(spin, gap);
        const auto budget = spin.budget();
        EXPECT_GE(budget, least);
        EXPECT_LE(budget, most);
    }
}

TEST_F(SpinTest, OneLongSilenceIsForgottenAfterADozenShortGaps) {
    Spin spin(SpinMode::Auto);
    settle(spin, microseconds(20));
    wake_after(spin, std::chrono::hours(1));
    EXPECT_EQ(spin.budget(), kNoSpin);
    for (int i = 0; i < 12; ++i)
        wake_after(spin, microseconds(20));
    EXPECT_GT(spin.budget(), kNoSpin);
}

TEST_F(SpinTest, BulkNeverSpins) {
    Spin spin(SpinMode::Auto);
    settle(spin, microseconds(20));
    EXPECT_GT(spin.budget(), kNoSpin);
    wake_after(spin, microseconds(20), 64'000);
    EXPECT_EQ(spin.budget(), kNoSpin);
    wake_after(spin, microseconds(20), 100);
    EXPECT_GT(spin.budget(), kNoSpin) << "only the traffic since the last wait counts";
}

TEST_F(SpinTest, GivesWayWhereOthersWantTheCpu) {
    Spin spin(SpinMode::Auto);
    settle(spin, microseconds(20));
    ASSERT_GT(spin.budget(), kNoSpin);
    for (unsigned i = 1; i < Spin::kLongYields; ++i)
        EXPECT_TRUE(spin.yielded(microseconds(10)));
    EXPECT_TRUE(spin.yielded(microseconds(1))) << "a short one in between: not contested";
    for (unsigned i = 1; i < Spin::kLongYields; ++i)
        EXPECT_TRUE(spin.yielded(microseconds(10)));
    EXPECT_FALSE(spin.yielded(microseconds(10)));
    for (unsigned i = 0; i < Spin::kContestedWaits; ++i)
        EXPECT_EQ(spin.budget(), kNoSpin);
    EXPECT_GT(spin.budget(), kNoSpin) << "tries again later";
}

}  // namespace
}  // namespace weft
