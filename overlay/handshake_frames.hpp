// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/clock.hpp"
#include "dataplane/net/address.hpp"
#include "overlay/key_derivation.hpp"
#include "overlay/tunnel_frames.hpp"

namespace weft::overlay {

// Bytes of handshake frames to values and back, with the macs that stand between a stranger and any costly step.
// Threading: control.

using Mac = std::array<std::byte, 16>;
using Random = std::function<void(std::span<std::byte>)>;

// The keys of a cluster's pre-shared key: for Noise, for mac1, for cookies. Wiped on destruction.
struct ClusterKey {
    std::array<std::byte, 32> preshared;
    Hash mac_key{}, cookie_key{};

    explicit ClusterKey(const std::array<std::byte, 32>& preshared_key);
    ClusterKey(const ClusterKey&) = default;
    ClusterKey& operator=(const ClusterKey&) = default;
    ~ClusterKey();
};

[[nodiscard]] NodeName name_of(std::string_view node_id);
// The id, if the name is well-formed: 1 to 64 bytes and zeros behind them.
[[nodiscard]] std::optional<std::string> id_of(const NodeName& name);

// A type 1 or 2 frame. `write` computes mac1, and mac2 if there is a cookie.
struct HandshakeFrames {
    static constexpr std::size_t kSize = TunnelHeader::kSize + sizeof(HandshakeBody);

    struct Parts {
        std::uint32_t receiver_index = 0, sender_index = 0;
        Bytes noise_message;  // inside the datagram that was read
    };
    [[nodiscard]] static std::vector<std::byte> write(TunnelHeader::Type type, std::uint32_t receiver_index,
                                                      std::uint32_t sender_index, Bytes noise_message,
                                                      const ClusterKey& key, const std::optional<Mac>& cookie);
    // Shape only: size, zero fields, a sender index. The macs are the caller's next question.
    [[nodiscard]] static std::optional<Parts> read(Bytes datagram);
    [[nodiscard]] static Mac mac1_of(Bytes frame);
    [[nodiscard]] static bool has_mac1(Bytes datagram, const ClusterKey& key);
    [[nodiscard]] static bool has_mac2(Bytes datagram, const Mac& cookie);
};

// The responder's cookies: bound to an address and a port by a secret that turns every 120 s (the one before still
// counts), so that nothing is remembered for anybody.
class CookieJar {
  public:
    explicit CookieJar(Random random) : random_(std::move(random)) {}
    CookieJar(const CookieJar&) = delete;
    CookieJar& operator=(const CookieJar&) = delete;
    ~CookieJar();

    // The initiation carries a mac2 by a cookie that was handed to this endpoint.
    [[nodiscard]] bool proves(Bytes initiation, const net::Endpoint& from, TimePoint now);
    // The type 3 answer to an initiation.
    [[nodiscard]] std::vector<std::byte> answer(Bytes initiation, std::uint32_t receiver_index,
                                                const net::Endpoint& from, const ClusterKey& key, TimePoint now);
    // The initiator's side: the cookie in a type 3 answer to the initiation with this mac1.
    [[nodiscard]] static std::optional<Mac> open(Bytes datagram, const Mac& mac1, const ClusterKey& key);

  private:
    void turn(TimePoint now);
    [[nodiscard]] static Mac cookie_for(const net::Endpoint& from, const Hash& secret);

    Random random_;
    Hash secret_{}, previous_secret_{};
    std::optional<TimePoint> turned_;
};

}  // namespace weft::overlay
