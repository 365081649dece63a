// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/parse.hpp"
#include "dataplane/packet.hpp"

namespace weft::overlay {

// Packets born here, in answer to one that cannot go on. Each writes a whole packet (IP header first, checksums
// finished) about `cause` into `room` and returns its size; 0 if there must be no answer, or no room for it. `parsed`
// describes `cause` as it stands. How many answers may leave is the caller's business. Pure; no allocation.

// Nothing about an ICMP error or redirect, a later fragment, multicast or broadcast, an unspecified source (RFC 1122,
// 4443). `from` is this node's bridge address of the same family. IPv4 quotes up to 576 bytes in all, IPv6 up to 1280.
// `mtu` is for TooBig only.
enum class IcmpError : std::uint8_t { PortUnreachable, HostUnreachable, TooBig, TimeExceeded };
inline constexpr std::size_t kMaxIcmpError = 1280;
[[nodiscard]] std::size_t make_icmp_error(std::span<std::byte> room, IcmpError kind, std::uint32_t mtu,
                                          const Packet& cause, const net::Parsed& parsed,
                                          const net::IpAddress& from) noexcept;

// A TCP reset that answers `cause` (RFC 9293 3.10.7.1); nothing about a reset, a fragment or another protocol.
[[nodiscard]] std::size_t make_tcp_reset(std::span<std::byte> room, const Packet& cause,
                                         const net::Parsed& parsed) noexcept;

}  // namespace weft::overlay
