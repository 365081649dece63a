// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/uio.h>

#include "dataplane/net/address.hpp"
#include "dataplane/packet.hpp"

namespace weft {

// Datagrams to one peer that leave with one system call: all of one size, the last may be shorter. The bytes stay where
// they are; `parts` gathers them.
struct OutgoingTrain {
    static constexpr std::size_t kMaxParts = 384;  // 128 datagrams of three slices; well below the kernel's 1024

    net::Endpoint to;
    std::uint8_t tos = 0;
    bool is_open = false;             // may still grow
    std::uint32_t datagram_size = 0;  // of each but the last
    std::uint32_t count = 0;
    std::uint32_t bytes = 0;
    std::uint32_t part_count = 0;
    std::array<iovec, kMaxParts> parts;

    // Points `out` (kMaxParts of room) at the bytes of datagrams [first, first + datagrams), and says how many parts.
    std::size_t gather(std::uint32_t first, std::uint32_t datagrams, std::span<iovec> out) const noexcept;
    [[nodiscard]] std::uint32_t bytes_of(std::uint32_t first, std::uint32_t datagrams) const noexcept;
};

// What a turn wants to send, as trains in the order in which they were opened. Per peer and TOS at most one is open:
// a datagram of the same size joins, a smaller one joins and closes, a larger one closes and opens the next. So equal
// packets become cheap and the order to each peer is kept. Threading: one worker. Allocates at construction only.
class TrainQueue {
  public:
    static constexpr std::size_t kMaxTrains = 64;
    static constexpr std::uint32_t kMaxTrainBytes = 65'507;
    static constexpr std::uint32_t kMaxDatagrams = 128;

    TrainQueue();
    // False: full; send what is queued, clear, and add again. A datagram has at most kMaxParts slices.
    [[nodiscard]] bool add(const net::Endpoint& to, std::uint8_t tos, std::span<const Slice> datagram) noexcept;
    [[nodiscard]] std::span<const OutgoingTrain> trains() const noexcept { return {trains_.get(), count_}; }
    void clear() noexcept { count_ = 0; }
    // Datagrams per train from now on; 1 where the kernel cannot cut.
    void limit(std::uint32_t datagrams) noexcept { max_datagrams_ = datagrams; }
    [[nodiscard]] std::uint32_t limit() const noexcept { return max_datagrams_; }

  private:
    OutgoingTrain* latest(const net::Endpoint& to, std::uint8_t tos) noexcept;

    std::unique_ptr<OutgoingTrain[]> trains_;
    std::size_t count_ = 0;
    std::uint32_t max_datagrams_ = kMaxDatagrams;
};

}  // namespace weft
