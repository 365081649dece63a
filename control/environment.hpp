// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/journal.hpp"
#include "control/netlink.hpp"
#include "control/nft.hpp"
#include "control/requests.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/net/address.hpp"

namespace weft::control {

struct EnvironmentOptions {
    std::string tun_name = "weft-tun";
    net::IpAddress tun_address;     // as /32
    net::IpAddress tun_address_v6;  // as /128
    std::string bridge_name = "weft-br";
    std::vector<net::Prefix> service_ranges;  // routed into the TUN
    std::vector<net::Prefix> node_ranges;     // ditto, but for the own subnet
    std::uint16_t mtu = 1440;                 // inner MTU: TUN, bridge and containers
    std::uint32_t gso_max_segs = 0;           // of the containers' ends; 0: the kernel's own
    std::uint16_t tunnel_port = 50103;
};

// A container to be joined to the bridge.
struct AttachSpec {
    std::string id;  // instance id; names the host's end of the veth
    int netns_fd = -1;
    net::IpAddress address;
    net::IpAddress address_v6;  // unspecified: none
    std::vector<PortMapping> port_mappings;
    std::string interface = "weft0";
};

struct Attachment {
    std::string veth;  // host side
    MacAddress mac;
};

// What one node needs from the kernel, and nothing of anybody else's: the TUN's addresses and routes, the bridge, a
// veth per container, weft's own nft tables, a few sysctls.
//
// Threading: the environment thread, which is in the host's namespace; every call may block for some milliseconds.
// Errors: what the kernel refused, with what was attempted. A call that fails left nothing of its own behind.
class Environment {
  public:
    // Opens the sockets to the kernel; changes nothing. The journal must outlive the environment.
    static Result<std::unique_ptr<Environment>> create(EnvironmentOptions options, Journal& journal);
    ~Environment();
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

    // The TUN device stands already (the port made it). Addresses, MTU, routes, sysctls, nft tables. May be repeated.
    Result<void> prepare_tun();
    // The bridge with subnet + 1. Conflict if the name belongs to a device that weft did not make. May be repeated.
    Result<void> prepare_bridge(const net::Prefix& subnet, const std::optional<net::Prefix>& subnet_v6);
    // The end of a registration. Success if there is none.
    Result<void> remove_bridge();

    // Conflict if the container has an interface of that name already.
    Result<Attachment> attach(const AttachSpec& spec);
    // Takes back whatever there is of it; success if nothing is.
    Result<void> detach(const std::string& id);
    // After a restart: the instance should be attached. Nothing is touched until the next apply_rules() or repair().
    void adopt(const std::string& id, const net::IpAddress& address, const net::IpAddress& address_v6,
               const std::vector<PortMapping>& port_mappings);
    // The veth stands, is up and in the bridge, and its other end is the container's (not looked into).
    Result<bool> is_attached(const std::string& id);
    Result<void> set_port_forwards(const std::vector<PortForward>& forwards);
    // Replaces weft's nft tables by what should stand now, in one transaction.
    Result<void> apply_rules();
    // Removes links in weft's group that belong to no known instance; says which.
    Result<std::vector<std::string>> remove_strays();

    // Compares what should stand with the kernel; a sentence for each difference.
    Result<std::vector<std::string>> verify();
    // The same, and mends what it finds. A missing TUN device is reported, not made: that is the port's part. A missing
    // veth is reported as well; Deployments::repair() attaches it anew.
    Result<std::vector<std::string>> repair();
    // Removes everything that weft made on this host but namespaces (Deployments knows those). May be repeated.
    Result<void> teardown();

    // MTU of the interface that carries this local address.
    Result<std::uint32_t> underlay_mtu(const net::IpAddress& address);
    // The address of the default route's interface (IPv4 first, else IPv6).
    Result<net::IpAddress> default_address();
    // Names an address or route of this host, other than weft's own, that overlaps `prefix`; nullopt if there is none.
    Result<std::optional<std::string>> conflicts(const net::Prefix& prefix);

    [[nodiscard]] const EnvironmentOptions& options() const { return options_; }
    [[nodiscard]] const std::optional<net::Prefix>& subnet() const { return rules_.subnet; }

    // "wv" and ten hex digits of a hash: interface names have 15 characters, ids may be longer.
    static std::string veth_name(const std::string& id);

  private:
    Environment(EnvironmentOptions options, Journal& journal, Netlink netlink, Nft nft);

    Result<void> prepare_tun_sysctls();
    Result<void> prepare_bridge_sysctls();
    Result<void> set_sysctl(const std::string& path, const std::string& value);
    Result<void> keep_router_advertisements();
    Result<void> ensure_tun_addresses_and_routes(std::vector<std::string>* repaired);
    Result<void> ensure_bridge(std::vector<std::string>* repaired);
    Result<void> configure_inside(const AttachSpec& spec);
    Result<std::vector<std::string>> inspect(bool mend);

    EnvironmentOptions options_;
    Journal& journal_;
    Netlink netlink_;
    Nft nft_;
    RuleState rules_;  // what the nft tables should say
    bool is_tun_prepared_ = false;
};

}  // namespace weft::control
