// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "control/problem.hpp"
#include "control/requests.hpp"

namespace weft::control {

// What the API may ask of a node. Calls that touch the kernel are coroutines; they finish the work even if the client
// has gone. Views are rendered as in docs/api/openapi.yaml.
//
// Threading: the control thread. Errors: Problem, ready for the client; a refused call changed nothing.
class NodeApi {
  public:
    template <class T>
    using Task = boost::asio::awaitable<Answer<T>>;
    using Json = boost::json::object;

    virtual ~NodeApi() = default;

    // Reference system's calls (contracts A).
    virtual Task<void> register_node(RegisterRequest request) = 0;
    virtual Task<DeployAnswer> deploy(DeployRequest request) = 0;
    virtual Task<void> undeploy(UndeployRequest request) = 0;

    // weft's own (contracts B).
    [[nodiscard]] virtual bool is_healthy() const = 0;
    virtual Json status_view() = 0;
    virtual Json node_view() = 0;
    virtual Task<void> unregister_node() = 0;

    virtual Json services_view() = 0;  // {"items": [...]}
    virtual Answer<Json> service_view(const std::string& name) = 0;
    virtual Answer<bool> put_service(ServicePush push) = 0;  // true: created, false: replaced
    virtual Answer<void> delete_service(const std::string& name) = 0;

    virtual Json instances_view() = 0;
    virtual Answer<Json> instance_view(const std::string& id) = 0;
    virtual Task<void> undeploy_id(std::string id) = 0;

    virtual Json flows_view(const FlowQuery& query) = 0;
    virtual Answer<void> delete_flow(const std::string& id) = 0;

    virtual Json peers_view() = 0;
    virtual Answer<Json> peer_view(const std::string& id) = 0;
    virtual Answer<bool> put_peer(PeerPush push) = 0;
    virtual Answer<void> delete_peer(const std::string& id) = 0;

    virtual Json port_forwards_view() = 0;
    virtual Task<Json> add_port_forward(PortForwardRequest request) = 0;
    virtual Task<void> delete_port_forward(std::string id) = 0;

    virtual Json counters_view() = 0;
    virtual Json drops_view() = 0;
    virtual Answer<Json> trace(const TraceRequest& request) = 0;
    virtual std::string metrics_text() = 0;

    // Server-sent events: everything after `after` that is still held, oldest first, at most some hundreds; `lost` says
    // how many older ones are gone. `wait` is called once when something newer arrives.
    struct Event {
        std::uint64_t id = 0;
        std::string type;  // instance.deployed, ...
        std::string data;  // JSON text
    };
    struct Events {
        std::vector<Event> items;
        std::uint64_t lost = 0;
    };
    virtual Events events_after(std::uint64_t after) = 0;
    virtual std::uint64_t last_event() const = 0;
    virtual std::uint64_t subscribe(std::function<void()> wait) = 0;
    virtual void unsubscribe(std::uint64_t subscription) = 0;
};

}  // namespace weft::control
