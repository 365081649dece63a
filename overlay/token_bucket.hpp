// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

#include "dataplane/base/clock.hpp"

namespace weft::overlay {

// So many per second, with a burst. Starts full. Threading: one at a time.
class TokenBucket {
  public:
    TokenBucket(double per_second, double burst) : per_second_(per_second), burst_(burst), tokens_(burst) {}

    [[nodiscard]] bool take(TimePoint now) {
        if (now > last_) {
            tokens_ = std::min(burst_, tokens_ + std::chrono::duration<double>(now - last_).count() * per_second_);
            last_ = now;
        }
        if (tokens_ < 1) return false;
        tokens_ -= 1;
        return true;
    }

  private:
    double per_second_, burst_, tokens_;
    TimePoint last_{};
};

}  // namespace weft::overlay
