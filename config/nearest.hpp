// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weft::config {

// What somebody who wrote `wrong` probably meant: the candidate with the fewest edits (letters changed, added, left out
// or swapped, case ignored), or "" if none is near. Quadratic in the lengths; names over 64 characters match nothing.
std::string_view nearest(std::string_view wrong, std::span<const std::string_view> candidates);

}  // namespace weft::config
