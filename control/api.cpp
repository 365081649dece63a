// SPDX-License-Identifier: Apache-2.0
#include "control/api.hpp"

#include <boost/json/serialize.hpp>

#include "control/api_events.hpp"

// weft's own calls. Lists are {"items": [...]}; PUT answers the resource, 201 if it was made; DELETE is 204, also when
// there was nothing.
namespace weft::control {

namespace asio = boost::asio;
using Answering = asio::awaitable<http::Response>;
using Json = boost::json::object;

http::Response to_response(const Problem& problem) {
    return http::error_response(problem.status, problem.error, problem.field, problem.detail);
}

http::Response to_response(unsigned status, const Json& body) {
    http::Response response;
    response.status = status;
    response.body = boost::json::serialize(body);
    return response;
}

namespace {

http::Response no_content() {
    http::Response response;
    response.status = 204;
    return response;
}

http::Response view_or_problem(const Answer<Json>& view) {
    return view ? to_response(200, *view) : to_response(view.error());
}

// Deleting what is not there is done already.
http::Response deleted(const Answer<void>& done) {
    if (!done && done.error().status != 404) return to_response(done.error());
    return no_content();
}

Problem bad_path_name(std::string_view what, std::string_view form) {
    return Problem::bad_field("path", "not a " + std::string(what) + "; " + std::string(form));
}

constexpr std::string_view kIdForm = "expected [A-Za-z0-9][A-Za-z0-9_.-]{0,127}";

// ---- Handlers that are coroutines
// ------------------------------------------------------------------------------------

Answering handle_unregister(NodeApi& node, http::Request) {
    const auto done = co_await node.unregister_node();
    co_return deleted(done);
}

Answering handle_deploy(NodeApi& node, ReadDefaults defaults, http::Request request) {
    auto read = read_instance(request.body, defaults);
    if (!read) co_return to_response(read.error());
    const auto deployed = co_await node.deploy(std::move(*read));
    if (!deployed) co_return to_response(deployed.error());
    co_return view_or_problem(node.instance_view(deployed->id));
}

Answering handle_undeploy(NodeApi& node, http::Request request) {
    const auto done = co_await node.undeploy_id(request.captures.front());
    co_return deleted(done);
}

Answering handle_add_forward(NodeApi& node, http::Request request) {
    auto read = read_port_forward(request.body);
    if (!read) co_return to_response(read.error());
    const auto made = co_await node.add_port_forward(std::move(*read));
    co_return made ? to_response(201, *made) : to_response(made.error());
}

Answering handle_delete_forward(NodeApi& node, http::Request request) {
    const auto done = co_await node.delete_port_forward(request.captures.front());
    co_return deleted(done);
}

// ---- Handlers that answer at once
// ------------------------------------------------------------------------------------

http::Response put_service(NodeApi& node, const http::Request& request) {
    const std::string& name = request.captures.front();
    if (!is_service_name(name))
        return to_response(bad_path_name("service name", "expected four parts, e.g. shop.default.api.default"));
    auto push = read_service_push(name, request.body);
    if (!push) return to_response(push.error());
    const auto created = node.put_service(std::move(*push));
    if (!created) return to_response(created.error());
    const auto view = node.service_view(name);
    return view ? to_response(*created ? 201 : 200, *view) : to_response(view.error());
}

http::Response put_peer(NodeApi& node, const http::Request& request) {
    const std::string& id = request.captures.front();
    if (!is_container_name(id)) return to_response(bad_path_name("peer id", kIdForm));
    auto push = read_peer_push(id, request.body);
    if (!push) return to_response(push.error());
    const auto created = node.put_peer(std::move(*push));
    if (!created) return to_response(created.error());
    const auto view = node.peer_view(id);
    return view ? to_response(*created ? 201 : 200, *view) : to_response(view.error());
}

http::Response list_flows(NodeApi& node, const http::Request& request) {
    const auto query = read_flow_query(request.query);
    return query ? to_response(200, node.flows_view(*query)) : to_response(query.error());
}

http::Response trace(NodeApi& node, const http::Request& request) {
    const auto read = read_trace(request.body);
    return read ? view_or_problem(node.trace(*read)) : to_response(read.error());
}

http::Response health(NodeApi& node, const http::Request&) {
    if (node.is_healthy()) return to_response(200, {{"status", "ok"}});
    http::Response response = to_response(503, {{"status", "failed"}});
    response.headers.emplace_back("Retry-After", "1");
    return response;
}

http::Response openapi(NodeApi&, const http::Request&) {
    http::Response response;
    response.content_type = "application/yaml";
    response.body = std::string(openapi_text());
    return response;
}

// A handler that needs no waiting, as the router wants it.
template <class Function>
http::Handler at_once(NodeApi& node, Function function) {
    return [&node, function](http::Request request) -> Answering { co_return function(node, request); };
}

template <class Function>
http::Handler later(NodeApi& node, Function function) {
    return [&node, function](http::Request request) { return function(node, std::move(request)); };
}

// A view without parameters.
http::Handler view(NodeApi& node, Json (NodeApi::*member)()) {
    return at_once(node,
                   [member](NodeApi& target, const http::Request&) { return to_response(200, (target.*member)()); });
}

http::Handler view_of(NodeApi& node, Answer<Json> (NodeApi::*member)(const std::string&)) {
    return at_once(node, [member](NodeApi& target, const http::Request& request) {
        return view_or_problem((target.*member)(request.captures.front()));
    });
}

http::Handler deletion(NodeApi& node, Answer<void> (NodeApi::*member)(const std::string&)) {
    return at_once(node, [member](NodeApi& target, const http::Request& request) {
        return deleted((target.*member)(request.captures.front()));
    });
}

Answering not_implemented(http::Request) {
    co_return http::error_response(501, "not_implemented", "", "this call is not in this version");
}

}  // namespace

void add_own_routes(http::Router& router, NodeApi& node, const ReadDefaults& defaults) {
    const auto add = [&](const char* method, const char* path, http::Handler handler) {
        router.add(method, path, kOwnBody, std::move(handler));
    };
    add("GET", "/healthz", at_once(node, health));
    add("GET", "/v1/openapi.yaml", at_once(node, openapi));
    add("GET", "/v1/status", view(node, &NodeApi::status_view));
    add("GET", "/v1/node", view(node, &NodeApi::node_view));
    add("DELETE", "/v1/node/registration", later(node, handle_unregister));

    add("GET", "/v1/services", view(node, &NodeApi::services_view));
    add("GET", "/v1/services/{name}", view_of(node, &NodeApi::service_view));
    add("PUT", "/v1/services/{name}", at_once(node, put_service));
    add("DELETE", "/v1/services/{name}", deletion(node, &NodeApi::delete_service));

    add("GET", "/v1/instances", view(node, &NodeApi::instances_view));
    add("POST", "/v1/instances",
        [&node, defaults](http::Request request) { return handle_deploy(node, defaults, std::move(request)); });
    add("GET", "/v1/instances/{id}", view_of(node, &NodeApi::instance_view));
    add("DELETE", "/v1/instances/{id}", later(node, handle_undeploy));

    add("GET", "/v1/flows", at_once(node, list_flows));
    add("DELETE", "/v1/flows/{id}", deletion(node, &NodeApi::delete_flow));

    add("GET", "/v1/peers", view(node, &NodeApi::peers_view));
    add("GET", "/v1/peers/{id}", view_of(node, &NodeApi::peer_view));
    add("PUT", "/v1/peers/{id}", at_once(node, put_peer));
    add("DELETE", "/v1/peers/{id}", deletion(node, &NodeApi::delete_peer));

    add("GET", "/v1/port-forwards", view(node, &NodeApi::port_forwards_view));
    add("POST", "/v1/port-forwards", later(node, handle_add_forward));
    add("DELETE", "/v1/port-forwards/{id}", later(node, handle_delete_forward));

    add("GET", "/v1/counters", view(node, &NodeApi::counters_view));
    add("GET", "/v1/drops", view(node, &NodeApi::drops_view));
    add("POST", "/v1/trace", at_once(node, trace));
    add("GET", "/v1/events", later(node, handle_events));

    for (const char* method : {"GET", "PUT", "DELETE"}) {
        add(method, "/v1/mirrors/{name}", not_implemented);
        add(method, "/v1/policies/{name}", not_implemented);
    }
    for (const char* path : {"/v1/mirrors", "/v1/policies", "/v1/redirects"})
        add("GET", path, not_implemented);
    add("PUT", "/v1/policies", not_implemented);
    add("POST", "/v1/redirects", not_implemented);
    add("DELETE", "/v1/redirects/{id}", not_implemented);
}

}  // namespace weft::control
