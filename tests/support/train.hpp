// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/packet.hpp"
#include "tests/support/test_packet.hpp"

namespace weft::test {

// One TCP or UDP packet of a train, said in fields that a test can read back and change: a model cuts and joins these,
// and the code under test has to come to the same bytes.
struct TrainPacket {
    bool is_v6 = false;
    bool is_udp = false;
    unsigned host = 1;  // last byte of the source address
    std::uint16_t source_port = 40000;
    std::uint32_t sequence = 1000;
    std::uint32_t acknowledgement = 77;
    std::uint8_t flags = 0x10;  // ACK
    std::uint16_t window = 500;
    Bytes tcp_options;
    Bytes ipv4_options;
    Bytes extension;       // IPv6: what a destination options header holds
    std::uint16_t id = 7;  // IPv4
    bool df = true;        // IPv4
    bool is_first_fragment = false;
    std::uint8_t ttl = 64;
    std::uint8_t tos = 0;
    Bytes payload;
    ChecksumState checksum = ChecksumState::Full;

    [[nodiscard]] Bytes bytes() const;
    [[nodiscard]] std::size_t l4_offset() const;
    [[nodiscard]] std::size_t header_size() const;
    [[nodiscard]] std::size_t checksum_offset() const { return l4_offset() + (is_udp ? 6U : 16U); }
    [[nodiscard]] TestPacket packet() const { return TestPacket(bytes(), checksum); }
    // To be cut every `gso_size` bytes of payload.
    [[nodiscard]] TestPacket superpacket(std::uint16_t gso_size) const {
        TestPacket made = packet();
        made.gso(is_udp ? Gso::Udp : Gso::Tcp, gso_size);
        return made;
    }
};

// `size` bytes that differ from those of other seeds.
[[nodiscard]] Bytes noise(std::size_t size, unsigned seed = 1);

}  // namespace weft::test
