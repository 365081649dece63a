// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <type_traits>

#include "dataplane/drop.hpp"
#include "dataplane/net/byte_order.hpp"

namespace weft::overlay {

// The 16 bytes before every datagram of weft's own (docs/wire-format.md; scripts/weft.lua dissects them).
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +---------------+-------+-------+---------------+---------------+
//   |  magic 0xF7   |version| type  |     lane      |     flags     |
//   +---------------+-------+-------+---------------+---------------+
//   |                        receiver index                         |
//   +---------------------------------------------------------------+
//   |                     counter, high 32 bits                     |
//   +---------------------------------------------------------------+
//   |                     counter, low 32 bits                      |
//   +---------------------------------------------------------------+
struct TunnelHeader {
    static constexpr std::uint8_t kMagic = 0xF7;  // its high nibble is never 4 or 6: a bare inner packet is told apart
    static constexpr std::uint8_t kVersion = 1;
    static constexpr std::uint8_t kFlagPartialChecksum = 1;
    static constexpr std::uint8_t kFlagRedirected = 2;
    static constexpr std::size_t kSize = 16;
    static constexpr std::size_t kTagSize = 16;

    enum class Type : std::uint8_t {
        Initiation = 1,
        Response = 2,
        Cookie = 3,
        SealedPacket = 4,
        SealedControl = 5,
        ClearPacket = 6,
        ClearControl = 7,
    };

    std::uint8_t magic;
    std::uint8_t version_and_type;
    std::uint8_t lane;
    std::uint8_t flags;
    net::Be32 receiver_index;
    net::Be64 counter;

    [[nodiscard]] Type type() const { return static_cast<Type>(version_and_type & 0x0F); }
    static TunnelHeader make(Type type, std::uint8_t lane, std::uint8_t flags, std::uint32_t receiver_index,
                             std::uint64_t counter);
    // The header of a datagram whose length, magic, version, type and reserved flags are right, or Drop::TunnelFormat.
    // A copy: 16 bytes in registers cost less than worrying about what the buffer is overwritten with.
    static std::expected<TunnelHeader, Drop> at(std::span<const std::byte> datagram) noexcept;
    void write(std::byte* to) const noexcept;
    [[nodiscard]] std::span<const std::byte> bytes() const { return std::as_bytes(std::span(this, 1)); }
};
static_assert(std::is_trivially_copyable_v<TunnelHeader>);
static_assert(sizeof(TunnelHeader) == TunnelHeader::kSize && alignof(TunnelHeader) == 1);

}  // namespace weft::overlay
