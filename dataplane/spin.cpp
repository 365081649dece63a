// SPDX-License-Identifier: Apache-2.0
#include "dataplane/spin.hpp"

#include <algorithm>

namespace weft {

namespace {

// One long silence must not outweigh the next dozen short gaps.
constexpr Spin::Duration kLongestSample = std::chrono::microseconds(400);
constexpr int kWeight = 8;

}  // namespace

Spin::Duration Spin::budget() noexcept {
    const bool bulk = turns_ > 0 && bytes_ / turns_ > kBulkBytes;
    bytes_ = turns_ = 0;
    long_yields_ = 0;
    if (mode_ == SpinMode::Off) return Duration::zero();
    if (mode_ == SpinMode::Always) return Duration::max();
    if (contested_waits_ > 0) {
        --contested_waits_;
        return Duration::zero();
    }
    if (bulk || gap_ > kLongestGap) return Duration::zero();
    return std::min(2 * gap_, kLongestSpin);
}

bool Spin::yielded(Duration took) noexcept {
    if (mode_ == SpinMode::Always) return true;
    long_yields_ = took > kLongYield ? long_yields_ + 1 : 0;
    if (long_yields_ < kLongYields) return true;
    contested_waits_ = kContestedWaits;
    return false;
}

void Spin::woke(TimePoint now) noexcept {
    const Duration sample = std::min<Duration>(now - last_wake_, kLongestSample);
    last_wake_ = now;
    gap_ += (sample - gap_) / kWeight;
}

}  // namespace weft
