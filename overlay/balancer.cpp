// SPDX-License-Identifier: Apache-2.0
#include "overlay/balancer.hpp"

#include <algorithm>
#include <limits>

#include "overlay/flow_entry.hpp"

namespace weft::overlay {

namespace {

constexpr std::size_t kRendezvousLimit = 16;

bool is_candidate(const Instance* instance, const net::IpAddress& like) noexcept {
    return instance && instance->usable && !instance->namespace_ip_like(like).is_unspecified();
}

// The turn is a place in the list of instances: the one after the last that was picked. So turns are exact whoever is
// skipped, and a change of the list shifts them by one at most.
std::size_t place_of_turn(const Service& service) noexcept {
    return service.state ? service.state->turn.load(std::memory_order_relaxed) % service.instances.size() : 0;
}
void take_turn(const Service& service, std::size_t place, Turn turn) noexcept {
    if (turn == Turn::Take && service.state)
        service.state->turn.store(static_cast<std::uint32_t>(place + 1), std::memory_order_relaxed);
}

const Instance* round_robin(const Service& service, const net::IpAddress& like, Turn turn) noexcept {
    const std::size_t count = service.instances.size();
    if (count == 0) return nullptr;
    const std::size_t first = place_of_turn(service);
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t place = (first + i) % count;
        const Instance* instance = service.instances[place].get();
        if (!is_candidate(instance, like)) continue;
        take_turn(service, place, turn);
        return instance;
    }
    return nullptr;
}

const Instance* closest(const Service& service, const net::IpAddress& like) noexcept {
    for (const std::uint32_t place : service.by_distance)
        if (place < service.instances.size() && is_candidate(service.instances[place].get(), like))
            return service.instances[place].get();
    // Those whose distance nobody has measured come last.
    for (const auto& instance : service.instances)
        if (is_candidate(instance.get(), like)) return instance.get();
    return nullptr;
}

const Instance* underutilized(const Service& service, const net::IpAddress& like, Turn turn) noexcept {
    const std::size_t count = service.instances.size();
    if (count == 0) return nullptr;
    const std::size_t first = place_of_turn(service);
    std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
    std::size_t best = count;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t place = (first + i) % count;
        const Instance* instance = service.instances[place].get();
        if (!is_candidate(instance, like)) continue;
        const std::int64_t flows = instance->state ? instance->state->active_flows.load(std::memory_order_relaxed) : 0;
        if (flows >= fewest) continue;
        fewest = flows;
        best = place;
    }
    if (best == count) return nullptr;
    take_turn(service, best, turn);
    return service.instances[best].get();
}

const Instance* only(const std::shared_ptr<const Instance>& instance, const net::IpAddress& like) noexcept {
    return is_candidate(instance.get(), like) ? instance.get() : nullptr;
}

// Public constants: every node must come to the same answer, and whom a client reaches is no secret.
constexpr HashSecret kFlowSecret{{0xA0761D6478BD642FULL, 0xE7037ED1A0B428DBULL, 0x8EBC6AF09C88C6E3ULL,
                                  0x589965CC75374CC3ULL, 0x1D8E4E27C47D124FULL, 0xEB44ACCAB455D165ULL}};

std::uint64_t hash_of(const FlowKey& key) noexcept {
    return key.source.is_v4() ? EntryKey<EntryAddress4>(key).hash(kFlowSecret)
                              : EntryKey<EntryAddress6>(key).hash(kFlowSecret);
}

const Instance* rendezvous(const Service& service, const net::IpAddress& like, std::uint64_t hash) noexcept {
    const Instance* best = nullptr;
    std::uint64_t best_score = 0;
    for (const auto& instance : service.instances) {
        if (!is_candidate(instance.get(), like)) continue;
        const std::uint64_t name = fold_product(instance->number ^ kFlowSecret.word[4], kFlowSecret.word[5]);
        const std::uint64_t score = fold_product(hash ^ name, kFlowSecret.word[2]);
        if (best && score <= best_score) continue;
        best = instance.get();
        best_score = score;
    }
    return best;
}

const Instance* numbered(const Service& service, std::uint32_t number) noexcept {
    const auto place = std::ranges::lower_bound(service.instances, number, {}, [](const auto& i) { return i->number; });
    return place != service.instances.end() && (*place)->number == number ? place->get() : nullptr;
}

}  // namespace

const Instance* pick(const ServiceAddress& address, const FlowKey& key, Turn turn) noexcept {
    const net::IpAddress& like = key.destination;
    if (address.policy == Policy::InstanceNumber) return only(address.instance, like);
    if (!address.service) return nullptr;
    switch (address.policy) {
        case Policy::RoundRobin:
            return round_robin(*address.service, like, turn);
        case Policy::Closest:
            return closest(*address.service, like);
        case Policy::Underutilized:
            return underutilized(*address.service, like, turn);
        case Policy::InstanceNumber:
            break;
    }
    return nullptr;
}

const Instance* pick_stateless(const ServiceAddress& address, const FlowKey& key, const MaglevTable* table) noexcept {
    const net::IpAddress& like = key.destination;
    if (address.policy == Policy::InstanceNumber) return only(address.instance, like);
    if (!address.service) return nullptr;
    const std::uint64_t hash = hash_of(key);
    if (table && address.service->instances.size() > kRendezvousLimit) {
        // The table may be older than the list: then those flows go where rendezvous sends them.
        const auto number = table->find(hash);
        const Instance* instance = number ? numbered(*address.service, *number) : nullptr;
        if (is_candidate(instance, like)) return instance;
    }
    return rendezvous(*address.service, like, hash);
}

}  // namespace weft::overlay
