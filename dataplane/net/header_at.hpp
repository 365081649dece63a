// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

namespace weft::net {

// The one door from bytes to header structures: a pointer exists only where the whole structure lies inside the bytes.
// Otherwise nullptr. Header structures are bytes and Be* only, so any offset is aligned.
template <class Header>
[[nodiscard]] const Header* header_at(std::span<const std::byte> bytes, std::size_t offset = 0) noexcept {
    static_assert(std::is_trivially_copyable_v<Header> && alignof(Header) == 1);
    if (offset > bytes.size() || bytes.size() - offset < sizeof(Header)) return nullptr;
    return reinterpret_cast<const Header*>(bytes.data() + offset);
}

template <class Header>
[[nodiscard]] Header* writable_header_at(std::span<std::byte> bytes, std::size_t offset = 0) noexcept {
    static_assert(std::is_trivially_copyable_v<Header> && alignof(Header) == 1);
    if (offset > bytes.size() || bytes.size() - offset < sizeof(Header)) return nullptr;
    return reinterpret_cast<Header*>(bytes.data() + offset);
}

}  // namespace weft::net
