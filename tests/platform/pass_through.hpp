// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "dataplane/coalesce.hpp"
#include "dataplane/engine.hpp"
#include "dataplane/port.hpp"

namespace weft::test {

// The least engine there can be: whatever the TUN gives goes to one peer, whatever the peer sends goes to the TUN. Two
// bytes before each packet say whether its checksum is partial. Superpackets are cut into trains and joined again by
// the same code that the real engine uses.
// Threading: one worker; the figures from any.
class PassThrough final : public Engine {
  public:
    PassThrough(InsidePort& inside, OutsidePort& outside) : inside_(inside), outside_(outside) {}
    void to(const net::Endpoint& peer) { peer_ = peer; }

    void begin_turn(TimePoint) override { ++turns; }
    void outbound(std::span<Packet> packets) override;
    void inbound(std::span<const Train> trains) override;
    void end_turn() override {}
    [[nodiscard]] TimePoint next_deadline() const override { return TimePoint::max(); }

    std::atomic<std::uint64_t> turns{0};
    std::atomic<std::uint64_t> packets_seen{0};
    std::atomic<std::uint64_t> tcp_superpackets{0};
    std::atomic<std::uint64_t> udp_superpackets{0};
    std::atomic<std::uint64_t> trains_of_many{0};
    std::atomic<std::uint64_t> unparsable{0};

  private:
    void drain();

    InsidePort& inside_;
    OutsidePort& outside_;
    net::Endpoint peer_;
    Coalescer coalescer_;
};

}  // namespace weft::test
