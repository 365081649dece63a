// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/clock.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/net/address.hpp"
#include "overlay/session.hpp"
#include "overlay/tables.hpp"

namespace weft::overlay {

using PresharedKey = std::array<std::byte, 32>;

// The handshakes of one node with all its peers: Noise_NNpsk0_25519_AESGCM_SHA256 where a key is configured, a hello
// with random receiver indices in clear mode. Rules: docs/wire-format.md, "handshake". Pure: bytes and times in, bytes
// and sessions out; the caller sends, publishes and keeps the clock.
//
// A node that restarted initiates anew and is believed at once, because its start number grew. A peer that restarted is
// noticed by the caller, whose probes stay unanswered: `want` may be called again whenever a session died.
//
// What the caller owes: an installed session of the initiator's is used at once (a probe tells the responder, who may
// send only then); one of the responder's waits in `Peer::next` until it is confirmed, and a confirmed `next` moves up
// before another takes its place. Receiver indices of replaced sessions stay in the tables until the sessions are dead.
//
// Threading: control. Errors: bad frames are dropped silently (counted in `stats`), never answered.
class Handshaker {
  public:
    struct Options {
        std::string node_id;           // 1 to 64 bytes, unique in the cluster
        std::string cluster = "weft";  // part of the prologue
        std::optional<PresharedKey> key;
        std::optional<PresharedKey> previous_key;  // during a key turn-over
        Cipher cipher = Cipher::Aes128Gcm;
        std::uint64_t start_number = 0;                    // grows at each start of the node (journal)
        std::function<void(std::span<std::byte>)> random;  // fills with random bytes; empty: OpenSSL's generator
    };
    struct PeerInfo {
        PeerIndex index = 0;
        std::string id;  // empty: not known yet, any id is taken
        net::Endpoint endpoint;
        Security security = Security::Clear;
    };
    // What the caller has to do.
    struct Actions {
        struct Send {
            net::Endpoint to;
            std::vector<std::byte> datagram;
        };
        struct Install {
            std::shared_ptr<Session> session;
            bool initiator = false;  // initiator: send by it at once; responder: once confirmed
        };
        std::vector<Send> send;
        std::vector<Install> install;
        std::vector<PeerIndex> gave_up;  // 90 s without an answer
    };
    struct Stats {
        std::uint64_t initiations_sent = 0, initiations_received = 0, sessions = 0, refused = 0, rate_limited = 0;
    };

    static std::unique_ptr<Handshaker> create(Options options);
    virtual ~Handshaker() = default;

    // The peers it may talk to, whole list; those that vanished forget their pending handshakes.
    virtual void set_peers(std::vector<PeerInfo> peers) = 0;
    // A session with this peer is wanted (first packet, or a rekey is due); does nothing while one is under way.
    virtual void want(PeerIndex peer, TimePoint now, Actions& actions) = 0;
    virtual void receive(std::span<const std::byte> datagram, const net::Endpoint& from, TimePoint now,
                         Actions& actions) = 0;
    // Retries and gives up. Call when `next_deadline` has come.
    virtual void poll(TimePoint now, Actions& actions) = 0;
    [[nodiscard]] virtual TimePoint next_deadline() const = 0;
    [[nodiscard]] virtual const Stats& stats() const = 0;
};

}  // namespace weft::overlay
