// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace weft::overlay {

// A consistent choice among many instances by one array access: slots filled in turn, each instance following a
// permutation of its own (Eisenbud et al., "Maglev", NSDI 2016, 3.4). Everybody has the same share but for one slot,
// and when one instance goes few slots of the others change hands.
//
// Threading: built off the workers, lazily (it costs milliseconds); const afterwards, any thread.
class MaglevTable {
  public:
    // The smallest of 4,099, 16,411 and 65,537 (primes) that gives every instance 100 slots.
    static std::size_t slots_for(std::size_t instances) noexcept;

    // `numbers`: the instances' numbers, at most 65,535, each once; the result does not depend on their order.
    explicit MaglevTable(std::vector<std::uint32_t> numbers) : MaglevTable(numbers, slots_for(numbers.size())) {}
    // `slots` must be a prime.
    MaglevTable(std::vector<std::uint32_t> numbers, std::size_t slots);

    // The number of the instance for this flow; nullopt if there are none.
    [[nodiscard]] std::optional<std::uint32_t> find(std::uint64_t hash) const noexcept;
    [[nodiscard]] std::size_t slots() const noexcept { return slots_.size(); }

  private:
    std::vector<std::uint32_t> numbers_;
    std::vector<std::uint16_t> slots_;  // indices into numbers_
};

}  // namespace weft::overlay
