// SPDX-License-Identifier: Apache-2.0
#include "overlay/host_cache.hpp"

#include <algorithm>

namespace weft::overlay {

HostCache::HostCache() : sets_(std::make_unique<Set[]>(kSets)) {}

std::size_t HostCache::set_of(const net::IpAddress& address) noexcept {
    return std::hash<net::IpAddress>{}(address) % kSets;
}

void HostCache::learn(const net::IpAddress& address, PeerIndex peer, TimePoint now) noexcept {
    Set& set = sets_[set_of(address)];
    auto place = std::ranges::find_if(set, [&](const Entry& entry) { return entry.address == address; });
    if (place == set.end()) place = std::ranges::min_element(set, {}, &Entry::heard);  // free ones were heard at 0
    *place = {.heard = now, .address = address, .peer = peer};
}

std::optional<PeerIndex> HostCache::find(const net::IpAddress& address, TimePoint now) const noexcept {
    for (const Entry& entry : sets_[set_of(address)])
        if (entry.peer != kLocal && entry.address == address && now - entry.heard < kLife) return entry.peer;
    return std::nullopt;
}

}  // namespace weft::overlay
