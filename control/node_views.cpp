// SPDX-License-Identifier: Apache-2.0
//
// What the API shows of a node (docs/api/openapi.yaml): no decisions here, only rendering.
#include <algorithm>
#include <ranges>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "control/metrics.hpp"
#include "control/node.hpp"
#include "control/service_json.hpp"

namespace weft::control {

namespace json = boost::json;

namespace {

const char* flow_state_name(const overlay::FlowView& flow) {
    switch (flow.opener.state) {
        case overlay::FlowState::New:
            return "new";
        case overlay::FlowState::HalfOpen:
            return "half_open";
        case overlay::FlowState::Established:
            return "established";
        case overlay::FlowState::Closing:
            return "closing";
        case overlay::FlowState::Closed:
            return "closed";
    }
    return "new";
}

const char* protocol_name(std::uint8_t protocol) {
    switch (protocol) {
        case 6:
            return "tcp";
        case 17:
            return "udp";
        case 1:
            return "icmp";
        case 58:
            return "icmpv6";
        default:
            return "other";
    }
}

std::string text_or_empty(const net::IpAddress& address) {
    return address.is_unspecified() ? "" : address.to_string();
}

double seconds(std::chrono::nanoseconds duration) {
    return std::round(std::chrono::duration<double>(duration).count() * 1000) / 1000;
}

json::object items(json::array list) {
    return {{"items", std::move(list)}};
}

std::string last_seen(const overlay::PeerState& state) {
    const auto seen = state.last_seen_ns.load(std::memory_order_relaxed);
    if (seen == 0) return "";
    const auto ago = BootClock::now().time_since_epoch().count() - seen;
    const auto now =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    return render_time(now - ago / 1'000'000);
}

json::object part(const char* name, const char* status, const std::string& detail = "") {
    json::object part{{"name", name}, {"status", status}};
    if (!detail.empty()) part["detail"] = detail;
    return part;
}

}  // namespace

net::Endpoint Node::advertised() const {
    return config_.tunnel.advertise.value_or(net::Endpoint{tunnel_address_, config_.tunnel.port});
}

bool Node::is_healthy() const {
    return !forwarding_->tun_lost() && troubles_.empty();
}

NodeApi::Json Node::status_view() {
    json::array parts;
    parts.push_back(forwarding_->tun_lost() ? part("tun", "error", config_.tun.name + " is gone; making it anew")
                                            : part("tun", "ok", config_.tun.name + ": " + forwarding_->offloads()));
    parts.push_back(troubles_.empty() ? part("environment", "ok") : part("environment", "degraded", troubles_.front()));
    parts.push_back(registration_ ? part("registration", "ok", registration_->subnet.to_string())
                                  : part("registration", "degraded", "no subnet yet; POST /register"));
    parts.push_back(part("registry", "ok", "push"));
    std::size_t known = 0;
    std::size_t up = 0;
    std::size_t open_modes = 0;
    for (const auto& peer : std::views::values(services_->peers())) {
        ++known;
        up += peer.session || (peer.next && peer.next->confirmed()) || peer.security == overlay::Security::Bare ? 1 : 0;
        open_modes += peer.security != overlay::Security::Aead ? 1 : 0;
    }
    parts.push_back(part("peers", "ok",
                         std::to_string(up) + " of " + std::to_string(known) + " with a session" +
                             (open_modes > 0 ? ", " + std::to_string(open_modes) + " not encrypted" : "")));
    const auto lost = std::ranges::count(deployed_, DeploymentState::Lost, &Deployment::state);
    parts.push_back(lost == 0 ? part("instances", "ok", std::to_string(deployed_.size()) + " running")
                              : part("instances", "degraded",
                                     std::to_string(lost) + " lost their container; undeploy them or deploy again"));
    const bool degraded =
        std::ranges::any_of(parts, [](const json::value& p) { return p.at("status").as_string() != "ok"; });
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(BootClock::now() - started_).count();
    return {{"status", degraded ? "degraded" : "ok"},
            {"version", WEFT_VERSION},
            {"uptime_s", uptime},
            {"parts", std::move(parts)}};
}

NodeApi::Json Node::node_view() {
    Json view{{"id", config_.node.id}, {"registered", registration_.has_value()}};
    const bool has_client = registration_ && !registration_->client_id.empty();
    view["client_id"] = has_client ? json::value(registration_->client_id) : json::value(nullptr);
    view["subnetwork"] = registration_ ? json::value(registration_->subnet.to_string()) : json::value(nullptr);
    view["subnetwork_v6"] = registration_ && registration_->subnet_v6
                                ? json::value(registration_->subnet_v6->to_string())
                                : json::value(nullptr);
    view["tun"] = {{"name", config_.tun.name}, {"address", config_.tun.address.to_string()}};
    view["bridge"] = {{"name", config_.bridge.name}, {"address", text_or_empty(services_->node().bridge_ip)}};
    view["tunnel"] = {{"address", tunnel_address_.to_string()},
                      {"port", config_.tunnel.port},
                      {"advertise", advertised().to_string()},
                      {"mtu", inner_mtu_},
                      {"security", security_name(services_->node().default_security)}};
    view["registry"] = "push";
    return view;
}

// ---- Services and instances -----------------------------------------------------------------------------------------

namespace {

NodeApi::Json render_service(const ServiceModel::ServiceView& service) {
    json::object labels;
    for (const auto& [key, value] : service.labels)
        labels[key] = value;
    json::array ips;
    for (const auto& ip : service.service_ips)
        ips.push_back(render_service_ip(ip));
    json::array instances;
    for (const auto& instance : service.instances) {
        json::object row{{"number", instance.number},
                         {"host_address", instance.host.address.to_string()},
                         {"host_port", instance.host.l4_port}};
        const auto add = [&](const char* key, const net::IpAddress& address) {
            if (!address.is_unspecified()) row[key] = address.to_string();
        };
        add("ns_address", instance.ns_address);
        add("ns_address_v6", instance.ns_address_v6);
        add("instance_ip", instance.instance_ip);
        add("instance_ip_v6", instance.instance_ip_v6);
        row["source"] = instance.source;
        row["usable"] = instance.why.empty();
        if (!instance.why.empty()) row["why"] = instance.why;
        if (instance.state) {
            row["active_flows"] = instance.state->active_flows.load(std::memory_order_relaxed);
            row["flows_total"] = instance.state->flows_total.load(std::memory_order_relaxed);
        }
        instances.push_back(std::move(row));
    }
    return {{"name", service.name},
            {"labels", std::move(labels)},
            {"service_ips", std::move(ips)},
            {"instances", std::move(instances)}};
}

}  // namespace

NodeApi::Json Node::services_view() {
    json::array list;
    for (const auto& service : services_->services())
        list.push_back(render_service(service));
    return items(std::move(list));
}

Answer<NodeApi::Json> Node::service_view(const std::string& name) {
    const auto service = services_->service(name);
    if (!service)
        return std::unexpected(Problem::not_found("name", "no service " + name + "; GET /v1/services lists them"));
    return render_service(*service);
}

NodeApi::Json Node::render(const Deployment& deployment) const {
    const auto ips = parse_service_ips(deployment.service_ips_json).value_or(std::vector<ServiceIpRequest>{});
    const LocalInstance local{
        .id = "", .service = "", .number = 0, .ns_address = {}, .ns_address_v6 = {}, .service_ips = ips};
    const char* state = deployment.state == DeploymentState::Running ? "running"
                        : deployment.state == DeploymentState::Lost  ? "lost"
                                                                     : "leaving";
    return {{"id", deployment.id},
            {"service", deployment.service},
            {"number", deployment.number},
            {"container", deployment.container.to_string()},
            {"state", state},
            {"interface", "weft0"},
            {"ns_address", deployment.address.to_string()},
            {"ns_address_v6", text_or_empty(deployment.address_v6)},
            {"instance_ip", text_or_empty(local.instance_ip(4))},
            {"instance_ip_v6", text_or_empty(local.instance_ip(6))},
            {"port_mappings", to_string(deployment.port_mappings)},
            {"created", render_time(deployment.created_ms)}};
}

NodeApi::Json Node::instances_view() {
    json::array list;
    for (const auto& deployment : deployed_)
        list.push_back(render(deployment));
    return items(std::move(list));
}

Answer<NodeApi::Json> Node::instance_view(const std::string& id) {
    const Deployment* found = find_deployment(id);
    if (!found)
        return std::unexpected(
            Problem::not_found("id", "no instance " + id + " runs here; GET /v1/instances lists them"));
    return render(*found);
}

// ---- Flows ----------------------------------------------------------------------------------------------------------

NodeApi::Json Node::flows_view(const FlowQuery& query) {
    const auto peer_name = [&](overlay::PeerIndex index) {
        const PeerEntry* peer = services_->peer(index);
        return index == overlay::kLocal ? std::string("local") : peer ? peer->id : std::string("?");
    };
    const auto wanted = [&](const overlay::Flow& flow) {
        if (!query.service.empty() && services_->service_of(flow.instance) != query.service) return false;
        if (!query.peer.empty() && peer_name(flow.next_hop) != query.peer) return false;
        return query.source.empty() || flow.key.source.to_string() == query.source;
    };
    json::array list;
    const auto tables = services_->tables();
    for (const auto& flow : forwarding_->flows().snapshot(BootClock::now(), query.limit, wanted)) {
        const auto& key = flow.opener.key;
        const auto* address = tables->addresses.find(key.destination);
        const auto* instance = tables->instance(flow.opener.instance);
        list.push_back(json::object{
            {"id", fmt::format("{:x}", flow.id)},
            {"protocol", protocol_name(key.protocol)},
            {"state", flow_state_name(flow)},
            {"direction", key.direction == overlay::Direction::Outbound ? "outbound" : "inbound"},
            {"client", net::Endpoint{key.source, key.source_port}.to_string()},
            {"service_ip", net::Endpoint{key.destination, key.destination_port}.to_string()},
            {"policy", address ? json::value(policy_name(address->policy)) : json::value(nullptr)},
            {"service", services_->service_of(flow.opener.instance)},
            {"instance", instance ? json::value(instance->number) : json::value(nullptr)},
            {"target",
             net::Endpoint{flow.opener.rewrite.destination, flow.opener.rewrite.destination_port}.to_string()},
            {"peer", peer_name(flow.opener.next_hop)},
            {"age_s", seconds(flow.age)},
            {"idle_s", seconds(flow.idle)},
            {"packets", {{"out", flow.packets_out}, {"in", flow.packets_in}}},
            {"bytes", {{"out", flow.bytes_out}, {"in", flow.bytes_in}}}});
    }
    return items(std::move(list));
}

// ---- Peers and port forwards ----------------------------------------------------------------------------------------

NodeApi::Json Node::render(const PeerEntry& peer) const {
    static constexpr std::array kSources{"config", "api", "learned"};
    json::array subnets;
    for (const auto& subnet : peer.subnets)
        subnets.push_back(json::value(subnet.to_string()));
    const bool is_bare = peer.security == overlay::Security::Bare;
    const bool has_session = peer.session || (peer.next && peer.next->confirmed());
    const std::string seen = last_seen(*peer.state);
    return {{"id", peer.id},
            {"address", peer.endpoint.address.to_string()},
            {"port", peer.endpoint.l4_port},
            {"security", security_name(peer.security)},
            {"subnets", std::move(subnets)},
            {"source", kSources[static_cast<std::size_t>(peer.source)]},
            {"state", is_bare || has_session ? "up" : "idle"},
            {"rtt_ms", static_cast<double>(peer.state->rtt_ns.load(std::memory_order_relaxed)) / 1e6},
            {"mtu", peer.inner_mtu},
            {"rx_packets", peer.state->rx_packets.value()},
            {"tx_packets", peer.state->tx_packets.value()},
            {"last_seen", seen.empty() ? json::value(nullptr) : json::value(seen)}};
}

NodeApi::Json Node::peers_view() {
    json::array list;
    for (const auto& peer : std::views::values(services_->peers()))
        list.push_back(render(peer));
    return items(std::move(list));
}

Answer<NodeApi::Json> Node::peer_view(const std::string& id) {
    const auto found = services_->peers().find(id);
    if (found == services_->peers().end())
        return std::unexpected(Problem::not_found("id", "no peer " + id + "; GET /v1/peers lists them"));
    return render(found->second);
}

NodeApi::Json Node::port_forwards_view() {
    json::array list;
    for (const auto& forward : forwards_)
        list.push_back(render_port_forward(forward));
    return items(std::move(list));
}

// ---- Counters -------------------------------------------------------------------------------------------------------

NodeApi::Json Node::drops_view() {
    json::array list;
    for (std::size_t i = 0; i < kDropCount; ++i) {
        const auto reason = static_cast<Drop>(i);
        list.push_back({{"reason", drop_name(reason)},
                        {"packets", forwarding_->counters().dropped(reason)},
                        {"meaning", drop_sentence(reason)}});
    }
    return items(std::move(list));
}

// Wire packets. What the node made itself (ICMP, resets) and what ended here because it was meant for the node
// (handshakes, probes) stand apart, so that rx = tx + drops + waiting.
NodeApi::Json Node::counters_view() {
    const Counters& counters = forwarding_->counters();
    std::uint64_t dropped = 0;
    json::object by_reason;
    for (std::size_t i = 0; i < kDropCount; ++i) {
        const auto count = counters.drops[i].value();
        dropped += count;
        if (count > 0) by_reason[drop_name(static_cast<Drop>(i))] = count;
    }
    const auto port = [](const PortCounters& p) {
        return json::object{{"rx", p.rx.value()},
                            {"tx", p.tx.value()},
                            {"rx_bytes", p.rx_bytes.value()},
                            {"tx_bytes", p.tx_bytes.value()}};
    };
    const auto absorbed = counters.absorbed.value();
    const auto generated = counters.generated.value();
    return {{"rx", counters.tun.rx.value() + counters.tunnel.rx.value() - absorbed},
            {"tx", counters.tun.tx.value() + counters.tunnel.tx.value() - generated},
            {"generated", generated},
            {"absorbed", absorbed},
            {"waiting", counters.waiting.value()},
            {"drops", {{"total", dropped}, {"by_reason", std::move(by_reason)}}},
            {"workers",
             json::array{{{"id", 0}, {"ports", {{"tun", port(counters.tun)}, {"tunnel", port(counters.tunnel)}}}}}}};
}

std::string Node::metrics_text() {
    return render_metrics(*forwarding_, *services_, deployed_.size(), unknown_services_, BootClock::now() - started_);
}

// ---- Trace ----------------------------------------------------------------------------------------------------------

Answer<NodeApi::Json> Node::trace(const TraceRequest& request) {
    const bool v6 = request.destination.is_v6();
    net::IpAddress source;
    std::string who;
    for (const auto& deployment : deployed_) {
        const bool is_it = deployment.id == request.source || deployment.container.to_string() == request.source ||
                           deployment.container.name == request.source || deployment.service == request.source ||
                           deployment.address.to_string() == request.source ||
                           text_or_empty(deployment.address_v6) == request.source;
        if (!is_it || deployment.state != DeploymentState::Running) continue;
        source = v6 ? deployment.address_v6 : deployment.address;
        const auto tables = services_->tables();
        const auto* instance = tables->by_namespace_ip.find(source);
        const std::string face = instance ? text_or_empty((*instance)->instance_ip_like(source)) : "";
        who = "instance " + std::to_string(deployment.number) + " of " + deployment.service +
              (face.empty() ? ", no instance IP" : ", instance IP " + face);
        break;
    }
    if (source.is_unspecified()) {
        const auto literal = net::IpAddress::parse(request.source);
        if (!literal || literal->is_v6() != v6)
            return std::unexpected(Problem::not_found(
                "source", request.source + " is no instance of this node; GET /v1/instances lists them"));
        source = *literal;
        who = "address " + request.source;
    }

    const auto tables = services_->tables();
    const overlay::FlowKey key{
        source,           request.destination,         request.source_port, request.destination_port,
        request.protocol, overlay::Direction::Outbound};
    json::array steps;
    const auto step = [&](const char* name, std::string detail) {
        steps.push_back({{"step", name}, {"detail", detail}});
    };
    step("source", who);
    // The engine's own decision, looked at without taking a turn.
    const auto route = overlay::route_outbound(*tables, nothing_learned_, key, overlay::Opening::Opens,
                                               overlay::Turn::Peek, BootClock::now());
    if (!route) {
        step("service", std::string(drop_sentence(route.error())));
        return Json{{"verdict", "drop"},
                    {"reason", drop_name(route.error())},
                    {"steps", std::move(steps)},
                    {"output", nullptr}};
    }
    if (route->service) {
        const auto& instances = route->service->service->instances;
        const auto usable = std::ranges::count_if(instances, [](const auto& instance) { return instance->usable; });
        step("service", std::string(policy_name(route->service->policy)) + " address of " +
                            route->service->service->name + ", " + std::to_string(usable) + " usable instance" +
                            (usable == 1 ? "" : "s"));
        step("pick", "instance " + std::to_string(route->instance->number));
        step("translate",
             net::Endpoint{route->opener.rewrite.source, route->opener.rewrite.source_port}.to_string() + " to " +
                 net::Endpoint{route->opener.rewrite.destination, route->opener.rewrite.destination_port}.to_string());
    } else {
        step("service", "none: a namespace IP, nothing is translated");
    }
    Json output;
    if (route->opener.next_hop == overlay::kLocal) {
        output = {{"port", "tun"}, {"peer", nullptr}};
    } else if (const PeerEntry* peer = services_->peer(route->opener.next_hop)) {
        output = {{"port", "tunnel"},
                  {"peer", peer->id},
                  {"address", peer->endpoint.to_string()},
                  {"security", security_name(peer->security)}};
        step("size", "up to " + std::to_string(peer->inner_mtu) + " bytes");
    }
    return Json{
        {"verdict", "forward"}, {"reason", nullptr}, {"steps", std::move(steps)}, {"output", std::move(output)}};
}

}  // namespace weft::control
