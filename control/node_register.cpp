// SPDX-License-Identifier: Apache-2.0
//
// Registration: checked against the host and the peers, then bridge, journal, tables.
#include <algorithm>
#include <ranges>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "control/node.hpp"
#include "control/service_json.hpp"
#include "dataplane/base/log.hpp"

namespace weft::control {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

spdlog::logger& log() {
    return logger("control");
}

// The n-th block of the IPv4 pool gets the n-th block of the IPv6 pool; a subnet outside the pool gets none.
std::optional<net::Prefix> matching_v6(const config::Overlay& overlay, const net::Prefix& subnet) {
    if (subnet.length != overlay.node_prefix || !overlay.node_range.contains(subnet)) return std::nullopt;
    const auto offset = subnet.address.v4_value() - overlay.node_range.first.v4_value();
    const std::uint64_t n = offset >> (32 - overlay.node_prefix);
    const auto address = overlay.node_range_v6.first.plus(n << (128 - overlay.node_prefix_v6));
    const net::Prefix v6{address, overlay.node_prefix_v6};
    return overlay.node_range_v6.contains(v6) ? std::optional(v6) : std::nullopt;
}

}  // namespace

// ---- Register -------------------------------------------------------------------------------------------------------

Answer<Registration> Node::check_registration(const RegisterRequest& request) const {
    if (!request.subnetwork && config_.node.subnetwork) {
        RegisterRequest with_subnet = request;
        with_subnet.subnetwork = config_.node.subnetwork;
        with_subnet.subnetwork_v6 = config_.node.subnetwork_v6;
        return check_registration(with_subnet);
    }
    if (!request.subnetwork)
        return std::unexpected(Problem::bad_field(
            "subnetwork", "missing; with registry.kind push a subnet must be named, e.g. \"10.18.0.0\""));
    const net::Prefix& subnet = *request.subnetwork;
    const auto& pool = config_.overlay;
    for (const auto& range : {pool.service_range, pool.service_range_v6})
        if (range.overlaps(subnet) || (request.subnetwork_v6 && range.overlaps(*request.subnetwork_v6)))
            return std::unexpected(
                Problem::bad_field("subnetwork", "it overlaps the service range " + range.to_string()));
    Registration wanted{subnet, request.subnetwork_v6, request.client_id, request.cluster_address};
    if (!wanted.subnet_v6) wanted.subnet_v6 = matching_v6(pool, subnet);
    for (const auto& peer : std::views::values(services_->peers()))
        for (const auto& theirs : peer.subnets)
            if (theirs.overlaps(subnet))
                return std::unexpected(Problem::conflict(
                    "subnetwork", subnet.to_string() + " overlaps " + theirs.to_string() + " of peer " + peer.id));
    return wanted;
}

NodeApi::Task<void> Node::register_node(RegisterRequest request) {
    auto turn = co_await take_turn();
    if (!turn) co_return std::unexpected(turn.error());
    const auto wanted = check_registration(request);
    if (!wanted) co_return std::unexpected(wanted.error());
    if (registration_) {
        if (registration_->subnet == wanted->subnet && registration_->subnet_v6 == wanted->subnet_v6)
            co_return Answer<void>{};
        co_return std::unexpected(
            Problem::conflict("subnetwork", "this node is registered with " + registration_->subnet.to_string() +
                                                "; DELETE /v1/node/registration first, when no instance runs"));
    }
    auto make = [this, registration = *wanted]() -> Answer<void> {
        for (const auto& prefix : {std::optional(registration.subnet), registration.subnet_v6}) {
            if (!prefix) continue;
            const auto clash = environment_->conflicts(*prefix);
            if (!clash) return std::unexpected(Problem::from(clash.error()));
            if (*clash)
                return std::unexpected(Problem::conflict("subnetwork", prefix->to_string() + " overlaps " + **clash));
        }
        if (const auto done = environment_->prepare_bridge(registration.subnet, registration.subnet_v6); !done)
            return std::unexpected(Problem::from(done.error()));
        if (const auto put = journal_->put_registration(registration); !put) {
            (void)environment_->remove_bridge();
            return std::unexpected(Problem::from(put.error()));
        }
        deployments_->set_subnet(registration.subnet, registration.subnet_v6);
        return {};
    };
    const auto made = co_await on_side_thread(std::move(make));
    if (!made) co_return std::unexpected(made.error());
    registration_ = *wanted;
    adopt_registration(*wanted);
    publish();
    log().info("registered with {}", wanted->subnet.to_string());
    co_return Answer<void>{};
}

NodeApi::Task<void> Node::unregister_node() {
    auto turn = co_await take_turn();
    if (!turn) co_return std::unexpected(turn.error());
    if (!registration_) co_return Answer<void>{};
    if (!deployed_.empty())
        co_return std::unexpected(
            Problem::conflict("", std::to_string(deployed_.size()) + " instances run here; undeploy them first"));
    auto end = [this]() -> Result<void> {
        if (const auto removed = environment_->remove_bridge(); !removed) return removed;
        return journal_->erase_registration();
    };
    const auto done = co_await on_side_thread(std::move(end));
    if (!done) co_return std::unexpected(Problem::from(done.error()));
    registration_.reset();
    auto node = services_->node();
    node.own_subnets.clear();
    node.bridge_ip = node.bridge_ip_v6 = {};
    services_->set_node(std::move(node));
    publish();
    co_return Answer<void>{};
}

}  // namespace weft::control
