// SPDX-License-Identifier: Apache-2.0
#include "config/nearest.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace weft::config {

namespace {

constexpr std::size_t kLongestName = 64;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Edit distance with swaps of neighbours (optimal string alignment), three rows at a time.
std::size_t distance(std::string_view a, std::string_view b) {
    using Row = std::array<std::size_t, kLongestName + 1>;
    Row before{}, previous{}, current{};
    for (std::size_t j = 0; j <= b.size(); ++j)
        previous[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same ? 0U : 1U)});
            const bool swapped =
                i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
            if (swapped) current[j] = std::min(current[j], before[j - 2] + 1);
        }
        before = previous;
        previous = current;
    }
    return previous[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view wrong, std::span<const std::string_view> candidates) {
    if (wrong.empty() || wrong.size() > kLongestName) return {};
    std::string_view best;
    std::size_t fewest = std::max<std::size_t>(2, wrong.size() / 3) + 1;
    for (const auto candidate : candidates) {
        if (candidate.size() > kLongestName) continue;
        const std::size_t edits = distance(wrong, candidate);
        if (edits < fewest && edits < std::max(candidate.size(), wrong.size())) {
            fewest = edits;
            best = candidate;
        }
    }
    return best;
}

}  // namespace weft::config
