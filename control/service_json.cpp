// SPDX-License-Identifier: Apache-2.0
#include "control/service_json.hpp"

#include <chrono>

#include <boost/json.hpp>
#include <fmt/chrono.h>

#include "control/readers.hpp"

namespace weft::control {

namespace json = boost::json;

namespace {

void add_address(json::object& object, const char* key, const net::IpAddress& address) {
    if (!address.is_unspecified()) object[key] = address.to_string();
}

}  // namespace

const char* policy_name(overlay::Policy policy) {
    switch (policy) {
        case overlay::Policy::RoundRobin:
            return "RR";
        case overlay::Policy::Closest:
            return "Closest";
        case overlay::Policy::InstanceNumber:
            return "InstanceNumber";
        case overlay::Policy::Underutilized:
            return "Underutilized";
    }
    return "RR";
}

const char* security_name(overlay::Security security) {
    switch (security) {
        case overlay::Security::Bare:
            return "bare";
        case overlay::Security::Clear:
            return "clear";
        case overlay::Security::Aead:
            return "aead";
    }
    return "aead";
}

json::object render_service_ip(const ServiceIpRequest& request) {
    json::object object{{"type", policy_name(request.policy)}};
    add_address(object, "address", request.address);
    add_address(object, "address_v6", request.address_v6);
    return object;
}

json::object render_push(const ServicePush& push) {
    json::object labels;
    for (const auto& [key, value] : push.labels)
        labels[key] = value;
    json::array ips;
    for (const auto& ip : push.service_ips)
        ips.push_back(render_service_ip(ip));
    json::array instances;
    for (const auto& instance : push.instances) {
        json::object row{{"number", instance.number},
                         {"host_address", instance.host.address.to_string()},
                         {"host_port", instance.host.l4_port}};
        add_address(row, "ns_address", instance.ns_address);
        add_address(row, "ns_address_v6", instance.ns_address_v6);
        add_address(row, "instance_ip", instance.instance_ip);
        add_address(row, "instance_ip_v6", instance.instance_ip_v6);
        instances.push_back(std::move(row));
    }
    return {{"labels", std::move(labels)}, {"service_ips", std::move(ips)}, {"instances", std::move(instances)}};
}

Answer<ServicePush> parse_service(const std::string& name, const std::string& text) {
    return read_service_push(name, text);
}

std::string render_service_ips(const std::vector<ServiceIpRequest>& requests) {
    json::array ips;
    for (const auto& request : requests)
        ips.push_back(render_service_ip(request));
    return json::serialize(ips);
}

Answer<std::vector<ServiceIpRequest>> parse_service_ips(const std::string& text) {
    auto push = read_service_push("journal", R"({"service_ips":)" + text + "}");
    if (!push) return std::unexpected(push.error());
    return std::move(push->service_ips);
}

json::object render_peer_push(const PeerPush& push) {
    json::array subnets;
    for (const auto& subnet : push.subnets)
        subnets.push_back(json::value(subnet.to_string()));
    json::object object{{"address", push.endpoint.address.to_string()},
                        {"port", push.endpoint.l4_port},
                        {"subnets", std::move(subnets)}};
    if (push.security) object["security"] = security_name(*push.security);
    return object;
}

Answer<PeerPush> parse_peer(const std::string& id, const std::string& text) {
    return read_peer_push(id, text);
}

json::object render_port_forward(const PortForward& forward) {
    return {{"id", forward.id},
            {"host_port", forward.mapping.host_port},
            {"protocol", forward.mapping.protocol == L4::Tcp ? "tcp" : "udp"},
            {"instance", forward.instance},
            {"port", forward.mapping.container_port}};
}

std::string render_time(std::int64_t unix_ms) {
    const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(unix_ms)};
    const auto whole = std::chrono::floor<std::chrono::seconds>(time);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)),
                       (time - whole).count());
}

}  // namespace weft::control
