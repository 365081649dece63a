// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/parse.hpp"
#include "dataplane/packet.hpp"

namespace weft {

// Cuts a superpacket into the packets a wire carries. For segment k: own total length, IPv4 id + k, TCP sequence +
// k * gso_size, FIN and PSH on the last only, CWR on the first only, UDP length. A partial L4 sum is re-based by
// (segment L4 length - superpacket L4 length), because the kernel's pseudo-header sum covers the whole; a full one is
// made anew for each segment, and a full sum that was wrong stays wrong in every segment.
// A packet without GSO is one segment, its header unchanged. Payload is never copied.
// Threading: stateless but for the view it holds; packet and parsed must outlive it.
class Segmenter {
  public:
    // IP and L4 header, options and extensions included: 40 + 256 + 60, rounded up.
    static constexpr std::size_t kMaxHeader = 384;

    struct Segment {
        // A tail of many small slices may put all of them into one segment.
        static constexpr std::size_t kMaxPayload = Packet::kMaxTail + 1;

        std::uint32_t header_size = 0;
        std::uint32_t payload_count = 0;
        std::uint32_t size = 0;  // header and payload
        union {                  // not initialised: clearing 1 KB for each segment would cost more than cutting it
            Slice payload[kMaxPayload];
        };

        Segment() noexcept {}  // NOLINT(modernize-use-equals-default): the union member needs it
        [[nodiscard]] std::span<const Slice> payloads() const noexcept { return {payload, payload_count}; }
    };

    // `parsed` must come from this packet (after translation, lengths and offsets are the same). `max_payload` != 0
    // cuts TCP finer than gso_size (the path to the peer shrank), also a TCP packet without GSO; ignored for UDP.
    Segmenter(const Packet& packet, const net::Parsed& parsed, std::uint32_t max_payload = 0) noexcept;

    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    // Of every segment; at most kMaxHeader.
    [[nodiscard]] std::uint32_t header_size() const noexcept { return header_size_; }
    // Writes segment k's IP and L4 header to `header` (kMaxHeader bytes of room, or header_size()).
    [[nodiscard]] Segment cut(std::uint32_t k, std::byte* header) const noexcept;

  private:
    [[nodiscard]] bool is_cuttable(std::uint32_t max_payload) const noexcept;
    [[nodiscard]] std::uint16_t full_sum_error() const noexcept;
    void collect_payload(std::uint32_t begin, std::uint32_t size, Segment& segment) const noexcept;
    void write_lengths(std::uint32_t k, std::uint32_t segment_size, std::span<std::byte> header) const noexcept;
    void write_tcp(std::uint32_t k, std::span<std::byte> header) const noexcept;
    void write_checksum(const Segment& segment, std::span<std::byte> header) const noexcept;

    const Packet& packet_;
    const net::Parsed& parsed_;
    std::uint32_t payload_size_ = 0;  // of each segment but the last
    std::uint32_t total_payload_ = 0;
    std::uint32_t header_size_ = 0;
    std::uint32_t count_ = 1;
    std::uint16_t sum_error_ = 0;  // what the full sum of the whole packet was off by
    bool rewrite_ = false;         // segments get headers of their own
};

// Turns a partial checksum into a finished one, over head and tail. For takers that cannot do it themselves (bare
// peers). Does nothing to a packet whose sum is full, or that has none (not TCP or UDP, a later fragment). The packet
// must not be a superpacket. Computed UDP zero becomes FFFF.
void finish_checksum(Packet& packet, const net::Parsed& parsed) noexcept;

}  // namespace weft
