// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/netlink.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/net/address.hpp"

// Questions about the host's own network, which weft uses and never changes.
namespace weft::control {

// MTU of the interface that carries this local address. NotFound if none does.
Result<std::uint32_t> interface_mtu(Netlink& netlink, const net::IpAddress& address);

// The address of the default route's interface, IPv4 first, else IPv6. NotFound if there is no default route.
Result<net::IpAddress> default_route_address(Netlink& netlink);

// Names an address or a route that overlaps `prefix`; those of the devices named in `ours` and default routes do not
// count. nullopt if there is none.
Result<std::optional<std::string>> find_overlap(Netlink& netlink, const net::Prefix& prefix,
                                                const std::vector<std::string>& ours);

}  // namespace weft::control
