// SPDX-License-Identifier: Apache-2.0
//
// THE PACKET'S PATH: the way of one packet (or superpacket), both directions.
//
//   Outbound, from the TUN                       Inbound, from the tunnel socket
//   1 parse                                      1 open: header, seal, replay window; join what belongs together
//   2 fragments and ICMP errors go their way     2 parse the inner packet, combine ECN
//   3 known flow: keep its instance              3 may this peer speak for its source?
//   4 new flow: route it, pick an instance       4 known flow: put the service address back
//   5 translate, clamp MSS, does it fit?         5 new flow: is it for a container of ours?
//   6 here: turn around; elsewhere: to the peer  6 translate; to the TUN
//
// Every packet ends in exactly one Verdict; carry_out() is the only place that acts on it. Where a new flow goes is
// decided in route.cpp, bytes are rewritten in translate.cpp, wrapped and unwrapped in tunnel.cpp. Functions stand in
// the order of the list. Workers only; `now` is handed in; nothing here allocates, locks, logs or waits.
#include "overlay/proxy.hpp"

#include <algorithm>
#include <cstring>

#include "dataplane/net/tcp.hpp"
#include "overlay/tos.hpp"
#include "overlay/tunnel.hpp"

namespace weft::overlay {

namespace {

constexpr auto kSweepInterval = std::chrono::seconds(1);
constexpr std::size_t kSweepShare = 32;  // of the table, each time
constexpr auto kWaitingLife = std::chrono::seconds(5);
constexpr std::uint32_t kAnswerBurst = 50;
constexpr auto kAnswerInterval = std::chrono::milliseconds(10);

// What the coalescer must not mix: the peer, and the congestion mark of the outer header.
constexpr std::uint32_t tag_of(PeerIndex peer, std::uint8_t outer_tos) {
    return std::uint32_t{peer} << 8 | (outer_tos & 3U);
}
constexpr PeerIndex peer_of(std::uint32_t tag) {
    return static_cast<PeerIndex>(tag >> 8);
}
constexpr std::uint8_t outer_ecn_of(std::uint32_t tag) {
    return static_cast<std::uint8_t>(tag & 3U);
}

FlowKey key_of(const net::Parsed& parsed, Direction direction) noexcept {
    return {parsed.source, parsed.destination, parsed.source_port, parsed.destination_port, parsed.protocol, direction};
}

bool has_flows(const net::Parsed& parsed) noexcept {
    if (parsed.protocol == net::kProtocolTcp || parsed.protocol == net::kProtocolUdp) return true;
    // A later fragment goes where its first went.
    if (parsed.fragment == net::FragmentKind::Later)
        return parsed.protocol == net::kProtocolIcmp || parsed.protocol == net::kProtocolIcmp6;
    return parsed.icmp == net::IcmpKind::EchoRequest || parsed.icmp == net::IcmpKind::EchoReply;
}

bool is_plain_syn(const net::Parsed& parsed) noexcept {
    return parsed.protocol == net::kProtocolTcp &&
           (parsed.tcp_flags & (net::kTcpSyn | net::kTcpAck | net::kTcpRst)) == net::kTcpSyn;
}

Opening opening_of(const net::Parsed& parsed) noexcept {
    const bool continues =
        (parsed.protocol == net::kProtocolTcp && !is_plain_syn(parsed)) || parsed.icmp == net::IcmpKind::EchoReply;
    return continues ? Opening::Continues : Opening::Opens;
}

// The largest packet that a wire will see of it.
std::uint32_t wire_size(const Packet& packet, const net::Parsed& parsed) noexcept {
    return packet.gso == Gso::None ? packet.size : std::uint32_t{parsed.payload_offset} + packet.gso_size;
}

}  // namespace

Proxy::Proxy(ControlChannel& control, FlowTable& flows, InsidePort& inside, OutsidePort& outside, Counters& counters)
    : control_(control), flows_(flows), inside_(inside), outside_(outside), counters_(counters) {
    flows_.on_removed([this](const Flow& opener) {
        const Instance* instance = tables_ ? tables_->instance(opener.instance) : nullptr;
        if (instance && instance->state) instance->state->active_flows.fetch_sub(1, std::memory_order_relaxed);
    });
}

void Proxy::begin_turn(TimePoint now) {
    now_ = now;
    tables_ = &control_.tables();
    for (Command command; control_.next(command);) {
        if (command.kind == Command::Kind::EraseFlow) {
            if (const FlowHandle flow = flows_.find(command.key); flow != kNoFlow) flows_.erase(flow);
        } else if (const Peer* peer = tables_->peer(command.peer)) {
            tell(*peer, {ControlKind::Probe, static_cast<std::uint64_t>(now_.time_since_epoch().count())});
        }
    }
    if (waiting_.size() > 0) release_waiting();
}

// ---- Outbound -------------------------------------------------------------------------------------------------------

void Proxy::outbound(std::span<Packet> packets) {
    for (Packet& packet : packets) {
        auto parsed = net::parse(packet.bytes(), packet.size,
                                 packet.gso == Gso::None ? net::ParseAs::Packet : net::ParseAs::Superpacket);
        if (!parsed) {
            counters_.drop(parsed.error(), packet.segments);
            continue;
        }
        carry_out(outbound(packet, *parsed), packet, *parsed);
        if (fragments_.has_released()) release_fragments();
    }
}

Verdict Proxy::outbound(Packet& packet, net::Parsed& parsed) noexcept {
    if (parsed.icmp == net::IcmpKind::Error) return outbound_icmp_error(packet, parsed);
    if (parsed.fragment != net::FragmentKind::Whole)
        if (const auto placed = place_fragment(packet, parsed, Direction::Outbound, 0)) return *placed;
    if (!has_flows(parsed)) return Verdict::drop(Drop::UnsupportedProtocol);

    const auto handle = outbound_flow(packet, parsed, key_of(parsed, Direction::Outbound));
    if (!handle) return Verdict::drop(handle.error());

    flows_.touch(*handle, packet.segments, packet.size, parsed.tcp_flags, now_);
    const Flow flow = flows_.get(*handle);
    if (const Verdict fit = fits(flow, packet, parsed); fit.kind() == Verdict::Kind::Drop) return fit;
    translate(packet, parsed, flow.rewrite);
    return flow.next_hop == kLocal ? Verdict::to_inside() : Verdict::to_peer(flow.next_hop);
}

// An error about a packet that was delivered to this side: it travels with the flow of that packet's answers.
Verdict Proxy::outbound_icmp_error(Packet& packet, net::Parsed& parsed) noexcept {
    const auto quoted = quoted_tuple(packet, parsed);
    if (!quoted) return Verdict::drop(quoted.error());
    const FlowHandle handle = flows_.find({quoted->destination, quoted->source, quoted->destination_port,
                                           quoted->source_port, quoted->protocol, Direction::Outbound});
    if (handle == kNoFlow) return Verdict::drop(Drop::UnknownService);
    const Flow flow = flows_.get(handle);

    // The kernel of this host speaks with whatever address is at hand; a node's errors carry its bridge address.
    const bool from_the_container = parsed.source == flow.key.source;
    const net::IpAddress& bridge = tables_->bridge_ip[parsed.source.is_v6()];
    const net::IpAddress source = from_the_container        ? flow.rewrite.source
                                  : bridge.is_unspecified() ? parsed.source
                                                            : bridge;
    translate_icmp_error(
        packet, parsed, source, flow.rewrite.destination,
        {flow.rewrite.destination, flow.rewrite.source, flow.rewrite.destination_port, flow.rewrite.source_port});
    return flow.next_hop == kLocal ? Verdict::to_inside() : Verdict::to_peer(flow.next_hop);
}

// The flow of this packet, found or begun. Its sender is told where there is nothing to reach.
std::expected<FlowHandle, Drop> Proxy::outbound_flow(const Packet& packet, const net::Parsed& parsed,
                                                     const FlowKey& key) noexcept {
    if (const FlowHandle known = flows_.find(key); known != kNoFlow) {
        const Flow flow = flows_.get(known);
        const bool instance_gone = flow.instance.slot != InstanceRef::kNoSlot && !tables_->instance(flow.instance);
        const bool begins_anew = is_plain_syn(parsed) && flow.state >= FlowState::Closing;
        if (!instance_gone && !begins_anew) return known;
        flows_.erase(known);
    }

    auto route = route_outbound(*tables_, hosts_, key, opening_of(parsed), Turn::Take, now_);
    if (route) {
        if (opening_of(parsed) == Opening::Continues) route->opener.state = FlowState::Established;
        return insert(*route);
    }

    const Drop why = route.error();
    const bool nothing_there = why == Drop::NoInstance || why == Drop::UnknownService || why == Drop::PeerUnknown;
    if (nothing_there && opening_of(parsed) == Opening::Continues && parsed.protocol == net::kProtocolTcp)
        reset_inside(packet, parsed);  // whoever talked here is gone: fail fast
    else if (nothing_there)
        answer_inside(IcmpError::HostUnreachable, 0, packet, parsed);
    if (why == Drop::UnknownService) control_.report({.kind = Event::Kind::UnknownService, .address = key.destination});
    return std::unexpected(why);
}

// Sizes, before anything is rewritten, so that the sender's own packet can be quoted. TCP superpackets are cut to the
// peer's size later; a single packet that may not be cut is reported back.
Verdict Proxy::fits(const Flow& flow, Packet& packet, net::Parsed& parsed) noexcept {
    if (flow.next_hop == kLocal) return Verdict::to_inside();
    const Peer* peer = tables_->peer(flow.next_hop);
    if (!peer) return Verdict::drop(Drop::PeerDown);
    if ((parsed.tcp_flags & net::kTcpSyn) != 0)
        clamp_mss(packet, parsed, std::min(peer->inner_mtu, tables_->inner_mtu));
    if (wire_size(packet, parsed) > peer->inner_mtu && packet.gso != Gso::Tcp) {
        if (parsed.dont_fragment) answer_inside(IcmpError::TooBig, peer->inner_mtu, packet, parsed);
        return Verdict::drop(Drop::TooBig);
    }
    return Verdict::to_peer(flow.next_hop);
}

// ---- Inbound --------------------------------------------------------------------------------------------------------

void Proxy::inbound(std::span<const Train> trains) {
    for (const Train& train : trains) {
        std::uint32_t headroom = train.headroom;
        for (std::size_t at = 0; at < train.bytes.size(); at += train.stride) {
            const auto piece = train.bytes.subspan(at, std::min<std::size_t>(train.stride, train.bytes.size() - at));
            receive(piece, headroom, train);
            headroom = 0;
        }
    }
    deliver_received();
}

void Proxy::receive(std::span<std::byte> datagram, std::uint32_t headroom, const Train& train) noexcept {
    const auto opened = open(*tables_, datagram, train.from, now_);
    if (!opened) return counters_.drop(opened.error());
    switch (opened->kind) {
        case Opened::Kind::Packet: {
            if (coalescer_.full()) deliver_received();
            const auto room = headroom + static_cast<std::uint32_t>(opened->inner.data() - datagram.data());
            coalescer_.add({opened->inner.data(), static_cast<std::uint32_t>(opened->inner.size())}, room,
                           opened->checksum, tag_of(opened->peer, train.tos));
            return;
        }
        case Opened::Kind::Control:
            counters_.absorbed.add();
            return obey(opened->control, opened->peer);
        case Opened::Kind::Handshake: {
            HandshakeFrame frame;
            if (opened->inner.size() > frame.bytes.size()) return counters_.drop(Drop::TunnelFormat);
            frame.from = train.from;
            frame.size = static_cast<std::uint32_t>(opened->inner.size());
            std::memcpy(frame.bytes.data(), opened->inner.data(), frame.size);
            if (!control_.hand_over(frame)) return counters_.drop(Drop::QueueFull);
            return counters_.absorbed.add();
        }
    }
}

void Proxy::deliver_received() noexcept {
    const auto packets = coalescer_.finish();
    for (std::size_t i = 0; i < packets.size(); ++i) {
        Packet& packet = packets[i];
        auto parsed = net::parse(packet.bytes(), packet.size,
                                 packet.gso == Gso::None ? net::ParseAs::Packet : net::ParseAs::Superpacket);
        if (!parsed) {
            counters_.drop(parsed.error(), packet.segments);
            continue;
        }
        carry_out(inbound(packet, *parsed, coalescer_.tag(i)), packet, *parsed);
        if (fragments_.has_released()) release_fragments();
    }
    coalescer_.clear();
}

Verdict Proxy::inbound(Packet& packet, net::Parsed& parsed, std::uint32_t tag) noexcept {
    const PeerIndex peer = peer_of(tag);
    const auto tos = combine_ecn(outer_ecn_of(tag), parsed.tos);
    if (!tos) return Verdict::drop(Drop::BadHeader);
    if (*tos != parsed.tos) set_tos(packet, parsed, *tos);
    if (parsed.icmp == net::IcmpKind::Error) return inbound_icmp_error(packet, parsed, peer);

    const FlowKey whole_key = key_of(parsed, Direction::Inbound);
    if (parsed.fragment != net::FragmentKind::Whole) {
        if (!may_speak_for(*tables_, peer, whole_key.source)) return Verdict::drop(Drop::PeerSource);
        if (const auto placed = place_fragment(packet, parsed, Direction::Inbound, tag)) return *placed;
    }
    if (!has_flows(parsed)) return Verdict::drop(Drop::UnsupportedProtocol);

    const FlowKey key = key_of(parsed, Direction::Inbound);
    FlowHandle handle = flows_.find(key);
    if (handle != kNoFlow) {
        const Flow flow = flows_.get(handle);
        if (flow.next_hop != peer && !may_speak_for(*tables_, peer, key.source)) return Verdict::drop(Drop::PeerSource);
        const bool instance_gone = flow.instance.slot != InstanceRef::kNoSlot && !tables_->instance(flow.instance);
        const bool begins_anew = is_plain_syn(parsed) && flow.state >= FlowState::Closing;
        if (instance_gone || begins_anew || flow.next_hop != peer) {
            flows_.erase(handle);
            handle = kNoFlow;
        }
    }
    if (handle == kNoFlow) {
        if (!may_speak_for(*tables_, peer, key.source)) return Verdict::drop(Drop::PeerSource);
        auto route = route_inbound(*tables_, key, peer);
        if (!route) return Verdict::drop(route.error());
        if (opening_of(parsed) == Opening::Continues) route->opener.state = FlowState::Established;
        hosts_.learn(key.source, peer, now_);
        const auto begun = insert(*route);
        // Without room for a flow it is delivered all the same: half a conversation is better than none.
        if (!begun) return Verdict::to_inside();
        handle = *begun;
    }
    flows_.touch(handle, packet.segments, packet.size, parsed.tcp_flags, now_);
    if ((parsed.tcp_flags & net::kTcpSyn) != 0) clamp_mss(packet, parsed, tables_->inner_mtu);
    translate(packet, parsed, flows_.get(handle).rewrite);
    return Verdict::to_inside();
}

// May come from any hop on the way, but only about a flow that we have with this very peer.
Verdict Proxy::inbound_icmp_error(Packet& packet, net::Parsed& parsed, PeerIndex peer) noexcept {
    const auto quoted = quoted_tuple(packet, parsed);
    if (!quoted) return Verdict::drop(quoted.error());
    const FlowHandle handle = flows_.find({quoted->destination, quoted->source, quoted->destination_port,
                                           quoted->source_port, quoted->protocol, Direction::Inbound});
    if (handle == kNoFlow) return Verdict::drop(Drop::PeerSource);
    const Flow flow = flows_.get(handle);
    if (flow.next_hop != peer) return Verdict::drop(Drop::PeerSource);

    const net::IpAddress source = parsed.source == flow.key.source ? flow.rewrite.source : parsed.source;
    translate_icmp_error(
        packet, parsed, source, flow.rewrite.destination,
        {flow.rewrite.destination, flow.rewrite.source, flow.rewrite.destination_port, flow.rewrite.source_port});
    return Verdict::to_inside();
}

void Proxy::obey(const ControlRecord& record, PeerIndex from) noexcept {
    const Peer* peer = tables_->peer(from);
    if (!peer) return;
    if (record.kind == ControlKind::Probe) return tell(*peer, {ControlKind::Answer, record.time_ns});
    if (record.kind != ControlKind::Answer || !peer->state) return;
    const auto sample = now_.time_since_epoch().count() - static_cast<std::int64_t>(record.time_ns);
    if (sample <= 0) return;
    const auto smoothed = peer->state->rtt_ns.load(std::memory_order_relaxed);
    peer->state->rtt_ns.store(smoothed == 0 ? sample : smoothed + (sample - smoothed) / 8, std::memory_order_relaxed);
}

// Only where a session stands; a probe is nothing to wait for.
void Proxy::tell(const Peer& peer, const ControlRecord& record) noexcept {
    if (!sending_session(peer)) return;
    counters_.generated.add();
    send_control(peer, record, outside_);
}

// ---- Both directions ------------------------------------------------------------------------------------------------

// The first fragment teaches its ports to the rest; nullopt: it goes on.
std::optional<Verdict> Proxy::place_fragment(Packet& packet, net::Parsed& parsed, Direction direction,
                                             std::uint32_t tag) noexcept {
    switch (fragments_.place(packet, parsed, direction, tag, now_)) {
        case FragmentTable::Fate::Pass:
            return std::nullopt;
        case FragmentTable::Fate::Hold:
            return Verdict::parked();
        case FragmentTable::Fate::Drop:
            break;
    }
    return Verdict::drop(Drop::Fragment);
}

void Proxy::release_fragments() noexcept {
    fragments_.release([this](Packet& packet, Direction direction, std::uint32_t tag) {
        counters_.waiting.subtract(packet.segments);
        auto parsed = net::parse(packet.bytes(), packet.size);
        if (!parsed) return counters_.drop(parsed.error(), packet.segments);
        const Verdict verdict =
            direction == Direction::Outbound ? outbound(packet, *parsed) : inbound(packet, *parsed, tag);
        carry_out(verdict, packet, *parsed);
    });
}

// Both halves enter the table. Where an answer's key is taken (two services share an instance, or two clients a face),
// the client's port is translated too.
std::expected<FlowHandle, Drop> Proxy::insert(Route& route) noexcept {
    constexpr std::uint32_t kPortTries = 64;
    const bool translates = route.service != nullptr;
    for (std::uint32_t attempt = 0; attempt <= (translates ? kPortTries : 0); ++attempt) {
        if (attempt > 0) {
            const auto port =
                static_cast<std::uint16_t>(32768 + (route.opener.key.source_port * 31U + attempt * 509U) % 28232U);
            route.opener.rewrite.source_port = port;
            route.answer.key.destination_port = port;
            if (route.opener.key.protocol == net::kProtocolIcmp || route.opener.key.protocol == net::kProtocolIcmp6) {
                route.opener.rewrite.destination_port = port;
                route.answer.key.source_port = port;
            }
        }
        const auto inserted = flows_.insert(route.opener, route.answer, now_);
        if (!inserted && inserted.error() == InsertError::KeyTaken) continue;
        if (!inserted) break;
        if (route.instance && route.instance->state) {
            route.instance->state->active_flows.fetch_add(1, std::memory_order_relaxed);
            route.instance->state->flows_total.fetch_add(1, std::memory_order_relaxed);
        }
        return *inserted;
    }
    return std::unexpected(Drop::FlowTableFull);
}

void Proxy::carry_out(Verdict verdict, Packet& packet, net::Parsed& parsed) noexcept {
    switch (verdict.kind()) {
        case Verdict::Kind::Drop:
            return counters_.drop(verdict.reason(), packet.segments);
        case Verdict::Kind::ToInside:
            return inside_.tx(packet);
        case Verdict::Kind::Parked:
            return counters_.waiting.add(packet.segments);
        case Verdict::Kind::ToPeer:
            break;
    }
    if (const Peer* peer = tables_->peer(verdict.peer())) return send_to(*peer, packet, parsed);
    counters_.drop(Drop::PeerDown, packet.segments);
}

void Proxy::send_to(const Peer& peer, Packet& packet, net::Parsed& parsed) noexcept {
    if (peer.security != Security::Bare && !sending_session(peer)) {
        ask_for_session(peer);
        // Superpackets never wait: the sender repeats them, and their buffers are needed.
        if (packet.gso != Gso::None || !waiting_.park(peer.index, packet, now_))
            return counters_.drop(Drop::LookupQueueFull, packet.segments);
        return counters_.waiting.add(packet.segments);
    }
    if (const auto dropped = encapsulate(peer, packet, parsed, outside_)) counters_.drop(*dropped, packet.segments);
}

void Proxy::ask_for_session(const Peer& peer) noexcept {
    if (!peer.state || peer.state->session_wanted.exchange(true, std::memory_order_relaxed)) return;
    if (!control_.report({.kind = Event::Kind::SessionWanted, .peer = peer.index}))
        peer.state->session_wanted.store(false, std::memory_order_relaxed);
}

void Proxy::release_waiting() noexcept {
    waiting_.release(
        [this](PeerIndex index) {
            const Peer* peer = tables_->peer(index);
            return !peer || sending_session(*peer) != nullptr;
        },
        [this](PeerIndex index, Packet& packet) {
            counters_.waiting.subtract(packet.segments);
            auto parsed = net::parse(packet.bytes(), packet.size);
            const Peer* peer = tables_->peer(index);
            if (!parsed || !peer) return counters_.drop(Drop::PeerDown, packet.segments);
            send_to(*peer, packet, *parsed);
        });
}

void Proxy::end_turn() {
    if (now_ >= next_sweep_) {
        flows_.sweep(now_, std::max<std::size_t>(1024, flows_.capacity() / kSweepShare));
        waiting_.expire(now_ - kWaitingLife, [this](std::uint32_t packets) {
            counters_.waiting.subtract(packets);
            counters_.drop(Drop::LookupFailed, packets);
        });
        fragments_.expire(now_, [this](std::uint32_t packets) {
            counters_.waiting.subtract(packets);
            counters_.drop(Drop::Fragment, packets);
        });
        next_sweep_ = now_ + kSweepInterval;
    }
    waiting_.recycle();
    fragments_.recycle();
    tables_ = nullptr;
    control_.quiescent();
}

TimePoint Proxy::next_deadline() const {
    const bool idle = flows_.size() == 0 && waiting_.size() == 0 && fragments_.size() == 0;
    return idle ? TimePoint::max() : next_sweep_;
}

// ---- Answers to the inside ------------------------------------------------------------------------------------------

void Proxy::answer_inside(IcmpError kind, std::uint32_t mtu, const Packet& cause, const net::Parsed& parsed) noexcept {
    if (!may_answer()) return;
    const net::IpAddress& from = tables_->bridge_ip[parsed.source.is_v6()];
    if (!from.is_unspecified()) emit_inside(make_icmp_error(answer_, kind, mtu, cause, parsed, from));
}

void Proxy::reset_inside(const Packet& cause, const net::Parsed& parsed) noexcept {
    if (may_answer()) emit_inside(make_tcp_reset(answer_, cause, parsed));
}

void Proxy::emit_inside(std::size_t size) noexcept {
    if (size == 0) return;
    Packet packet;
    packet.reset(answer_.data(), static_cast<std::uint32_t>(size), 0);
    counters_.generated.add();
    inside_.tx(packet);
}

bool Proxy::may_answer() noexcept {
    const auto refill = static_cast<std::uint64_t>((now_ - answer_refill_) / kAnswerInterval);
    if (refill > 0) {
        answer_tokens_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(kAnswerBurst, answer_tokens_ + refill));
        answer_refill_ = now_;
    }
    if (answer_tokens_ == 0) return false;
    --answer_tokens_;
    return true;
}

}  // namespace weft::overlay
