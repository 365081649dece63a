// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/net/parse.hpp"
#include "dataplane/packet.hpp"

namespace weft {

// Cuts a superpacket into the packets a wire carries. For segment k: own total length, IPv4 id + k, TCP sequence +
// k * gso_size, FIN and PSH on the last only, CWR on the first only, UDP length; and, while the L4 sum is partial, the
// field re-based by (segment L4 length - superpacket L4 length), because the kernel's pseudo-header sum covers the whole.
// A packet without GSO is one segment. Payload is never copied. Threading: stateless but for the view it holds.
class Segmenter {
  public:
    static constexpr std::size_t kMaxHeader = 192;  // IP and L4 header, options and extensions included

    struct Segment {
        std::uint32_t header_size = 0;
        Slice payload[3];               // head, then at most two tail slices
        std::uint32_t payload_count = 0;
        std::uint32_t size = 0;         // header and payload
    };

    // `parsed` must come from this packet (after translation, lengths and offsets are the same). `max_payload` != 0 cuts
    // TCP finer than gso_size (the path to the peer shrank); ignored for UDP.
    Segmenter(const Packet& packet, const net::Parsed& parsed, std::uint32_t max_payload = 0) noexcept;

    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    // Writes segment k's IP and L4 header to `header` (kMaxHeader bytes of room).
    [[nodiscard]] Segment cut(std::uint32_t k, std::byte* header) const noexcept;

  private:
    const Packet& packet_;
    const net::Parsed& parsed_;
    std::uint32_t payload_size_ = 0;  // of each segment but the last
    std::uint32_t total_payload_ = 0;
    std::uint32_t header_size_ = 0;
    std::uint32_t count_ = 1;
};

// Turns a partial checksum into a finished one, over head and tail. For takers that cannot do it themselves (bare peers).
// The packet must not be a superpacket. Computed UDP zero becomes FFFF.
void finish_checksum(Packet& packet, const net::Parsed& parsed) noexcept;

}  // namespace weft
