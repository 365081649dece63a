// SPDX-License-Identifier: Apache-2.0
#include "control/route.hpp"

#include <array>
#include <optional>

#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <sys/socket.h>

namespace weft::control {

namespace {

std::uint8_t family_of(const net::IpAddress& address) {
    return static_cast<std::uint8_t>(address.is_v6() ? AF_INET6 : AF_INET);
}

NetlinkMessage address_message(std::uint16_t type, std::uint16_t flags, const InterfaceAddress& address) {
    ifaddrmsg header{};
    header.ifa_family = family_of(address.address);
    header.ifa_prefixlen = static_cast<std::uint8_t>(address.prefix_length);
    header.ifa_index = static_cast<std::uint32_t>(address.link);
    if (address.address.is_v6()) header.ifa_flags = IFA_F_NODAD;
    NetlinkMessage message(type, flags);
    message.header(header).address(IFA_LOCAL, address.address).address(IFA_ADDRESS, address.address);
    return message;
}

std::string to_string(const InterfaceAddress& address) {
    return fmt::format("{}/{} on device {}", address.address.to_string(), address.prefix_length, address.link);
}

std::optional<InterfaceAddress> read_address(const nlmsghdr* message) {
    const auto* header = static_cast<const ifaddrmsg*>(nlmsg_data(message));
    const NetlinkAttributes attributes(message, sizeof *header);
    // IFA_ADDRESS is the other end on point-to-point devices.
    const int attribute = attributes.find(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS;
    if (!attributes.find(attribute)) return std::nullopt;
    return InterfaceAddress{.link = static_cast<int>(header->ifa_index),
                            .address = attributes.address(attribute, header->ifa_family),
                            .prefix_length = header->ifa_prefixlen};
}

std::optional<Route> read_route(const nlmsghdr* message) {
    const auto* header = static_cast<const rtmsg*>(nlmsg_data(message));
    if (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) return std::nullopt;
    if (header->rtm_flags & RTM_F_CLONED) return std::nullopt;
    const NetlinkAttributes attributes(message, sizeof *header);
    Route route{
        .link = static_cast<int>(attributes.u32(RTA_OIF)),
        .gateway = attributes.address(RTA_GATEWAY, header->rtm_family),
        .metric = attributes.u32(RTA_PRIORITY),
        .table = attributes.u32(RTA_TABLE, header->rtm_table),
        .type = header->rtm_type,
        .protocol = header->rtm_protocol,
    };
    if (route.table == RT_TABLE_LOCAL) return std::nullopt;
    static constexpr std::array<std::uint8_t, 16> kZero{};
    const auto any = header->rtm_family == AF_INET6 ? net::IpAddress::v6_from(kZero.data()) : net::IpAddress();
    const auto destination = attributes.find(RTA_DST) ? attributes.address(RTA_DST, header->rtm_family) : any;
    route.destination = net::Prefix::of(destination, header->rtm_dst_len);
    return route;
}

}  // namespace

Result<std::vector<InterfaceAddress>> list_addresses(Netlink& netlink) {
    std::vector<InterfaceAddress> addresses;
    const auto asked = netlink.query(
        [] {
            NetlinkMessage message(RTM_GETADDR, NLM_F_DUMP);
            message.header(ifaddrmsg{});
            return message;
        },
        "list addresses", [&] { addresses.clear(); },
        [&](const nlmsghdr* answer) {
            if (auto address = read_address(answer)) addresses.push_back(*address);
        });
    if (!asked) return std::unexpected(asked.error());
    return addresses;
}

Result<void> add_address(Netlink& netlink, const InterfaceAddress& address) {
    auto message = address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address);
    const auto added = netlink.request(message, "add address " + to_string(address));
    return !added && says_exists(added.error()) ? Result<void>{} : added;
}

Result<void> remove_address(Netlink& netlink, const InterfaceAddress& address) {
    auto message = address_message(RTM_DELADDR, 0, address);
    const auto removed = netlink.request(message, "remove address " + to_string(address));
    return !removed && says_absent(removed.error()) ? Result<void>{} : removed;
}

Result<std::vector<Route>> list_routes(Netlink& netlink) {
    std::vector<Route> routes;
    const auto asked = netlink.query(
        [] {
            NetlinkMessage message(RTM_GETROUTE, NLM_F_DUMP);
            message.header(rtmsg{});
            return message;
        },
        "list routes", [&] { routes.clear(); },
        [&](const nlmsghdr* answer) {
            if (auto route = read_route(answer)) routes.push_back(*route);
        });
    if (!asked) return std::unexpected(asked.error());
    return routes;
}

Result<void> add_route(Netlink& netlink, const net::Prefix& destination, int link, const net::IpAddress& gateway) {
    rtmsg header{};
    header.rtm_family = family_of(destination.address);
    header.rtm_dst_len = static_cast<std::uint8_t>(destination.length);
    header.rtm_table = RT_TABLE_MAIN;
    header.rtm_protocol = kWeftRouteProtocol;
    header.rtm_type = RTN_UNICAST;
    header.rtm_scope = gateway.is_unspecified() && destination.address.is_v4() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    NetlinkMessage message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
    message.header(header).u32(RTA_OIF, static_cast<std::uint32_t>(link));
    if (destination.length != 0) message.address(RTA_DST, destination.address);
    if (!gateway.is_unspecified()) message.address(RTA_GATEWAY, gateway);
    return netlink.request(message, fmt::format("add route {} over device {}", destination.to_string(), link));
}

}  // namespace weft::control
