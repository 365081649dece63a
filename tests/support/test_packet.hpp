// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <vector>

#include "dataplane/drop.hpp"
#include "dataplane/net/parse.hpp"
#include "dataplane/packet.hpp"

namespace weft::test {

using Bytes = std::vector<std::byte>;

// Owns a packet's bytes and shows them as a port would. Head and tail slices lie in heap blocks of exactly their size,
// so that a sanitizer sees any step outside. Move-only; views stay valid when it moves.
class TestPacket {
  public:
    static constexpr std::size_t kHeadroom = 128;

    explicit TestPacket(const Bytes& bytes, ChecksumState checksum = ChecksumState::Full);
    TestPacket(TestPacket&&) = default;
    TestPacket& operator=(TestPacket&&) = default;

    // The first `head_size` bytes stay in the head, the rest becomes slices of `slice_size` bytes.
    TestPacket& split(std::size_t head_size, std::size_t slice_size);
    // Makes it a superpacket; the number of segments follows from the payload.
    TestPacket& gso(Gso kind, std::uint16_t gso_size);

    [[nodiscard]] Packet& packet() { return *packet_; }
    [[nodiscard]] const Packet& packet() const { return *packet_; }
    [[nodiscard]] std::expected<net::Parsed, Drop> parse() const;
    // As they stand now, head and tail.
    [[nodiscard]] Bytes bytes() const;

  private:
    struct Block {
        std::unique_ptr<std::byte[]> memory;
        Slice slice;
    };
    static Block block(std::span<const std::byte> bytes, std::size_t headroom);

    Block head_;
    std::vector<Block> tails_;
    std::unique_ptr<Packet> packet_;
};

// Any packet view's bytes in one piece.
[[nodiscard]] Bytes bytes_of(const Packet& packet);

}  // namespace weft::test
