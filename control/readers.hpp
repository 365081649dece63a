// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "control/problem.hpp"
#include "control/requests.hpp"

// From a body to a request: one function per call, pure. What they let through is valid in itself; what it means on
// this node (ranges, conflicts, existence) is the node's to say. Errors name the field and what would be right.
namespace weft::control {

// What a request leaves to the configuration.
struct ReadDefaults {
    int node_prefix = 26;
    int node_prefix_v6 = 120;
    std::uint16_t tunnel_port = 50103;
};

// The reference system's calls: keys in any case, unknown ones ignored.
Answer<RegisterRequest> read_register(std::string_view body, const ReadDefaults& defaults = {});
// `/docker/deploy` and `/container/deploy` take the same fields and differ in which of them they cannot do without.
enum class DeployForm : std::uint8_t { Docker, Container };
Answer<DeployRequest> read_deploy(std::string_view body, DeployForm form = DeployForm::Docker,
                                  const ReadDefaults& defaults = {});
Answer<UndeployRequest> read_undeploy(std::string_view body, DeployForm form = DeployForm::Docker);

// weft's own: keys exact, unknown ones refused, keys that only answers carry ignored in a PUT.
Answer<DeployRequest> read_instance(std::string_view body, const ReadDefaults& defaults = {});
Answer<ServicePush> read_service_push(const std::string& name, std::string_view body);
Answer<PeerPush> read_peer_push(const std::string& id, std::string_view body);
Answer<PortForwardRequest> read_port_forward(std::string_view body);
Answer<TraceRequest> read_trace(std::string_view body);
Answer<FlowQuery> read_flow_query(std::string_view query);

// Four parts of 1 to 63 of [A-Za-z0-9_-], each with a letter or digit first: "shop.default.api.default".
bool is_service_name(std::string_view text);
// [A-Za-z0-9][A-Za-z0-9_.-]{0,127}: names of containers and namespaces, ids.
bool is_container_name(std::string_view text);

}  // namespace weft::control
