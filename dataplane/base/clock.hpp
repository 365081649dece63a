// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include <time.h>

namespace weft {

// Time since boot, suspended time included (CLOCK_BOOTTIME), so that times in the flow file outlive the process.
// The engine never reads a clock: `now` is handed in, and tests move it by hand.
struct BootClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept {
        timespec ts{};
        clock_gettime(CLOCK_BOOTTIME, &ts);
        return time_point(std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec));
    }
};

using TimePoint = BootClock::time_point;

}  // namespace weft
