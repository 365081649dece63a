// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "dataplane/net/address.hpp"
#include "overlay/flow_hash.hpp"
#include "overlay/flow_table.hpp"

namespace weft::overlay {

// One half of a connection as it lies in the flow file: docs/wire-format.md, "flow file". Host byte order but for the
// addresses, which are copied as they lie in a packet. A free entry has no flags.
//
// The *fixed* fields are written once per connection (and when its instance gets another name), between an odd and an
// even `sequence`, and are covered by `check`. The others change with every packet, each by itself, outside the
// sequence: a reader may see last packet's bytes with this packet's count, which harms nobody.

struct EntryAddress4 {
    std::uint32_t word[1];
};
struct EntryAddress6 {
    std::uint64_t word[2];
};

template <class Address>
struct FlowEntry;

// IPv4: one cache line.
template <>
struct FlowEntry<EntryAddress4> {
    EntryAddress4 source, destination;
    std::uint16_t source_port, destination_port;
    std::uint8_t protocol, direction;
    std::uint16_t policy_rule;  // reserved for the rule that let it pass; 0
    EntryAddress4 new_source, new_destination;
    std::uint16_t new_source_port, new_destination_port;
    std::uint16_t address_delta, full_delta;  // checksum deltas: of the addresses; of addresses and ports
    std::uint16_t check;
    std::uint16_t next_hop;
    std::uint32_t instance;  // slot in the low 20 bits, generation above
    std::uint32_t partner;   // the other half's entry: always this one's index with the lowest bit flipped
    std::uint32_t last_seen;
    std::uint32_t packets;
    std::uint16_t sequence;
    std::uint8_t state;
    std::uint8_t flags;
    std::uint64_t bytes;
};

// IPv6: two cache lines, the same fields in the same order.
template <>
struct FlowEntry<EntryAddress6> {
    EntryAddress6 source, destination;
    std::uint16_t source_port, destination_port;
    std::uint8_t protocol, direction;
    std::uint16_t policy_rule;
    EntryAddress6 new_source, new_destination;
    std::uint16_t new_source_port, new_destination_port;
    std::uint16_t address_delta, full_delta;
    std::uint16_t check;
    std::uint16_t next_hop;
    std::uint32_t instance;
    std::uint32_t partner;
    std::uint32_t last_seen;
    std::uint32_t packets;
    std::uint16_t sequence;
    std::uint8_t state;
    std::uint8_t flags;
    std::uint64_t bytes;
    std::uint64_t reserved[2];
};

using FlowEntry4 = FlowEntry<EntryAddress4>;
using FlowEntry6 = FlowEntry<EntryAddress6>;

static_assert(sizeof(FlowEntry4) == 64 && std::is_trivially_copyable_v<FlowEntry4>);
static_assert(offsetof(FlowEntry4, source_port) == 8 && offsetof(FlowEntry4, protocol) == 12);
static_assert(offsetof(FlowEntry4, new_source) == 16 && offsetof(FlowEntry4, new_source_port) == 24);
static_assert(offsetof(FlowEntry4, address_delta) == 28 && offsetof(FlowEntry4, check) == 32);
static_assert(offsetof(FlowEntry4, next_hop) == 34 && offsetof(FlowEntry4, instance) == 36);
static_assert(offsetof(FlowEntry4, partner) == 40 && offsetof(FlowEntry4, last_seen) == 44);
static_assert(offsetof(FlowEntry4, packets) == 48 && offsetof(FlowEntry4, sequence) == 52);
static_assert(offsetof(FlowEntry4, state) == 54 && offsetof(FlowEntry4, flags) == 55);
static_assert(offsetof(FlowEntry4, bytes) == 56);
static_assert(sizeof(FlowEntry6) == 128 && std::is_trivially_copyable_v<FlowEntry6>);
static_assert(offsetof(FlowEntry6, source_port) == 32 && offsetof(FlowEntry6, protocol) == 36);
static_assert(offsetof(FlowEntry6, new_source) == 40 && offsetof(FlowEntry6, new_source_port) == 72);
static_assert(offsetof(FlowEntry6, check) == 80 && offsetof(FlowEntry6, partner) == 88);
static_assert(offsetof(FlowEntry6, last_seen) == 92 && offsetof(FlowEntry6, sequence) == 100);
static_assert(offsetof(FlowEntry6, bytes) == 104);

// FlowEntry::flags.
inline constexpr std::uint8_t kEntryInUse = 1;
inline constexpr std::uint8_t kEntryAnswer = 2;  // this is the half of the answers
inline constexpr std::uint8_t kEntryFin = 4;     // this half has sent a FIN
inline constexpr std::uint8_t kEntryAllFlags = kEntryInUse | kEntryAnswer | kEntryFin;

// Fields are shared with readers on other threads. Every store releases and every load acquires, so a reader that saw a
// new field also sees the odd sequence written before it; on x86 both are plain moves. (Fences would do as well, but
// ThreadSanitizer does not know them.)
template <class T>
void store(T& field, std::type_identity_t<T> value) noexcept {
    std::atomic_ref(field).store(value, std::memory_order_release);
}
template <class T>
T load(T& field) noexcept {
    return std::atomic_ref(field).load(std::memory_order_acquire);
}
template <class T>
concept EntryAddress = std::is_same_v<T, EntryAddress4> || std::is_same_v<T, EntryAddress6>;
template <EntryAddress A>
void store(A& field, const A& value) noexcept {
    for (std::size_t i = 0; i < std::size(field.word); ++i)
        store(field.word[i], value.word[i]);
}
template <EntryAddress A>
A load(A& field) noexcept {
    A value;
    for (std::size_t i = 0; i < std::size(field.word); ++i)
        value.word[i] = load(field.word[i]);
    return value;
}

// Calls visit(pointer to member) for each fixed field but `check`.
template <class Entry, class Visit>
constexpr void visit_fixed(Visit&& visit) {
    visit(&Entry::source);
    visit(&Entry::destination);
    visit(&Entry::source_port);
    visit(&Entry::destination_port);
    visit(&Entry::protocol);
    visit(&Entry::direction);
    visit(&Entry::policy_rule);
    visit(&Entry::new_source);
    visit(&Entry::new_destination);
    visit(&Entry::new_source_port);
    visit(&Entry::new_destination_port);
    visit(&Entry::address_delta);
    visit(&Entry::full_delta);
    visit(&Entry::next_hop);
    visit(&Entry::instance);
    visit(&Entry::partner);
}

// The check word of an entry nobody else is writing.
template <class Entry>
std::uint16_t check_word(const Entry& entry) noexcept {
    std::uint64_t hash = 0x9E6C63D0876A9A47ULL;
    const auto mix = [&hash](std::uint64_t value) { hash = fold_product(hash ^ value, 0xD6E8FEB86659FD93ULL); };
    visit_fixed<Entry>([&](auto member) {
        const auto& field = entry.*member;
        if constexpr (EntryAddress<std::remove_cvref_t<decltype(field)>>) {
            for (const auto word : field.word)
                mix(word);
        } else {
            mix(field);
        }
    });
    return static_cast<std::uint16_t>(hash ^ hash >> 16 ^ hash >> 32 ^ hash >> 48);
}

inline void pack(const net::IpAddress& from, EntryAddress4& to) noexcept {
    std::memcpy(to.word, from.data(), 4);
}
inline void pack(const net::IpAddress& from, EntryAddress6& to) noexcept {
    std::memcpy(to.word, from.data(), 16);
}
inline net::IpAddress unpack(const EntryAddress4& from) noexcept {
    return net::IpAddress::v4_from(from.word);
}
inline net::IpAddress unpack(const EntryAddress6& from) noexcept {
    return net::IpAddress::v6_from(from.word);
}

inline std::uint32_t packed(InstanceRef instance) noexcept {
    return std::bit_cast<std::uint32_t>(instance);
}
inline InstanceRef instance_of(std::uint32_t packed) noexcept {
    return std::bit_cast<InstanceRef>(packed);
}
#ifndef __clang__  // 19 cannot cast bit-fields at compile time
static_assert(std::bit_cast<std::uint32_t>(InstanceRef{.slot = 1, .generation = 2}) == (1U | 2U << 20));
#endif

// A key in the form the entries hold it.
template <class Address>
struct EntryKey {
    Address source, destination;
    std::uint16_t source_port, destination_port;
    std::uint8_t protocol, direction;

    explicit EntryKey(const FlowKey& key) noexcept
        : source_port(key.source_port),
          destination_port(key.destination_port),
          protocol(key.protocol),
          direction(static_cast<std::uint8_t>(key.direction)) {
        pack(key.source, source);
        pack(key.destination, destination);
    }
    explicit EntryKey(const FlowEntry<Address>& entry) noexcept
        : source(entry.source),
          destination(entry.destination),
          source_port(entry.source_port),
          destination_port(entry.destination_port),
          protocol(entry.protocol),
          direction(entry.direction) {}

    [[nodiscard]] bool matches(const FlowEntry<Address>& entry) const noexcept {
        return std::memcmp(&source, &entry.source, sizeof source) == 0 &&
               std::memcmp(&destination, &entry.destination, sizeof destination) == 0 &&
               source_port == entry.source_port && destination_port == entry.destination_port &&
               protocol == entry.protocol && direction == entry.direction;
    }

    [[nodiscard]] std::uint64_t hash(const HashSecret& secret) const noexcept {
        const auto& s = secret.word;
        const std::uint64_t rest = std::uint64_t{source_port} | std::uint64_t{destination_port} << 16 |
                                   std::uint64_t{protocol} << 32 | std::uint64_t{direction} << 40;
        std::uint64_t addresses = 0;
        if constexpr (std::is_same_v<Address, EntryAddress4>) {
            addresses = std::uint64_t{source.word[0]} | std::uint64_t{destination.word[0]} << 32;
        } else {
            addresses = fold_product(source.word[0] ^ s[2], source.word[1] ^ s[3]) ^
                        fold_product(destination.word[0] ^ s[4], destination.word[1] ^ s[5]);
        }
        return fold_product(fold_product(addresses ^ s[0], rest ^ s[1]) ^ s[2], s[3] | 1);
    }
};

}  // namespace weft::overlay
