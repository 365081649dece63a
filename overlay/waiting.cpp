// SPDX-License-Identifier: Apache-2.0
#include "overlay/waiting.hpp"

#include <utility>

namespace weft::overlay {

Waiting::Waiting() : store_(kSmallSlots, kLargeSlots), nodes_(std::make_unique<Node[]>(kPackets)) {
    for (std::size_t i = kPackets; i-- > 0;)
        nodes_[i].next = std::exchange(free_, static_cast<std::uint16_t>(i));
}

bool Waiting::park(PeerIndex peer, const Packet& packet, TimePoint now) noexcept {
    if (count_of(peer) >= kPerPeer) return false;
    const PacketStore::Slot slot = store_.put(packet);
    if (slot == kNone) return false;
    // There are as many nodes as slots, but a slot that was handed out is in use longer.
    const std::uint16_t node = std::exchange(free_, nodes_[free_].next);
    nodes_[node] = {.since = now, .peer = peer, .slot = slot};
    append(node);
    ++size_;
    return true;
}

Waiting::Queue Waiting::take_all() noexcept {
    return std::exchange(queue_, {});
}

std::size_t Waiting::count_of(PeerIndex peer) const noexcept {
    std::size_t count = 0;
    for (std::uint16_t node = queue_.first; node != kNone; node = nodes_[node].next)
        count += nodes_[node].peer == peer;
    return count;
}

std::uint32_t Waiting::forget_before(TimePoint deadline) noexcept {
    std::uint32_t count = 0;
    Queue all = take_all();
    for (std::uint16_t next; all.first != kNone; all.first = next) {
        next = nodes_[all.first].next;
        if (nodes_[all.first].since >= deadline) {
            append(all.first);
            continue;
        }
        remove(all.first);
        ++count;
    }
    return count;
}

void Waiting::append(std::uint16_t node) noexcept {
    nodes_[node].next = kNone;
    if (queue_.first == kNone)
        queue_.first = node;
    else
        nodes_[queue_.last].next = node;
    queue_.last = node;
}

// The node is in no queue any more.
void Waiting::remove(std::uint16_t node) noexcept {
    store_.give(nodes_[node].slot);
    nodes_[node].next = std::exchange(free_, node);
    --size_;
}

}  // namespace weft::overlay
