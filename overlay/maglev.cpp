// SPDX-License-Identifier: Apache-2.0
#include "overlay/maglev.hpp"

#include <algorithm>
#include <array>

#include "dataplane/base/check.hpp"
#include "overlay/flow_hash.hpp"

namespace weft::overlay {

namespace {

constexpr std::uint16_t kEmpty = 0xFFFF;

// Where one instance wants to go: start, start + step, start + 2 step, ... modulo a prime visits every slot once.
struct Walk {
    std::size_t at, step;
};

Walk walk_of(std::uint32_t number, std::size_t slots) {
    const std::uint64_t hash = fold_product(number ^ 0x9E3779B97F4A7C15ULL, 0xC2B2AE3D27D4EB4FULL);
    return {.at = static_cast<std::size_t>(fold_product(hash, 0xD6E8FEB86659FD93ULL) % slots),
            .step = static_cast<std::size_t>(fold_product(hash, 0xA3B195354A39B70DULL) % (slots - 1) + 1)};
}

}  // namespace

std::size_t MaglevTable::slots_for(std::size_t instances) noexcept {
    constexpr std::array<std::size_t, 3> kSizes{4099, 16411, 65537};
    for (const std::size_t size : kSizes)
        if (size >= 100 * instances) return size;
    return kSizes.back();
}

MaglevTable::MaglevTable(std::vector<std::uint32_t> numbers, std::size_t slots) : numbers_(std::move(numbers)) {
    WEFT_CHECK(numbers_.size() < kEmpty, "a Maglev slot is 16 bits wide");
    std::ranges::sort(numbers_);
    if (numbers_.empty()) return;
    slots_.assign(slots, kEmpty);
    std::vector<Walk> walks;
    walks.reserve(numbers_.size());
    for (const std::uint32_t number : numbers_)
        walks.push_back(walk_of(number, slots));

    for (std::size_t filled = 0; filled < slots;) {
        for (std::size_t i = 0; i < walks.size() && filled < slots; ++i, ++filled) {
            Walk& walk = walks[i];
            while (slots_[walk.at] != kEmpty)
                walk.at = (walk.at + walk.step) % slots;
            slots_[walk.at] = static_cast<std::uint16_t>(i);
        }
    }
}

std::optional<std::uint32_t> MaglevTable::find(std::uint64_t hash) const noexcept {
    if (slots_.empty()) return std::nullopt;
    return numbers_[slots_[hash % slots_.size()]];
}

}  // namespace weft::overlay
