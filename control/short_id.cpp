// SPDX-License-Identifier: Apache-2.0
#include "control/short_id.hpp"

#include <fmt/format.h>

namespace weft::control {

std::string short_id(char prefix, std::uint64_t seed) {
    std::uint64_t hash = seed * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 32;
    return fmt::format("{}{:06x}", prefix, hash & 0xFFFFFF);
}

}  // namespace weft::control
