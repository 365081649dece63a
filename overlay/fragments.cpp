// SPDX-License-Identifier: Apache-2.0
#include "overlay/fragments.hpp"

#include <algorithm>
#include <utility>

#include <sys/random.h>

#include "overlay/flow_hash.hpp"

namespace weft::overlay {

namespace {

constexpr std::uint32_t kLargestPayload = 65535;

// What the first fragment must hold at least, so that nobody can hide ports or flags behind it.
constexpr std::uint32_t smallest_first(std::uint8_t protocol) {
    return protocol == net::kProtocolTcp ? 20 : 8;
}

}  // namespace

FragmentTable::FragmentTable()
    : store_(kSmallSlots, kLargeSlots),
      queues_(std::make_unique<Queue[]>(kQueues)),
      held_(std::make_unique<Held[]>(kSmallSlots + kLargeSlots)) {
    buckets_.fill(kNone);
    for (std::size_t i = kQueues; i-- > 0;)
        queues_[i].bucket_next = std::exchange(free_queue_, static_cast<std::uint16_t>(i));
    for (std::size_t i = kSmallSlots + kLargeSlots; i-- > 0;)
        held_[i].next = std::exchange(free_held_, static_cast<std::uint16_t>(i));
    // Without randomness somebody could fill one bucket; 1,000 queues bound what that costs.
    if (::getrandom(&secret_, sizeof secret_, 0) != static_cast<ssize_t>(sizeof secret_))
        secret_ = 0x9E3779B97F4A7C15ULL;
}

FragmentTable::~FragmentTable() = default;

// ---- One fragment ---------------------------------------------------------------------------------------------------

FragmentTable::Fate FragmentTable::place(const Packet& packet, net::Parsed& parsed, Direction direction,
                                         std::uint32_t tag, TimePoint now) noexcept {
    const Piece piece = piece_of(parsed);
    if (!is_sane(parsed, piece)) return Fate::Drop;

    const Key key = key_of(parsed, direction);
    std::uint16_t index = find(key);
    if (index != kNone && now - queues_[index].since >= kLife) {
        end(index);
        index = kNone;
    }
    if (index == kNone) index = begin(key, now);
    Queue& queue = queues_[index];
    if (queue.poisoned) return Fate::Drop;

    const bool is_first = parsed.fragment == net::FragmentKind::First;
    if (!is_first && !queue.has_first) return hold(queue, packet, tag);
    if (!fits(queue, piece)) {
        if (key.source.is_v6()) {
            queue.poisoned = true;
            lose_held(queue);
        }
        return Fate::Drop;
    }
    if (is_first) {
        teach(queue, parsed);
    } else {
        parsed.protocol = queue.protocol;
        parsed.source_port = queue.source_port;
        parsed.destination_port = queue.destination_port;
    }
    const bool is_complete = queue.total != 0 && queue.range_count == 1 && queue.ranges[0].end == queue.total;
    if (is_complete) end(index);
    return Fate::Pass;
}

FragmentTable::Key FragmentTable::key_of(const net::Parsed& parsed, Direction direction) noexcept {
    return {.source = parsed.source,
            .destination = parsed.destination,
            .id = parsed.fragment_id,
            .protocol = parsed.is_v4() ? parsed.protocol : std::uint8_t{0},
            .direction = direction};
}

FragmentTable::Piece FragmentTable::piece_of(const net::Parsed& parsed) noexcept {
    // With IPv6 the packet that was cut begins behind the fragment header.
    const std::uint32_t before = parsed.is_v4() ? parsed.l4_offset : parsed.fragment_header + 8U;
    const std::uint32_t length = parsed.total_length > before ? parsed.total_length - before : 0;
    return {.begin = parsed.fragment_offset, .end = parsed.fragment_offset + length, .more = parsed.more_fragments};
}

bool FragmentTable::is_sane(const net::Parsed& parsed, const Piece& piece) noexcept {
    const std::uint32_t length = piece.end - piece.begin;
    if (length == 0 || piece.end > kLargestPayload) return false;
    if (piece.more && length % 8 != 0) return false;
    const std::uint32_t head = smallest_first(parsed.protocol);
    return parsed.fragment == net::FragmentKind::First ? length >= head : piece.begin >= head;
}

// Enters the piece if it touches no other and lies within the packet.
bool FragmentTable::fits(Queue& queue, const Piece& piece) noexcept {
    if (queue.total != 0 && (piece.end > queue.total || !piece.more)) return false;
    const bool beyond_the_last =
        !piece.more && queue.range_count > 0 && queue.ranges[queue.range_count - 1U].end > piece.end;
    if (beyond_the_last || !add_range(queue, {piece.begin, piece.end})) return false;
    if (!piece.more) queue.total = piece.end;
    return true;
}

bool FragmentTable::add_range(Queue& queue, Range piece) noexcept {
    const auto first = queue.ranges.begin();
    const auto last = first + queue.range_count;
    const auto after = std::find_if(first, last, [&](const Range& range) { return range.end > piece.begin; });
    if (after != last && after->begin < piece.end) return false;

    const bool joins_before = after != first && std::prev(after)->end == piece.begin;
    const bool joins_after = after != last && after->begin == piece.end;
    if (joins_before && joins_after) {
        std::prev(after)->end = after->end;
        std::move(after + 1, last, after);
        --queue.range_count;
    } else if (joins_before) {
        std::prev(after)->end = piece.end;
    } else if (joins_after) {
        after->begin = piece.begin;
    } else {
        if (queue.range_count == kRanges) return false;
        std::move_backward(after, last, last + 1);
        *after = piece;
        ++queue.range_count;
    }
    return true;
}

FragmentTable::Fate FragmentTable::hold(Queue& queue, const Packet& packet, std::uint32_t tag) noexcept {
    if (queue.held_count == kWaitingPerQueue) return Fate::Drop;
    const PacketStore::Slot slot = free_held_ == kNone ? PacketStore::kNone : store_.put(packet);
    if (slot == PacketStore::kNone) return Fate::Drop;
    const std::uint16_t held = std::exchange(free_held_, held_[free_held_].next);
    held_[held] = {.slot = slot, .tag = tag, .direction = queue.key.direction};
    if (queue.held.first == kNone)
        queue.held.first = held;
    else
        held_[queue.held.last].next = held;
    queue.held.last = held;
    ++queue.held_count;
    return Fate::Hold;
}

// The first is there: those that waited may go.
void FragmentTable::teach(Queue& queue, const net::Parsed& parsed) noexcept {
    queue.has_first = true;
    queue.protocol = parsed.protocol;
    queue.source_port = parsed.source_port;
    queue.destination_port = parsed.destination_port;
    const Chain ready = std::exchange(queue.held, {});
    queue.held_count = 0;
    if (ready.first == kNone) return;
    if (released_.first == kNone)
        released_.first = ready.first;
    else
        held_[released_.last].next = ready.first;
    released_.last = ready.last;
}

FragmentTable::Held FragmentTable::take_released() noexcept {
    const std::uint16_t index = released_.first;
    const Held held = held_[index];
    released_.first = held.next;
    held_[index].next = std::exchange(free_held_, index);
    return held;
}

// ---- Queues ---------------------------------------------------------------------------------------------------------

std::uint64_t FragmentTable::hash_of(const Key& key) const noexcept {
    const std::uint64_t addresses =
        fold_product(std::hash<net::IpAddress>{}(key.source) ^ secret_, 0xD6E8FEB86659FD93ULL) ^
        std::hash<net::IpAddress>{}(key.destination);
    const std::uint64_t rest =
        std::uint64_t{key.id} | std::uint64_t{key.protocol} << 32 | static_cast<std::uint64_t>(key.direction) << 40;
    return fold_product(fold_product(addresses, secret_ | 1) ^ rest, 0xA3B195354A39B70DULL ^ secret_);
}

std::uint16_t FragmentTable::find(const Key& key) const noexcept {
    std::uint16_t index = buckets_[hash_of(key) % kBuckets];
    while (index != kNone && !(queues_[index].key == key))
        index = queues_[index].bucket_next;
    return index;
}

std::uint16_t FragmentTable::begin(const Key& key, TimePoint now) noexcept {
    const auto place =
        static_cast<std::uint16_t>(fold_product(std::hash<net::IpAddress>{}(key.source), secret_ | 1) % kSources);
    if (per_source_[place] >= kPerSource)
        end(oldest_of(place));
    else if (free_queue_ == kNone)
        end(oldest_);

    const std::uint16_t index = std::exchange(free_queue_, queues_[free_queue_].bucket_next);
    Queue& queue = queues_[index];
    queue = Queue{};
    queue.key = key;
    queue.since = now;
    queue.source_place = place;
    queue.bucket_next = std::exchange(buckets_[hash_of(key) % kBuckets], index);
    queue.older = std::exchange(youngest_, index);
    (queue.older == kNone ? oldest_ : queues_[queue.older].younger) = index;
    ++per_source_[place];
    ++size_;
    return index;
}

std::uint16_t FragmentTable::oldest_of(std::uint16_t source_place) const noexcept {
    std::uint16_t index = oldest_;
    while (queues_[index].source_place != source_place)
        index = queues_[index].younger;
    return index;
}

void FragmentTable::lose_held(Queue& queue) noexcept {
    while (queue.held.first != kNone) {
        const std::uint16_t index = queue.held.first;
        queue.held.first = held_[index].next;
        store_.give(held_[index].slot);
        held_[index].next = std::exchange(free_held_, index);
        ++lost_;
    }
    queue.held_count = 0;
}

void FragmentTable::end(std::uint16_t index) noexcept {
    Queue& queue = queues_[index];
    lose_held(queue);
    std::uint16_t* link = &buckets_[hash_of(queue.key) % kBuckets];
    while (*link != index)
        link = &queues_[*link].bucket_next;
    *link = queue.bucket_next;
    (queue.older == kNone ? oldest_ : queues_[queue.older].younger) = queue.younger;
    (queue.younger == kNone ? youngest_ : queues_[queue.younger].older) = queue.older;
    queue.bucket_next = std::exchange(free_queue_, index);
    --per_source_[queue.source_place];
    --size_;
}

std::uint32_t FragmentTable::forget_before(TimePoint deadline) noexcept {
    while (oldest_ != kNone && queues_[oldest_].since <= deadline)
        end(oldest_);
    return std::exchange(lost_, 0);
}

}  // namespace weft::overlay
