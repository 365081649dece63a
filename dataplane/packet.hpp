// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weft {

// Bytes that belong to somebody else.
struct Slice {
    std::byte* data = nullptr;
    std::uint32_t size = 0;
};

// What a superpacket is to be cut into before it meets a wire.
enum class Gso : std::uint8_t { None, Tcp, Udp };

// Full: the L4 checksum field holds the finished sum (or UDP's zero).
// Partial: it holds only the pseudo-header sum, not inverted, over the whole superpacket's L4 length; whoever needs
// the finished sum computes it. Carried across the tunnel by a header flag, never computed on the way.
enum class ChecksumState : std::uint8_t { Full, Partial };

// A view of one IP packet, possibly a superpacket of up to 64 KB, in memory that the port owns. Valid until the end of
// the worker's turn. `head` holds all headers contiguously (parsing never looks into the tail); the payload goes on in
// `tail`, in order. The engine writes only into headers; ports and the tunnel do the segment work.
// Threading: the worker that received it. Nothing here is allocated per packet.
struct Packet {
    static constexpr std::size_t kMaxTail = 64;

    Slice head;                  // from the first byte of the IP header
    std::uint32_t headroom = 0;  // writable bytes before head.data
    std::uint32_t size = 0;      // head and tail together
    std::uint16_t gso_size = 0;  // payload bytes of each segment but the last; 0 if gso is None
    std::uint16_t tail_count = 0;
    Gso gso = Gso::None;
    ChecksumState checksum = ChecksumState::Full;
    std::uint16_t segments = 1;        // packets on a wire; every counter counts these
    std::array<Slice, kMaxTail> tail;  // only the first tail_count are valid

    [[nodiscard]] std::span<std::byte> bytes() const { return {head.data, head.size}; }
    [[nodiscard]] std::span<const Slice> tails() const { return {tail.data(), tail_count}; }
    void reset(std::byte* data, std::uint32_t length, std::uint32_t room) {
        head = {data, length};
        headroom = room;
        size = length;
        gso_size = 0;
        tail_count = 0;
        gso = Gso::None;
        checksum = ChecksumState::Full;
        segments = 1;
    }
    void append(Slice more) {
        tail[tail_count++] = more;
        size += more.size;
    }
};

}  // namespace weft
