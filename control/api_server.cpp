// SPDX-License-Identifier: Apache-2.0
#include "control/api_server.hpp"

#include <array>

#include <unistd.h>

#include "config/secret_file.hpp"
#include "control/api.hpp"

namespace weft::control {

namespace asio = boost::asio;

namespace {

std::string host_name() {
    std::array<char, 256> name{};
    return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

Result<std::optional<http::Token>> read_token(const config::Api& api) {
    if (api.token_file.empty()) return std::nullopt;
    const auto secret = config::read_token(api.token_file);
    if (!secret) return std::unexpected(secret.error());
    return http::Token(*secret);
}

}  // namespace

ApiServer::ApiServer(asio::io_context& io, const config::Config& config, NodeApi& node, const http::Limits& limits)
    : node_(node) {
    const ReadDefaults defaults{config.overlay.node_prefix, config.overlay.node_prefix_v6, config.tunnel.port};
    http::Options options;
    options.limits = limits;
    options.group = config.api.group;
    if (auto name = host_name(); !name.empty()) options.host_names.push_back(std::move(name));

    const auto add_metrics = [this](http::Router& router) {
        router.add("GET", "/metrics", kOwnBody, [this](http::Request) -> asio::awaitable<http::Response> {
            http::Response response;
            response.content_type = "text/plain; version=0.0.4; charset=utf-8";
            response.body = metrics_text();
            co_return response;
        });
    };
    http::Router router;
    add_reference_routes(router, node, defaults);
    add_own_routes(router, node, defaults);
    add_metrics(router);
    http::Router metrics_router;
    add_metrics(metrics_router);
    api_ = std::make_unique<http::Server>(io, std::move(router), options);
    metrics_ = std::make_unique<http::Server>(io, std::move(metrics_router), options);
}

Result<std::unique_ptr<ApiServer>> ApiServer::start(asio::io_context& io, const config::Config& config, NodeApi& node,
                                                    const http::Limits& limits) {
    std::unique_ptr<ApiServer> server(new ApiServer(io, config, node, limits));
    const auto started = server->reload(config);
    if (!started) return std::unexpected(started.error());
    return server;
}

Result<void> ApiServer::reload(const config::Config& config) {
    const auto token = read_token(config.api);
    if (!token) return std::unexpected(token.error());
    // The token first: no listener may stand a moment without it.
    const auto before = api_->token();
    const auto listeners_before = api_->listeners_wanted();
    for (auto* server : {api_.get(), metrics_.get()}) {
        server->set_token(*token);
        server->set_group(config.api.group);
    }
    auto done = api_->listen(config.api.listen);
    if (done) {
        done = metrics_->listen(config.metrics.listen);
        if (!done) [[maybe_unused]]
            const auto restored = api_->listen(listeners_before);
    }
    if (!done) {
        for (auto* server : {api_.get(), metrics_.get()})
            server->set_token(before);
    }
    return done;
}

void ApiServer::stop() {
    api_->stop();
    metrics_->stop();
}

std::string ApiServer::metrics_text() {
    std::string text = node_.metrics_text();
    text +=
        "# HELP weft_api_requests_total Answers of the API by route and status.\n# TYPE weft_api_requests_total "
        "counter\n";
    for (const auto& [key, count] : api_->answers()) {
        text += "weft_api_requests_total{path=\"" + key.first + "\",code=\"" + std::to_string(key.second) + "\"} " +
                std::to_string(count) + "\n";
    }
    return text;
}

}  // namespace weft::control
