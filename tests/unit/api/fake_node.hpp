// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "control/node_api.hpp"

namespace weft::control {

// A node that remembers what it was asked and answers what the test told it to.
class FakeNode : public NodeApi {
  public:
    std::vector<RegisterRequest> registered;
    std::vector<DeployRequest> deployed;
    std::vector<UndeployRequest> undeployed;
    std::map<std::string, ServicePush> services;
    std::map<std::string, PeerPush> peers;
    std::vector<FlowQuery> flow_queries;
    std::vector<PortForwardRequest> forwards;
    std::vector<TraceRequest> traces;
    int unregistered = 0;
    bool healthy = true;
    std::optional<Problem> problem;  // every call that can be refused is refused with it
    bool holds = false;              // deploys wait for `release`
    std::vector<std::shared_ptr<boost::asio::steady_timer>> held;
    std::vector<Event> events;
    std::function<void()> wake;

    void release() {
        holds = false;
        for (const auto& gate : held)
            gate->cancel();
    }

    // How often anything was asked that could change something.
    [[nodiscard]] std::size_t changes() const {
        return registered.size() + deployed.size() + undeployed.size() + services.size() + peers.size() +
               forwards.size();
    }

    Task<void> register_node(RegisterRequest request) override {
        if (problem) co_return std::unexpected(*problem);
        registered.push_back(std::move(request));
        co_return Answer<void>{};
    }
    Task<DeployAnswer> deploy(DeployRequest request) override {
        if (holds) {
            // Waits until `release`.
            auto gate = std::make_shared<boost::asio::steady_timer>(co_await boost::asio::this_coro::executor,
                                                                    boost::asio::steady_timer::time_point::max());
            held.push_back(gate);
            co_await gate->async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        }
        if (problem) co_return std::unexpected(*problem);
        DeployAnswer answer{"i1", request.service, "10.18.0.2", "fc00::2"};
        deployed.push_back(std::move(request));
        co_return answer;
    }
    Task<void> undeploy(UndeployRequest request) override {
        if (problem) co_return std::unexpected(*problem);
        undeployed.push_back(std::move(request));
        co_return Answer<void>{};
    }
    [[nodiscard]] bool is_healthy() const override { return healthy; }
    Json status_view() override { return {{"status", "ok"}}; }
    Json node_view() override { return {{"id", "a"}}; }
    Task<void> unregister_node() override {
        if (problem) co_return std::unexpected(*problem);
        ++unregistered;
        co_return Answer<void>{};
    }
    Json services_view() override { return {{"items", boost::json::array{}}}; }
    Answer<Json> service_view(const std::string& name) override {
        if (!services.contains(name)) return std::unexpected(Problem::not_found("name", "no service " + name));
        return Json{{"name", name}};
    }
    Answer<bool> put_service(ServicePush push) override {
        if (problem) return std::unexpected(*problem);
        const std::string name = push.name;
        return services.insert_or_assign(name, std::move(push)).second;
    }
    Answer<void> delete_service(const std::string& name) override {
        if (services.erase(name) == 0) return std::unexpected(Problem::not_found("name", "no service " + name));
        return {};
    }
    Json instances_view() override { return {{"items", boost::json::array{}}}; }
    Answer<Json> instance_view(const std::string& id) override {
        if (id != "i1") return std::unexpected(Problem::not_found("id", "no instance " + id));
        return Json{{"id", id}};
    }
    Task<void> undeploy_id(std::string id) override {
        undeployed.push_back({std::move(id), std::nullopt});
        co_return Answer<void>{};
    }
    Json flows_view(const FlowQuery& query) override {
        flow_queries.push_back(query);
        return {{"items", boost::json::array{}}};
    }
    Answer<void> delete_flow(const std::string&) override { return {}; }
    Json peers_view() override { return {{"items", boost::json::array{}}}; }
    Answer<Json> peer_view(const std::string& id) override {
        if (!peers.contains(id)) return std::unexpected(Problem::not_found("id", "no peer " + id));
        return Json{{"id", id}};
    }
    Answer<bool> put_peer(PeerPush push) override {
        const std::string id = push.id;
        return peers.insert_or_assign(id, std::move(push)).second;
    }
    Answer<void> delete_peer(const std::string& id) override {
        if (problem) return std::unexpected(*problem);
        peers.erase(id);
        return {};
    }
    Json port_forwards_view() override { return {{"items", boost::json::array{}}}; }
    Task<Json> add_port_forward(PortForwardRequest request) override {
        forwards.push_back(std::move(request));
        co_return Json{{"id", "f1"}};
    }
    Task<void> delete_port_forward(std::string) override { co_return Answer<void>{}; }
    Json counters_view() override { return {{"rx", 0}}; }
    Json drops_view() override { return {{"items", boost::json::array{}}}; }
    Answer<Json> trace(const TraceRequest& request) override {
        traces.push_back(request);
        return Json{{"verdict", "forward"}};
    }
    std::string metrics_text() override { return "weft_build_info{version=\"0\"} 1\n"; }
    Events events_after(std::uint64_t after) override {
        Events found;
        for (const auto& event : events) {
            if (event.id > after) found.items.push_back(event);
        }
        return found;
    }
    [[nodiscard]] std::uint64_t last_event() const override { return events.empty() ? 0 : events.back().id; }
    std::uint64_t subscribe(std::function<void()> wait) override {
        wake = std::move(wait);
        return 1;
    }
    void unsubscribe(std::uint64_t) override { wake = nullptr; }
    void publish(Event event) {
        events.push_back(std::move(event));
        if (wake) std::exchange(wake, nullptr)();
    }
};

}  // namespace weft::control
