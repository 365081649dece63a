// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "control/problem.hpp"

namespace weft::control {

// What we want to know of a Docker container.
struct DockerContainer {
    std::string id;  // 64 hex digits
    int pid = 0;     // of its first process
    bool uses_host_network = false;
};

// Asks the Docker engine about one container. Docker is root, so this client can build exactly one request: inspect of
// an id that was checked. Nothing of the answer is trusted beyond its types and ranges.
//
// Threading: control. Errors: 400 for what is no id (nothing is sent), 404 unknown, 409 not running or in the host's
// network, 503 runtime_unavailable if the engine does not answer within the limit.
class DockerClient {
  public:
    DockerClient(boost::asio::io_context& io, std::string socket,
                 std::chrono::milliseconds limit = std::chrono::seconds(5))
        : io_(io), socket_(std::move(socket)), limit_(limit) {}

    // By id, unique beginning of an id, or name. The client must outlive the call.
    boost::asio::awaitable<Answer<DockerContainer>> inspect(std::string container);

  private:
    boost::asio::io_context& io_;
    std::string socket_;
    std::chrono::milliseconds limit_;
};

}  // namespace weft::control
