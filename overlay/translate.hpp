// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>

#include "dataplane/drop.hpp"
#include "dataplane/net/parse.hpp"
#include "dataplane/packet.hpp"
#include "overlay/answer.hpp"
#include "overlay/flow_table.hpp"

namespace weft::overlay {

// Rewriting a packet's addresses and ports, checksums kept right incrementally (RFC 1624). `parsed` describes the
// packet before the call and is updated to what stands there after it. Pure; no allocation.

// TCP, UDP, ICMP echo; whole packets, superpackets and first fragments. A `Later` fragment and any other protocol get
// new addresses only. An echo's identifier is the asking end's port: `to.source_port` of a request, `destination_port`
// of a reply.
void translate(Packet& packet, net::Parsed& parsed, const Rewrite& to) noexcept;

// The five-tuple quoted by an ICMP error (parsed.icmp == Error), as it stands in the quote. Quoted ICMP echo: both
// ports are the identifier.
[[nodiscard]] std::expected<FlowKey, Drop> quoted_tuple(const Packet& packet, const net::Parsed& parsed) noexcept;

// An ICMP error whose quote `quoted_tuple` has read: the outer source and destination become `source` and
// `destination`, the quoted packet's addresses and ports become `quoted`; quoted IP sum, quoted L4 sum (where it lies
// inside the quote) and the outer sum follow.
void translate_icmp_error(Packet& packet, net::Parsed& parsed, const net::IpAddress& source,
                          const net::IpAddress& destination, const Rewrite& quoted) noexcept;

// Lowers the MSS option of a SYN or SYN-ACK to `mtu` - 40 (IPv6 - 60); never raises it, never adds it.
void clamp_mss(Packet& packet, const net::Parsed& parsed, std::uint16_t mtu) noexcept;

}  // namespace weft::overlay
