// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/netlink.hpp"
#include "dataplane/net/address.hpp"

// Addresses of devices, and routes.
namespace weft::control {

struct InterfaceAddress {
    int link = 0;
    net::IpAddress address;
    int prefix_length = 0;
    friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

Result<std::vector<InterfaceAddress>> list_addresses(Netlink& netlink);
// IPv6 without duplicate address detection: usable at once. Success if it is there already.
Result<void> add_address(Netlink& netlink, const InterfaceAddress& address);
// Success if it is not there.
Result<void> remove_address(Netlink& netlink, const InterfaceAddress& address);

struct Route {
    net::Prefix destination;
    int link = 0;            // 0: none (blackhole and the like)
    net::IpAddress gateway;  // unspecified: on link
    std::uint32_t metric = 0;
    std::uint32_t table = 254;  // main
    std::uint8_t type = 1;      // unicast
    std::uint8_t protocol = 0;  // who made it
    [[nodiscard]] bool is_default() const { return destination.length == 0; }
};

// Marks weft's own routes in `ip route` as "proto 119".
inline constexpr std::uint8_t kWeftRouteProtocol = 119;

// All tables but the local one, both families.
Result<std::vector<Route>> list_routes(Netlink& netlink);
// EEXIST if there is a route to the same destination already, whoever made it (IPv6: over the same device).
Result<void> add_route(Netlink& netlink, const net::Prefix& destination, int link, const net::IpAddress& gateway);

}  // namespace weft::control
