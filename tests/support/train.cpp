// SPDX-License-Identifier: Apache-2.0
#include "tests/support/train.hpp"

#include <string>

#include "tests/support/packet_builder.hpp"

namespace weft::test {

Bytes TrainPacket::bytes() const {
    PacketBuilder builder;
    if (is_v6) {
        builder.ipv6("fc00::" + std::to_string(host), "fdff::10");
    } else {
        builder.ipv4("10.18.0." + std::to_string(host), "10.30.0.10").id(id).df(df);
    }
    builder.ttl(ttl).tos(tos);
    if (!ipv4_options.empty() && !is_v6) builder.ipv4_options(ipv4_options);
    if (!extension.empty() && is_v6) builder.extension(60, extension);
    if (is_first_fragment) builder.fragment(0, More::Yes);
    if (is_udp) {
        builder.udp(source_port, 80);
    } else {
        builder.tcp(source_port, 80).seq(sequence).ack(acknowledgement).flags(flags).window(window);
        if (!tcp_options.empty()) builder.tcp_options(tcp_options);
    }
    if (checksum == ChecksumState::Partial) builder.partial_checksum();
    return builder.payload(payload).build();
}

std::size_t TrainPacket::l4_offset() const {
    if (!is_v6) return 20 + (ipv4_options.size() + 3) / 4 * 4;
    return extension.empty() ? 40 : 40 + (2 + extension.size() + 7) / 8 * 8;
}

std::size_t TrainPacket::header_size() const {
    return l4_offset() + (is_udp ? 8 : 20 + (tcp_options.size() + 3) / 4 * 4);
}

Bytes noise(std::size_t size, unsigned seed) {
    Bytes out(size);
    std::uint32_t state = seed * 2654435761U + 1;
    for (std::byte& byte : out) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<std::byte>(state >> 24);
    }
    return out;
}

}  // namespace weft::test
