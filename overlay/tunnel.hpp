// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "dataplane/counters.hpp"
#include "dataplane/net/parse.hpp"
#include "dataplane/port.hpp"
#include "overlay/session.hpp"
#include "overlay/tables.hpp"

namespace weft::overlay {

// Wrapping and unwrapping: the step between the engine's inner packets and the tunnel socket's datagrams.
// Threading: the worker. No allocation, log or system call of its own.

// The session to send by, or null: `next` once confirmed, else `session` (peers in bare mode have none and need none).
[[nodiscard]] Session* sending_session(const Peer& peer) noexcept;

// Cuts, seals and appends one (super)packet for the peer. `parsed` describes the packet as it stands (translated).
// Outer TOS: DSCP copied, ECN by RFC 6040 (copied on encapsulation). Bare: the checksum is finished first.
// Drops: PeerDown (no session, or its counter is used up), BareUnsafe (l4 port 65535, not TCP/UDP/ICMP, a fragment or
// larger than min(1450, mtu) towards a bare peer). Counts peer.state and nothing else; the port counts what it sends.
[[nodiscard]] std::optional<Drop> encapsulate(const Peer& peer, Packet& packet, net::Parsed& parsed,
                                              OutsidePort& out) noexcept;

// The inner packet's TOS byte once the outer header is gone, by RFC 6040: congestion met on the way is handed on to
// ends that can tell it, and loses the packet (nullopt) of ends that cannot. Of both bytes only the lowest two bits
// (ECN) matter; the inner DSCP stays.
[[nodiscard]] std::optional<std::uint8_t> combine_ecn(std::uint8_t outer_tos, std::uint8_t inner_tos) noexcept;

// A small message between the tunnel ends, sealed or clear like data.
enum class ControlKind : std::uint8_t { Probe = 1, Answer = 2, Close = 3 };
struct ControlRecord {
    ControlKind kind;
    std::uint64_t time_ns = 0;  // the sender's boot clock; an answer returns the probe's
};
void send_control(const Peer& peer, const ControlRecord& record, OutsidePort& out) noexcept;

// What a datagram turned out to be.
struct Opened {
    enum class Kind : std::uint8_t { Packet, Control, Handshake } kind = Kind::Packet;
    PeerIndex peer = kLocal;
    std::span<std::byte> inner;  // Packet: the inner IP packet, in place. Handshake: the whole datagram
    ChecksumState checksum = ChecksumState::Full;
    bool redirected = false;
    ControlRecord control{};
};
// One datagram (one piece of a train), opened in place. Order of checks: length, magic, version, flags, index, tag,
// replay. A first nibble of 4 or 6 is bare: taken only from a peer whose security is bare, known by its outer address.
// A weaker mode than the peer's is TunnelFormat; an unknown index PeerUnknown. Handshake frames (types 1-3, and clear
// hellos) are handed back untouched for control, from anyone. On success the peer's last_seen is noted and, for
// packets, counted in its state; the session is confirmed.
[[nodiscard]] std::expected<Opened, Drop> open(const Tables& tables, std::span<std::byte> datagram,
                                               const net::Endpoint& from, TimePoint now) noexcept;

}  // namespace weft::overlay
