// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

// One call of a target. libFuzzer calls it in scripts/fuzz; replay_main.cpp calls it in the test suite. A broken
// invariant aborts by WEFT_CHECK.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace weft::fuzz {

// Bytes on the heap in a block of exactly their size: a sanitizer sees any step outside, even where the fuzzer's own
// buffer is longer.
class HeapBytes {
  public:
    explicit HeapBytes(std::span<const std::byte> bytes)
        : memory_(std::make_unique<std::byte[]>(bytes.size())), size_(bytes.size()) {
        std::ranges::copy(bytes, memory_.get());
    }
    [[nodiscard]] std::span<std::byte> span() const { return {memory_.get(), size_}; }

  private:
    std::unique_ptr<std::byte[]> memory_;
    std::size_t size_;
};

// Takes an input apart, front to back: choices first, then the bytes under test. Where it is too short, zeros.
class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(std::as_bytes(std::span(data, size))) {}

    std::uint8_t byte() {
        if (rest_.empty()) return 0;
        const auto value = std::to_integer<std::uint8_t>(rest_.front());
        rest_ = rest_.subspan(1);
        return value;
    }
    std::uint16_t word() {
        const unsigned high = byte();
        return static_cast<std::uint16_t>(high << 8 | byte());
    }
    std::span<const std::byte> take(std::size_t size) {
        const auto taken = rest_.first(std::min(size, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }
    std::span<const std::byte> rest() { return take(rest_.size()); }
    [[nodiscard]] bool empty() const { return rest_.empty(); }

  private:
    std::span<const std::byte> rest_;
};

}  // namespace weft::fuzz
