// SPDX-License-Identifier: Apache-2.0
#include "config/address_range.hpp"

namespace weft::config {

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
    if (const auto prefix = net::Prefix::parse(text)) return AddressRange{prefix->address, prefix->last()};
    const auto dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto first = net::IpAddress::parse(text.substr(0, dash));
    const auto last = net::IpAddress::parse(text.substr(dash + 1));
    if (!first || !last || first->version() != last->version() || *last < *first) return std::nullopt;
    return AddressRange{*first, *last};
}

std::vector<net::Prefix> AddressRange::prefixes() const {
    std::vector<net::Prefix> blocks;
    net::IpAddress next = first;
    while (next <= last) {
        // The widest block that begins here and does not pass the end.
        int length = next.bits();
        while (length > 0) {
            const net::Prefix wider = net::Prefix::of(next, length - 1);
            if (wider.address != next || last < wider.last()) break;
            --length;
        }
        const net::Prefix block{next, length};
        blocks.push_back(block);
        if (block.last() == last) break;
        next = block.last().plus(1);
    }
    return blocks;
}

std::string AddressRange::to_string() const {
    const auto blocks = prefixes();
    if (blocks.size() == 1) return blocks.front().to_string();
    return first.to_string() + "-" + last.to_string();
}

}  // namespace weft::config
