// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/net/address.hpp"
#include "overlay/flow_table.hpp"
#include "overlay/tables.hpp"

namespace weft::overlay {

// What a worker tells control. Fixed size, copied through a bounded ring; a full ring drops and counts.
struct alignas(4) Event {
    enum class Kind : std::uint8_t {
        SessionWanted,   // peer: the first packet for it found no session
        UnknownService,  // address: nobody has this service IP
    };
    Kind kind = Kind::SessionWanted;
    PeerIndex peer = kLocal;
    net::IpAddress address;
};
static_assert(sizeof(Event) % 4 == 0, "rings move words of four bytes");

// A handshake datagram that came in on the tunnel socket, on its way to control.
struct HandshakeFrame {
    static constexpr std::size_t kMaxSize = 508;
    net::Endpoint from;
    std::uint32_t size = 0;
    std::array<std::byte, kMaxSize> bytes;
};

// What control asks of a worker.
struct Command {
    enum class Kind : std::uint8_t { Probe, EraseFlow } kind = Kind::Probe;
    PeerIndex peer = kLocal;  // Probe
    FlowKey key;              // EraseFlow: the opener's key
};

// One worker's link with control; the only thing the two share besides the tables' long-lived states.
// Threading: the worker. Every call returns at once.
class ControlChannel {
  public:
    virtual ~ControlChannel() = default;
    // The newest snapshot; stays valid until quiescent().
    virtual const Tables& tables() = 0;
    virtual void quiescent() = 0;
    virtual bool report(const Event& event) = 0;
    virtual bool hand_over(const HandshakeFrame& frame) = 0;
    virtual bool next(Command& command) = 0;
};

}  // namespace weft::overlay
