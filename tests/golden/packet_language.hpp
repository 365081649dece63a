// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/packet_builder.hpp"

namespace weft::test {

// Packets as words of a text table; each word is a call of PacketBuilder, in its order:
//
//   v4 10.18.0.2 10.30.0.10 df tcp 40000 80 flags=S mss=1460
//   v6 fc00::2 fdff::10 udp 5353 53 text=hello
//   v4 10.18.0.66 10.18.0.2 error 3 4 1400 { v4 10.18.0.2 10.18.0.66 udp 1 2 payload=8 }
//
// Words: v4 FROM TO, v6 FROM TO, ttl=N, tos=N, id=N, df, options=HEX, ext=KIND, first-of=OFFSET and last-of=OFFSET
// (fragments), tcp FROM TO, flags=[FSRPA], seq=N, ack=N, window=N, mss=N, udp FROM TO, no-sum, echo ID SEQ,
// reply ID SEQ, icmp TYPE CODE REST, error TYPE CODE REST { QUOTE }, protocol=N, payload=N, text=WORD, partial, gso=N.
// Done to the finished bytes, in this order: poke=OFFSET:HEX, cut=SIZE, add=HEX. Or only: raw HEX.
// Throws std::invalid_argument on anything else.
[[nodiscard]] TestPacket packet_of(std::string_view words);

[[nodiscard]] Bytes bytes_of_hex(std::string_view hex);
[[nodiscard]] std::string hex_of(std::span<const std::byte> bytes);

}  // namespace weft::test
