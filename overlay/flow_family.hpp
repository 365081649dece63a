// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/parse.hpp"
#include "dataplane/net/tcp.hpp"
#include "overlay/flow_entry.hpp"
#include "overlay/flow_expiry.hpp"
#include "overlay/flow_index.hpp"

namespace weft::overlay {

// The boot clock as the flow file keeps it: 1/16 s, good for 8 years of uptime.
using FlowTicks = std::uint32_t;
inline constexpr std::uint32_t kTicksPerSecond = 16;
inline FlowTicks to_ticks(TimePoint now) noexcept {
    constexpr auto kTick = std::chrono::nanoseconds(std::chrono::seconds(1)) / kTicksPerSecond;
    return static_cast<FlowTicks>(now.time_since_epoch() / kTick);
}
inline std::chrono::nanoseconds from_ticks(FlowTicks ticks) noexcept {
    return std::chrono::nanoseconds(std::chrono::seconds(1)) / kTicksPerSecond * ticks;
}

// The connections of one address family: two entries side by side for each, the opener's first, so that the lowest bit
// of an entry's number is its role and flipping it gives its partner. Free pairs below the high-water mark are chained
// through the `partner` field of their first entry; what lies above was never used and is not resident.
//
// Threading: as FlowTable.
template <EntryAddress Address>
class FlowFamily {
  public:
    using Entry = FlowEntry<Address>;
    using Key = EntryKey<Address>;
    using Gone = std::function<void(const Flow&)>;
    static constexpr std::uint32_t kNone = FlowIndex::kNone;

    struct Attached {
        std::uint64_t kept = 0, torn = 0;
    };

    FlowFamily(Entry* entries, std::uint32_t* born, std::uint32_t capacity, const HashSecret& secret, FlowIndex index)
        : entries_(entries), born_(born), capacity_(capacity), secret_(secret), index_(std::move(index)) {}

    // Reads every entry of a taken-over file and builds the index; what is wrong is wiped.
    Attached attach(FlowTicks now) noexcept;
    void revalidate(const FlowTable::Keep& keep);

    [[nodiscard]] std::uint32_t find(const FlowKey& flow_key) const noexcept {
        const Key key(flow_key);
        return find(key, key.hash(secret_));
    }
    [[nodiscard]] Flow get(std::uint32_t entry) const noexcept { return flow_of(entries_[entry]); }
    [[nodiscard]] bool in_use(std::uint32_t entry) const noexcept {
        return entry < 2 * high_water() && (entries_[entry].flags & kEntryInUse) != 0;
    }

    [[nodiscard]] std::expected<std::uint32_t, InsertError> insert(const Flow& opener, const Flow& answer,
                                                                   FlowTicks now, const Gone& gone) noexcept;
    void erase(std::uint32_t entry, const Gone& gone) noexcept;
    void touch(std::uint32_t entry, std::uint32_t packets, std::uint64_t bytes, std::uint8_t tcp_flags,
               FlowTicks now) noexcept;
    std::size_t sweep(FlowTicks now, std::size_t budget, const Gone& gone) noexcept;

    [[nodiscard]] std::uint32_t size() const noexcept { return used_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint32_t high_water() const noexcept { return high_water_.load(std::memory_order_acquire); }
    [[nodiscard]] const FlowIndex& index() const noexcept { return index_; }

    // Any thread: the connection in this pair, or nullopt if it is free or just being written.
    [[nodiscard]] std::optional<FlowView> view(std::uint32_t pair, FlowTicks now) const noexcept;
    // The upper half of FlowView::id.
    [[nodiscard]] std::uint32_t mark(const FlowKey& opener, FlowTicks born) const noexcept {
        return static_cast<std::uint32_t>(fold_product(Key(opener).hash(secret_) ^ born, secret_.word[5] | 1));
    }
    [[nodiscard]] FlowTicks born(std::uint32_t pair) const noexcept { return load(born_[pair]); }

  private:
    static constexpr std::size_t kReclaimCrowded = 4;  // connections an insert looks at when over 80 % full
    static constexpr std::size_t kReclaimFull = 16;

    static Flow flow_of(const Entry& entry) noexcept;
    static Entry fixed_of(const Flow& half, const Flow& opener, std::uint32_t number) noexcept;

    [[nodiscard]] std::uint32_t find(const Key& key, std::uint64_t hash) const noexcept {
        return index_.find(hash, [&](std::uint32_t entry) { return key.matches(entries_[entry]); });
    }
    [[nodiscard]] std::uint64_t hash_of(std::uint32_t entry) const noexcept {
        return Key(entries_[entry]).hash(secret_);
    }
    [[nodiscard]] Pressure pressure() const noexcept {
        return std::uint64_t{size()} * 5 > std::uint64_t{capacity_} * 4 ? Pressure::Crowded : Pressure::Normal;
    }
    [[nodiscard]] bool expired(std::uint32_t pair, FlowTicks now, Pressure pressure) const noexcept;
    [[nodiscard]] bool key_is_taken(const Key& key, std::uint64_t hash, FlowTicks now, const Gone& gone) noexcept;
    [[nodiscard]] bool is_valid(std::uint32_t number, FlowTicks now) const noexcept;
    [[nodiscard]] bool adopt(std::uint32_t pair, FlowTicks now) noexcept;
    [[nodiscard]] std::optional<Entry> read(std::uint32_t number) const noexcept;

    [[nodiscard]] std::uint32_t take_pair() noexcept;
    void give_pair(std::uint32_t pair) noexcept;
    void wipe(std::uint32_t pair) noexcept;
    void publish(std::uint32_t pair, const Entry& opener, const Entry& answer, FlowState state, FlowTicks now) noexcept;
    void begin_write(Entry& entry) noexcept { store(entry.sequence, static_cast<std::uint16_t>(entry.sequence | 1)); }
    void end_write(Entry& entry) noexcept {
        store(entry.sequence, static_cast<std::uint16_t>((entry.sequence | 1) + 1));
    }
    void note_used(std::int64_t change) noexcept {
        used_.store(static_cast<std::uint32_t>(size() + change), std::memory_order_relaxed);
    }

    Entry* entries_;
    std::uint32_t* born_;
    std::uint32_t capacity_;
    HashSecret secret_;
    FlowIndex index_;
    std::atomic<std::uint32_t> used_{0};
    std::atomic<std::uint32_t> high_water_{0};  // pairs ever used
    std::uint32_t free_ = kNone;                // first free pair below the mark
    std::uint32_t cursor_ = 0;                  // the pair sweep looks at next
};

// ---- Reading --------------------------------------------------------------------------------------------------------

template <EntryAddress Address>
Flow FlowFamily<Address>::flow_of(const Entry& entry) noexcept {
    Flow flow;
    flow.key = {unpack(entry.source), unpack(entry.destination),
                entry.source_port,    entry.destination_port,
                entry.protocol,       static_cast<Direction>(entry.direction)};
    flow.rewrite = {unpack(entry.new_source), unpack(entry.new_destination), entry.new_source_port,
                    entry.new_destination_port};
    flow.next_hop = entry.next_hop;
    flow.instance = instance_of(entry.instance);
    flow.role = (entry.flags & kEntryAnswer) != 0 ? Role::Answer : Role::Opener;
    flow.state = static_cast<FlowState>(entry.state);
    return flow;
}

template <EntryAddress Address>
auto FlowFamily<Address>::read(std::uint32_t number) const noexcept -> std::optional<Entry> {
    Entry& shared = entries_[number];
    const std::uint16_t before = load(shared.sequence);
    if ((before & 1) != 0) return std::nullopt;
    Entry copy{};
    visit_fixed<Entry>([&](auto member) { copy.*member = load(shared.*member); });
    copy.last_seen = load(shared.last_seen);
    copy.packets = load(shared.packets);
    copy.bytes = load(shared.bytes);
    copy.state = load(shared.state);
    copy.flags = load(shared.flags);
    if (load(shared.sequence) != before || (copy.flags & kEntryInUse) == 0) return std::nullopt;
    return copy;
}

template <EntryAddress Address>
std::optional<FlowView> FlowFamily<Address>::view(std::uint32_t pair, FlowTicks now) const noexcept {
    const std::uint16_t before = load(entries_[2 * pair].sequence);
    const auto opener = read(2 * pair);
    const FlowTicks since = born(pair);
    const auto answer = read(2 * pair + 1);
    // Both halves are written together: if the first did not change, they belong to each other.
    if (!opener || !answer || load(entries_[2 * pair].sequence) != before) return std::nullopt;

    const auto ago = [now](FlowTicks then) { return from_ticks(now > then ? now - then : 0); };
    FlowView view;
    view.opener = flow_of(*opener);
    const Flow back = flow_of(*answer);
    view.id = std::uint64_t{mark(view.opener.key, since)} << 32;
    view.answer_key = back.key;
    view.answer_rewrite = back.rewrite;
    view.idle = ago(std::max(opener->last_seen, answer->last_seen));
    view.age = ago(since);
    view.packets_out = opener->packets;
    view.packets_in = answer->packets;
    view.bytes_out = opener->bytes;
    view.bytes_in = answer->bytes;
    return view;
}

// ---- Changing -------------------------------------------------------------------------------------------------------

template <EntryAddress Address>
auto FlowFamily<Address>::fixed_of(const Flow& half, const Flow& opener, std::uint32_t number) noexcept -> Entry {
    Entry entry{};
    pack(half.key.source, entry.source);
    pack(half.key.destination, entry.destination);
    entry.source_port = half.key.source_port;
    entry.destination_port = half.key.destination_port;
    entry.protocol = half.key.protocol;
    entry.direction = static_cast<std::uint8_t>(half.key.direction);
    pack(half.rewrite.source, entry.new_source);
    pack(half.rewrite.destination, entry.new_destination);
    entry.new_source_port = half.rewrite.source_port;
    entry.new_destination_port = half.rewrite.destination_port;
    entry.address_delta = net::combine(
        net::delta(std::as_bytes(std::span(entry.source.word)), std::as_bytes(std::span(entry.new_source.word))),
        net::delta(std::as_bytes(std::span(entry.destination.word)),
                   std::as_bytes(std::span(entry.new_destination.word))));
    const auto raw = [](std::uint16_t port) { return std::byteswap(port); };
    entry.full_delta = net::combine(
        entry.address_delta, net::combine(net::delta16(raw(entry.source_port), raw(entry.new_source_port)),
                                          net::delta16(raw(entry.destination_port), raw(entry.new_destination_port))));
    entry.next_hop = opener.next_hop;
    entry.instance = packed(opener.instance);
    entry.partner = number ^ 1U;
    entry.flags = static_cast<std::uint8_t>(kEntryInUse | ((number & 1) != 0 ? kEntryAnswer : 0));
    entry.check = check_word(entry);
    return entry;
}

template <EntryAddress Address>
std::expected<std::uint32_t, InsertError> FlowFamily<Address>::insert(const Flow& opener, const Flow& answer,
                                                                      FlowTicks now, const Gone& gone) noexcept {
    const Key opener_key(opener.key), answer_key(answer.key);
    const std::uint64_t opener_hash = opener_key.hash(secret_), answer_hash = answer_key.hash(secret_);
    if (opener.key == answer.key || key_is_taken(opener_key, opener_hash, now, gone) ||
        key_is_taken(answer_key, answer_hash, now, gone))
        return std::unexpected(InsertError::KeyTaken);

    if (pressure() == Pressure::Crowded) sweep(now, kReclaimCrowded, gone);
    std::uint32_t pair = take_pair();
    if (pair == kNone && sweep(now, kReclaimFull, gone) > 0) pair = take_pair();
    if (pair == kNone) return std::unexpected(InsertError::Full);

    const std::uint32_t number = 2 * pair;
    publish(pair, fixed_of(opener, opener, number), fixed_of(answer, opener, number + 1),
            first_state(opener.key.protocol, opener.state), now);
    if (!index_.insert(opener_hash, number)) {
        wipe(pair);
        give_pair(pair);
        return std::unexpected(InsertError::Full);
    }
    if (!index_.insert(answer_hash, number + 1)) {
        index_.erase(opener_hash, number);
        wipe(pair);
        give_pair(pair);
        return std::unexpected(InsertError::Full);
    }
    note_used(1);
    return number;
}

// A key that only an expired connection holds is free.
template <EntryAddress Address>
bool FlowFamily<Address>::key_is_taken(const Key& key, std::uint64_t hash, FlowTicks now, const Gone& gone) noexcept {
    const std::uint32_t entry = find(key, hash);
    if (entry == kNone) return false;
    if (!expired(entry / 2, now, pressure())) return true;
    erase(entry, gone);
    return false;
}

template <EntryAddress Address>
void FlowFamily<Address>::publish(std::uint32_t pair, const Entry& opener, const Entry& answer, FlowState state,
                                  FlowTicks now) noexcept {
    Entry* const shared = &entries_[2 * pair];
    const Entry* const fresh[2] = {&opener, &answer};
    begin_write(shared[0]);
    begin_write(shared[1]);
    store(born_[pair], now);
    for (int half = 0; half < 2; ++half) {
        visit_fixed<Entry>([&](auto member) { store(shared[half].*member, (*fresh[half]).*member); });
        store(shared[half].check, fresh[half]->check);
        store(shared[half].last_seen, now);
        store(shared[half].packets, 0);
        store(shared[half].bytes, 0);
        store(shared[half].state, static_cast<std::uint8_t>(state));
        store(shared[half].flags, fresh[half]->flags);
    }
    end_write(shared[1]);
    end_write(shared[0]);
}

template <EntryAddress Address>
void FlowFamily<Address>::erase(std::uint32_t entry, const Gone& gone) noexcept {
    const std::uint32_t pair = entry / 2;
    const Flow opener = get(2 * pair);
    index_.erase(hash_of(2 * pair), 2 * pair);
    index_.erase(hash_of(2 * pair + 1), 2 * pair + 1);
    wipe(pair);
    give_pair(pair);
    note_used(-1);
    if (gone) gone(opener);
}

template <EntryAddress Address>
void FlowFamily<Address>::wipe(std::uint32_t pair) noexcept {
    Entry* const shared = &entries_[2 * pair];
    begin_write(shared[0]);
    begin_write(shared[1]);
    store(shared[0].flags, 0);
    store(shared[1].flags, 0);
    end_write(shared[1]);
    end_write(shared[0]);
}

template <EntryAddress Address>
std::uint32_t FlowFamily<Address>::take_pair() noexcept {
    if (free_ != kNone) {
        const std::uint32_t pair = free_;
        free_ = entries_[2 * pair].partner;
        return pair;
    }
    const std::uint32_t mark = high_water();
    if (mark == capacity_) return kNone;
    high_water_.store(mark + 1, std::memory_order_release);
    return mark;
}

template <EntryAddress Address>
void FlowFamily<Address>::give_pair(std::uint32_t pair) noexcept {
    store(entries_[2 * pair].partner, free_);
    free_ = pair;
}

template <EntryAddress Address>
void FlowFamily<Address>::touch(std::uint32_t number, std::uint32_t packets, std::uint64_t bytes,
                                std::uint8_t tcp_flags, FlowTicks now) noexcept {
    Entry& entry = entries_[number];
    Entry& other = entries_[number ^ 1U];
    store(entry.packets, entry.packets + packets);
    store(entry.bytes, entry.bytes + bytes);
    if (entry.last_seen != now) store(entry.last_seen, now);

    const auto state = static_cast<FlowState>(entry.state);
    const bool is_tcp = entry.protocol == net::kProtocolTcp;
    const auto next = next_state(state, {.protocol = entry.protocol,
                                         .from = (number & 1) != 0 ? Role::Answer : Role::Opener,
                                         .tcp_flags = tcp_flags,
                                         .fin_from_other = is_tcp && (other.flags & kEntryFin) != 0});
    if (is_tcp && (tcp_flags & net::kTcpFin) != 0 && (entry.flags & kEntryFin) == 0)
        store(entry.flags, static_cast<std::uint8_t>(entry.flags | kEntryFin));
    if (next == state) return;
    store(entry.state, static_cast<std::uint8_t>(next));
    store(other.state, static_cast<std::uint8_t>(next));
}

// ---- Expiry ---------------------------------------------------------------------------------------------------------

template <EntryAddress Address>
bool FlowFamily<Address>::expired(std::uint32_t pair, FlowTicks now, Pressure pressure) const noexcept {
    const Entry& opener = entries_[2 * pair];
    const auto timeout =
        flow_timeout(opener.protocol, static_cast<FlowState>(opener.state), pressure).count() * kTicksPerSecond;
    // The partner's cache line is only looked at where this half alone does not settle it.
    const auto idle = [now](const Entry& entry) { return std::int64_t{now} - std::int64_t{entry.last_seen}; };
    return idle(opener) >= timeout && idle(entries_[2 * pair + 1]) >= timeout;
}

template <EntryAddress Address>
std::size_t FlowFamily<Address>::sweep(FlowTicks now, std::size_t budget, const Gone& gone) noexcept {
    const std::uint32_t end = high_water();
    std::size_t removed = 0;
    for (budget = std::min<std::size_t>(budget, end); budget > 0; --budget) {
        if (cursor_ >= end) cursor_ = 0;
        const std::uint32_t pair = cursor_++;
        if ((entries_[2 * pair].flags & kEntryInUse) == 0 || !expired(pair, now, pressure())) continue;
        erase(2 * pair, gone);
        ++removed;
    }
    return removed;
}

// ---- Taking over a file ---------------------------------------------------------------------------------------------

// Everything is checked that anything relies on later: nothing in the file is trusted.
template <EntryAddress Address>
bool FlowFamily<Address>::is_valid(std::uint32_t number, FlowTicks now) const noexcept {
    const Entry& entry = entries_[number];
    const std::uint8_t role = (number & 1) != 0 ? kEntryAnswer : 0;
    return (entry.sequence & 1) == 0 && (entry.flags & ~kEntryAllFlags) == 0 &&
           (entry.flags & (kEntryInUse | kEntryAnswer)) == (kEntryInUse | role) && entry.partner == (number ^ 1U) &&
           entry.direction <= static_cast<std::uint8_t>(Direction::Inbound) &&
           entry.state <= static_cast<std::uint8_t>(FlowState::Closed) && entry.last_seen <= now &&
           entry.check == check_word(entry);
}

template <EntryAddress Address>
bool FlowFamily<Address>::adopt(std::uint32_t pair, FlowTicks now) noexcept {
    const Entry& opener = entries_[2 * pair];
    const Entry& answer = entries_[2 * pair + 1];
    if (!is_valid(2 * pair, now) || !is_valid(2 * pair + 1, now)) return false;
    if (opener.protocol != answer.protocol || opener.instance != answer.instance || opener.next_hop != answer.next_hop)
        return false;
    const Key opener_key(opener), answer_key(answer);
    const std::uint64_t opener_hash = opener_key.hash(secret_), answer_hash = answer_key.hash(secret_);
    if (opener_key.matches(answer) || find(opener_key, opener_hash) != kNone || find(answer_key, answer_hash) != kNone)
        return false;
    if (!index_.insert(opener_hash, 2 * pair)) return false;
    if (index_.insert(answer_hash, 2 * pair + 1)) return true;
    index_.erase(opener_hash, 2 * pair);
    return false;
}

template <EntryAddress Address>
auto FlowFamily<Address>::attach(FlowTicks now) noexcept -> Attached {
    Attached attached;
    std::uint32_t end = 0;
    for (std::uint32_t pair = 0; pair < capacity_; ++pair) {
        Entry* const entry = &entries_[2 * pair];
        const bool free =
            ((entry[0].flags | entry[1].flags) == 0) && ((entry[0].sequence | entry[1].sequence) & 1) == 0;
        if (free) continue;
        if (adopt(pair, now)) {
            // The state may have reached only one half.
            entry[0].state = entry[1].state = std::max(entry[0].state, entry[1].state);
            born_[pair] = std::min(born_[pair], now);
            ++attached.kept;
            end = pair + 1;
            continue;
        }
        ++attached.torn;
        wipe(pair);
    }
    high_water_.store(end, std::memory_order_release);
    note_used(static_cast<std::int64_t>(attached.kept));
    for (std::uint32_t pair = end; pair-- > 0;)
        if ((entries_[2 * pair].flags & kEntryInUse) == 0) give_pair(pair);
    return attached;
}

template <EntryAddress Address>
void FlowFamily<Address>::revalidate(const FlowTable::Keep& keep) {
    for (std::uint32_t pair = 0; pair < high_water(); ++pair) {
        if ((entries_[2 * pair].flags & kEntryInUse) == 0) continue;
        Entry* const entry = &entries_[2 * pair];
        const auto owner = keep(flow_of(entry[0]));
        if (!owner) {
            erase(2 * pair, Gone{});
            continue;
        }
        const std::uint32_t instance = packed(owner->first);
        begin_write(entry[0]);
        begin_write(entry[1]);
        for (int half = 0; half < 2; ++half) {
            store(entry[half].instance, instance);
            store(entry[half].next_hop, owner->second);
            store(entry[half].check, check_word(entry[half]));
        }
        end_write(entry[1]);
        end_write(entry[0]);
    }
}

}  // namespace weft::overlay
