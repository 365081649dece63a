// SPDX-License-Identifier: Apache-2.0
#include "control/http/server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>

#include "control/http/connection.hpp"
#include "control/http/socket_file.hpp"
#include "dataplane/base/log.hpp"

namespace weft::http {

namespace asio = boost::asio;
using boost::system::error_code;
using Unix = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;

// One listening socket; its destructor closes it, and removes a unix socket's file.
class Acceptor {
  public:
    Acceptor() = default;
    Acceptor(const Acceptor&) = delete;
    Acceptor& operator=(const Acceptor&) = delete;
    virtual ~Acceptor() = default;
    [[nodiscard]] virtual config::Listener listener() const = 0;  // with the port it really has
    [[nodiscard]] virtual config::Listener wanted() const = 0;    // as it was asked for
    virtual void close() = 0;
};

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

net::Endpoint to_endpoint(const Tcp::endpoint& endpoint) {
    const auto address = endpoint.address();
    if (address.is_v4()) return {net::IpAddress::v4(address.to_v4().to_uint()), endpoint.port()};
    const auto v6 = address.to_v6();
    if (v6.is_v4_mapped()) {
        return {net::IpAddress::v4(asio::ip::make_address_v4(asio::ip::v4_mapped, v6).to_uint()), endpoint.port()};
    }
    return {net::IpAddress::v6_from(v6.to_bytes().data()), endpoint.port()};
}

Tcp::endpoint to_asio(const net::Endpoint& endpoint) {
    return {asio::ip::make_address(endpoint.address.to_string()), endpoint.l4_port};
}

std::string describe_peer(Unix::socket& socket) {
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return "unix";
    return "uid " + std::to_string(credentials.uid) + " pid " + std::to_string(credentials.pid);
}

std::string describe_peer(Tcp::socket& socket) {
    error_code error;
    const auto remote = socket.remote_endpoint(error);
    return error ? "tcp" : to_endpoint(remote).to_string();
}

std::optional<net::Endpoint> local_end(const Unix::socket&) {
    return std::nullopt;
}
std::optional<net::Endpoint> local_end(const Tcp::socket& socket) {
    error_code error;
    const auto local = socket.local_endpoint(error);
    return error ? net::Endpoint{} : to_endpoint(local);
}

// Sent to a connection beyond the limit, as far as the socket takes it at once.
constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    "Content-Length: 53\r\n\r\n{\"error\":\"busy\",\"detail\":\"too many open connections\"}";

template <class Protocol>
class AcceptorOf : public Acceptor, public std::enable_shared_from_this<AcceptorOf<Protocol>> {
  public:
    AcceptorOf(asio::io_context& io, config::Listener listener, std::optional<SocketFile> file)
        : socket_(io), listener_(listener), wanted_(std::move(listener)), file_(std::move(file)) {}

    typename Protocol::acceptor& socket() { return socket_; }
    void set_listener(config::Listener listener) { listener_ = std::move(listener); }
    [[nodiscard]] config::Listener listener() const override { return listener_; }
    [[nodiscard]] config::Listener wanted() const override { return wanted_; }
    void close() override {
        error_code ignored;
        socket_.close(ignored);
        file_.reset();
    }

    void start(const std::shared_ptr<Server::State>& server) {
        asio::co_spawn(socket_.get_executor(), accept_all(this->shared_from_this(), server), asio::detached);
    }

  private:
    static asio::awaitable<void> accept_all(std::shared_ptr<AcceptorOf> self, std::weak_ptr<Server::State> weak) {
        asio::steady_timer pause(self->socket_.get_executor());
        while (self->socket_.is_open()) {
            auto [error, socket] = co_await self->socket_.async_accept(kAwait);
            const auto server = weak.lock();
            if (!server || !self->socket_.is_open()) co_return;
            if (error) {
                // Out of descriptors, most likely: others need a moment to give some back.
                pause.expires_after(std::chrono::milliseconds(100));
                co_await pause.async_wait(kAwait);
                continue;
            }
            take(server, std::move(socket));
        }
    }

    static void take(const std::shared_ptr<Server::State>& server, typename Protocol::socket socket) {
        const auto local = local_end(socket);
        const Limits& limits = server->options.limits;
        const std::size_t most = limits.connections - (local ? limits.reserved : 0);
        if (server->connections.size() >= most) {
            [[maybe_unused]] const auto sent =
                ::send(socket.native_handle(), kBusy.data(), kBusy.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            return;
        }
        std::string peer = describe_peer(socket);
        std::make_shared<Connection>(server, Socket(std::move(socket)), local, std::move(peer))->start();
    }

    typename Protocol::acceptor socket_;
    config::Listener listener_;
    config::Listener wanted_;
    std::optional<SocketFile> file_;
};

Result<std::shared_ptr<Acceptor>> open_unix(const std::shared_ptr<Server::State>& server,
                                            const config::Listener& listener) {
    auto file = SocketFile::create(listener.path, server->options.group);
    if (!file) return std::unexpected(file.error());
    const int fd = file->release_fd();
    auto acceptor = std::make_shared<AcceptorOf<Unix>>(server->io, listener, std::move(*file));
    error_code error;
    acceptor->socket().assign(Unix(), fd, error);
    if (error) {
        ::close(fd);
        return std::unexpected(Error::system("listen on " + listener.to_string(), error.value()));
    }
    acceptor->start(server);
    return acceptor;
}

Result<std::shared_ptr<Acceptor>> open_tcp(const std::shared_ptr<Server::State>& server,
                                           const config::Listener& listener) {
    auto acceptor = std::make_shared<AcceptorOf<Tcp>>(server->io, listener, std::nullopt);
    auto& socket = acceptor->socket();
    const auto endpoint = to_asio(listener.tcp);
    error_code error;
    socket.open(endpoint.protocol(), error);
    if (!error) socket.set_option(asio::socket_base::reuse_address(true), error);
    if (!error && listener.tcp.address.is_v6()) socket.set_option(asio::ip::v6_only(true), error);
    if (!error) socket.bind(endpoint, error);
    if (!error) socket.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use) {
        return std::unexpected(
            Error(ErrorCode::Conflict, "listen on " + listener.to_string() + ": the port is in use"));
    }
    if (error) return std::unexpected(Error::system("listen on " + listener.to_string(), error.value()));
    acceptor->set_listener({{}, to_endpoint(socket.local_endpoint(error))});
    acceptor->start(server);
    return acceptor;
}

void close_all(std::map<std::string, std::shared_ptr<Acceptor>>& acceptors) {
    for (const auto& [text, acceptor] : acceptors)
        acceptor->close();
    acceptors.clear();
}

}  // namespace

Server::Server(asio::io_context& io, Router router, Options options)
    : state_(std::make_shared<State>(io, std::move(router), std::move(options))) {}

Server::~Server() {
    stop();
}

Result<void> Server::listen(const std::vector<config::Listener>& listeners) {
    std::map<std::string, std::shared_ptr<Acceptor>> fresh;
    std::map<std::string, std::shared_ptr<Acceptor>> kept;
    for (const auto& listener : listeners) {
        const std::string text = listener.to_string();
        if (const auto held = state_->acceptors.find(text); held != state_->acceptors.end()) {
            kept.insert(*held);
            continue;
        }
        auto opened = listener.is_unix() ? open_unix(state_, listener) : open_tcp(state_, listener);
        if (!opened) {
            close_all(fresh);
            return std::unexpected(opened.error());
        }
        fresh.emplace(text, std::move(*opened));
    }
    for (const auto& [text, acceptor] : kept)
        state_->acceptors.erase(text);
    close_all(state_->acceptors);
    state_->acceptors = std::move(fresh);
    state_->acceptors.merge(kept);
    return {};
}

std::vector<config::Listener> Server::listeners() const {
    std::vector<config::Listener> list;
    for (const auto& [text, acceptor] : state_->acceptors)
        list.push_back(acceptor->listener());
    return list;
}

std::vector<config::Listener> Server::listeners_wanted() const {
    std::vector<config::Listener> list;
    for (const auto& [text, acceptor] : state_->acceptors)
        list.push_back(acceptor->wanted());
    return list;
}

const std::optional<Token>& Server::token() const {
    return state_->options.token;
}

void Server::set_token(std::optional<Token> token) {
    state_->options.token = token;
}

void Server::set_group(std::string group) {
    state_->options.group = std::move(group);
}

void Server::stop() {
    close_all(state_->acceptors);
    const auto open = state_->connections;  // closing may end some of them
    for (auto* connection : open)
        connection->close();
}

const std::map<std::pair<std::string, unsigned>, std::uint64_t>& Server::answers() const {
    return state_->answers;
}

std::size_t Server::connections() const {
    return state_->connections.size();
}

}  // namespace weft::http
