// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/packet.hpp"

namespace weft::overlay {

// Copies of small packets that must wait. Two sizes of slots, all memory taken at construction; superpackets and
// packets of more than 2,048 bytes are refused.
//
// Ports read what they were given until they flush, so a slot that was `give`n back is not used again before `recycle`.
//
// Threading: one worker.
class PacketStore {
  public:
    static constexpr std::uint32_t kSmall = 256;
    static constexpr std::uint32_t kLarge = 2048;
    using Slot = std::uint16_t;
    static constexpr Slot kNone = 0xFFFF;

    PacketStore(std::size_t small_slots, std::size_t large_slots);

    // kNone if there is no room.
    [[nodiscard]] Slot put(const Packet& packet) noexcept;
    // The copy, writable, contiguous.
    void view(Slot slot, Packet& packet) noexcept;
    void give(Slot slot) noexcept;
    // To be called when nobody reads any more what was given back: after a flush.
    void recycle() noexcept;

  private:
    struct Entry {
        std::uint16_t size = 0;
        ChecksumState checksum = ChecksumState::Full;
        Slot next = kNone;  // in one of the chains below
    };

    [[nodiscard]] bool is_small(Slot slot) const noexcept { return slot < small_slots_; }
    [[nodiscard]] std::byte* memory(Slot slot) const noexcept;
    [[nodiscard]] Slot take(std::uint32_t size) noexcept;

    std::size_t small_slots_, slots_;
    std::unique_ptr<Entry[]> entries_;
    std::unique_ptr<std::byte[]> bytes_;
    Slot free_small_ = kNone, free_large_ = kNone, given_ = kNone;
};

}  // namespace weft::overlay
