// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dataplane/net/parse.hpp"
#include "dataplane/packet.hpp"

namespace weft::overlay {

// Writes the TOS byte (IPv6: traffic class) of the packet; the IPv4 header checksum follows. No L4 sum covers it. Pure.
void set_tos(Packet& packet, net::Parsed& parsed, std::uint8_t tos) noexcept;

}  // namespace weft::overlay
