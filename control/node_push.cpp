// SPDX-License-Identifier: Apache-2.0
//
// What is told to a node from outside: services, peers, flows to end, port forwards.
#include <algorithm>
#include <ranges>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "control/node.hpp"
#include "control/service_json.hpp"
#include "control/short_id.hpp"

namespace weft::control {

namespace asio = boost::asio;
namespace json = boost::json;

// ---- Services, peers, flows, forwards -------------------------------------------------------------------------------

Answer<bool> Node::put_service(ServicePush push) {
    const NamedJson row{push.name, json::serialize(render_push(push))};
    const auto put = services_->put_pushed(std::move(push));
    if (!put) return put;
    persist([row](Journal& journal) { return journal.put_service(row); });
    sessions_->peers_changed();
    publish();
    announce("service.changed", {{"service", row.name}});
    return put;
}

Answer<void> Node::delete_service(const std::string& name) {
    services_->erase_pushed(name);
    persist([name](Journal& journal) { return journal.erase_service(name); });
    sessions_->peers_changed();
    publish();
    announce("service.changed", {{"service", name}});
    return {};
}

Answer<bool> Node::put_peer(PeerPush push) {
    if (push.security == overlay::Security::Aead && !has_key_)
        return std::unexpected(
            Problem::bad_field("security", "aead needs a key; set tunnel.psk_file in the configuration"));
    const auto put = services_->put_peer(push, PeerSource::Api);
    if (!put) return put;
    const NamedJson row{push.id, json::serialize(render_peer_push(push))};
    persist([row](Journal& journal) { return journal.put_peer(row); });
    sessions_->peers_changed();
    publish();
    return put;
}

Answer<void> Node::delete_peer(const std::string& id) {
    const auto erased = services_->erase_peer(id);
    if (!erased) return erased;
    persist([id](Journal& journal) { return journal.erase_peer(id); });
    sessions_->peers_changed();
    publish();
    return {};
}

Answer<void> Node::delete_flow(const std::string& id) {
    for (const auto& flow : forwarding_->flows().snapshot(BootClock::now(), forwarding_->flows().capacity(), {}))
        if (fmt::format("{:x}", flow.id) == id) forwarding_->erase_flow(flow.opener.key);
    return {};
}

NodeApi::Task<NodeApi::Json> Node::add_port_forward(PortForwardRequest request) {
    auto turn = co_await take_turn();
    if (!turn) co_return std::unexpected(turn.error());
    if (!find_deployment(request.instance))
        co_return std::unexpected(Problem::not_found(
            "instance", "no instance " + request.instance + " runs here; GET /v1/instances lists them"));
    PortForward forward{"", request.instance, {request.host_port, request.port, request.protocol}};
    for (std::uint64_t salt = 0; forward.id.empty(); ++salt) {
        const auto id = short_id('f', static_cast<std::uint64_t>(unix_ms()) + salt);
        if (std::ranges::find(forwards_, id, &PortForward::id) == forwards_.end()) forward.id = id;
    }
    auto wanted = forwards_;
    wanted.push_back(forward);
    auto set = [this, wanted] { return deployments_->set_port_forwards(wanted); };
    const auto done = co_await on_side_thread(std::move(set));
    if (!done) co_return std::unexpected(Problem::from(done.error()));
    forwards_ = std::move(wanted);
    co_return render_port_forward(forward);
}

NodeApi::Task<void> Node::delete_port_forward(std::string id) {
    auto turn = co_await take_turn();
    if (!turn) co_return std::unexpected(turn.error());
    auto wanted = forwards_;
    std::erase_if(wanted, [&](const PortForward& forward) { return forward.id == id; });
    auto set = [this, wanted] { return deployments_->set_port_forwards(wanted); };
    const auto done = co_await on_side_thread(std::move(set));
    if (!done) co_return std::unexpected(Problem::from(done.error()));
    forwards_ = std::move(wanted);
    co_return Answer<void>{};
}

}  // namespace weft::control
