// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/journal.hpp"
#include "control/netlink.hpp"
#include "control/nft.hpp"
#include "control/requests.hpp"
#include "control/route.hpp"
#include "control/settings.hpp"
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
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

    // The TUN device stands already (the port made it). Addresses, MTU, routes, sysctls, nft tables; the rules for what
    // the journal says runs here are in from the start. May be repeated.
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
    // The instance shall no longer be attached; nothing is touched until the next apply_rules() or repair().
    void disown(const std::string& id);
    // Its veth exists (whether it is up and in the bridge is repair()'s business).
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
    // Removes everything that weft made in this namespace but namespaces (Deployments knows those). May be repeated.
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

    // Compares one part with what should stand; a sentence for each difference, and `mend` says whether to end it.
    struct Inspection {
        bool mend = false;
        std::vector<std::string> differences;
    };
    Result<void> load_expected();
    Result<void> inspect_settings(Inspection& inspection);
    Result<void> inspect_tun(Inspection& inspection);
    Result<void> inspect_bridge(Inspection& inspection);
    Result<void> inspect_ports(Inspection& inspection);
    Result<void> inspect_rules(Inspection& inspection);
    Result<void> inspect_device(Inspection& inspection, const Link& link, const std::vector<Setting>& settings,
                                const std::vector<InterfaceAddress>& wanted);
    Result<void> configure_inside(const AttachSpec& spec) const;
    Result<void> add_inside_routes(Netlink& netlink, const std::vector<Route>& present, int link,
                                   const net::Prefix& subnet) const;
    Result<std::vector<std::string>> inspect(bool mend);
    [[nodiscard]] std::vector<PortMapping> mappings_to(const std::string& id) const;

    EnvironmentOptions options_;
    Journal& journal_;
    KernelSettings settings_;
    Netlink netlink_;
    Nft nft_;
    RuleState rules_;             // what the nft tables should say
    std::string rules_skeleton_;  // how the kernel lists them, but for the instances; empty: never applied
    bool has_ipv6_ = true;        // this kernel speaks it
};

}  // namespace weft::control
