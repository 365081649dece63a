// SPDX-License-Identifier: Apache-2.0
//
// Deploy and undeploy: what is decided before the transaction (deployment.cpp) and after it.
#include <algorithm>
#include <ranges>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "control/node.hpp"
#include "control/service_json.hpp"
#include "control/short_id.hpp"
#include "dataplane/base/log.hpp"

namespace weft::control {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

spdlog::logger& log() {
    return logger("control");
}

Problem not_registered() {
    return {400, "not_registered", "",
            "this node has no subnet yet; POST /register first, e.g. {\"subnetwork\":\"10.18.0.0\"}"};
}

Problem no_addresses(const std::string& detail) {
    return {503, "no_addresses", "", detail};
}

bool same_service_ips(const std::string& a_json, const std::vector<ServiceIpRequest>& b) {
    return a_json == render_service_ips(b);
}

}  // namespace

// ---- Deploy ---------------------------------------------------------------------------------------------------------

NodeApi::Task<DeployAnswer> Node::deploy(DeployRequest request) {
    if (!registration_) co_return std::unexpected(not_registered());
    // The engine is asked before the turn is taken: a slow one holds nobody up.
    int docker_pid = 0;
    if (request.container.kind == ContainerRef::Kind::Docker) {
        const auto container = co_await docker_->inspect(request.container.name);
        if (!container) co_return std::unexpected(container.error());
        docker_pid = container->pid;
    }
    auto turn = co_await take_turn();
    if (!turn) co_return std::unexpected(turn.error());
    if (!registration_) co_return std::unexpected(not_registered());
    co_return co_await deploy_in_turn(std::move(request), docker_pid);
}

DeployAnswer Node::answer_for(const Deployment& deployment) const {
    return {deployment.id, deployment.service, deployment.address.to_string(),
            deployment.address_v6.is_unspecified() ? "" : deployment.address_v6.to_string()};
}

// What already runs here decides first: the same again, another of that number, or one whose container died.
std::optional<Answer<DeployAnswer>> Node::settle_with_existing(DeployRequest& request, int docker_pid,
                                                               std::string& replaces) {
    const auto is_same_container = [&](const Deployment& d) {
        return d.container == request.container || (docker_pid != 0 && d.pid == docker_pid);
    };
    const auto face_of = [](const std::vector<ServiceIpRequest>& ips) {
        const auto face = std::ranges::find(ips, overlay::Policy::InstanceNumber, &ServiceIpRequest::policy);
        return face == ips.end() ? std::pair<net::IpAddress, net::IpAddress>{}
                                 : std::pair{face->address, face->address_v6};
    };
    for (const auto& existing : deployed_) {
        if (existing.service != request.service) continue;
        const bool is_dead = existing.state == DeploymentState::Lost;
        if (is_same_container(existing) && !is_dead && (existing.number == request.number || request.number_may_move)) {
            if (same_service_ips(existing.service_ips_json, request.service_ips) &&
                existing.port_mappings == request.port_mappings)
                return answer_for(existing);
            return std::unexpected(Problem::conflict(
                "serviceIp", "this container is deployed as instance " + std::to_string(existing.number) +
                                 " with other service IPs or port mappings; undeploy it first"));
        }
    }
    const auto taken = [&](std::uint32_t number) {
        return std::ranges::find_if(
            deployed_, [&](const Deployment& d) { return d.service == request.service && d.number == number; });
    };
    if (const auto holder = taken(request.number); holder != deployed_.end()) {
        const auto their_ips = parse_service_ips(holder->service_ips_json).value_or(std::vector<ServiceIpRequest>{});
        const bool other_face =
            face_of(request.service_ips) != face_of(their_ips) && face_of(request.service_ips) != face_of({});
        if (holder->state == DeploymentState::Lost) {
            replaces = holder->id;
        } else if (request.number_may_move && other_face) {
            while (taken(request.number) != deployed_.end())
                ++request.number;
        } else {
            return std::unexpected(Problem::conflict(
                "instanceNumber", "instance " + std::to_string(request.number) + " of " + request.service +
                                      " runs here in " + holder->container.to_string() + "; undeploy it first"));
        }
    }
    return std::nullopt;
}

asio::awaitable<Answer<DeployAnswer>> Node::deploy_in_turn(DeployRequest request, int docker_pid) {
    // Who died since the last look makes room now, not half a second later.
    auto look = [this] { return deployments_->check_alive(); };
    const auto dead = co_await on_side_thread(std::move(look));
    for (const auto& id : dead)
        if (auto* found = const_cast<Deployment*>(find_deployment(id))) found->state = DeploymentState::Lost;

    std::string replaces;
    if (auto settled = settle_with_existing(request, docker_pid, replaces)) co_return *settled;
    if (const auto checked = services_->check_service_ips(request.service, request.service_ips); !checked)
        co_return std::unexpected(checked.error());
    for (const auto& wanted : request.service_ips) {
        if (wanted.policy != overlay::Policy::InstanceNumber) continue;
        for (const auto& other : deployed_) {
            if (other.service != request.service || other.id == replaces || other.state == DeploymentState::Lost)
                continue;
            for (const auto& theirs :
                 parse_service_ips(other.service_ips_json).value_or(std::vector<ServiceIpRequest>{}))
                if (theirs.policy == wanted.policy &&
                    (theirs.address == wanted.address && !wanted.address.is_unspecified()))
                    co_return std::unexpected(Problem::conflict(
                        wanted.field, wanted.address.to_string() + " is the instance IP of instance " +
                                          std::to_string(other.number) + " of this service"));
        }
    }
    if (!replaces.empty()) {
        if (const auto gone = co_await undeploy_in_turn(replaces); !gone) co_return std::unexpected(gone.error());
    }

    DeploySpec spec;
    const std::string seed = request.service + "/" + std::to_string(request.number) + "/" + std::to_string(unix_ms());
    for (std::uint64_t salt = 0; spec.id.empty() || find_deployment(spec.id); ++salt)
        spec.id = short_id('i', std::hash<std::string>{}(seed) + salt);
    spec.container = request.container;
    spec.pid = docker_pid;
    spec.service = request.service;
    spec.number = request.number;
    spec.service_ips_json = render_service_ips(request.service_ips);
    spec.advertised = request.advertised;
    spec.port_mappings = request.port_mappings;
    auto make = [this, spec]() -> Result<std::pair<Deployment, std::vector<Deployment>>> {
        auto deployment = deployments_->deploy(spec);
        if (!deployment) return std::unexpected(deployment.error());
        return std::pair{std::move(*deployment), deployments_->list()};
    };
    auto made = co_await on_side_thread(std::move(make));
    if (!made) {
        if (made.error().code() == ErrorCode::Exhausted) co_return std::unexpected(no_addresses(made.error().text()));
        co_return std::unexpected(Problem::from(made.error()));
    }
    replace_deployments(std::move(made->second));
    publish();
    announce_instance("instance.deployed", made->first);
    log().info("deployed service={} instance={} ip={}", spec.service, spec.number, made->first.address.to_string());
    co_return answer_for(made->first);
}

// ---- Undeploy -------------------------------------------------------------------------------------------------------

std::vector<const Deployment*> Node::matching(const UndeployRequest& request) const {
    std::vector<const Deployment*> found;
    for (const auto& deployment : deployed_) {
        const bool by_service = deployment.service == request.name;
        const bool by_container = deployment.container.name == request.name ||
                                  deployment.container.to_string() == request.name || deployment.id == request.name;
        if (!by_service && !by_container) continue;
        if (request.number && by_service && deployment.number != *request.number) continue;
        found.push_back(&deployment);
    }
    return found;
}

NodeApi::Task<void> Node::undeploy(UndeployRequest request) {
    auto turn = co_await take_turn();
    if (!turn) co_return std::unexpected(turn.error());
    std::vector<std::string> ids;
    for (const auto* deployment : matching(request))
        ids.push_back(deployment->id);
    for (const auto& id : ids)
        if (const auto done = co_await undeploy_in_turn(id); !done) co_return std::unexpected(done.error());
    co_return Answer<void>{};
}

NodeApi::Task<void> Node::undeploy_id(std::string id) {
    auto turn = co_await take_turn();
    if (!turn) co_return std::unexpected(turn.error());
    co_return co_await undeploy_in_turn(std::move(id));
}

asio::awaitable<Answer<void>> Node::undeploy_in_turn(std::string id) {
    const Deployment* found = find_deployment(id);
    if (!found) co_return Answer<void>{};
    const Deployment gone = *found;
    // Withdrawn before anything is taken down: no new packet is sent to a container that is going.
    services_->remove_local(id);
    publish();
    auto take_down = [this,
                      id]() -> std::pair<Result<void>, std::pair<std::vector<Deployment>, std::vector<PortForward>>> {
        auto result = deployments_->undeploy(id);
        return {result, {deployments_->list(), deployments_->port_forwards()}};
    };
    auto done = co_await on_side_thread(std::move(take_down));
    replace_deployments(std::move(done.second.first));
    forwards_ = std::move(done.second.second);
    publish();
    if (!done.first) co_return std::unexpected(Problem::from(done.first.error()));
    announce_instance("instance.undeployed", gone);
    log().info("undeployed service={} instance={}", gone.service, gone.number);
    co_return Answer<void>{};
}

const Deployment* Node::find_deployment(const std::string& id) const {
    const auto found = std::ranges::find(deployed_, id, &Deployment::id);
    return found == deployed_.end() ? nullptr : &*found;
}

}  // namespace weft::control
