// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <compare>
#include <concepts>
#include <cstdint>

namespace weft::net {

// An integer as it lies in a packet: big-endian, any alignment, no implicit conversion. `value()` is host order.
template <std::unsigned_integral T>
class [[gnu::packed]] Be {
  public:
    Be() = default;
    constexpr explicit Be(T host) : raw_(swap(host)) {}
    [[nodiscard]] constexpr T value() const { return swap(raw_); }
    [[nodiscard]] constexpr T raw() const { return raw_; }  // network order, for checksums
    static constexpr Be from_raw(T network) {               // what checksum arithmetic yields
        Be made{};
        made.raw_ = network;
        return made;
    }
    constexpr Be& operator=(T host) {
        raw_ = swap(host);
        return *this;
    }
    friend constexpr bool operator==(Be a, Be b) { return a.raw_ == b.raw_; }

  private:
    static constexpr T swap(T value) {
        if constexpr (std::endian::native == std::endian::little) return std::byteswap(value);
        return value;
    }
    T raw_;
};

using Be16 = Be<std::uint16_t>;
using Be32 = Be<std::uint32_t>;
using Be64 = Be<std::uint64_t>;

static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1);
static_assert(sizeof(Be32) == 4 && alignof(Be32) == 1);
static_assert(sizeof(Be64) == 8 && alignof(Be64) == 1);

}  // namespace weft::net
