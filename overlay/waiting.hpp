// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/base/clock.hpp"
#include "dataplane/packet.hpp"
#include "overlay/packet_store.hpp"
#include "overlay/tables.hpp"

namespace weft::overlay {

// Copies of small packets, already translated, that wait until there is a session with their peer. In order of arrival,
// at most 256 for one peer, about 500 and 256 KiB in all.
//
// Threading: one worker. Allocates at construction only.
class Waiting {
  public:
    static constexpr std::size_t kPerPeer = 256;
    static constexpr std::size_t kSmallSlots = 432, kLargeSlots = 74;
    static constexpr std::size_t kPackets = kSmallSlots + kLargeSlots;
    static_assert(kSmallSlots * PacketStore::kSmall + kLargeSlots * PacketStore::kLarge == 256 * 1024);

    Waiting();

    // False if there is no room for it, or if it is a superpacket.
    [[nodiscard]] bool park(PeerIndex peer, const Packet& packet, TimePoint now) noexcept;

    // Hands out the packets of every peer for which ready(peer) holds, as deliver(peer, packet), in order. What deliver
    // parks anew waits for the next call. The packets' memory stays as it is until recycle().
    template <class Ready, class Deliver>
    void release(Ready&& ready, Deliver&& deliver) {
        Queue all = take_all();
        for (std::uint16_t next; all.first != kNone; all.first = next) {
            next = nodes_[all.first].next;
            if (!ready(nodes_[all.first].peer)) {
                append(all.first);
                continue;
            }
            const Node node = nodes_[all.first];
            remove(all.first);
            store_.view(node.slot, packet_);
            deliver(node.peer, packet_);
        }
    }

    // Forgets what was parked before `deadline`; dropped(packets) is called once if there was any.
    template <class Dropped>
    void expire(TimePoint deadline, Dropped&& dropped) {
        if (const std::uint32_t count = forget_before(deadline); count > 0) dropped(count);
    }

    // To be called after the ports have flushed what release() handed out, else that memory is lost until then.
    void recycle() noexcept { store_.recycle(); }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

  private:
    static constexpr std::uint16_t kNone = PacketStore::kNone;
    struct Node {
        TimePoint since{};
        PeerIndex peer = kLocal;
        PacketStore::Slot slot = kNone;
        std::uint16_t next = kNone;
    };
    struct Queue {
        std::uint16_t first = kNone, last = kNone;
    };

    [[nodiscard]] Queue take_all() noexcept;
    [[nodiscard]] std::size_t count_of(PeerIndex peer) const noexcept;
    [[nodiscard]] std::uint32_t forget_before(TimePoint deadline) noexcept;
    void append(std::uint16_t node) noexcept;
    void remove(std::uint16_t node) noexcept;

    PacketStore store_;
    std::unique_ptr<Node[]> nodes_;
    Queue queue_;
    std::uint16_t free_ = kNone;
    std::size_t size_ = 0;
    Packet packet_;  // the one being handed out
};

}  // namespace weft::overlay
