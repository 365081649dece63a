// SPDX-License-Identifier: Apache-2.0
#include "control/docker_client.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <sys/un.h>

#include "config/codec.hpp"
#include "control/readers.hpp"

namespace weft::control {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;
using boost::system::error_code;
using config::shown;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t kLargestAnswer = std::uint64_t{1} << 20;
constexpr std::int64_t kLargestPid = 4'194'304;

Problem unavailable(const std::string& why) {
    return {503, "runtime_unavailable", "containerId", "Docker engine: " + why};
}

const json::value* find(const json::object& object, std::initializer_list<const char*> path) {
    const json::object* at = &object;
    const json::value* value = nullptr;
    for (const char* name : path) {
        if (at == nullptr) return nullptr;
        value = at->if_contains(name);
        if (value == nullptr) return nullptr;
        at = value->if_object();
    }
    return value;
}

Answer<DockerContainer> read_answer(const std::string& asked, const http::response<http::string_body>& response) {
    const std::string name = "'" + shown(asked) + "'";
    if (response.result() == http::status::not_found) {
        return std::unexpected(Problem::not_found("containerId", "Docker knows no container " + name));
    }
    // An ambiguous beginning of an id is told apart from a failing engine only by this status.
    if (response.result() == http::status::bad_request) {
        return std::unexpected(Problem::not_found("containerId", name + " names no single container of Docker"));
    }
    if (response.result() != http::status::ok)
        return std::unexpected(unavailable("status " + std::to_string(response.result_int())));
    error_code error;
    const json::value body = json::parse(response.body(), error);
    const json::object* object = error ? nullptr : body.if_object();
    if (object == nullptr) return std::unexpected(unavailable("its answer is not a JSON object"));

    const auto* id = find(*object, {"Id"});
    const auto* pid = find(*object, {"State", "Pid"});
    const auto* running = find(*object, {"State", "Running"});
    if (id == nullptr || !id->is_string() ||
        !is_container_name(std::string_view(id->get_string().data(), id->get_string().size())) || pid == nullptr ||
        !pid->is_int64() || running == nullptr || !running->is_bool()) {
        return std::unexpected(unavailable("its answer lacks Id, State.Pid or State.Running"));
    }
    if (!running->get_bool() || pid->get_int64() <= 0) {
        return std::unexpected(Problem::conflict("containerId", "container " + name + " is not running"));
    }
    if (pid->get_int64() > kLargestPid) return std::unexpected(unavailable("its answer holds an impossible pid"));
    DockerContainer container{std::string(id->get_string()), static_cast<int>(pid->get_int64()), false};
    if (const auto* mode = find(*object, {"HostConfig", "NetworkMode"}); mode != nullptr && mode->is_string()) {
        container.uses_host_network = mode->get_string() == "host";
    }
    if (container.uses_host_network) {
        return std::unexpected(Problem::conflict("containerId", "container " + name + " is in the host's network"));
    }
    return container;
}

}  // namespace

asio::awaitable<Answer<DockerContainer>> DockerClient::inspect(std::string container) {
    if (!is_container_name(container)) {
        co_return std::unexpected(
            Problem::bad_field("containerId", "'" + shown(container) + "' is not a container's id or name"));
    }
    using Unix = asio::local::stream_protocol;
    if (socket_.size() >= sizeof(sockaddr_un::sun_path))
        co_return std::unexpected(unavailable("the path of docker.socket is too long"));
    auto socket = std::make_shared<Unix::socket>(io_);
    // Closing the socket ends whatever waits on it.
    asio::steady_timer limit(io_, limit_);
    auto has_passed = std::make_shared<bool>(false);
    limit.async_wait([socket, has_passed](error_code cancelled) {
        if (cancelled) return;
        *has_passed = true;
        error_code ignored;
        socket->close(ignored);
    });
    const auto failed = [&](const error_code& error) {
        return std::unexpected(unavailable(*has_passed ? "no answer within " + config::to_string(limit_)
                                                       : socket_ + ": " + error.message()));
    };

    if (const auto [error] = co_await socket->async_connect(Unix::endpoint(socket_), kAwait); error)
        co_return failed(error);
    http::request<http::empty_body> request(http::verb::get, "/containers/" + container + "/json", 11);
    request.set(http::field::host, "docker");
    request.set(http::field::connection, "close");
    if (const auto [error, size] = co_await http::async_write(*socket, request, kAwait); error) co_return failed(error);
    boost::beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kLargestAnswer);
    if (const auto [error, size] = co_await http::async_read(*socket, buffer, parser, kAwait); error)
        co_return failed(error);
    limit.cancel();
    co_return read_answer(container, parser.get());
}

}  // namespace weft::control
