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

// Told from other clear control by kind and size alone: it must be recognised before there is a session.
[[nodiscard]] inline bool is_hello(const TunnelHeader& header, std::span<const std::byte> body) noexcept {
    if (header.type() != TunnelHeader::Type::ClearControl || body.size() != sizeof(HelloFrame)) return false;
    const auto kind = std::to_integer<std::uint8_t>(body.front());
    return kind == HelloFrame::kQuestion || kind == HelloFrame::kAnswer;
}

}  // namespace weft::overlay
