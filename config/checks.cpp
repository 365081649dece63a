// SPDX-License-Identifier: Apache-2.0
#include "config/checks.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <sys/un.h>

#include "config/codec.hpp"
#include "config/subnet.hpp"

namespace weft::config {

namespace {

// Gathers the first contradiction, so that the checks below are straight lines.
class Verdict {
  public:
    explicit Verdict(const Places& places) : places_(places) {}

    void require(bool condition, const std::string& key, const std::string& why) {
        if (condition || fault_) return;
        // The place of the key itself: "peers[0].port" stands where `peers` stands.
        const auto place = places_.find(key.substr(0, key.find('[')));
        const auto [line, column] = place == places_.end() ? Place{} : place->second;
        fault_ = Fault{line, column, key, why};
    }

    std::optional<Fault> take() { return std::move(fault_); }

  private:
    const Places& places_;
    std::optional<Fault> fault_;
};

bool is_loopback(const net::IpAddress& a) {
    static const net::Prefix kV4 = *net::Prefix::parse("127.0.0.0/8");
    static const net::IpAddress kV6 = *net::IpAddress::parse("::1");
    return kV4.contains(a) || a == kV6;
}

// An address that one host can have.
bool is_host_address(const net::IpAddress& a) {
    static const net::Prefix kMulticast = *net::Prefix::parse("224.0.0.0/3");  // and class E, and broadcast
    static const net::Prefix kMulticastV6 = *net::Prefix::parse("ff00::/8");
    static const net::Prefix kThisNetwork = *net::Prefix::parse("0.0.0.0/8");
    return !a.is_unspecified() && !is_loopback(a) && !kMulticast.contains(a) && !kMulticastV6.contains(a) &&
           !kThisNetwork.contains(a);
}

bool is_overlay_address(const Overlay& overlay, const net::IpAddress& a) {
    return overlay.service_range.contains(a) || overlay.service_range_v6.contains(a) ||
           overlay.node_range.contains(a) || overlay.node_range_v6.contains(a);
}

void check_node(const Config& config, Verdict& verdict) {
    const Node& node = config.node;
    verdict.require(is_node_id(node.id), "node.id",
                    "the host name '" + shown(node.id) + "' cannot serve as node id; set node.id");
    if (node.subnetwork) {
        const auto subnet = parse_node_subnet(node.subnetwork->to_string(), 0);
        verdict.require(subnet.has_value(), "node.subnetwork", subnet ? "" : subnet.error());
        verdict.require(!node.subnetwork->overlaps(config.overlay.service_range), "node.subnetwork",
                        node.subnetwork->to_string() + " overlaps overlay.service_range " +
                            config.overlay.service_range.to_string());
    }
    if (node.subnetwork_v6) {
        const auto subnet = parse_node_subnet_v6(node.subnetwork_v6->to_string(), 0);
        verdict.require(subnet.has_value(), "node.subnetwork_v6", subnet ? "" : subnet.error());
        verdict.require(!node.subnetwork_v6->overlaps(config.overlay.service_range_v6), "node.subnetwork_v6",
                        node.subnetwork_v6->to_string() + " overlaps overlay.service_range_v6 " +
                            config.overlay.service_range_v6.to_string());
        verdict.require(node.subnetwork.has_value(), "node.subnetwork_v6", "needs node.subnetwork as well");
    }
}

void check_folders(const Config& config, Verdict& verdict) {
    const auto trimmed = [](std::string path) {
        while (path.size() > 1 && path.ends_with('/'))
            path.pop_back();
        return path;
    };
    verdict.require(trimmed(config.state_dir) != trimmed(config.run_dir), "run_dir",
                    "'" + shown(config.run_dir) + "' is also state_dir; they need to be two folders");
    verdict.require(trimmed(config.run_dir) != "/", "run_dir", "cannot be the root folder");
    verdict.require(trimmed(config.state_dir) != "/", "state_dir", "cannot be the root folder");
}

void check_listeners(const std::string& key, const std::vector<Listener>& listeners, bool needs_token,
                     const Config& config, Verdict& verdict) {
    std::set<std::string> seen;
    for (std::size_t i = 0; i < listeners.size(); ++i) {
        const Listener& listener = listeners[i];
        const std::string text = listener.to_string();
        const std::string entry = key + "[" + std::to_string(i) + "]";
        verdict.require(seen.insert(text).second, entry, "'" + shown(text) + "' stands there twice");
        if (listener.is_unix()) {
            verdict.require(listener.path.size() < sizeof(sockaddr_un::sun_path), entry,
                            "'" + shown(text) + "': a socket path has at most 107 characters");
        } else if (needs_token) {
            verdict.require(is_loopback(listener.tcp.address) || !config.api.token_file.empty(), entry,
                            "'" + shown(text) + "' is not a loopback address: api.token_file is required");
        }
    }
}

void check_overlay(const Config& config, Verdict& verdict) {
    const Overlay& overlay = config.overlay;
    verdict.require(overlay.service_range.length >= 8 && overlay.service_range.length <= 30, "overlay.service_range",
                    overlay.service_range.to_string() + " is not between /8 and /30");
    verdict.require(overlay.service_range_v6.length >= 8 && overlay.service_range_v6.length <= 126,
                    "overlay.service_range_v6", overlay.service_range_v6.to_string() + " is not between /8 and /126");
    verdict.require(
        !overlay.node_range.overlaps(overlay.service_range), "overlay.node_range",
        overlay.node_range.to_string() + " overlaps overlay.service_range " + overlay.service_range.to_string());
    verdict.require(!overlay.node_range_v6.overlaps(overlay.service_range_v6), "overlay.node_range_v6",
                    overlay.node_range_v6.to_string() + " overlaps overlay.service_range_v6 " +
                        overlay.service_range_v6.to_string());
    const auto holds_a_subnet = [](const AddressRange& range, int length) {
        const auto first = net::Prefix::of(range.first, length);
        return range.contains(first) || range.contains(net::Prefix::of(range.last, length));
    };
    verdict.require(holds_a_subnet(overlay.node_range, overlay.node_prefix), "overlay.node_prefix",
                    "/" + std::to_string(overlay.node_prefix) + " does not fit into overlay.node_range " +
                        overlay.node_range.to_string());
    verdict.require(holds_a_subnet(overlay.node_range_v6, overlay.node_prefix_v6), "overlay.node_prefix_v6",
                    "/" + std::to_string(overlay.node_prefix_v6) + " does not fit into overlay.node_range_v6 " +
                        overlay.node_range_v6.to_string());
}

// The TUN's addresses are host routes of their own; within the node pool they are fine (no container is given them),
// but they cannot be what somebody else needs.
void check_tun(const Config& config, Verdict& verdict) {
    const auto check_one = [&](const std::string& key, const net::IpAddress& address, const net::Prefix& services,
                               const std::optional<net::Prefix>& subnet) {
        verdict.require(is_host_address(address), key, address.to_string() + " is not an address that a host can have");
        verdict.require(!services.contains(address), key,
                        address.to_string() + " lies in the service range " + services.to_string());
        if (!subnet || !subnet->contains(address)) return;
        const bool taken =
            address == subnet->address || address == subnet->address.plus(1) || address == subnet->last();
        verdict.require(!taken, key,
                        address.to_string() + " is the network, bridge or broadcast address of node.subnetwork " +
                            subnet->to_string());
    };
    check_one("tun.address", config.tun.address, config.overlay.service_range, config.node.subnetwork);
    check_one("tun.address_v6", config.tun.address_v6, config.overlay.service_range_v6, config.node.subnetwork_v6);
    verdict.require(config.tun.name != config.bridge.name, "bridge.name",
                    "'" + config.bridge.name + "' is also tun.name; they are two devices");
}

void check_tunnel(const Config& config, Verdict& verdict) {
    const Tunnel& tunnel = config.tunnel;
    if (tunnel.address) {
        verdict.require(!is_overlay_address(config.overlay, *tunnel.address), "tunnel.address",
                        tunnel.address->to_string() + " lies in the overlay; the tunnel runs over the underlay");
        verdict.require(!tunnel.address->is_unspecified(), "tunnel.address", "must name one address of this host");
    }
    if (tunnel.advertise) {
        verdict.require(is_host_address(tunnel.advertise->address) || is_loopback(tunnel.advertise->address),
                        "tunnel.advertise", tunnel.advertise->to_string() + " is not an address that others can reach");
        verdict.require(
            !is_overlay_address(config.overlay, tunnel.advertise->address), "tunnel.advertise",
            tunnel.advertise->to_string() + " lies in the overlay; others reach this node over the underlay");
    }
    verdict.require(tunnel.security != Security::Aead || !tunnel.psk_file.empty(), "tunnel.security",
                    "'aead' needs a key: set tunnel.psk_file");
}

void check_peer_subnets(const Config& config, std::size_t index, Verdict& verdict) {
    const Peer& peer = config.peers[index];
    for (std::size_t i = 0; i < peer.subnets.size(); ++i) {
        const net::Prefix& subnet = peer.subnets[i];
        const std::string key = "peers[" + std::to_string(index) + "].subnets[" + std::to_string(i) + "]";
        verdict.require(
            !subnet.overlaps(config.overlay.service_range) && !subnet.overlaps(config.overlay.service_range_v6), key,
            subnet.to_string() + " overlaps the service range");
        const bool is_ours = (config.node.subnetwork && subnet.overlaps(*config.node.subnetwork)) ||
                             (config.node.subnetwork_v6 && subnet.overlaps(*config.node.subnetwork_v6));
        verdict.require(!is_ours, key, subnet.to_string() + " overlaps this node's own subnet");
        for (std::size_t other = 0; other < index; ++other) {
            const bool clash = std::ranges::any_of(config.peers[other].subnets,
                                                   [&](const net::Prefix& theirs) { return theirs.overlaps(subnet); });
            verdict.require(!clash, key,
                            subnet.to_string() + " overlaps a subnet of peer '" + config.peers[other].id + "'");
        }
    }
}

void check_peers(const Config& config, Verdict& verdict) {
    std::set<std::string> ids = {config.node.id};
    std::set<net::Endpoint> endpoints;
    for (std::size_t i = 0; i < config.peers.size(); ++i) {
        const Peer& peer = config.peers[i];
        const std::string entry = "peers[" + std::to_string(i) + "]";
        verdict.require(
            ids.insert(peer.id).second, entry + ".id",
            "'" + peer.id + "' is " + (peer.id == config.node.id ? "this node's own id" : "also another peer's"));
        verdict.require(endpoints.insert({peer.address, peer.port}).second, entry + ".address",
                        net::Endpoint{peer.address, peer.port}.to_string() + " is also another peer's");
        verdict.require(is_host_address(peer.address) || is_loopback(peer.address), entry + ".address",
                        peer.address.to_string() + " is not an address that a host can have");
        verdict.require(!is_overlay_address(config.overlay, peer.address), entry + ".address",
                        peer.address.to_string() + " lies in the overlay; a peer is reached over the underlay");
        verdict.require(peer.security != Security::Aead || !config.tunnel.psk_file.empty(), entry + ".security",
                        "'aead' needs a key: set tunnel.psk_file");
        verdict.require(peer.public_key.empty(), entry + ".public_key", "keys of single peers are not in this version");
        check_peer_subnets(config, i, verdict);
    }
}

}  // namespace

std::optional<Fault> check(const Config& config, const Places& places) {
    Verdict verdict(places);
    check_folders(config, verdict);
    check_overlay(config, verdict);
    check_node(config, verdict);
    check_tun(config, verdict);
    verdict.require(!config.api.listen.empty(), "api.listen", "at least one listener is needed");
    check_listeners("api.listen", config.api.listen, true, config, verdict);
    check_listeners("metrics.listen", config.metrics.listen, true, config, verdict);
    check_tunnel(config, verdict);
    check_peers(config, verdict);
    return verdict.take();
}

}  // namespace weft::config
