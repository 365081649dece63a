// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/drop.hpp"
#include "dataplane/net/address.hpp"
#include "dataplane/packet.hpp"

namespace weft {

// The two seams between the engine and the world. Real ports are TunPort and UdpPort; tests put queues in their place.
// Threading: one worker each. Errors: what cannot be sent is counted by the port as a drop, never thrown.
// Memory: packets, datagrams and appended slices stay valid until the next call of rx_burst *after* flush.

// Inside: the ProxyTUN. Whole IP packets and superpackets.
class InsidePort {
  public:
    virtual ~InsidePort() = default;
    // Fills up to packets.size() views and says how many; counts them as received. 0: nothing there now.
    virtual std::size_t rx_burst(std::span<Packet> packets) = 0;
    // Writes one packet or superpacket; counts it as sent, or as a drop.
    virtual void tx(const Packet& packet) = 0;
};

// One UDP datagram train as received: `bytes` is cut every `stride` bytes, the last piece may be shorter.
struct Train {
    std::span<std::byte> bytes;
    std::uint32_t stride = 0;    // 1..bytes.size(); equal to bytes.size() for a single datagram
    std::uint32_t headroom = 0;  // writable bytes before bytes.data()
    net::Endpoint from;
    std::uint8_t tos = 0;  // outer TOS byte; GRO never mixes two in one train
};

// Outside: the tunnel's UDP socket. The port joins equal-sized datagrams to one peer into trains.
class OutsidePort {
  public:
    virtual ~OutsidePort() = default;
    virtual std::size_t rx_burst(std::span<Train> trains) = 0;
    // Queues one datagram, given as consecutive slices that stay untouched until flush(). `tos` is the outer TOS byte.
    virtual void append(const net::Endpoint& to, std::uint8_t tos, std::span<const Slice> datagram) = 0;
    // Memory for bytes that are made on the way out (headers, sealed segments); valid until flush(). May flush what is
    // queued to make room, so never hold an unfinished datagram across two calls. At most 65,535 bytes.
    virtual std::byte* scratch(std::size_t size) = 0;
    // Sends everything queued, in order of the first append of each train.
    virtual void flush() = 0;
};

}  // namespace weft
