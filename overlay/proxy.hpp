// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "dataplane/coalesce.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/engine.hpp"
#include "dataplane/net/parse.hpp"
#include "overlay/answer.hpp"
#include "overlay/control_channel.hpp"
#include "overlay/flow_table.hpp"
#include "overlay/fragments.hpp"
#include "overlay/host_cache.hpp"
#include "overlay/route.hpp"
#include "overlay/tables.hpp"
#include "overlay/translate.hpp"
#include "overlay/tunnel.hpp"
#include "overlay/waiting.hpp"

namespace weft::overlay {

// What becomes of one packet. There is no default: a forgotten verdict does not compile.
class [[nodiscard]] Verdict {
  public:
    enum class Kind : std::uint8_t { Drop, ToInside, ToPeer, Parked };
    static Verdict drop(weft::Drop reason) { return {Kind::Drop, reason, kLocal}; }
    static Verdict to_inside() { return {Kind::ToInside, {}, kLocal}; }
    static Verdict to_peer(PeerIndex peer) { return {Kind::ToPeer, {}, peer}; }
    static Verdict parked() { return {Kind::Parked, {}, kLocal}; }  // a copy waits; it gets its own verdict later

    [[nodiscard]] Kind kind() const { return kind_; }
    [[nodiscard]] weft::Drop reason() const { return reason_; }
    [[nodiscard]] PeerIndex peer() const { return peer_; }

  private:
    Verdict(Kind kind, weft::Drop reason, PeerIndex peer) : kind_(kind), reason_(reason), peer_(peer) {}
    Kind kind_;
    weft::Drop reason_;
    PeerIndex peer_;
};

// The engine: takes packets from both sides, gives each exactly one fate.
// Threading: one worker. Owns nothing it was handed; everything of its own is allocated at construction.
class Proxy final : public Engine {
  public:
    Proxy(ControlChannel& control, FlowTable& flows, InsidePort& inside, OutsidePort& outside, Counters& counters);

    void begin_turn(TimePoint now) override;
    void outbound(std::span<Packet> packets) override;
    void inbound(std::span<const Train> trains) override;
    void end_turn() override;
    [[nodiscard]] TimePoint next_deadline() const override;

  private:
    // Outbound, in the order of the path.
    Verdict outbound(Packet& packet, net::Parsed& parsed) noexcept;
    Verdict outbound_icmp_error(Packet& packet, net::Parsed& parsed) noexcept;
    std::expected<FlowHandle, Drop> outbound_flow(const Packet& packet, const net::Parsed& parsed,
                                                  const FlowKey& key) noexcept;
    Verdict fits(const Flow& flow, Packet& packet, net::Parsed& parsed) noexcept;

    // Inbound, in the order of the path.
    void receive(std::span<std::byte> datagram, std::uint32_t headroom, const Train& train) noexcept;
    void deliver_received() noexcept;
    Verdict inbound(Packet& packet, net::Parsed& parsed, std::uint32_t tag) noexcept;
    Verdict inbound_icmp_error(Packet& packet, net::Parsed& parsed, PeerIndex peer) noexcept;
    void obey(const ControlRecord& record, PeerIndex from) noexcept;
    void tell(const Peer& peer, const ControlRecord& record) noexcept;

    // Both.
    std::optional<Verdict> place_fragment(Packet& packet, net::Parsed& parsed, Direction direction,
                                          std::uint32_t tag) noexcept;
    void release_fragments() noexcept;
    std::expected<FlowHandle, Drop> insert(Route& route) noexcept;
    void carry_out(Verdict verdict, Packet& packet, net::Parsed& parsed) noexcept;
    void send_to(const Peer& peer, Packet& packet, net::Parsed& parsed) noexcept;
    void ask_for_session(const Peer& peer) noexcept;
    void release_waiting() noexcept;
    void answer_inside(IcmpError kind, std::uint32_t mtu, const Packet& cause, const net::Parsed& parsed) noexcept;
    void reset_inside(const Packet& cause, const net::Parsed& parsed) noexcept;
    void emit_inside(std::size_t size) noexcept;
    [[nodiscard]] bool may_answer() noexcept;

    ControlChannel& control_;
    FlowTable& flows_;
    InsidePort& inside_;
    OutsidePort& outside_;
    Counters& counters_;
    const Tables* tables_ = nullptr;
    TimePoint now_{};
    TimePoint next_sweep_{};
    Coalescer coalescer_;
    HostCache hosts_;
    FragmentTable fragments_;
    Waiting waiting_;
    // Errors born here: 100 per second, bursts of 50 (RFC 1812 4.3.2.8).
    std::uint32_t answer_tokens_ = 50;
    TimePoint answer_refill_{};
    std::array<std::byte, 1500> answer_{};
};

}  // namespace weft::overlay
