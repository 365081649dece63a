// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/address.hpp"

namespace weft::config {

// Addresses from `first` to `last`, both included, of one family.
struct AddressRange {
    net::IpAddress first;
    net::IpAddress last;

    // "10.18.0.0-10.29.255.255" or "fc00::/64"; nullopt if malformed, of two families or backwards.
    static std::optional<AddressRange> parse(std::string_view text);
    [[nodiscard]] bool contains(const net::IpAddress& a) const {
        return a.version() == first.version() && first <= a && a <= last;
    }
    [[nodiscard]] bool contains(const net::Prefix& prefix) const {
        return contains(prefix.address) && contains(prefix.last());
    }
    [[nodiscard]] bool overlaps(const net::Prefix& prefix) const {
        return first.version() == prefix.address.version() && first <= prefix.last() && prefix.address <= last;
    }
    // The fewest CIDR blocks that cover exactly this range, in order: what a route can be made of.
    [[nodiscard]] std::vector<net::Prefix> prefixes() const;
    // The block's own notation if it is one, else "first-last".
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const AddressRange&, const AddressRange&) = default;
};

}  // namespace weft::config
