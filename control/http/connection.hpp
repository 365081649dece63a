// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "control/http/server.hpp"

namespace weft::http {

using Socket = boost::asio::generic::stream_protocol::socket;

class Connection;

struct Server::State {
    explicit State(boost::asio::io_context& context, Router table, Options given)
        : io(context), router(std::move(table)), options(std::move(given)) {}

    boost::asio::io_context& io;
    Router router;
    Options options;
    std::map<std::string, std::shared_ptr<class Acceptor>> acceptors;  // by the listener's text
    std::set<Connection*> connections;
    std::size_t calls = 0;  // handlers at work
    std::map<std::pair<std::string, unsigned>, std::uint64_t> answers;
};

// One client's connection: requests one after the other until either side ends it.
//
//   1 wait for the first byte    2 headers (5 s, 8 KiB)    3 who is calling, which call
//   4 body (10 s in all)         5 the handler (9 s)       6 the answer
class Connection : public std::enable_shared_from_this<Connection> {
  public:
    // `local`: our end, if TCP.
    Connection(std::shared_ptr<Server::State> server, Socket socket, std::optional<net::Endpoint> local,
               std::string peer);
    ~Connection();

    void start();
    void close();

  private:
    class Deadline;
    class StreamToClient;
    struct Incoming;

    boost::asio::awaitable<void> run();
    boost::asio::awaitable<bool> serve_one(bool is_first);
    boost::asio::awaitable<std::optional<Response>> read_request(Incoming& incoming);
    boost::asio::awaitable<Response> call(const Route& route, Request request);
    boost::asio::awaitable<bool> answer(Incoming& incoming, Response response);
    boost::asio::awaitable<void> linger();

    std::shared_ptr<Server::State> server_;
    Socket socket_;
    std::optional<net::Endpoint> local_;
    std::string peer_;
    std::unique_ptr<Deadline> deadline_;
    struct Buffer;
    std::unique_ptr<Buffer> buffer_;
};

}  // namespace weft::http
