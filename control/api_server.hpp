// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "config/config.hpp"
#include "control/http/server.hpp"
#include "control/node_api.hpp"
#include "dataplane/base/error.hpp"

namespace weft::control {

// The node's API on the listeners of the configuration, and `/metrics` alone on those of `metrics.listen`.
//
// Threading: control. The node must outlive the io_context's coroutines. Errors: Conflict if a listener is taken.
class ApiServer {
  public:
    static Result<std::unique_ptr<ApiServer>> start(boost::asio::io_context& io, const config::Config& config,
                                                    NodeApi& node, const http::Limits& limits = {});
    // Takes over `api.*` and `metrics.listen`; on an error everything stays as it was.
    Result<void> reload(const config::Config& config);
    void stop();

    // With the ports that the kernel chose for port 0.
    [[nodiscard]] std::vector<config::Listener> listeners() const { return api_->listeners(); }
    [[nodiscard]] const http::Server& server() const { return *api_; }

  private:
    ApiServer(boost::asio::io_context& io, const config::Config& config, NodeApi& node, const http::Limits& limits);
    [[nodiscard]] std::string metrics_text();

    NodeApi& node_;
    std::unique_ptr<http::Server> api_;
    std::unique_ptr<http::Server> metrics_;
};

}  // namespace weft::control
