// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "control/deployment_record.hpp"
#include "control/problem.hpp"
#include "control/requests.hpp"

namespace weft::control {

// Services, peers and port forwards as JSON: in answers, and in the journal. What is read back from the journal passes
// through the same readers as a client's body. Pure; any thread.

[[nodiscard]] const char* policy_name(overlay::Policy policy);  // "RR", "Closest", "InstanceNumber", "Underutilized"
[[nodiscard]] const char* security_name(overlay::Security security);  // "bare", "clear", "aead"

[[nodiscard]] boost::json::object render_service_ip(const ServiceIpRequest& request);
[[nodiscard]] boost::json::object render_push(const ServicePush& push);
[[nodiscard]] Answer<ServicePush> parse_service(const std::string& name, const std::string& json);

// The list of service IPs of one deploy.
[[nodiscard]] std::string render_service_ips(const std::vector<ServiceIpRequest>& requests);
[[nodiscard]] Answer<std::vector<ServiceIpRequest>> parse_service_ips(const std::string& json);

[[nodiscard]] boost::json::object render_peer_push(const PeerPush& push);
[[nodiscard]] Answer<PeerPush> parse_peer(const std::string& id, const std::string& json);

[[nodiscard]] boost::json::object render_port_forward(const PortForward& forward);

// RFC 3339 in UTC with milliseconds.
[[nodiscard]] std::string render_time(std::int64_t unix_ms);

}  // namespace weft::control
