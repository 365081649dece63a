// SPDX-License-Identifier: Apache-2.0
#include "control/readers.hpp"

#include <algorithm>
#include <set>

#include "config/codec.hpp"
#include "config/subnet.hpp"
#include "control/http/message.hpp"
#include "control/json_reader.hpp"

namespace weft::control {

using config::shown;

namespace {

constexpr std::size_t kMostServiceIps = 64;
constexpr std::size_t kMostInstances = 10'000;
constexpr std::size_t kMostSubnets = 1024;
constexpr std::size_t kMostLabels = 64;
constexpr std::uint64_t kLargestNumber = 2'147'483'647;
constexpr std::uint64_t kLargestPid = 4'194'304;  // the kernel's PID_MAX_LIMIT

constexpr std::string_view kServiceNameForm =
    "expected application.namespace.service.namespace, each part 1 to 63 of [A-Za-z0-9_-] with a letter or digit first";
constexpr std::string_view kContainerForm =
    "expected an id or name, docker:ID, netns:NAME or pid:N; names match [A-Za-z0-9][A-Za-z0-9_.-]{0,127}";

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string not_like(std::string_view value, std::string_view form) {
    return "'" + shown(value) + "' is not valid; " + std::string(form);
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

// Text for people: no control characters, and none that turn the writing direction around.
bool is_plain_text(std::string_view text) {
    for (const std::string_view turn : {"\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066",
                                        "\u2067", "\u2068", "\u2069"}) {
        if (text.contains(turn)) return false;
    }
    return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// A field's address of one family; unspecified if absent. "" counts as absent where `Empty` says so.
enum class Empty : std::uint8_t { Refused, Absent };
net::IpAddress read_address(JsonReader& reader, JsonReader::Names names, int version, Empty empty = Empty::Refused) {
    const auto text = reader.text(names);
    if (!text || (text->empty() && empty == Empty::Absent)) return {};
    const auto address = net::IpAddress::parse(*text);
    const std::string family = version == 0 ? "IP" : "IPv" + std::to_string(version);
    if (!address || address->is_unspecified() || (version != 0 && address->version() != version)) {
        reader.refuse(*names.begin(), "'" + shown(*text) + "' is not an " + family + " address");
        return {};
    }
    return *address;
}

std::string read_service_name(JsonReader& reader, JsonReader::Names names) {
    const auto name = reader.text(names);
    if (!name) reader.refuse(*names.begin(), "is missing; " + std::string(kServiceNameForm));
    if (name) reader.require(is_service_name(*name), *names.begin(), not_like(*name, kServiceNameForm));
    return name.value_or("");
}

std::optional<overlay::Policy> policy_named(std::string_view name) {
    using enum overlay::Policy;
    if (equals_ignoring_case(name, "RR")) return RoundRobin;
    if (equals_ignoring_case(name, "Closest")) return Closest;
    if (equals_ignoring_case(name, "InstanceNumber") || equals_ignoring_case(name, "instance_ip"))
        return InstanceNumber;
    if (equals_ignoring_case(name, "Underutilized")) return Underutilized;
    return std::nullopt;
}

struct ServiceIpNames {
    std::string_view list, type, address, address_v6;
    Empty empty;
};
constexpr ServiceIpNames kReferenceNames{"serviceIp", "IpType", "Address", "Address_v6", Empty::Absent};
constexpr ServiceIpNames kOwnNames{"service_ips", "type", "address", "address_v6", Empty::Refused};

std::vector<ServiceIpRequest> read_service_ips(JsonReader& reader, const ServiceIpNames& names) {
    std::vector<ServiceIpRequest> requests;
    std::set<net::IpAddress> seen;
    reader.each(names.list, kMostServiceIps, [&](JsonReader& entry) {
        ServiceIpRequest request;
        request.field = entry.path("");
        const auto type = entry.text({names.type});
        const auto policy = policy_named(type.value_or(""));
        entry.require(policy.has_value(), names.type,
                      (type ? "'" + shown(*type) + "' is not known" : "is missing") +
                          "; expected RR, Closest, InstanceNumber or Underutilized");
        request.policy = policy.value_or(overlay::Policy::RoundRobin);
        request.address = read_address(entry, {names.address}, 4, names.empty);
        request.address_v6 = read_address(entry, {names.address_v6}, 6, names.empty);
        entry.require(!request.address.is_unspecified() || !request.address_v6.is_unspecified(), names.address,
                      "is missing");
        for (const auto& address : {request.address, request.address_v6}) {
            const bool is_new = address.is_unspecified() || seen.insert(address).second;
            entry.require(is_new, address.is_v4() ? names.address : names.address_v6,
                          address.to_string() + " stands there twice");
        }
        requests.push_back(std::move(request));
    });
    return requests;
}

std::vector<PortMapping> read_port_mappings(JsonReader& reader, std::string_view name) {
    const auto text = reader.text({name});
    if (!text) return {};
    auto mappings = parse_port_mappings(*text);
    if (!mappings) reader.refuse(name, mappings.error());
    return std::move(mappings).value_or(std::vector<PortMapping>{});
}

std::optional<ContainerRef> parse_pid(std::string_view text) {
    const auto number = config::parse_integer(text);
    if (!number || *number == 0 || *number > kLargestPid) return std::nullopt;
    return ContainerRef{ContainerRef::Kind::Pid, "", static_cast<int>(*number)};
}

// "docker:ID", "netns:NAME", "pid:N", or a bare name, which `runtime` says how to take.
std::optional<ContainerRef> parse_container(std::string_view text, std::string_view runtime) {
    using enum ContainerRef::Kind;
    std::string_view kind = runtime;
    if (const auto colon = text.find(':'); colon != std::string_view::npos) {
        const auto prefix = text.substr(0, colon);
        if (!runtime.empty() && prefix != runtime) return std::nullopt;
        kind = prefix;
        text.remove_prefix(colon + 1);
    }
    if (kind == "pid") return parse_pid(text);
    if (!is_container_name(text)) return std::nullopt;
    if (kind.empty() || kind == "docker") return ContainerRef{Docker, std::string(text), 0};
    if (kind == "netns") return ContainerRef{Netns, std::string(text), 0};
    return std::nullopt;
}

ContainerRef read_container(JsonReader& reader, std::string_view name, JsonReader::Names runtime_names) {
    const auto text = reader.text({name});
    const auto runtime = runtime_names.size() == 0 ? std::nullopt : reader.text(runtime_names);
    if (runtime) {
        const bool is_known = *runtime == "docker" || *runtime == "netns" || *runtime == "pid";
        reader.require(is_known, *runtime_names.begin(),
                       "'" + shown(*runtime) + "' is not known; expected docker, netns or pid");
    }
    if (!text) {
        reader.refuse(name, "is missing; " + std::string(kContainerForm));
        return {};
    }
    const auto container = parse_container(*text, runtime.value_or(""));
    reader.require(container.has_value(), name, not_like(*text, kContainerForm));
    return container.value_or(ContainerRef{});
}

// How others reach this node: a port alone says nothing.
std::optional<net::Endpoint> read_endpoint(JsonReader& reader, std::string_view address_name,
                                           std::string_view port_name, std::uint16_t default_port) {
    const auto address = read_address(reader, {address_name}, 0);
    const auto l4_port = reader.integer(port_name, 1, 65535);
    if (address.is_unspecified()) {
        reader.require(!l4_port, address_name, "is missing, and " + std::string(port_name) + " alone says nothing");
        return std::nullopt;
    }
    return net::Endpoint{address, static_cast<std::uint16_t>(l4_port.value_or(default_port))};
}

template <class T>
Answer<T> done(JsonReader& reader, T request) {
    if (auto problem = reader.finish()) return std::unexpected(std::move(*problem));
    return request;
}

}  // namespace

bool is_service_name(std::string_view text) {
    int parts = 0;
    for (;;) {
        const auto dot = text.find('.');
        const auto part = text.substr(0, dot);
        ++parts;
        const bool is_part =
            !part.empty() && part.size() <= 63 && is_alphanumeric(part.front()) &&
            std::ranges::all_of(part, [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; });
        if (!is_part || parts > 4) return false;
        if (dot == std::string_view::npos) return parts == 4;
        text.remove_prefix(dot + 1);
    }
}

bool is_container_name(std::string_view text) {
    return !text.empty() && text.size() <= 128 && is_alphanumeric(text.front()) &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

// ---- The reference system's calls
// ------------------------------------------------------------------------------------

Answer<RegisterRequest> read_register(std::string_view body, const ReadDefaults& defaults) {
    const auto json = read_json(body, Keys::AnyCase);
    if (!json) return std::unexpected(json.error());
    JsonReader reader(*json, Keys::AnyCase);
    RegisterRequest request;
    const auto read_subnet = [&](std::string_view name, auto parse, int length) -> std::optional<net::Prefix> {
        const auto text = reader.text({name});
        if (!text) return std::nullopt;
        const auto subnet = parse(*text, length);
        if (subnet) return *subnet;
        reader.refuse(name, subnet.error());
        return std::nullopt;
    };
    request.subnetwork = read_subnet("subnetwork", config::parse_node_subnet, defaults.node_prefix);
    request.subnetwork_v6 = read_subnet("subnetwork_v6", config::parse_node_subnet_v6, defaults.node_prefix_v6);
    request.client_id = reader.text({"client_id"}).value_or("");
    reader.require(request.client_id.empty() || is_container_name(request.client_id), "client_id",
                   "'" + shown(request.client_id) + "' is not an id: up to 128 of [A-Za-z0-9_.-]");
    request.cluster_address = reader.text({"cluster_address"}).value_or("");
    const bool is_host =
        request.cluster_address.size() <= 255 && std::ranges::all_of(request.cluster_address, [](char c) {
            return is_alphanumeric(c) || std::string_view("_.-:[]").contains(c);
        });
    reader.require(is_host, "cluster_address",
                   "'" + shown(request.cluster_address) + "' is not a host name or address");
    return done(reader, std::move(request));
}

Answer<DeployRequest> read_deploy(std::string_view body, DeployForm form, const ReadDefaults& defaults) {
    const auto json = read_json(body, Keys::AnyCase);
    if (!json) return std::unexpected(json.error());
    JsonReader reader(*json, Keys::AnyCase);
    DeployRequest request;
    const auto pid = reader.integer("pid", 1, kLargestPid);
    const bool has_container = reader.has("containerId");
    if (pid) {
        request.container = {ContainerRef::Kind::Pid, "", static_cast<int>(*pid)};
        reader.require(!has_container, "pid", "and containerId name two containers; expected one of them");
    } else if (form == DeployForm::Container && !has_container) {
        reader.refuse("pid", "is missing; expected the container's process, or containerId");
    } else {
        request.container = read_container(reader, "containerId", {"runtime"});
    }
    // Each era has its own word for it; the error names the one that belongs to the call.
    request.service = form == DeployForm::Docker ? read_service_name(reader, {"appName", "serviceName"})
                                                 : read_service_name(reader, {"serviceName", "appName"});
    const auto number = reader.integer("instanceNumber", 0, kLargestNumber);
    reader.require(number.has_value(), "instanceNumber", "is missing; expected an integer of 0 or more");
    request.number = static_cast<std::uint32_t>(number.value_or(0));
    request.advertised = read_endpoint(reader, "nodeIp", "nodePort", defaults.tunnel_port);
    request.service_ips = read_service_ips(reader, kReferenceNames);
    request.port_mappings = read_port_mappings(reader, "portMappings");
    request.number_may_move = form == DeployForm::Docker;
    return done(reader, std::move(request));
}

Answer<UndeployRequest> read_undeploy(std::string_view body, DeployForm form) {
    const auto json = read_json(body, Keys::AnyCase);
    if (!json) return std::unexpected(json.error());
    JsonReader reader(*json, Keys::AnyCase);
    UndeployRequest request;
    const auto name = reader.text({"serviceName", "appName", "containerId"});
    reader.require(name.has_value(), "serviceName",
                   "is missing; expected a service name, or the container id it was deployed with");
    request.name = name.value_or("");
    reader.require(
        is_service_name(request.name) || parse_container(request.name, ""), "serviceName",
        not_like(request.name, "expected a service name of four parts, or the container id it was deployed with"));
    if (const auto number = reader.integer("instanceNumber", 0, kLargestNumber)) {
        request.number = static_cast<std::uint32_t>(*number);
    } else if (form == DeployForm::Container) {
        request.number = 0;
    }
    return done(reader, std::move(request));
}

// ---- weft's own
// ------------------------------------------------------------------------------------------------------

Answer<DeployRequest> read_instance(std::string_view body, const ReadDefaults& defaults) {
    const auto json = read_json(body, Keys::Exact);
    if (!json) return std::unexpected(json.error());
    JsonReader reader(*json, Keys::Exact);
    DeployRequest request;
    request.container = read_container(reader, "container", {});
    request.service = read_service_name(reader, {"service"});
    request.number = static_cast<std::uint32_t>(reader.integer("number", 0, kLargestNumber).value_or(0));
    request.advertised = read_endpoint(reader, "host_address", "host_port", defaults.tunnel_port);
    request.service_ips = read_service_ips(reader, kOwnNames);
    request.port_mappings = read_port_mappings(reader, "port_mappings");
    return done(reader, std::move(request));
}

Answer<ServicePush> read_service_push(const std::string& name, std::string_view body) {
    const auto json = read_json(body, Keys::Exact);
    if (!json) return std::unexpected(json.error());
    JsonReader reader(*json, Keys::Exact);
    ServicePush push;
    push.name = name;
    for (auto& [label, value] : reader.text_map("labels", kMostLabels)) {
        const bool is_fit = is_container_name(label) && value.size() <= 256 && is_plain_text(value);
        reader.require(is_fit, "labels." + shown(label),
                       "expected a name of [A-Za-z0-9_.-] and up to 256 bytes of plain text");
        push.labels.emplace(std::move(label), std::move(value));
    }
    push.service_ips = read_service_ips(reader, kOwnNames);
    std::set<std::uint32_t> numbers;
    reader.each("instances", kMostInstances, [&](JsonReader& entry) {
        ServicePush::RemoteInstance instance;
        const auto number = entry.integer("number", 0, kLargestNumber);
        entry.require(number.has_value(), "number", "is missing; expected an integer of 0 or more");
        instance.number = static_cast<std::uint32_t>(number.value_or(0));
        entry.require(numbers.insert(instance.number).second, "number",
                      std::to_string(instance.number) + " stands there twice");
        const auto host = read_endpoint(entry, "host_address", "host_port", 50103);
        entry.require(host.has_value(), "host_address", "is missing; expected the address of the instance's node");
        instance.host = host.value_or(net::Endpoint{});
        instance.ns_address = read_address(entry, {"ns_address"}, 4);
        instance.ns_address_v6 = read_address(entry, {"ns_address_v6"}, 6);
        entry.require(!instance.ns_address.is_unspecified() || !instance.ns_address_v6.is_unspecified(), "ns_address",
                      "is missing; expected ns_address, ns_address_v6 or both");
        instance.instance_ip = read_address(entry, {"instance_ip"}, 4);
        instance.instance_ip_v6 = read_address(entry, {"instance_ip_v6"}, 6);
        entry.ignore({"source", "usable", "why", "active_flows", "flows_total"});
        push.instances.push_back(instance);
    });
    reader.ignore({"name"});
    return done(reader, std::move(push));
}

Answer<PeerPush> read_peer_push(const std::string& id, std::string_view body) {
    const auto json = read_json(body, Keys::Exact);
    if (!json) return std::unexpected(json.error());
    JsonReader reader(*json, Keys::Exact);
    PeerPush push;
    push.id = id;
    const auto endpoint = read_endpoint(reader, "address", "port", 50103);
    reader.require(endpoint.has_value(), "address", "is missing; expected the peer's address in the underlay");
    push.endpoint = endpoint.value_or(net::Endpoint{});
    const auto subnets = reader.texts("subnets", kMostSubnets);
    for (std::size_t i = 0; i < subnets.size(); ++i) {
        const auto subnet = net::Prefix::parse(subnets[i]);
        reader.require(subnet.has_value(), "subnets[" + std::to_string(i) + "]",
                       "'" + shown(subnets[i]) + "' is not a CIDR block without host bits");
        push.subnets.push_back(subnet.value_or(net::Prefix{}));
    }
    if (const auto security = reader.text({"security"}); security && *security != "auto") {
        using enum overlay::Security;
        if (*security == "aead") push.security = Aead;
        if (*security == "clear") push.security = Clear;
        if (*security == "bare") push.security = Bare;
        reader.require(push.security.has_value(), "security",
                       "'" + shown(*security) + "' is not one of auto, aead, clear, bare");
    }
    reader.ignore({"id", "source", "state", "rtt_ms", "mtu", "rx_packets", "tx_packets", "last_seen"});
    return done(reader, std::move(push));
}

namespace {

L4 read_protocol(JsonReader& reader) {
    const auto protocol = reader.text({"protocol"}).value_or("tcp");
    reader.require(protocol == "tcp" || protocol == "udp", "protocol",
                   "'" + shown(protocol) + "' is not one of tcp, udp");
    return protocol == "udp" ? L4::Udp : L4::Tcp;
}

std::uint16_t read_l4_port(JsonReader& reader, std::string_view name) {
    const auto l4_port = reader.integer(name, 1, 65535);
    reader.require(l4_port.has_value(), name, "is missing; expected a port from 1 to 65535");
    return static_cast<std::uint16_t>(l4_port.value_or(0));
}

}  // namespace

Answer<PortForwardRequest> read_port_forward(std::string_view body) {
    const auto json = read_json(body, Keys::Exact);
    if (!json) return std::unexpected(json.error());
    JsonReader reader(*json, Keys::Exact);
    PortForwardRequest request;
    request.instance = reader.text({"instance"}).value_or("");
    reader.require(is_container_name(request.instance), "instance",
                   not_like(request.instance, "expected an instance's id"));
    request.host_port = read_l4_port(reader, "host_port");
    request.port = read_l4_port(reader, "port");
    request.protocol = read_protocol(reader);
    return done(reader, std::move(request));
}

Answer<TraceRequest> read_trace(std::string_view body) {
    const auto json = read_json(body, Keys::Exact);
    if (!json) return std::unexpected(json.error());
    JsonReader reader(*json, Keys::Exact);
    TraceRequest request;
    request.source = reader.text({"source"}).value_or("");
    const bool is_source = net::IpAddress::parse(request.source) || parse_container(request.source, "");
    reader.require(is_source, "source",
                   not_like(request.source, "expected a container, an instance's id or an address"));
    request.destination = read_address(reader, {"destination"}, 0);
    reader.require(!request.destination.is_unspecified(), "destination", "is missing; expected an address");
    const auto protocol = reader.text({"protocol"}).value_or("tcp");
    const bool is_icmp = protocol == "icmp";
    reader.require(is_icmp || protocol == "tcp" || protocol == "udp", "protocol",
                   "'" + shown(protocol) + "' is not one of tcp, udp, icmp");
    request.protocol = protocol == "tcp" ? 6 : protocol == "udp" ? 17 : request.destination.is_v6() ? 58 : 1;
    request.source_port = static_cast<std::uint16_t>(reader.integer("source_port", 0, 65535).value_or(0));
    request.destination_port = static_cast<std::uint16_t>(reader.integer("destination_port", 0, 65535).value_or(0));
    reader.require(is_icmp || request.destination_port != 0, "destination_port",
                   "is missing; expected a port from 1 to 65535");
    return done(reader, std::move(request));
}

Answer<FlowQuery> read_flow_query(std::string_view query) {
    FlowQuery result;
    const auto pairs = http::parse_query(query);
    if (!pairs) return std::unexpected(Problem::bad_field("", "the query holds a broken percent escape"));
    std::set<std::string> seen;
    for (const auto& [name, value] : *pairs) {
        if (!seen.insert(name).second) return std::unexpected(Problem::bad_field(shown(name), "stands there twice"));
        if (name == "service") {
            result.service = value;
        } else if (name == "peer") {
            result.peer = value;
        } else if (name == "source") {
            result.source = value;
        } else if (name == "limit") {
            const auto limit = config::parse_integer(value);
            if (!limit || *limit == 0 || *limit > 10'000) {
                return std::unexpected(
                    Problem::bad_field("limit", "'" + shown(value) + "' is not a number from 1 to 10000"));
            }
            result.limit = *limit;
        } else {
            return std::unexpected(
                Problem::bad_field(shown(name), "unknown parameter; known: service, peer, source, limit"));
        }
    }
    return result;
}

}  // namespace weft::control
