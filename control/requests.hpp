// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/net/address.hpp"
#include "overlay/tables.hpp"

// What clients ask for, checked for shape and range by the API's readers (accepted means valid), not yet compared with
// the node's state: that is Node's part.
namespace weft::control {

// Unspecified address: that family is absent; at least one is there.
struct ServiceIpRequest {
    overlay::Policy policy = overlay::Policy::RoundRobin;
    net::IpAddress address;
    net::IpAddress address_v6;
    std::string field;  // where it stood, for errors: "serviceIp[0]"
};

enum class L4 : std::uint8_t { Tcp, Udp };

struct PortMapping {
    std::uint16_t host_port = 0;
    std::uint16_t container_port = 0;
    L4 protocol = L4::Tcp;
    friend bool operator==(const PortMapping&, const PortMapping&) = default;
};
// "8080:80/tcp;53/udp". Error text says what would be right.
std::expected<std::vector<PortMapping>, std::string> parse_port_mappings(const std::string& text);
std::string to_string(const std::vector<PortMapping>& mappings);

struct RegisterRequest {
    std::optional<net::Prefix> subnetwork;
    std::optional<net::Prefix> subnetwork_v6;
    std::string client_id;
    std::string cluster_address;
};

struct ContainerRef {
    enum class Kind : std::uint8_t { Docker, Netns, Pid } kind = Kind::Docker;
    std::string name;  // Docker id or name; namespace name; empty for Pid
    int pid = 0;
    [[nodiscard]] std::string to_string() const;  // "docker:3f2a", "netns:api0", "pid:4711"
    friend bool operator==(const ContainerRef&, const ContainerRef&) = default;
};

struct DeployRequest {
    ContainerRef container;
    std::string service;  // four parts
    std::uint32_t number = 0;
    std::optional<net::Endpoint> advertised;  // nodeIp, nodePort; default: the tunnel's
    std::vector<ServiceIpRequest> service_ips;
    std::vector<PortMapping> port_mappings;
    // The seed-era client always sends number 0: on /docker/deploy a taken number with another InstanceNumber address
    // is given the next free number instead of a conflict.
    bool number_may_move = false;
};

struct DeployAnswer {
    std::string id;
    std::string service;
    std::string ns_address;
    std::string ns_address_v6;  // "" if the node has no IPv6 subnet
};

struct UndeployRequest {
    std::string name;                     // service name, container id or container reference
    std::optional<std::uint32_t> number;  // nullopt: every local instance
};

// The body of PUT /v1/services/{name}.
struct ServicePush {
    struct RemoteInstance {
        std::uint32_t number = 0;
        net::Endpoint host;
        net::IpAddress ns_address, ns_address_v6;    // at least one
        net::IpAddress instance_ip, instance_ip_v6;  // may be unspecified
    };
    std::string name;
    std::map<std::string, std::string> labels;
    std::vector<ServiceIpRequest> service_ips;
    std::vector<RemoteInstance> instances;
};

// The body of PUT /v1/peers/{id}.
struct PeerPush {
    std::string id;
    net::Endpoint endpoint;
    std::vector<net::Prefix> subnets;
    std::optional<overlay::Security> security;  // nullopt: tunnel.security
};

struct FlowQuery {
    std::string service, peer, source;
    std::size_t limit = 100;
};

// The body of POST /v1/trace.
struct TraceRequest {
    std::string source;  // container reference, instance id or address
    net::IpAddress destination;
    std::uint8_t protocol = 6;
    std::uint16_t source_port = 0, destination_port = 0;
};

struct PortForwardRequest {
    std::string instance;  // instance id
    std::uint16_t host_port = 0;
    std::uint16_t port = 0;
    L4 protocol = L4::Tcp;
};

}  // namespace weft::control
