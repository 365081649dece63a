// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/base/clock.hpp"
#include "dataplane/net/parse.hpp"
#include "dataplane/packet.hpp"
#include "overlay/flow_table.hpp"
#include "overlay/packet_store.hpp"

namespace weft::overlay {

// Virtual reassembly: the fragments of a packet go on one by one, but the first teaches its ports to the rest, so that
// all take the same way. Fragments that come before the first are copied and wait for it.
//
//   place()    every fragment, first of all: says whether it goes on (its ports are filled in), waits or is dropped
//   release()  after the packet that place() let go on was carried out: hands out those that waited for it. Each starts
//              its way anew and comes to place() again, which then lets it go on
//
// Bounds: 1,000 packets in pieces, 64 from one source (its oldest goes for a new one), 16 fragments of each waiting,
// 15 seconds. Overlaps, of a single byte too, are dropped, with IPv6 all that still comes of that packet (RFC 5722);
// so are fragments that are too short to hold what the first must hold (RFC 1858, 3128), and pieces beyond the end.
//
// Threading: one worker. Allocates at construction only.
class FragmentTable {
  public:
    static constexpr std::size_t kQueues = 1000;
    static constexpr std::size_t kPerSource = 64;
    static constexpr std::size_t kWaitingPerQueue = 16;
    static constexpr auto kLife = std::chrono::seconds(15);

    enum class Fate : std::uint8_t { Pass, Hold, Drop };

    FragmentTable();
    ~FragmentTable();

    // `parsed` is a first or later fragment. Pass: a later one is given the protocol and ports of the first. Hold: a
    // copy waits, `tag` with it.
    [[nodiscard]] Fate place(const Packet& packet, net::Parsed& parsed, Direction direction, std::uint32_t tag,
                             TimePoint now) noexcept;

    [[nodiscard]] bool has_released() const noexcept { return released_.first != kNone; }
    // deliver(packet, direction, tag) for each fragment whose first has come. Their memory stays as it is until
    // recycle().
    template <class Deliver>
    void release(Deliver&& deliver) {
        while (has_released()) {
            const Held held = take_released();
            store_.view(held.slot, packet_);
            store_.give(held.slot);
            deliver(packet_, held.direction, held.tag);
        }
    }

    // Forgets what began 15 s ago; dropped(packets) is called once if copies went with it, or with what had to make
    // room since the last call.
    template <class Dropped>
    void expire(TimePoint now, Dropped&& dropped) {
        if (const std::uint32_t count = forget_before(now - kLife); count > 0) dropped(count);
    }
    // To be called after the ports have flushed.
    void recycle() noexcept { store_.recycle(); }

    // Packets in pieces, and copies whose loss is still to be told. Zero: nothing for expire() to do.
    [[nodiscard]] std::size_t size() const noexcept { return size_ + lost_; }

  private:
    static constexpr std::uint16_t kNone = 0xFFFF;
    static constexpr std::size_t kBuckets = 2048;
    static constexpr std::size_t kSources = 1024;  // sources are told apart by hash; few share a place
    static constexpr std::size_t kRanges = 16;
    static constexpr std::size_t kSmallSlots = 256, kLargeSlots = 128;

    struct Key {
        net::IpAddress source, destination;
        std::uint32_t id = 0;
        std::uint8_t protocol = 0;  // IPv4 only: RFC 8200 leaves it out
        Direction direction = Direction::Outbound;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct Range {
        std::uint32_t begin = 0, end = 0;
    };
    struct Chain {
        std::uint16_t first = kNone, last = kNone;
    };
    struct Held {
        PacketStore::Slot slot = PacketStore::kNone;
        std::uint16_t next = kNone;
        std::uint32_t tag = 0;
        Direction direction = Direction::Outbound;
    };
    // One packet in pieces.
    struct Queue {
        Key key;
        TimePoint since{};
        std::uint16_t source_port = 0, destination_port = 0;
        std::uint8_t protocol = 0;
        bool has_first = false;
        bool poisoned = false;  // overlapped: nothing more goes on
        std::uint8_t range_count = 0;
        std::uint8_t held_count = 0;
        std::uint32_t total = 0;            // payload bytes of the whole packet; 0: the last has not come
        std::array<Range, kRanges> ranges;  // what went on, in order, apart from each other
        Chain held;
        std::uint16_t source_place = 0;
        std::uint16_t bucket_next = kNone;
        std::uint16_t older = kNone, younger = kNone;
    };
    // Where a fragment lies in its packet.
    struct Piece {
        std::uint32_t begin = 0, end = 0;
        bool more = false;
    };

    [[nodiscard]] static Key key_of(const net::Parsed& parsed, Direction direction) noexcept;
    [[nodiscard]] static Piece piece_of(const net::Parsed& parsed) noexcept;
    [[nodiscard]] static bool is_sane(const net::Parsed& parsed, const Piece& piece) noexcept;
    [[nodiscard]] static bool fits(Queue& queue, const Piece& piece) noexcept;
    [[nodiscard]] static bool add_range(Queue& queue, Range piece) noexcept;

    [[nodiscard]] std::uint64_t hash_of(const Key& key) const noexcept;
    [[nodiscard]] std::uint16_t find(const Key& key) const noexcept;
    [[nodiscard]] std::uint16_t begin(const Key& key, TimePoint now) noexcept;
    [[nodiscard]] std::uint16_t oldest_of(std::uint16_t source_place) const noexcept;
    [[nodiscard]] Fate hold(Queue& queue, const Packet& packet, std::uint32_t tag) noexcept;
    void teach(Queue& queue, const net::Parsed& parsed) noexcept;
    void lose_held(Queue& queue) noexcept;
    void end(std::uint16_t index) noexcept;
    [[nodiscard]] Held take_released() noexcept;
    [[nodiscard]] std::uint32_t forget_before(TimePoint deadline) noexcept;

    std::uint64_t secret_ = 0;
    PacketStore store_;
    std::unique_ptr<Queue[]> queues_;
    std::unique_ptr<Held[]> held_;
    std::array<std::uint16_t, kBuckets> buckets_;
    std::array<std::uint16_t, kSources> per_source_{};
    std::uint16_t free_queue_ = kNone;  // chained through bucket_next
    std::uint16_t free_held_ = kNone;
    std::uint16_t oldest_ = kNone, youngest_ = kNone;
    Chain released_;
    std::uint32_t lost_ = 0;
    std::size_t size_ = 0;
    Packet packet_;  // the one being handed out
};

}  // namespace weft::overlay
