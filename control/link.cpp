// SPDX-License-Identifier: Apache-2.0
#include "control/link.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netlink/msg.h>

namespace weft::control {

namespace {

ifinfomsg device(unsigned flags = 0, int index = 0) {
    ifinfomsg header{};
    header.ifi_family = AF_UNSPEC;
    header.ifi_index = index;
    header.ifi_flags = flags;
    header.ifi_change = flags;
    return header;
}

Link read_link(const nlmsghdr* message) {
    const auto* header = static_cast<const ifinfomsg*>(nlmsg_data(message));
    const NetlinkAttributes attributes(message, sizeof *header);
    Link link{
        .index = header->ifi_index,
        .name = attributes.text(IFLA_IFNAME),
        .kind = NetlinkAttributes(attributes.find(IFLA_LINKINFO)).text(IFLA_INFO_KIND),
        .mtu = attributes.u32(IFLA_MTU),
        .tx_queue_length = attributes.u32(IFLA_TXQLEN),
        .gso_max_segs = attributes.u32(IFLA_GSO_MAX_SEGS),
        .group = attributes.u32(IFLA_GROUP),
        .master = static_cast<int>(attributes.u32(IFLA_MASTER)),
        .is_up = (header->ifi_flags & IFF_UP) != 0,
    };
    const auto mac = attributes.bytes(IFLA_ADDRESS);
    if (mac.size() == link.mac.bytes.size())
        std::ranges::transform(mac, link.mac.bytes.begin(),
                               [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
    return link;
}

}  // namespace

std::string MacAddress::to_string() const {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                       bytes[5]);
}

Result<std::optional<Link>> find_link(Netlink& netlink, const std::string& name) {
    std::optional<Link> found;
    const auto asked = netlink.query(
        [&] {
            NetlinkMessage message(RTM_GETLINK, 0);
            message.header(device()).text(IFLA_IFNAME, name);
            return message;
        },
        "look for device " + name, [&] { found.reset(); }, [&](const nlmsghdr* answer) { found = read_link(answer); });
    if (!asked && says_absent(asked.error())) return std::nullopt;
    if (!asked) return std::unexpected(asked.error());
    return found;
}

Result<std::vector<Link>> list_links(Netlink& netlink) {
    std::vector<Link> links;
    const auto asked = netlink.query(
        [] {
            NetlinkMessage message(RTM_GETLINK, NLM_F_DUMP);
            message.header(device());
            return message;
        },
        "list devices", [&] { links.clear(); }, [&](const nlmsghdr* answer) { links.push_back(read_link(answer)); });
    if (!asked) return std::unexpected(asked.error());
    return links;
}

Result<void> create_veth(Netlink& netlink, const VethSpec& spec) {
    const auto fill_peer = [&](NetlinkMessage& message) {
        message.header(device());
        message.text(IFLA_IFNAME, spec.inside_name)
            .u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(spec.inside_netns_fd))
            .bytes(IFLA_ADDRESS, spec.inside_mac.bytes.data(), spec.inside_mac.bytes.size())
            .u32(IFLA_MTU, spec.mtu);
        if (spec.gso_max_segs != 0) message.u32(IFLA_GSO_MAX_SEGS, spec.gso_max_segs);
    };
    NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    message.header(device())
        .text(IFLA_IFNAME, spec.name)
        .u32(IFLA_MTU, spec.mtu)
        .bytes(IFLA_ADDRESS, spec.mac.bytes.data(), spec.mac.bytes.size())
        .u32(IFLA_GROUP, kWeftGroup)
        .u32(IFLA_MASTER, static_cast<std::uint32_t>(spec.bridge))
        .nested(IFLA_LINKINFO, [&](NetlinkMessage& info) {
            info.text(IFLA_INFO_KIND, "veth").nested(IFLA_INFO_DATA, [&](NetlinkMessage& data) {
                data.nested(VETH_INFO_PEER, fill_peer);
            });
        });
    return netlink.request(message, fmt::format("create veth {} with {} inside", spec.name, spec.inside_name));
}

Result<void> create_bridge(Netlink& netlink, const std::string& name, const MacAddress& mac) {
    NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    message.header(device())
        .text(IFLA_IFNAME, name)
        .u32(IFLA_GROUP, kWeftGroup)
        .bytes(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size())
        .nested(IFLA_LINKINFO, [&](NetlinkMessage& info) {
            info.text(IFLA_INFO_KIND, "bridge").nested(IFLA_INFO_DATA, [&](NetlinkMessage& data) {
                data.u32(IFLA_BR_STP_STATE, 0).u8(IFLA_BR_MCAST_SNOOPING, 0).u32(IFLA_BR_FORWARD_DELAY, 0);
            });
        });
    return netlink.request(message, "create bridge " + name);
}

Result<void> delete_link(Netlink& netlink, const std::string& name) {
    NetlinkMessage message(RTM_DELLINK, 0);
    message.header(device()).text(IFLA_IFNAME, name);
    return netlink.request(message, "delete device " + name);
}

Result<void> delete_weft_links(Netlink& netlink) {
    NetlinkMessage message(RTM_DELLINK, 0);
    message.header(device()).u32(IFLA_GROUP, kWeftGroup);
    return netlink.request(message, "delete weft's devices");
}

Result<void> change_link(Netlink& netlink, const std::string& name, const LinkChange& change) {
    NetlinkMessage message(RTM_NEWLINK, 0);
    message.header(device(change.up ? unsigned{IFF_UP} : 0)).text(IFLA_IFNAME, name);
    if (change.mtu) message.u32(IFLA_MTU, *change.mtu);
    if (change.tx_queue_length) message.u32(IFLA_TXQLEN, *change.tx_queue_length);
    if (change.group) message.u32(IFLA_GROUP, *change.group);
    if (change.master) message.u32(IFLA_MASTER, static_cast<std::uint32_t>(*change.master));
    if (change.hairpin)
        message.nested(IFLA_LINKINFO, [](NetlinkMessage& info) {
            info.text(IFLA_INFO_SLAVE_KIND, "bridge").nested(IFLA_INFO_SLAVE_DATA, [](NetlinkMessage& data) {
                data.u8(IFLA_BRPORT_MODE, 1);
            });
        });
    if (change.without_link_local)
        message.nested(IFLA_AF_SPEC, [](NetlinkMessage& families) {
            families.nested(AF_INET6,
                            [](NetlinkMessage& inet6) { inet6.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE); });
        });
    return netlink.request(message, "set up device " + name);
}

}  // namespace weft::control
