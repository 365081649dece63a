// SPDX-License-Identifier: Apache-2.0
#include "control/cli/client.hpp"

#include <charconv>
#include <chrono>
#include <optional>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace weft::cli {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using Endpoint = asio::generic::stream_protocol::endpoint;
using boost::system::error_code;

// weftd answers within 9 s, whatever it is asked.
constexpr std::chrono::seconds kPatience{15};
constexpr std::size_t kLargestAnswer = std::size_t{64} << 20;

Error failed(const std::string& attempt, const error_code& code) {
    if (code == beast::error::timeout) return {ErrorCode::Timeout, attempt + ": no answer within 15 s"};
    if (code.category() == boost::system::system_category()) return Error::system(attempt, code.value());
    return {ErrorCode::Internal, attempt + ": " + code.message()};
}

asio::awaitable<Result<Endpoint>> resolve(const ServerAddress& server) {
    if (!server.unix_path.empty()) {
        // Asio throws for a path that does not fit into a sockaddr_un (108 bytes with the final zero).
        if (server.unix_path.size() > 107)
            co_return std::unexpected(Error(ErrorCode::BadInput, "socket path longer than 107 characters"));
        co_return Endpoint(asio::local::stream_protocol::endpoint(server.unix_path));
    }
    error_code code;
    asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
    const auto found = co_await resolver.async_resolve(server.host, std::to_string(server.port),
                                                       asio::redirect_error(asio::use_awaitable, code));
    if (code || found.empty()) co_return std::unexpected(failed("look up " + server.host, code));
    co_return Endpoint(found.begin()->endpoint());
}

asio::awaitable<Result<Reply>> talk(ServerAddress server, http::request<http::string_body> request) {
    const auto endpoint = co_await resolve(server);
    if (!endpoint) co_return std::unexpected(endpoint.error());
    Stream stream(co_await asio::this_coro::executor);
    stream.expires_after(kPatience);
    error_code code;
    co_await stream.async_connect(*endpoint, asio::redirect_error(asio::use_awaitable, code));
    if (code) co_return std::unexpected(failed("connect to " + server.to_string(), code));
    co_await http::async_write(stream, request, asio::redirect_error(asio::use_awaitable, code));
    if (code) co_return std::unexpected(failed("send the request", code));
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kLargestAnswer);
    co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, code));
    if (code) co_return std::unexpected(failed("read the answer", code));
    co_return Reply{parser.get().result_int(), std::move(parser.get().body())};
}

}  // namespace

std::expected<ServerAddress, std::string> ServerAddress::parse(std::string_view text) {
    ServerAddress server;
    if (text.starts_with("unix:") && text.size() > 5) {
        server.unix_path = text.substr(5);
        return server;
    }
    if (text.starts_with('/')) {
        server.unix_path = text;
        return server;
    }
    const auto colon = text.rfind(':');
    if (text.starts_with("tcp:") && colon > 4 && colon != std::string_view::npos) {
        std::string_view host = text.substr(4, colon - 4);
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        const std::string_view digits = text.substr(colon + 1);
        const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), server.port);
        if (!host.empty() && code == std::errc{} && end == digits.data() + digits.size() && server.port != 0) {
            server.host = host;
            return server;
        }
    }
    return std::unexpected("'" + std::string(text) + "' is neither unix:PATH nor tcp:HOST:PORT");
}

std::string ServerAddress::to_string() const {
    return unix_path.empty() ? "tcp:" + host + ":" + std::to_string(port) : "unix:" + unix_path;
}

Result<Reply> exchange(const ServerAddress& server, std::string_view method, std::string_view target,
                       std::string body) {
    http::request<http::string_body> request;
    request.version(11);
    request.method_string({method.data(), method.size()});
    request.target({target.data(), target.size()});
    request.set(http::field::host,
                server.unix_path.empty() ? server.host + ":" + std::to_string(server.port) : "localhost");
    request.set(http::field::user_agent, "weft/" WEFT_VERSION);
    request.set(http::field::content_type, "application/json");
    request.keep_alive(false);
    request.body() = std::move(body);
    request.prepare_payload();

    std::optional<Result<Reply>> reply;
    asio::io_context context(1);
    asio::co_spawn(context, talk(server, std::move(request)), [&](std::exception_ptr thrown, Result<Reply> result) {
        if (thrown)
            reply.emplace(std::unexpected(Error(ErrorCode::Internal, "an unexpected exception in the HTTP client")));
        else
            reply.emplace(std::move(result));
    });
    context.run_for(kPatience + std::chrono::seconds(1));
    if (!reply) return std::unexpected(Error(ErrorCode::Timeout, "no answer within 15 s"));
    return std::move(*reply);
}

}  // namespace weft::cli
