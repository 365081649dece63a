// SPDX-License-Identifier: Apache-2.0
#include "overlay/tos.hpp"

#include "dataplane/net/byte_order.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/header_at.hpp"
#include "dataplane/net/ipv4.hpp"

namespace weft::overlay {

void set_tos(Packet& packet, net::Parsed& parsed, std::uint8_t tos) noexcept {
    if (parsed.is_v4()) {
        auto* header = net::writable_header_at<net::Ipv4Header>(packet.bytes());
        if (!header) return;
        const net::Be16 before(static_cast<std::uint16_t>(header->version_ihl << 8 | header->tos));
        header->tos = tos;
        const net::Be16 after(static_cast<std::uint16_t>(header->version_ihl << 8 | header->tos));
        header->checksum =
            net::Be16::from_raw(net::adjust_full(header->checksum.raw(), net::delta16(before.raw(), after.raw())));
    } else {
        // The traffic class lies across the first two bytes: version(4) class(8) label(20).
        auto bytes = packet.bytes();
        bytes[0] = static_cast<std::byte>(0x60 | tos >> 4);
        bytes[1] = static_cast<std::byte>((tos & 0x0FU) << 4 | (std::to_integer<unsigned>(bytes[1]) & 0x0FU));
    }
    parsed.tos = tos;
}

}  // namespace weft::overlay
