// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/netns.hpp"
#include "control/requests.hpp"
#include "dataplane/net/address.hpp"

// What the journal keeps of one instance on this node, and of the host ports that lead to it.
namespace weft::control {

enum class DeploymentState : std::uint8_t {
    Intent,   // its kernel steps began; after a crash it is rolled back
    Running,  // everything stands
    Leaving,  // undeploy began; after a crash it is finished
    Lost,     // its container died; address and rules are gone, the row waits for undeploy
};
std::string_view to_string(DeploymentState state);
std::optional<DeploymentState> parse_deployment_state(std::string_view text);

struct Deployment {
    std::string id;  // "i7f3a9c", chosen by the node
    DeploymentState state = DeploymentState::Intent;
    ContainerRef container;
    int pid = 0;                  // of the container's process (Docker, Pid), else 0
    std::uint64_t pid_start = 0;  // its start time, tells a pid used again
    NetnsIdentity netns;
    bool owns_netns = false;  // weft made the namespace and removes it at undeploy
    std::string service;
    std::uint32_t number = 0;
    std::string service_ips_json;  // as the node wrote it; never looked into below the node
    std::optional<net::Endpoint> advertised;
    std::vector<PortMapping> port_mappings;
    net::IpAddress address;
    net::IpAddress address_v6;    // unspecified if the node has no IPv6 subnet
    std::string veth;             // host side
    std::int64_t created_ms = 0;  // Unix time
};

// A host port that leads to an instance, made after its deploy.
struct PortForward {
    std::string id;
    std::string instance;  // deployment id
    PortMapping mapping;
    friend bool operator==(const PortForward&, const PortForward&) = default;
};

}  // namespace weft::control
