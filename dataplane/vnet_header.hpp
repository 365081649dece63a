// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>

#include "dataplane/drop.hpp"
#include "dataplane/packet.hpp"

namespace weft {

// What a TUN with IFF_VNET_HDR puts before each packet (the kernel's virtio_net_hdr, native byte order).
//
//    0        1          2        4         6           8            10
//   +--------+----------+--------+---------+-----------+------------+
//   | flags  | gso_type | hdr_len| gso_size| csum_start| csum_offset|
//   +--------+----------+--------+---------+-----------+------------+
//
// Own constants, because Debian 12's headers know neither GSO_UDP_L4 nor the offloads that go with it.
struct VnetHeader {
    static constexpr std::uint8_t kNeedsChecksum = 1;
    static constexpr std::uint8_t kGsoNone = 0;
    static constexpr std::uint8_t kGsoTcp4 = 1;
    static constexpr std::uint8_t kGsoTcp6 = 4;
    static constexpr std::uint8_t kGsoUdp = 5;
    static constexpr std::uint8_t kGsoEcn = 0x80;

    std::uint8_t flags = 0;
    std::uint8_t gso_type = 0;
    std::uint16_t header_length = 0;
    std::uint16_t gso_size = 0;
    std::uint16_t checksum_start = 0;
    std::uint16_t checksum_offset = 0;
};
static_assert(sizeof(VnetHeader) == 10);

// Carries a header read from the TUN over into `packet` (gso, gso_size, segments, checksum), believing nothing that the
// packet's own bytes do not confirm. A checksum that is due elsewhere than in the packet's TCP or UDP header (an inner
// header of somebody's tunnel) is finished here. Pure.
[[nodiscard]] std::expected<void, Drop> apply_vnet_header(const VnetHeader& header, Packet& packet) noexcept;

// The header to write before `packet`. A superpacket must carry a partial checksum. Pure.
[[nodiscard]] std::expected<VnetHeader, Drop> make_vnet_header(const Packet& packet) noexcept;

}  // namespace weft
