// SPDX-License-Identifier: Apache-2.0
#include "overlay/packet_store.hpp"

#include <cstring>
#include <utility>

#include "dataplane/base/check.hpp"

namespace weft::overlay {

PacketStore::PacketStore(std::size_t small_slots, std::size_t large_slots)
    : small_slots_(small_slots),
      slots_(small_slots + large_slots),
      entries_(std::make_unique<Entry[]>(slots_)),
      // Not written to: pages that are never used stay out of memory.
      bytes_(std::make_unique_for_overwrite<std::byte[]>(small_slots * kSmall + large_slots * kLarge)) {
    WEFT_CHECK(slots_ < kNone, "a slot's number has 16 bits");
    for (std::size_t slot = slots_; slot-- > 0;)
        give(static_cast<Slot>(slot));
    recycle();
}

std::byte* PacketStore::memory(Slot slot) const noexcept {
    if (is_small(slot)) return &bytes_[std::size_t{slot} * kSmall];
    return &bytes_[small_slots_ * kSmall + (slot - small_slots_) * kLarge];
}

PacketStore::Slot PacketStore::take(std::uint32_t size) noexcept {
    if (size > kLarge) return kNone;
    Slot& chain = size <= kSmall && free_small_ != kNone ? free_small_ : free_large_;
    if (chain == kNone) return kNone;
    return std::exchange(chain, entries_[chain].next);
}

PacketStore::Slot PacketStore::put(const Packet& packet) noexcept {
    if (packet.gso != Gso::None) return kNone;
    const Slot slot = take(packet.size);
    if (slot == kNone) return kNone;
    entries_[slot] = {.size = static_cast<std::uint16_t>(packet.size), .checksum = packet.checksum};
    std::byte* to = memory(slot);
    const auto append = [&to](const Slice& from) {
        std::memcpy(to, from.data, from.size);
        to += from.size;
    };
    append(packet.head);
    for (const Slice& tail : packet.tails())
        append(tail);
    return slot;
}

void PacketStore::view(Slot slot, Packet& packet) noexcept {
    packet.reset(memory(slot), entries_[slot].size, 0);
    packet.checksum = entries_[slot].checksum;
}

void PacketStore::give(Slot slot) noexcept {
    entries_[slot].next = std::exchange(given_, slot);
}

void PacketStore::recycle() noexcept {
    while (given_ != kNone) {
        const Slot slot = std::exchange(given_, entries_[given_].next);
        Slot& chain = is_small(slot) ? free_small_ : free_large_;
        entries_[slot].next = std::exchange(chain, slot);
    }
}

}  // namespace weft::overlay
