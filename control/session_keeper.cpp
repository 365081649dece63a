// SPDX-License-Identifier: Apache-2.0
#include "control/session_keeper.hpp"

#include <ranges>
#include <vector>

#include "dataplane/base/log.hpp"

namespace weft::control {

using overlay::Handshaker;
using overlay::PeerIndex;
using overlay::Security;

namespace {

constexpr auto kProbeBusy = std::chrono::seconds(1);
constexpr auto kProbeIdle = std::chrono::seconds(10);
// A live peer answers a probe within this; one that does not has lost its keys or is gone: a handshake tells which.
constexpr auto kSilence = std::chrono::milliseconds(750);

constexpr auto kUnusedSession = std::chrono::seconds(10);

}  // namespace

SessionKeeper::SessionKeeper(Handshaker::Options options, ServiceModel& services, World world)
    : services_(services), world_(std::move(world)), handshaker_(Handshaker::create(std::move(options))) {
    peers_changed();
}

void SessionKeeper::peers_changed() {
    std::vector<Handshaker::PeerInfo> peers;
    for (const PeerEntry& peer : std::views::values(services_.peers())) {
        // A learnt peer is named by its address; what it calls itself is not known yet.
        const bool is_named = peer.source != PeerSource::Learned;
        if (peer.security != Security::Bare)
            peers.push_back({peer.index, is_named ? peer.id : "", peer.endpoint, peer.security});
    }
    handshaker_->set_peers(std::move(peers));
    std::erase_if(watches_, [&](const auto& watch) { return !services_.peer(watch.first); });
}

void SessionKeeper::want(PeerIndex peer, TimePoint now) {
    Handshaker::Actions actions;
    handshaker_->want(peer, now, actions);
    act(actions);
}

void SessionKeeper::want_all(TimePoint now) {
    std::vector<PeerIndex> wanted;
    for (const PeerEntry& peer : std::views::values(services_.peers()))
        if (peer.security != Security::Bare) wanted.push_back(peer.index);
    for (const PeerIndex peer : wanted)
        want(peer, now);
}

void SessionKeeper::receive(const overlay::HandshakeFrame& frame, TimePoint now) {
    Handshaker::Actions actions;
    handshaker_->receive({frame.bytes.data(), frame.size}, frame.from, now, actions);
    act(actions);
}

void SessionKeeper::tick(TimePoint now) {
    Handshaker::Actions actions;
    if (handshaker_->next_deadline() <= now) handshaker_->poll(now, actions);
    for (const PeerEntry& peer : std::views::values(services_.peers())) {
        if (peer.security == Security::Bare) continue;
        watch(peer, now);
        // A responder's session that its initiator never used must not stand in the way of a new one.
        const bool is_under_way = peer.next && now - peer.next->born() < kUnusedSession;
        const bool old_keys = peer.session && overlay::needs_rekey(*peer.session, now) && !is_under_way;
        const Watch& seen = watches_[peer.index];
        const bool lost_keys = seen.silent_since != TimePoint{} && now - seen.silent_since > kSilence;
        if (old_keys || lost_keys) handshaker_->want(peer.index, now, actions);
    }
    act(actions);
    if (services_.rotate_sessions(now)) world_.tables_changed();
}

// Counts are compared from tick to tick: traffic decides how often a peer is probed, silence that it must be asked
// anew.
void SessionKeeper::watch(const PeerEntry& peer, TimePoint now) {
    Watch& seen = watches_[peer.index];
    const bool sent = peer.state->tx_packets.value() != seen.tx;
    const bool heard = peer.state->last_seen_ns.load(std::memory_order_relaxed) != static_cast<std::int64_t>(seen.rx);
    seen.tx = peer.state->tx_packets.value();
    seen.rx = static_cast<std::uint64_t>(peer.state->last_seen_ns.load(std::memory_order_relaxed));
    if (heard || !peer.session)
        seen.silent_since = {};
    else if (sent && seen.silent_since == TimePoint{})
        seen.silent_since = now;

    if (!peer.session && !(peer.next && peer.next->confirmed())) return;
    const auto interval = sent || heard || seen.silent_since != TimePoint{} ? kProbeBusy : kProbeIdle;
    if (now - seen.last_probe < interval) return;
    seen.last_probe = now;
    world_.probe(peer.index);
}

void SessionKeeper::act(Handshaker::Actions& actions) {
    for (const auto& send : actions.send)
        world_.send(send.to, send.datagram);
    for (const auto& install : actions.install) {
        services_.install(install.session, install.initiator);
        watches_[install.session->peer()].silent_since = {};
        if (const PeerEntry* peer = services_.peer(install.session->peer())) peer->state->session_wanted.store(false);
    }
    for (const PeerIndex index : actions.gave_up)
        if (const PeerEntry* peer = services_.peer(index)) {
            peer->state->session_wanted.store(false);
            logger("control").warn("peer does not answer the handshake; trying again when there is traffic peer={}",
                                   peer->id);
        }
    if (!actions.install.empty()) world_.tables_changed();
    // The other end may send only once it got something under the new keys.
    for (const auto& install : actions.install)
        if (install.initiator) world_.probe(install.session->peer());
}

}  // namespace weft::control
