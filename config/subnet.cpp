// SPDX-License-Identifier: Apache-2.0
#include "config/subnet.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "config/codec.hpp"

namespace weft::config {

namespace {

struct Family {
    int version;
    int shortest, longest;
    std::string_view example;
};

bool is_private(const net::Prefix& subnet) {
    static const std::array kPrivate = {
        *net::Prefix::parse("10.0.0.0/8"),     *net::Prefix::parse("172.16.0.0/12"),
        *net::Prefix::parse("192.168.0.0/16"), *net::Prefix::parse("100.64.0.0/10"),
        *net::Prefix::parse("fc00::/7"),
    };
    return std::ranges::any_of(
        kPrivate, [&](const auto& block) { return block.contains(subnet.address) && block.length <= subnet.length; });
}

std::expected<net::Prefix, std::string> parse_subnet(std::string_view text, int default_length, const Family& family) {
    const auto wrong = [&](const std::string& why) {
        return std::unexpected("'" + shown(text) + "' " + why + "; allowed: an address or a CIDR of /" +
                               std::to_string(family.shortest) + " to /" + std::to_string(family.longest) +
                               " without host bits, e.g. " + std::string(family.example));
    };
    const auto slash = text.find('/');
    const auto address = net::IpAddress::parse(text.substr(0, slash));
    if (!address) return wrong("is not an address");
    if (address->version() != family.version) return wrong("is not IPv" + std::to_string(family.version));
    int length = default_length;
    if (slash != std::string_view::npos) {
        const auto number = parse_integer(text.substr(slash + 1));
        if (!number || *number > 128) return wrong("has no valid prefix length");
        length = static_cast<int>(*number);
    }
    if (length < family.shortest || length > family.longest) return wrong("has a prefix length out of range");
    const net::Prefix subnet{*address, length};
    if (address->masked(length) != *address) {
        return wrong("has host bits set for a /" + std::to_string(length) + " (the subnet is " +
                     net::Prefix::of(*address, length).to_string() + ")");
    }
    if (!is_private(subnet)) return wrong("is not private address space");
    return subnet;
}

}  // namespace

std::expected<net::Prefix, std::string> parse_node_subnet(std::string_view text, int default_length) {
    return parse_subnet(text, default_length, {4, kShortestNodePrefix, kLongestNodePrefix, "10.18.0.0/26"});
}

std::expected<net::Prefix, std::string> parse_node_subnet_v6(std::string_view text, int default_length) {
    return parse_subnet(text, default_length, {6, kShortestNodePrefixV6, kLongestNodePrefixV6, "fc00::100/120"});
}

}  // namespace weft::config
