// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/address.hpp"

namespace weft::net {

// Internet checksums (RFC 1071) and their incremental form (RFC 1624, equation 3). All 16-bit values here are in
// network order as they lie in the packet ("raw"): one's complement sums do not care, and so nobody swaps twice. Pure.

// The running one's complement sum of `bytes` added to `initial`; not folded, not inverted. Slices but the last must
// have even sizes.
[[nodiscard]] std::uint64_t sum(std::span<const std::byte> bytes, std::uint64_t initial = 0) noexcept;
// Folds to 16 bits; not inverted.
[[nodiscard]] std::uint16_t fold(std::uint64_t sum) noexcept;
// The pseudo-header's sum, not inverted: addresses, protocol, L4 length.
[[nodiscard]] std::uint64_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination,
                                              std::uint8_t protocol, std::uint32_t l4_length) noexcept;

// The difference new - old of some 16-bit words, in a form that can be added to sums; deltas add up by `combine`.
[[nodiscard]] std::uint16_t delta(std::span<const std::byte> old_bytes, std::span<const std::byte> new_bytes) noexcept;
[[nodiscard]] std::uint16_t delta16(std::uint16_t old_raw, std::uint16_t new_raw) noexcept;
[[nodiscard]] std::uint16_t combine(std::uint16_t delta_a, std::uint16_t delta_b) noexcept;

// A finished (inverted) checksum field after the words under it changed by `delta`: RFC 1624 eq. 3.
[[nodiscard]] std::uint16_t adjust_full(std::uint16_t checksum_raw, std::uint16_t delta) noexcept;
// A partial (not inverted) pseudo-header sum after the addresses or the length changed by `delta`.
[[nodiscard]] std::uint16_t adjust_partial(std::uint16_t sum_raw, std::uint16_t delta) noexcept;

}  // namespace weft::net
