// SPDX-License-Identifier: Apache-2.0
#include "dataplane/train_queue.hpp"

#include <algorithm>

#include "dataplane/base/check.hpp"

namespace weft {

namespace {

std::byte* end_of(const iovec& part) {
    return static_cast<std::byte*>(part.iov_base) + part.iov_len;
}

// A slice that begins where the last part ends makes it longer: sealed segments lie in a row, and so become one part.
void append(OutgoingTrain& train, std::span<const Slice> datagram) noexcept {
    for (const Slice& slice : datagram) {
        if (slice.size == 0) continue;
        train.bytes += slice.size;
        if (train.part_count > 0 && end_of(train.parts[train.part_count - 1]) == slice.data) {
            train.parts[train.part_count - 1].iov_len += slice.size;
        } else {
            train.parts[train.part_count++] = {slice.data, slice.size};
        }
    }
    ++train.count;
}

}  // namespace

// Not value-initialised: the parts of trains that are never used stay untouched memory.
TrainQueue::TrainQueue() : trains_(std::make_unique_for_overwrite<OutgoingTrain[]>(kMaxTrains)) {}

bool TrainQueue::add(const net::Endpoint& to, std::uint8_t tos, std::span<const Slice> datagram) noexcept {
    WEFT_CHECK(datagram.size() <= OutgoingTrain::kMaxParts, "a datagram of too many slices");
    std::uint32_t size = 0;
    for (const Slice& slice : datagram)
        size += slice.size;

    OutgoingTrain* const open = latest(to, tos);
    if (open != nullptr && open->is_open) {
        if (size != 0 && size <= open->datagram_size && open->count < max_datagrams_ &&
            open->bytes + size <= kMaxTrainBytes && open->part_count + datagram.size() <= OutgoingTrain::kMaxParts) {
            append(*open, datagram);
            open->is_open = size == open->datagram_size;
            return true;
        }
        open->is_open = false;
    }
    if (count_ == kMaxTrains) return false;

    OutgoingTrain& fresh = trains_[count_++];
    fresh.to = to;
    fresh.tos = tos;
    fresh.is_open = size != 0;
    fresh.datagram_size = size;
    fresh.count = 0;
    fresh.bytes = 0;
    fresh.part_count = 0;
    append(fresh, datagram);
    return true;
}

OutgoingTrain* TrainQueue::latest(const net::Endpoint& to, std::uint8_t tos) noexcept {
    for (std::size_t i = count_; i-- > 0;)
        if (trains_[i].tos == tos && trains_[i].to == to) return &trains_[i];
    return nullptr;
}

std::uint32_t OutgoingTrain::bytes_of(std::uint32_t first, std::uint32_t datagrams) const noexcept {
    const std::uint32_t begin = std::min(first * datagram_size, bytes);
    return std::min((first + datagrams) * datagram_size, bytes) - begin;
}

std::size_t OutgoingTrain::gather(std::uint32_t first, std::uint32_t datagrams, std::span<iovec> out) const noexcept {
    std::size_t skip = std::min(first * datagram_size, bytes);
    std::size_t left = bytes_of(first, datagrams);
    std::size_t used = 0;
    for (std::uint32_t i = 0; i < part_count && left > 0; ++i) {
        if (skip >= parts[i].iov_len) {
            skip -= parts[i].iov_len;
            continue;
        }
        const std::size_t length = std::min(parts[i].iov_len - skip, left);
        out[used++] = {static_cast<std::byte*>(parts[i].iov_base) + skip, length};
        left -= length;
        skip = 0;
    }
    return used;
}

}  // namespace weft
