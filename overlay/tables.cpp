// SPDX-License-Identifier: Apache-2.0
#include "overlay/tables.hpp"

#include <algorithm>

namespace weft::overlay {

void SubnetMap::put(const net::Prefix& prefix, PeerIndex peer) {
    auto& lengths = prefix.address.is_v4() ? lengths_v4_ : lengths_v6_;
    if (std::ranges::find(lengths, prefix.length) == lengths.end()) {
        lengths.push_back(prefix.length);
        std::ranges::sort(lengths, std::greater{});
    }
    const auto* present = by_network_.find(prefix.address);
    auto owners = present ? *present : std::vector<std::pair<int, PeerIndex>>{};
    std::erase_if(owners, [&](const auto& owner) { return owner.first == prefix.length; });
    owners.emplace_back(prefix.length, peer);
    by_network_.put(prefix.address, std::move(owners));
}

void SubnetMap::erase(const net::Prefix& prefix) {
    const auto* present = by_network_.find(prefix.address);
    if (!present) return;
    auto owners = *present;
    std::erase_if(owners, [&](const auto& owner) { return owner.first == prefix.length; });
    if (owners.empty())
        by_network_.erase(prefix.address);
    else
        by_network_.put(prefix.address, std::move(owners));
}

std::optional<PeerIndex> SubnetMap::find(const net::IpAddress& address) const noexcept {
    for (const int length : address.is_v4() ? lengths_v4_ : lengths_v6_) {
        const auto* owners = by_network_.find(address.masked(length));
        if (!owners) continue;
        for (const auto& [owner_length, peer] : *owners)
            if (owner_length == length) return peer;
    }
    return std::nullopt;
}

}  // namespace weft::overlay
