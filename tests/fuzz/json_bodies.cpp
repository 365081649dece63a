// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the body of a call: refused with a problem a client can read, or accepted, and then valid: names by
// their rules, ports and numbers in range, addresses of the family that the field is for. First byte: which reader.
#include <algorithm>
#include <set>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "control/json_reader.hpp"
#include "control/readers.hpp"
#include "dataplane/base/check.hpp"
#include "tests/fuzz/input.hpp"

namespace weft::control {
namespace {

constexpr std::uint32_t kLargestNumber = 2'147'483'647;
constexpr int kLargestPid = 4'194'304;

void check_refusal(const Problem& problem) {
    WEFT_CHECK(problem.status >= 400 && problem.status < 500, "a body's problem is the client's");
    WEFT_CHECK(!problem.error.empty() && !problem.detail.empty(), "a refusal without a reason");
    WEFT_CHECK(problem.detail.size() < 4096, "a reason nobody reads");
}

void check_family(const net::IpAddress& address, int version) {
    WEFT_CHECK(address.is_unspecified() || address.version() == version, "an address of the other family");
}

void check_endpoint(const net::Endpoint& endpoint) {
    WEFT_CHECK(!endpoint.address.is_unspecified() && endpoint.l4_port != 0, "nothing can be sent there");
}

void check_container(const ContainerRef& container) {
    const bool is_pid = container.kind == ContainerRef::Kind::Pid;
    WEFT_CHECK(is_pid ? container.pid >= 1 && container.pid <= kLargestPid : is_container_name(container.name),
               "no name of a container");
}

void check_service_ips(const std::vector<ServiceIpRequest>& ips) {
    std::set<net::IpAddress> seen;
    for (const auto& ip : ips) {
        WEFT_CHECK(!ip.address.is_unspecified() || !ip.address_v6.is_unspecified(), "a service IP without an address");
        check_family(ip.address, 4);
        check_family(ip.address_v6, 6);
        for (const auto& address : {ip.address, ip.address_v6})
            WEFT_CHECK(address.is_unspecified() || seen.insert(address).second, "a service IP twice");
    }
}

void check(const RegisterRequest& request) {
    WEFT_CHECK(!request.subnetwork || request.subnetwork->address.version() == 4, "an IPv4 subnet that is none");
    WEFT_CHECK(!request.subnetwork_v6 || request.subnetwork_v6->address.version() == 6, "an IPv6 subnet that is none");
    WEFT_CHECK(request.cluster_address.size() <= 255, "a host name that is too long");
}

void check(const DeployRequest& request) {
    check_container(request.container);
    WEFT_CHECK(is_service_name(request.service), "no service name");
    WEFT_CHECK(request.number <= kLargestNumber, "a number out of range");
    if (request.advertised) check_endpoint(*request.advertised);
    check_service_ips(request.service_ips);
    for (const auto& mapping : request.port_mappings)
        WEFT_CHECK(mapping.host_port != 0 && mapping.container_port != 0, "port 0");
    const auto again = parse_port_mappings(to_string(request.port_mappings));
    WEFT_CHECK(again && *again == request.port_mappings, "port mappings that do not read back");
}

void check(const UndeployRequest& request) {
    WEFT_CHECK(!request.name.empty() && request.name.size() <= 255, "nothing is named");
    WEFT_CHECK(!request.number || *request.number <= kLargestNumber, "a number out of range");
}

void check(const ServicePush& push) {
    check_service_ips(push.service_ips);
    for (const auto& [label, value] : push.labels)
        WEFT_CHECK(is_container_name(label) && value.size() <= 256, "a label out of shape");
    std::set<std::uint32_t> numbers;
    for (const auto& instance : push.instances) {
        WEFT_CHECK(instance.number <= kLargestNumber && numbers.insert(instance.number).second, "no number of its own");
        check_endpoint(instance.host);
        WEFT_CHECK(!instance.ns_address.is_unspecified() || !instance.ns_address_v6.is_unspecified(), "no address");
        check_family(instance.ns_address, 4);
        check_family(instance.ns_address_v6, 6);
        check_family(instance.instance_ip, 4);
        check_family(instance.instance_ip_v6, 6);
    }
}

void check(const PeerPush& push) {
    check_endpoint(push.endpoint);
    for (const auto& subnet : push.subnets)
        WEFT_CHECK(net::Prefix::parse(subnet.to_string()) == subnet, "a subnet that does not read back");
}

void check(const PortForwardRequest& request) {
    WEFT_CHECK(is_container_name(request.instance), "no instance is named");
    WEFT_CHECK(request.host_port != 0 && request.port != 0, "port 0");
}

void check(const TraceRequest& request) {
    WEFT_CHECK(!request.source.empty() && !request.destination.is_unspecified(), "a way without an end");
    const bool has_ports = request.protocol == 6 || request.protocol == 17;
    const int icmp = request.destination.is_v6() ? 58 : 1;
    WEFT_CHECK(has_ports ? request.destination_port != 0 : request.protocol == icmp, "no port, and not ICMP");
}

template <class T>
void judge(const Answer<T>& answer) {
    if (answer) {
        check(*answer);
    } else {
        check_refusal(answer.error());
    }
}

bool has_double(const boost::json::value& value) {
    if (const auto* list = value.if_array()) return std::ranges::any_of(*list, has_double);
    if (const auto* object = value.if_object())
        return std::ranges::any_of(*object, [](const auto& field) { return has_double(field.value()); });
    return value.is_double();
}

void judge(const Answer<boost::json::value>& answer, Keys keys) {
    if (!answer) return check_refusal(answer.error());
    // The library reads long decimals to the nearest double but one. No field takes a double, so that is no matter.
    if (has_double(*answer)) return;
    const auto again = read_json(boost::json::serialize(*answer), keys);
    WEFT_CHECK(again && *again == *answer, "what was read does not read back");
}

}  // namespace
}  // namespace weft::control

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace weft::control;
    weft::fuzz::Input input(data, size);
    const unsigned choice = input.byte() % 12;
    std::string body;
    for (const std::byte byte : input.rest())
        body.push_back(static_cast<char>(byte));
    switch (choice) {
        case 0:
            judge(read_register(body));
            break;
        case 1:
            judge(read_deploy(body, DeployForm::Docker));
            break;
        case 2:
            judge(read_deploy(body, DeployForm::Container));
            break;
        case 3:
            judge(read_undeploy(body, DeployForm::Docker));
            break;
        case 4:
            judge(read_undeploy(body, DeployForm::Container));
            break;
        case 5:
            judge(read_instance(body));
            break;
        case 6:
            judge(read_service_push("shop.default.api.default", body));
            break;
        case 7:
            judge(read_peer_push("b", body));
            break;
        case 8:
            judge(read_port_forward(body));
            break;
        case 9:
            judge(read_trace(body));
            break;
        default:
            judge(read_json(body, choice == 10 ? Keys::AnyCase : Keys::Exact),
                  choice == 10 ? Keys::AnyCase : Keys::Exact);
    }
    return 0;
}
