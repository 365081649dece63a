// SPDX-License-Identifier: Apache-2.0
#include "control/environment.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "control/failpoint.hpp"
#include "control/rollback.hpp"
#include "control/sysctl.hpp"
#include "control/underlay.hpp"
#include "dataplane/base/check.hpp"

// How a node's network stands:
//
//      container namespace          host namespace
//      weft0 10.18.0.2/26 --veth-- wv3f2a91c07d ---+
//      weft0 10.18.0.3/26 --veth-- wv81d0b2ee43 ---+-- weft-br 10.18.0.1/26 --- routing --- weft-tun 10.19.1.254/32
//                                                                                 |          service and node ranges
//                                                            masquerade, DNAT     +--- the host's own interfaces
//
// One idea serves start, repair and check alike: `inspect` compares each part with what should stand, says each
// difference in a sentence, and mends it if it is told to. Preparing is mending from nothing; a restart after kill -9
// finds no difference and touches nothing. The order is: settings, TUN, bridge, ports, rules; at the first start the
// rules come before any port, and they deny what they do not know, so there is no moment in which a container may
// spoof.
//
// Attaching makes one veth whose far end is born inside the container under its final name: the kernel does that in one
// step or not at all. Then the inside is configured on a thread that enters the namespace and ends, and the rules learn
// the port in one nft transaction. Each step's inverse is held until all have succeeded.
//
// What weft makes is known without the journal, too: its devices are in the link group "weft", its rules in tables of
// that name, its routes carry protocol 119.
namespace weft::control {

namespace {

constexpr std::uint32_t kTunQueueLength = 1000;

std::uint64_t hash_text(const std::string& text) {
    std::uint64_t hash = 0xCBF29CE484222325ULL;  // FNV-1a: the same in every build, because names outlive a process
    for (const char c : text)
        hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001B3ULL;
    return hash ^ hash >> 40;
}

// Locally administered, and a function of the address: a new holder of an address has its old MAC, so no neighbour's
// cache is wrong.
MacAddress mac_for(const net::IpAddress& address) {
    const std::uint8_t* b = address.data();
    return {{0x02, 0x57, b[0], b[1], b[2], b[3]}};
}

MacAddress outside_mac_for(const net::IpAddress& address) {
    MacAddress mac = mac_for(address);
    mac.bytes[0] = 0xFE;
    return mac;
}

net::IpAddress gateway_of(const net::Prefix& subnet) {
    return subnet.address.plus(1);
}

Error inside(const Error& error) {
    return error.during("configure the container's interface");
}

}  // namespace

Environment::Environment(EnvironmentOptions options, Journal& journal, Netlink netlink, Nft nft)
    : options_(std::move(options)),
      journal_(journal),
      settings_(journal),
      netlink_(std::move(netlink)),
      nft_(std::move(nft)) {
    rules_.tun_name = options_.tun_name;
    rules_.bridge_name = options_.bridge_name;
    rules_.tunnel_port = options_.tunnel_port;
    rules_.service_ranges = options_.service_ranges;
    rules_.node_ranges = options_.node_ranges;
    has_ipv6_ = read_sysctl("net/ipv6/conf/all/forwarding").has_value();
}

Result<std::unique_ptr<Environment>> Environment::create(EnvironmentOptions options, Journal& journal) {
    auto netlink = Netlink::open();
    if (!netlink) return std::unexpected(netlink.error());
    auto nft = Nft::open();
    if (!nft) return std::unexpected(nft.error());
    return std::unique_ptr<Environment>(
        new Environment(std::move(options), journal, std::move(*netlink), std::move(*nft)));
}

Result<void> Environment::prepare_tun() {
    Inspection inspection{.mend = true};
    if (auto expected = load_expected(); !expected) return expected;
    WEFT_FAILPOINT("env.tun");
    if (auto settings = inspect_settings(inspection); !settings) return settings;
    if (auto tun = inspect_tun(inspection); !tun) return tun;
    const auto link = find_link(netlink_, options_.tun_name);
    if (!link) return std::unexpected(link.error());
    if (!*link)
        return std::unexpected(Error(ErrorCode::NotFound, fmt::format("device {} does not exist", options_.tun_name)));
    WEFT_FAILPOINT("env.nft");
    return apply_rules();
}

// At a restart the first rules already know the containers that run, so that their traffic goes on meanwhile.
Result<void> Environment::load_expected() {
    const auto registration = journal_.registration();
    if (!registration) return std::unexpected(registration.error());
    if (!*registration) return {};
    const auto rows = journal_.deployments();
    if (!rows) return std::unexpected(rows.error());
    auto forwards = journal_.port_forwards();
    if (!forwards) return std::unexpected(forwards.error());
    rules_.subnet = (*registration)->subnet;
    rules_.subnet_v6 = has_ipv6_ ? (*registration)->subnet_v6 : std::nullopt;
    for (const Deployment& row : *rows)
        if (row.state == DeploymentState::Running) adopt(row.id, row.address, row.address_v6, row.port_mappings);
    rules_.forwards = std::move(*forwards);
    return {};
}

Result<void> Environment::prepare_bridge(const net::Prefix& subnet, const std::optional<net::Prefix>& subnet_v6) {
    const auto before = std::pair(rules_.subnet, rules_.subnet_v6);
    rules_.subnet = subnet;
    rules_.subnet_v6 = has_ipv6_ ? subnet_v6 : std::nullopt;
    const auto prepare = [&]() -> Result<void> {
        Inspection inspection{.mend = true};
        WEFT_FAILPOINT("env.bridge");
        if (auto bridge = inspect_bridge(inspection); !bridge) return bridge;
        return apply_rules();
    };
    auto prepared = prepare();
    if (!prepared) std::tie(rules_.subnet, rules_.subnet_v6) = before;
    return prepared;
}

Result<void> Environment::remove_bridge() {
    const auto link = find_link(netlink_, options_.bridge_name);
    if (!link) return std::unexpected(link.error());
    if (*link && (*link)->group == kWeftGroup)
        if (auto deleted = delete_link(netlink_, options_.bridge_name); !deleted && !says_absent(deleted.error()))
            return deleted;
    rules_.subnet.reset();
    rules_.subnet_v6.reset();
    return apply_rules();
}

Result<Attachment> Environment::attach(const AttachSpec& spec) {
    WEFT_CHECK(rules_.subnet.has_value(), "the bridge is prepared before a container is attached");
    const auto bridge = find_link(netlink_, options_.bridge_name);
    if (!bridge) return std::unexpected(bridge.error());
    if (!*bridge)
        return std::unexpected(Error(ErrorCode::NotFound, fmt::format("bridge {} is gone", options_.bridge_name)));
    const GuardedPort port{.veth = veth_name(spec.id),
                           .mac = mac_for(spec.address),
                           .address = spec.address,
                           .address_v6 = rules_.subnet_v6 ? spec.address_v6 : net::IpAddress(),
                           .port_mappings = spec.port_mappings};

    WEFT_FAILPOINT("deploy.veth");
    const auto made = create_veth(netlink_, {.name = port.veth,
                                             .mac = outside_mac_for(spec.address),
                                             .bridge = (*bridge)->index,
                                             .inside_name = spec.interface,
                                             .inside_netns_fd = spec.netns_fd,
                                             .inside_mac = port.mac,
                                             .mtu = options_.mtu,
                                             .gso_max_segs = options_.gso_max_segs});
    if (!made && says_exists(made.error())) {
        const auto outside = find_link(netlink_, port.veth);
        if (!outside) return std::unexpected(outside.error());
        return std::unexpected(Error(
            ErrorCode::Conflict, *outside ? fmt::format("device {} exists already on the host", port.veth)
                                          : fmt::format("the container has an interface {} already", spec.interface)));
    }
    if (!made) return std::unexpected(made.error());
    Rollback veth_made("delete " + port.veth, [&] { return delete_link(netlink_, port.veth); });

    WEFT_FAILPOINT("deploy.bridged");
    // Hairpin: where br_netfilter is loaded, a container that asks for its own published port is turned around here.
    if (auto up = change_link(netlink_, port.veth, {.hairpin = true, .without_link_local = has_ipv6_, .up = true}); !up)
        return std::unexpected(up.error());
    if (auto configured = run_in(spec.netns_fd, [&] { return configure_inside(spec); }); !configured)
        return std::unexpected(inside(configured.error()));

    WEFT_FAILPOINT("deploy.antispoof");
    if (auto guarded = nft_.run(render_port_added(port), fmt::format("add rules for {}", port.veth)); !guarded) {
        // Somebody may have removed the tables or parts of them: put all of it back once.
        rules_.ports.insert_or_assign(spec.id, port);
        if (auto replaced = apply_rules(); !replaced) {
            rules_.ports.erase(spec.id);
            return std::unexpected(guarded.error());
        }
    }
    rules_.ports.insert_or_assign(spec.id, port);
    veth_made.keep();
    return Attachment{port.veth, port.mac};
}

// On a thread inside the container's namespace.
Result<void> Environment::configure_inside(const AttachSpec& spec) const {
    auto netlink = Netlink::open();
    if (!netlink) return std::unexpected(netlink.error());
    if (auto up = change_link(*netlink, "lo", {.up = true}); !up) return up;
    if (auto up = change_link(*netlink, spec.interface, {.up = true}); !up) return up;
    const auto link = find_link(*netlink, spec.interface);
    if (!link) return std::unexpected(link.error());
    if (!*link) return std::unexpected(Error(ErrorCode::NotFound, spec.interface + " vanished"));
    const auto routes = list_routes(*netlink);
    if (!routes) return std::unexpected(routes.error());

    struct Family {
        net::IpAddress address;
        std::optional<net::Prefix> subnet;
    };
    for (const auto& [address, subnet] :
         {Family{spec.address, rules_.subnet}, Family{spec.address_v6, rules_.subnet_v6}}) {
        if (address.is_unspecified() || !subnet) continue;
        WEFT_FAILPOINT("deploy.inner_addr");
        const InterfaceAddress wanted{(*link)->index, address, subnet->length};
        auto added = add_address(*netlink, wanted);
        if (!added && address.is_v6()) {
            // Container engines switch IPv6 off where they use none.
            (void)write_sysctl(fmt::format("net/ipv6/conf/{}/disable_ipv6", spec.interface), "0");
            added = add_address(*netlink, wanted);
        }
        if (!added) return added;

        WEFT_FAILPOINT("deploy.inner_route");
        if (auto routed = add_inside_routes(*netlink, *routes, (*link)->index, *subnet); !routed) return routed;
    }
    return {};
}

Result<void> Environment::add_inside_routes(Netlink& netlink, const std::vector<Route>& present, int link,
                                            const net::Prefix& subnet) const {
    const net::IpAddress gateway = gateway_of(subnet);
    const bool is_default_taken = std::ranges::any_of(present, [&](const Route& route) {
        return route.is_default() && route.table == Route{}.table && route.type == Route{}.type &&
               route.destination.address.version() == gateway.version();
    });
    if (!is_default_taken) return add_route(netlink, net::Prefix::of(gateway, 0), link, gateway);
    for (const auto* ranges : {&options_.service_ranges, &options_.node_ranges})
        for (const net::Prefix& range : *ranges)
            if (range.address.version() == gateway.version())
                if (auto added = add_route(netlink, range, link, gateway); !added && !says_exists(added.error()))
                    return added;
    return {};
}

Result<void> Environment::detach(const std::string& id) {
    const std::string veth = veth_name(id);
    if (const auto known = rules_.ports.find(id); known != rules_.ports.end()) {
        const std::string removal = render_port_removed(known->second, mappings_to(id));
        rules_.ports.erase(known);
        std::erase_if(rules_.forwards, [&](const PortForward& forward) { return forward.instance == id; });
        WEFT_FAILPOINT("undeploy.antispoof");
        // What is to be removed may be gone already; then the whole is put right.
        if (auto removed = nft_.run(removal, "remove rules of " + veth); !removed)
            if (auto replaced = apply_rules(); !replaced) return replaced;
    }
    WEFT_FAILPOINT("undeploy.veth");
    if (auto deleted = delete_link(netlink_, veth); !deleted && !says_absent(deleted.error())) return deleted;
    return {};
}

void Environment::adopt(const std::string& id, const net::IpAddress& address, const net::IpAddress& address_v6,
                        const std::vector<PortMapping>& port_mappings) {
    rules_.ports.insert_or_assign(id, GuardedPort{.veth = veth_name(id),
                                                  .mac = mac_for(address),
                                                  .address = address,
                                                  .address_v6 = rules_.subnet_v6 ? address_v6 : net::IpAddress(),
                                                  .port_mappings = port_mappings});
}

void Environment::disown(const std::string& id) {
    rules_.ports.erase(id);
}

Result<bool> Environment::is_attached(const std::string& id) {
    const auto veth = find_link(netlink_, veth_name(id));
    if (!veth) return std::unexpected(veth.error());
    return veth->has_value();
}

Result<void> Environment::set_port_forwards(const std::vector<PortForward>& forwards) {
    auto before = std::exchange(rules_.forwards, forwards);
    auto applied = apply_rules();
    if (!applied) rules_.forwards = std::move(before);
    return applied;
}

std::vector<PortMapping> Environment::mappings_to(const std::string& id) const {
    std::vector<PortMapping> mappings;
    if (const auto port = rules_.ports.find(id); port != rules_.ports.end()) mappings = port->second.port_mappings;
    for (const PortForward& forward : rules_.forwards)
        if (forward.instance == id) mappings.push_back(forward.mapping);
    return mappings;
}

Result<void> Environment::apply_rules() {
    if (auto replaced = nft_.run(render_tables(rules_), "replace weft's nft tables"); !replaced) return replaced;
    const auto listing = nft_.list();
    if (!listing) return std::unexpected(listing.error());
    rules_skeleton_ = listing_skeleton(*listing);
    return {};
}

Result<std::vector<std::string>> Environment::remove_strays() {
    const auto links = list_links(netlink_);
    if (!links) return std::unexpected(links.error());
    std::set<std::string> known;
    for (const auto& [id, port] : rules_.ports)
        known.insert(port.veth);
    std::vector<std::string> removed;
    for (const Link& link : *links) {
        if (link.group != kWeftGroup || link.kind != "veth" || known.contains(link.name)) continue;
        if (auto deleted = delete_link(netlink_, link.name); !deleted && !says_absent(deleted.error()))
            return std::unexpected(deleted.error());
        removed.push_back(fmt::format("device {} belonged to no instance", link.name));
    }
    return removed;
}

Result<std::vector<std::string>> Environment::verify() {
    return inspect(false);
}
Result<std::vector<std::string>> Environment::repair() {
    return inspect(true);
}

Result<std::vector<std::string>> Environment::inspect(bool mend) {
    Inspection inspection{.mend = mend};
    if (auto seen = inspect_settings(inspection); !seen) return std::unexpected(seen.error());
    if (auto seen = inspect_tun(inspection); !seen) return std::unexpected(seen.error());
    if (rules_.subnet) {
        if (auto seen = inspect_bridge(inspection); !seen) return std::unexpected(seen.error());
        if (auto seen = inspect_ports(inspection); !seen) return std::unexpected(seen.error());
    }
    if (auto seen = inspect_rules(inspection); !seen) return std::unexpected(seen.error());
    return std::move(inspection.differences);
}

Result<void> Environment::inspect_settings(Inspection& inspection) {
    auto found = settings_.ensure_forwarding(inspection.mend);
    if (!found) return std::unexpected(found.error());
    std::ranges::move(*found, std::back_inserter(inspection.differences));
    return {};
}

Result<void> Environment::inspect_device(Inspection& inspection, const Link& link, const std::vector<Setting>& settings,
                                         const std::vector<InterfaceAddress>& wanted) {
    auto found = KernelSettings::ensure(settings, inspection.mend);
    if (!found) return std::unexpected(found.error());
    std::ranges::move(*found, std::back_inserter(inspection.differences));

    if (link.mtu != options_.mtu || !link.is_up) {
        inspection.differences.push_back(fmt::format("device {} was {}, MTU {}; should be up, MTU {}", link.name,
                                                     link.is_up ? "up" : "down", link.mtu, options_.mtu));
        if (inspection.mend)
            if (auto changed = change_link(netlink_, link.name, {.mtu = options_.mtu, .up = true}); !changed)
                return changed;
    }
    const auto present = list_addresses(netlink_);
    if (!present) return std::unexpected(present.error());
    for (const InterfaceAddress& address : wanted) {
        if (address.address.is_unspecified() || (address.address.is_v6() && !has_ipv6_)) continue;
        if (std::ranges::find(*present, address) != present->end()) continue;
        inspection.differences.push_back(fmt::format("device {} had no address {}/{}", link.name,
                                                     address.address.to_string(), address.prefix_length));
        if (!inspection.mend) continue;
        if (auto added = add_address(netlink_, address); !added) return added;
    }
    return {};
}

Result<void> Environment::inspect_tun(Inspection& inspection) {
    const auto link = find_link(netlink_, options_.tun_name);
    if (!link) return std::unexpected(link.error());
    if (!*link) {
        inspection.differences.push_back(fmt::format("device {} is missing", options_.tun_name));
        return {};
    }
    const Link& tun = **link;
    if ((tun.tx_queue_length != kTunQueueLength || tun.group != kWeftGroup) && inspection.mend)
        // Without an address of its own making, or the kernel's router solicitations would go into the overlay.
        if (auto changed =
                change_link(netlink_, tun.name,
                            {.tx_queue_length = kTunQueueLength, .group = kWeftGroup, .without_link_local = has_ipv6_});
            !changed)
            return changed;
    WEFT_FAILPOINT("env.addr");
    if (auto seen = inspect_device(inspection, tun, tun_settings(tun.name),
                                   {{tun.index, options_.tun_address, 32}, {tun.index, options_.tun_address_v6, 128}});
        !seen)
        return seen;

    WEFT_FAILPOINT("env.routes");
    const auto routes = list_routes(netlink_);
    if (!routes) return std::unexpected(routes.error());
    for (const auto* ranges : {&options_.service_ranges, &options_.node_ranges})
        for (const net::Prefix& range : *ranges) {
            if (range.address.is_v6() && !has_ipv6_) continue;
            const bool stands = std::ranges::any_of(*routes, [&](const Route& route) {
                return route.destination == range && route.link == tun.index && route.table == Route{}.table;
            });
            if (stands) continue;
            inspection.differences.push_back(fmt::format("there was no route {} over {}", range.to_string(), tun.name));
            if (!inspection.mend) continue;
            auto added = add_route(netlink_, range, tun.index, {});
            if (!added && says_exists(added.error()))
                return std::unexpected(
                    Error(ErrorCode::Conflict, fmt::format("this host has another route to {}", range.to_string())));
            if (!added) return added;
        }
    return {};
}

Result<void> Environment::inspect_bridge(Inspection& inspection) {
    const std::string& name = options_.bridge_name;
    auto link = find_link(netlink_, name);
    if (!link) return std::unexpected(link.error());
    if (!*link) {
        inspection.differences.push_back(fmt::format("bridge {} was missing", name));
        if (!inspection.mend) return {};
        if (auto made = create_bridge(netlink_, name, mac_for(gateway_of(*rules_.subnet))); !made) return made;
        link = find_link(netlink_, name);
        if (!link) return std::unexpected(link.error());
        if (!*link) return std::unexpected(Error(ErrorCode::NotFound, fmt::format("bridge {} vanished", name)));
    }
    const Link& bridge = **link;
    if (bridge.group != kWeftGroup || bridge.kind != "bridge")
        return std::unexpected(Error(
            ErrorCode::Conflict,
            fmt::format("a device {} exists that weft did not make; remove it, or set bridge.name to another", name)));
    std::vector<InterfaceAddress> wanted{{bridge.index, gateway_of(*rules_.subnet), rules_.subnet->length}};
    if (rules_.subnet_v6) wanted.push_back({bridge.index, gateway_of(*rules_.subnet_v6), rules_.subnet_v6->length});
    return inspect_device(inspection, bridge, bridge_settings(name), wanted);
}

Result<void> Environment::inspect_ports(Inspection& inspection) {
    const auto links = list_links(netlink_);
    if (!links) return std::unexpected(links.error());
    const auto bridge = std::ranges::find(*links, options_.bridge_name, &Link::name);
    if (bridge == links->end()) return {};
    for (const auto& [id, port] : rules_.ports) {
        const auto veth = std::ranges::find(*links, port.veth, &Link::name);
        if (veth == links->end()) {
            inspection.differences.push_back(fmt::format("device {} of instance {} is missing", port.veth, id));
            continue;
        }
        if (veth->master == bridge->index && veth->is_up) continue;
        inspection.differences.push_back(
            fmt::format("device {} of instance {} was {}", port.veth, id, veth->is_up ? "not in the bridge" : "down"));
        if (!inspection.mend) continue;
        if (auto changed = change_link(netlink_, port.veth, {.master = bridge->index, .up = true}); !changed)
            return changed;
        // Only a port has port settings.
        if (auto changed = change_link(netlink_, port.veth, {.hairpin = true}); !changed) return changed;
    }
    return {};
}

Result<void> Environment::inspect_rules(Inspection& inspection) {
    const auto listing = nft_.list();
    if (!listing) return std::unexpected(listing.error());
    auto differences = compare_listing(rules_, *listing, rules_skeleton_);
    if (differences.empty()) return {};
    std::ranges::move(differences, std::back_inserter(inspection.differences));
    return inspection.mend ? apply_rules() : Result<void>{};
}

Result<void> Environment::teardown() {
    if (auto deleted = delete_weft_links(netlink_); !deleted && !says_absent(deleted.error())) return deleted;
    if (auto removed = nft_.run(render_removal(), "remove weft's nft tables"); !removed) return removed;
    rules_.ports.clear();
    rules_.forwards.clear();
    rules_.subnet.reset();
    rules_.subnet_v6.reset();
    rules_skeleton_.clear();
    return settings_.restore();
}

Result<std::uint32_t> Environment::underlay_mtu(const net::IpAddress& address) {
    return interface_mtu(netlink_, address);
}

Result<net::IpAddress> Environment::default_address() {
    return default_route_address(netlink_);
}

Result<std::optional<std::string>> Environment::conflicts(const net::Prefix& prefix) {
    return find_overlap(netlink_, prefix, {options_.tun_name, options_.bridge_name});
}

std::string Environment::veth_name(const std::string& id) {
    return fmt::format("wv{:010x}", hash_text(id) & 0xFFFFFFFFFFULL);
}

}  // namespace weft::control
