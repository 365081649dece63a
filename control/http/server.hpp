// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "config/config.hpp"
#include "control/http/access.hpp"
#include "control/http/router.hpp"
#include "dataplane/base/error.hpp"

namespace weft::http {

// docs/api/README.md says them to clients; tests shorten them.
struct Limits {
    std::chrono::milliseconds header = std::chrono::seconds(5);    // first byte to end of headers
    std::chrono::milliseconds request = std::chrono::seconds(10);  // first byte to end of body
    std::chrono::milliseconds answer = std::chrono::seconds(9);    // end of request to answer
    std::chrono::milliseconds write = std::chrono::seconds(10);
    std::chrono::milliseconds idle = std::chrono::seconds(60);  // between requests of a connection
    std::size_t header_bytes = 8192;
    std::size_t body_bytes = 64 * 1024;  // of calls that no route claims
    std::size_t connections = 512;
    std::size_t reserved = 16;  // of these, for unix sockets alone
    std::size_t calls = 1024;   // handlers at work, also those whose client has gone
};

struct Options {
    Limits limits;
    std::string group;                    // of unix sockets
    std::optional<Token> token;           // asked for on TCP
    std::vector<std::string> host_names;  // ours, beside "localhost" and the address itself
};

// HTTP/1.0 and 1.1 over unix sockets and TCP: connections, limits, who may call. Knows no commands: those are the
// router's.
//
// Threading: the thread that runs the io_context. Coroutines of handlers may outlive the server.
// Errors: only from `listen`; what goes wrong on a connection ends that connection.
class Server {
  public:
    Server(boost::asio::io_context& io, Router router, Options options);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Makes these the listeners, all or nothing: those that stay are untouched, connections live on.
    Result<void> listen(const std::vector<config::Listener>& listeners);
    // With the ports that the kernel chose for port 0.
    [[nodiscard]] std::vector<config::Listener> listeners() const;
    // As they were given to `listen`.
    [[nodiscard]] std::vector<config::Listener> listeners_wanted() const;
    [[nodiscard]] const std::optional<Token>& token() const;
    void set_token(std::optional<Token> token);
    void set_group(std::string group);  // of unix sockets opened from now on

    // Stops listening and closes every connection. Handlers at work go on.
    void stop();

    // Answers so far, by route pattern ("" for unknown paths) and status.
    [[nodiscard]] const std::map<std::pair<std::string, unsigned>, std::uint64_t>& answers() const;
    [[nodiscard]] std::size_t connections() const;

    struct State;  // shared with the connections; connection.hpp

  private:
    std::shared_ptr<State> state_;
};

}  // namespace weft::http
