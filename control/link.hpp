// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/netlink.hpp"

// Network devices: what they are, and the few changes weft makes to them.
namespace weft::control {

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const MacAddress&, const MacAddress&) = default;
};

struct Link {
    int index = 0;
    std::string name;
    std::string kind;  // "veth", "bridge", "tun"; empty for hardware
    MacAddress mac;
    std::uint32_t mtu = 0;
    std::uint32_t tx_queue_length = 0;
    std::uint32_t gso_max_segs = 0;
    std::uint32_t group = 0;
    int master = 0;  // index of the bridge it is a port of; 0: none
    bool is_up = false;
};

// Devices that weft makes are born in this group ("weft"), so that they are known without a journal.
inline constexpr std::uint32_t kWeftGroup = 0x77656674;

Result<std::optional<Link>> find_link(Netlink& netlink, const std::string& name);
Result<std::vector<Link>> list_links(Netlink& netlink);

struct VethSpec {
    std::string name;  // host side, in the namespace of the socket
    MacAddress mac;
    int bridge = 0;           // it becomes a port of this one
    std::string inside_name;  // the other side, born in the namespace below
    int inside_netns_fd = -1;
    MacAddress inside_mac;
    std::uint16_t mtu = 1500;
    std::uint32_t gso_max_segs = 0;  // of the other side; 0: the kernel's own
};
// Both sides in one step, so there is no moment with half of it. EEXIST if either name is taken.
Result<void> create_veth(Netlink& netlink, const VethSpec& spec);
// No spanning tree, no multicast snooping, with its own address: without one a bridge takes the lowest of its ports',
// and changes it as containers come and go. Its MTU has to be set by change_link(): only one that is changed stays, one
// given at birth follows the ports.
Result<void> create_bridge(Netlink& netlink, const std::string& name, const MacAddress& mac);
// ENODEV if there is none.
Result<void> delete_link(Netlink& netlink, const std::string& name);

// Every device of weft's group, in one step: a device alone costs the kernel some 20 ms. ENODEV if there is none.
Result<void> delete_weft_links(Netlink& netlink);

// What may be changed on a device that exists; what is absent stays as it is.
struct LinkChange {
    std::optional<std::uint32_t> mtu;
    std::optional<std::uint32_t> tx_queue_length;
    std::optional<int> master;
    std::optional<std::uint32_t> group;
    bool hairpin = false;             // a bridge port may get back what it sent
    bool without_link_local = false;  // no IPv6 address of its own making: for bridge ports
    bool up = false;                  // true: up; false: as it is
};
Result<void> change_link(Netlink& netlink, const std::string& name, const LinkChange& change);

}  // namespace weft::control
