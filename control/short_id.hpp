// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace weft::control {

// "i7f3a9c": short, for people to type. Equal seeds give equal ids; whoever gives one out checks that it is free.
std::string short_id(char prefix, std::uint64_t seed);

// Wall clock, for people and for seeds.
inline std::int64_t unix_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace weft::control
