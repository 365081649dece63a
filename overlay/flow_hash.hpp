// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace weft::overlay {

// The high and low half of a 64 x 64 bit product, folded: every input bit reaches every output bit.
inline std::uint64_t fold_product(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Drawn at random once per flow file. Who does not know it cannot make keys collide: the products are not linear in the
// key, other than a seeded CRC, under which keys that collide for one seed collide for all.
struct HashSecret {
    std::array<std::uint64_t, 6> word{};
};

}  // namespace weft::overlay
