// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "control/service_model.hpp"
#include "overlay/control_channel.hpp"
#include "overlay/handshake.hpp"

namespace weft::control {

// Keeps a session with every peer that has traffic: asks for handshakes, sends their frames, installs what comes out,
// asks for new keys in time, and notices a peer that restarted and lost its keys (we send, it never answers).
//
// Threading: control. Errors: none; what fails is tried again by the handshaker's own clock.
class SessionKeeper {
  public:
    struct World {
        std::function<void(const net::Endpoint& to, std::span<const std::byte> datagram)> send;
        std::function<void()> tables_changed;           // publish the model's tables
        std::function<void(overlay::PeerIndex)> probe;  // have a worker probe this peer
    };

    SessionKeeper(overlay::Handshaker::Options options, ServiceModel& services, World world);

    // The list of peers changed.
    void peers_changed();
    void want(overlay::PeerIndex peer, TimePoint now);
    // After a start: every peer may still hold keys that we lost.
    void want_all(TimePoint now);
    void receive(const overlay::HandshakeFrame& frame, TimePoint now);
    // A few times a second.
    void tick(TimePoint now);
    [[nodiscard]] const overlay::Handshaker::Stats& stats() const { return handshaker_->stats(); }

  private:
    struct Watch {
        std::uint64_t tx = 0, rx = 0;
        TimePoint silent_since{};  // we sent and heard nothing since then; zero if all is well
        TimePoint last_probe{};
    };

    void act(overlay::Handshaker::Actions& actions);
    void watch(const PeerEntry& peer, TimePoint now);

    ServiceModel& services_;
    World world_;
    std::unique_ptr<overlay::Handshaker> handshaker_;
    std::map<overlay::PeerIndex, Watch> watches_;
};

}  // namespace weft::control
