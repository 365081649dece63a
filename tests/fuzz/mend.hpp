// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

namespace weft::fuzz {

// Makes lengths and the IPv4 header sum of a packet right, where there is room for them, and leaves all else: a fuzzer
// would need years to guess a checksum, and everything behind the parser would stay untested.
void mend(std::span<std::byte> packet);

// Makes the TCP or UDP sum of a packet that parses right, finished or partial.
enum class Sum { Full, Partial };
void mend_l4_sum(std::span<std::byte> packet, Sum sum);

// What the L4 sum of a packet that parses adds up to, pseudo header included; the same number (FFFF counts as 0) before
// and after a correct incremental change, whether the sum was right or not. By the reference sum, not by ours.
[[nodiscard]] unsigned l4_residue(std::span<const std::byte> packet);

}  // namespace weft::fuzz
