// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "dataplane/base/clock.hpp"

namespace weft {

enum class SpinMode : std::uint8_t { Off, Auto, Always };

// Decides how long a worker with nothing to do should look again before it blocks. A block costs the next packet a
// wake-up (~16 µs); a spin costs CPU, and one that ends before the packet comes is worse than none. So Auto spins only
// where wake-ups come every 50 µs or less, for up to twice that gap; never after bulk, whose packets queue up anyway;
// and not while others want this CPU. Pure; times are handed in. Threading: one worker.
class Spin {
  public:
    using Duration = BootClock::duration;
    static constexpr Duration kLongestGap = std::chrono::microseconds(50);
    static constexpr Duration kLongestSpin = std::chrono::microseconds(100);
    static constexpr Duration kLongYield = std::chrono::microseconds(3);
    static constexpr unsigned kLongYields = 10;      // in a row: the CPU is contested
    static constexpr unsigned kContestedWaits = 64;  // block at once for so many waits then
    static constexpr std::uint64_t kBulkBytes = 16 * 1024;

    explicit Spin(SpinMode mode) : mode_(mode) {}

    // A turn that moved something.
    void moved(std::uint64_t bytes) noexcept {
        bytes_ += bytes;
        ++turns_;
    }
    // A wait begins: how long to spin in it.
    [[nodiscard]] Duration budget() noexcept;
    // One sched_yield took `took`. False: the CPU is contested, block now.
    [[nodiscard]] bool yielded(Duration took) noexcept;
    // A wait has ended because something came.
    void woke(TimePoint now) noexcept;

  private:
    SpinMode mode_;
    std::uint64_t bytes_ = 0;
    std::uint64_t turns_ = 0;
    TimePoint last_wake_{};
    Duration gap_ = std::chrono::milliseconds(1);
    unsigned long_yields_ = 0;
    unsigned contested_waits_ = 0;
};

}  // namespace weft
