// SPDX-License-Identifier: Apache-2.0
#include "overlay/tunnel_header.hpp"

#include <cstring>

namespace weft::overlay {

TunnelHeader TunnelHeader::make(Type type, std::uint8_t lane, std::uint8_t flags, std::uint32_t receiver_index,
                                std::uint64_t counter) {
    return {.magic = kMagic,
            .version_and_type = static_cast<std::uint8_t>(kVersion << 4 | static_cast<std::uint8_t>(type)),
            .lane = lane,
            .flags = flags,
            .receiver_index = net::Be32(receiver_index),
            .counter = net::Be64(counter)};
}

std::expected<TunnelHeader, Drop> TunnelHeader::at(std::span<const std::byte> datagram) noexcept {
    if (datagram.size() < kSize) return std::unexpected(Drop::TunnelFormat);
    TunnelHeader header;
    std::memcpy(&header, datagram.data(), sizeof header);
    const auto type = header.version_and_type & 0x0F;
    const bool known_type = type >= static_cast<int>(Type::Initiation) && type <= static_cast<int>(Type::ClearControl);
    if (header.magic != kMagic || header.version_and_type >> 4 != kVersion || !known_type ||
        (header.flags & ~(kFlagPartialChecksum | kFlagRedirected)) != 0)
        return std::unexpected(Drop::TunnelFormat);
    return header;
}

void TunnelHeader::write(std::byte* to) const noexcept {
    std::memcpy(to, this, sizeof *this);
}

}  // namespace weft::overlay
