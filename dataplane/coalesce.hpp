// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/counters.hpp"
#include "dataplane/packet.hpp"

namespace weft {

// Joins the inner packets of one turn into superpackets for the TUN. A packet joins its flow's open superpacket only if
// all conditions of docs/packet-walk.md ("coalescing") hold; otherwise it opens a new one. Superpackets keep the order
// in which they were opened; no timer, so no added latency. Payload is not copied: followers become tail slices.
// Before the engine sees them, so one parse, one lookup and one translation serve a whole train.
//
// `tag` travels along (which peer it came from, and how); packets of different tags never join.
// Malformed packets are not dropped here: they pass alone, and the engine names their fate.
// Threading: one worker. No allocation after construction.
class Coalescer {
  public:
    static constexpr std::size_t kMaxPackets = 512;

    Coalescer();
    // Room for one more? If not, take the packets and clear first.
    [[nodiscard]] bool full() const noexcept { return count_ == kMaxPackets; }
    void add(Slice inner, std::uint32_t headroom, ChecksumState checksum, std::uint32_t tag) noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    // Finished: IP lengths, sums and gso fields are those of a superpacket (partial checksum over the whole).
    [[nodiscard]] std::span<Packet> finish() noexcept;
    [[nodiscard]] std::uint32_t tag(std::size_t index) const noexcept;
    void clear() noexcept;

  private:
    struct Open;
    std::unique_ptr<Packet[]> packets_;
    std::unique_ptr<Open[]> open_;
    std::size_t count_ = 0;

  public:
    ~Coalescer();
};

}  // namespace weft
