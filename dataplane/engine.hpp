// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "dataplane/base/clock.hpp"
#include "dataplane/packet.hpp"
#include "dataplane/port.hpp"

namespace weft {

// What a worker drives. One turn: begin_turn, outbound (what the TUN gave), inbound (what the socket gave),
// outside.flush(), end_turn. The engine (overlay/proxy) knows no descriptor and no clock; it sends through the ports it
// was given at construction. Threading: one worker. Nothing here allocates, locks, logs or waits.
class Engine {
  public:
    virtual ~Engine() = default;
    // Takes the current snapshot of the tables and obeys commands from control.
    virtual void begin_turn(TimePoint now) = 0;
    virtual void outbound(std::span<Packet> packets) = 0;
    virtual void inbound(std::span<const Train> trains) = 0;
    // After the flush: a bounded share of housekeeping (expiry). Reports the quiescent state: no table is held.
    virtual void end_turn() = 0;
    // When housekeeping next wants a turn even if no packet comes; TimePoint::max() for never.
    [[nodiscard]] virtual TimePoint next_deadline() const = 0;
};

}  // namespace weft
