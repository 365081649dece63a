// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/packet.hpp"

namespace weft {

// Joins the inner packets of one turn into superpackets for the TUN. A packet joins its flow's open superpacket only if
// all conditions of docs/packet-walk.md ("coalescing") hold; otherwise it opens a new one. Superpackets keep the order
// in which they were opened; no timer, so no added latency. Payload is not copied: followers become tail slices.
// Before the engine sees them, so one parse, one lookup and one translation serve a whole train.
//
// A joined packet gets a partial checksum, which would hide damage in its payload. So packets whose sum is full are
// summed before they join, and one whose sum is wrong (full or partial) passes alone, as it came.
//
// `tag` travels along (which peer it came from, and how); packets of different tags never join.
// Malformed packets are not dropped here: they pass alone, and the engine names their fate.
// Threading: one worker. No allocation after construction.
class Coalescer {
  public:
    static constexpr std::size_t kMaxPackets = 512;

    Coalescer();
    ~Coalescer();
    // Room for one more? If not, take the packets and clear first.
    [[nodiscard]] bool full() const noexcept { return count_ == kMaxPackets; }
    // `inner` is one IP packet as it came, with `headroom` writable bytes before it; its memory stays until clear().
    void add(Slice inner, std::uint32_t headroom, ChecksumState checksum, std::uint32_t tag) noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    // Finished: IP lengths, sums and gso fields are those of a superpacket (partial checksum over the whole). Nothing
    // joins any more; only clear() may follow.
    [[nodiscard]] std::span<Packet> finish() noexcept;
    [[nodiscard]] std::uint32_t tag(std::size_t index) const noexcept;
    void clear() noexcept;

  private:
    struct Candidate;
    struct Open;
    using Index = std::uint16_t;
    static constexpr Index kNone = 0xFFFF;
    static constexpr std::size_t kBuckets = 1024;

    [[nodiscard]] bool is_same_flow(Index index, const Candidate& candidate) const noexcept;
    [[nodiscard]] std::uint32_t bucket_of(const Candidate& candidate) const noexcept;
    [[nodiscard]] Index find(Candidate& candidate) const noexcept;

    [[nodiscard]] bool joins(Index index, const Candidate& candidate) noexcept;
    [[nodiscard]] bool matches_v4(Index index, const Candidate& candidate) const noexcept;
    [[nodiscard]] bool matches_v6(Index index, const Candidate& candidate) const noexcept;
    [[nodiscard]] bool matches_tcp(Index index, const Candidate& candidate) const noexcept;
    [[nodiscard]] bool has_right_sum(Index index) noexcept;
    void join(Index index, const Candidate& candidate) noexcept;

    Index place(const Candidate& candidate) noexcept;
    void open(Index index, const Candidate& candidate) noexcept;
    void seal(Index index) noexcept;
    static void finish(Packet& packet, const Open& open) noexcept;

    std::unique_ptr<Packet[]> packets_;
    std::unique_ptr<Open[]> open_;      // beside each packet
    std::unique_ptr<Index[]> buckets_;  // chains of those that still take followers, at most one for a flow
    std::uint64_t key_;                 // of the hash
    std::size_t count_ = 0;
    Index last_ = kNone;  // the open one that was joined or opened last: the next packet's most likely place
};

}  // namespace weft
