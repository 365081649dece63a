// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "dataplane/net/byte_order.hpp"
#include "overlay/tunnel_header.hpp"

namespace weft::overlay {

// The bodies of weft's own small frames, as they lie behind the 16 bytes of the tunnel header (docs/wire-format.md).

// Types 5 and 7: a message between the ends of a session. Bytes 1-7 are zero.
//
//    0       1                                               8
//   +-------+-----------------------------------------------+-----------------------+
//   | kind  |                   reserved                    |   time, nanoseconds   |
//   +-------+-----------------------------------------------+-----------------------+
struct ControlFrame {
    std::uint8_t kind;
    std::array<std::uint8_t, 7> reserved;
    net::Be64 time_ns;
};
static_assert(sizeof(ControlFrame) == 16 && alignof(ControlFrame) == 1 && std::is_trivially_copyable_v<ControlFrame>);

// Who speaks: a node's name, padded to a fixed size so that no frame's length tells it or depends on it.
struct NodeName {
    static constexpr std::size_t kMaxSize = 64;
    std::uint8_t size;
    std::array<char, kMaxSize> text;  // zero behind `size`
};
static_assert(sizeof(NodeName) == 65);

// Type 7 with one of these kinds: the handshake of the clear mode. Question and answer have the same size.
// The header's receiver index is zero in a question and the asker's index in an answer.
struct HelloFrame {
    static constexpr std::uint8_t kQuestion = 16;
    static constexpr std::uint8_t kAnswer = 17;

    std::uint8_t kind;
    std::array<std::uint8_t, 3> reserved;
    net::Be32 sender_index;
    net::Be32 random;  // of the question; an answer returns it
    net::Be64 start_number;
    NodeName node;
};
static_assert(sizeof(HelloFrame) == 85 && alignof(HelloFrame) == 1 && std::is_trivially_copyable_v<HelloFrame>);

// Types 1 to 3: the handshake of the sealed mode. In the header, lane and flags are zero, the receiver index is zero in
// an initiation and the initiator's index in the other two, and the counter's upper half holds the sender's index (zero
// in a cookie), the lower half zero.

// What both sides say of themselves, encrypted inside the Noise messages. `start_number`, then `time_ns`, grow with
// every initiation of a node: an old one repeated is refused.
struct HandshakePayload {
    static constexpr std::uint32_t kCarriesPartialChecksums = 1;

    net::Be64 start_number;
    net::Be64 time_ns;  // boot clock; of use to nobody but for growing
    net::Be32 features;
    net::Be16 mtu;       // largest inner packet taken; 0: not said
    std::uint8_t lanes;  // sending lanes, at least 1
    NodeName node;
};
static_assert(sizeof(HandshakePayload) == 88 && alignof(HandshakePayload) == 1);

// Types 1 and 2 (behind the header). They have the same size, so that an answer is never longer than its question.
struct HandshakeBody {
    std::array<std::byte, 32> ephemeral;
    std::array<std::byte, sizeof(HandshakePayload) + TunnelHeader::kTagSize> payload;
    std::array<std::byte, 16> mac1;  // HMAC-SHA256 over all before it, keyed by the pre-shared key's mac key
    std::array<std::byte, 16> mac2;  // the same over all before it, keyed by a cookie; zero without one
};
static_assert(sizeof(HandshakeBody) == 168 && alignof(HandshakeBody) == 1);

// Type 3: "prove first that you are where you say". The cookie is sealed with the initiation's mac1 as associated data.
struct CookieBody {
    std::array<std::byte, 12> nonce;
    std::array<std::byte, 16 + TunnelHeader::kTagSize> sealed;
};
static_assert(sizeof(CookieBody) == 44 && alignof(CookieBody) == 1);

// Told from other clear control by kind and size alone: it must be recognised before there is a session.
[[nodiscard]] inline bool is_hello(const TunnelHeader& header, std::span<const std::byte> body) noexcept {
    if (header.type() != TunnelHeader::Type::ClearControl || body.size() != sizeof(HelloFrame)) return false;
    const auto kind = std::to_integer<std::uint8_t>(body.front());
    return kind == HelloFrame::kQuestion || kind == HelloFrame::kAnswer;
}

}  // namespace weft::overlay
