// SPDX-License-Identifier: Apache-2.0
#include "control/underlay.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "control/link.hpp"
#include "control/route.hpp"

namespace weft::control {

namespace {

bool is_link_local(const net::IpAddress& address) {
    return address.is_v6() && address.data()[0] == 0xFE && (address.data()[1] & 0xC0) == 0x80;
}

}  // namespace

Result<std::uint32_t> interface_mtu(Netlink& netlink, const net::IpAddress& address) {
    const auto addresses = list_addresses(netlink);
    if (!addresses) return std::unexpected(addresses.error());
    const auto links = list_links(netlink);
    if (!links) return std::unexpected(links.error());
    for (const InterfaceAddress& candidate : *addresses) {
        if (candidate.address != address) continue;
        const auto link = std::ranges::find(*links, candidate.link, &Link::index);
        if (link != links->end()) return link->mtu;
    }
    return std::unexpected(
        Error(ErrorCode::NotFound, fmt::format("no interface of this host has the address {}", address.to_string())));
}

Result<net::IpAddress> default_route_address(Netlink& netlink) {
    const auto addresses = list_addresses(netlink);
    if (!addresses) return std::unexpected(addresses.error());
    auto routes = list_routes(netlink);
    if (!routes) return std::unexpected(routes.error());
    std::erase_if(*routes, [](const Route& route) { return !route.is_default() || route.link == 0; });
    std::ranges::stable_sort(
        *routes, {}, [](const Route& route) { return std::pair(route.destination.address.version(), route.metric); });
    for (const Route& route : *routes)
        for (const InterfaceAddress& candidate : *addresses)
            if (candidate.link == route.link && !is_link_local(candidate.address) &&
                candidate.address.version() == route.destination.address.version())
                return candidate.address;
    return std::unexpected(Error(ErrorCode::NotFound, "this host has no default route whose interface has an address"));
}

Result<std::optional<std::string>> find_overlap(Netlink& netlink, const net::Prefix& prefix,
                                                const std::vector<std::string>& ours) {
    const auto links = list_links(netlink);
    if (!links) return std::unexpected(links.error());
    const auto addresses = list_addresses(netlink);
    if (!addresses) return std::unexpected(addresses.error());
    const auto routes = list_routes(netlink);
    if (!routes) return std::unexpected(routes.error());

    const auto name_of = [&](int index) -> std::string {
        const auto link = std::ranges::find(*links, index, &Link::index);
        return link == links->end() ? "nowhere" : link->name;
    };
    const auto is_ours = [&](int index) { return std::ranges::find(ours, name_of(index)) != ours.end(); };
    for (const InterfaceAddress& address : *addresses) {
        const auto network = net::Prefix::of(address.address, address.prefix_length);
        if (network.overlaps(prefix) && !is_ours(address.link))
            return fmt::format("address {}/{} of {}", address.address.to_string(), address.prefix_length,
                               name_of(address.link));
    }
    for (const Route& route : *routes)
        if (!route.is_default() && route.destination.overlaps(prefix) && !is_ours(route.link))
            return fmt::format("route {} over {}", route.destination.to_string(), name_of(route.link));
    return std::nullopt;
}

}  // namespace weft::control
