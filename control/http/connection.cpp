// SPDX-License-Identifier: Apache-2.0
#include "control/http/connection.hpp"

#include <array>
#include <tuple>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "dataplane/base/log.hpp"

namespace weft::http {

namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// What a connection may hold unparsed: a full header and some of what follows it.
constexpr std::size_t kBufferBytes = std::size_t{16} * 1024;
constexpr std::chrono::milliseconds kLinger = std::chrono::seconds(1);
constexpr std::size_t kLingerBytes = std::size_t{256} * 1024;

std::optional<std::string_view> header(const bhttp::fields& fields, bhttp::field name) {
    const auto found = fields.find(name);
    if (found == fields.end()) return std::nullopt;
    return std::string_view(found->value().data(), found->value().size());
}

// "http://host/path" is what a client writes to a proxy; the host it names counts instead of the Host header.
struct Target {
    std::optional<std::string_view> authority;
    std::string_view path;
    std::string_view query;
};

Target split_target(std::string_view target) {
    Target parts;
    constexpr std::string_view kScheme = "http://";
    if (target.starts_with(kScheme)) {
        target.remove_prefix(kScheme.size());
        const auto slash = std::min(target.find('/'), target.size());
        parts.authority = target.substr(0, slash);
        target.remove_prefix(slash);
        if (target.empty()) target = "/";
    }
    const auto mark = std::min(target.find('?'), target.size());
    parts.path = target.substr(0, mark);
    parts.query = target.substr(std::min(target.size(), mark + 1));
    return parts;
}

bool is_http_error(const error_code& error) {
    return error.category() == bhttp::make_error_code(bhttp::error::bad_version).category();
}

}  // namespace

// Ends a read that takes too long in a way that leaves room for an answer, or a write by ending everything.
class Connection::Deadline {
  public:
    enum class Then { StopReading, Close };

    explicit Deadline(Connection& connection) : connection_(connection), timer_(connection.socket_.get_executor()) {}

    void arm(std::chrono::milliseconds limit, Then then) {
        has_passed_ = false;
        timer_.expires_after(limit);
        timer_.async_wait([weak = connection_.weak_from_this(), then](error_code error) {
            const auto connection = weak.lock();
            if (error || !connection) return;
            Deadline& deadline = *connection->deadline_;
            // A timer that had fired when it was armed anew is not ours any more.
            if (deadline.timer_.expiry() > asio::steady_timer::clock_type::now()) return;
            deadline.has_passed_ = true;
            error_code ignored;
            // Reads from now on see the end, also those that were not pending this moment.
            if (then == Then::StopReading) {
                connection->socket_.shutdown(Socket::shutdown_receive, ignored);
            } else {
                connection->socket_.close(ignored);
            }
        });
    }
    void disarm() {
        timer_.expires_at(asio::steady_timer::time_point::max());
        timer_.cancel();
    }
    [[nodiscard]] bool has_passed() const { return has_passed_; }

  private:
    Connection& connection_;
    asio::steady_timer timer_;
    bool has_passed_ = false;
};

struct Connection::Buffer : boost::beast::flat_buffer {
    Buffer() : boost::beast::flat_buffer(kBufferBytes) {}
};

class Connection::StreamToClient : public Stream {
  public:
    explicit StreamToClient(Connection& connection) : connection_(connection) {}

    asio::awaitable<bool> send(std::string data) override {
        connection_.deadline_->arm(connection_.server_->options.limits.write, Deadline::Then::Close);
        const auto [error, size] = co_await asio::async_write(connection_.socket_, asio::buffer(data), kAwait);
        connection_.deadline_->disarm();
        co_return !error;
    }

  private:
    Connection& connection_;
};

// One request while it is read and answered.
struct Connection::Incoming {
    bhttp::request_parser<bhttp::string_body> parser;
    std::string method;
    std::string pattern;  // of the route, for the counters
    const Route* route = nullptr;
    Request request;
    bool has_headers = false;   // enough was understood to answer in kind
    bool may_continue = false;  // the connection can carry another request
    bool is_gone = false;       // nobody to answer to
};

Connection::Connection(std::shared_ptr<Server::State> server, Socket socket, std::optional<net::Endpoint> local,
                       std::string peer)
    : server_(std::move(server)),
      socket_(std::move(socket)),
      local_(local),
      peer_(std::move(peer)),
      deadline_(std::make_unique<Deadline>(*this)),
      buffer_(std::make_unique<Buffer>()) {
    server_->connections.insert(this);
}

Connection::~Connection() {
    server_->connections.erase(this);
}

void Connection::start() {
    asio::co_spawn(
        socket_.get_executor(), [self = shared_from_this()] { return self->run(); },
        [self = shared_from_this()](const std::exception_ptr& failure) {
            if (!failure) return;
            try {
                std::rethrow_exception(failure);
            } catch (const std::exception& error) {
                logger("control").error("connection ended by a defect err='{}'", error.what());
            }
        });
}

void Connection::close() {
    error_code ignored;
    deadline_->disarm();
    socket_.close(ignored);
}

asio::awaitable<void> Connection::run() {
    for (bool is_first = true;; is_first = false) {
        if (!co_await serve_one(is_first)) break;
    }
    co_await linger();
    close();
}

asio::awaitable<bool> Connection::serve_one(bool is_first) {
    const Limits& limits = server_->options.limits;
    if (buffer_->size() == 0) {
        deadline_->arm(is_first ? limits.header : limits.idle, Deadline::Then::StopReading);
        const auto [error, size] = co_await socket_.async_read_some(buffer_->prepare(4096), kAwait);
        if (error) co_return false;
        buffer_->commit(size);
    }

    Incoming incoming;
    auto refusal = co_await read_request(incoming);
    if (incoming.is_gone) co_return false;
    Response response;
    if (refusal) {
        response = std::move(*refusal);
    } else {
        deadline_->disarm();
        response = co_await call(*incoming.route, std::move(incoming.request));
    }
    co_return co_await answer(incoming, std::move(response));
}

// Steps 2 to 4; a refusal, or the request stands in `incoming`.
asio::awaitable<std::optional<Response>> Connection::read_request(Incoming& incoming) {
    const Limits& limits = server_->options.limits;
    const auto begin = asio::steady_timer::clock_type::now();
    const auto refuse_read = [&](const error_code& error) -> std::optional<Response> {
        if (deadline_->has_passed()) return error_response(408, "timeout", "", "the request took too long to arrive");
        if (error == bhttp::error::header_limit || error == bhttp::error::buffer_overflow) {
            return error_response(431, "too_large", "",
                                  "headers of at most " + std::to_string(limits.header_bytes) + " bytes are taken");
        }
        if (error == bhttp::error::body_limit) {
            const std::size_t most = incoming.route != nullptr ? incoming.route->body_limit : limits.body_bytes;
            return error_response(413, "too_large", "",
                                  "a body of at most " + std::to_string(most) + " bytes is taken");
        }
        if (!is_http_error(error) || error == bhttp::error::end_of_stream || error == bhttp::error::partial_message) {
            incoming.is_gone = true;
            return error_response(400, "bad_field", "", "");
        }
        return error_response(400, "bad_field", "", "not HTTP/1.1 as it should be: " + error.message());
    };

    auto& parser = incoming.parser;
    parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes));
    parser.body_limit(boost::none);
    deadline_->arm(limits.header, Deadline::Then::StopReading);
    if (const auto [error, size] = co_await bhttp::async_read_header(socket_, *buffer_, parser, kAwait); error) {
        co_return refuse_read(error);
    }
    const auto& message = parser.get();
    incoming.has_headers = true;
    incoming.method = std::string(message.method_string());
    const bool has_body = parser.chunked() || parser.content_length().value_or(0) > 0;
    incoming.may_continue = message.keep_alive() && !has_body;  // with a body: once that is read

    const Target target = split_target({message.target().data(), message.target().size()});
    if (message.count(bhttp::field::host) > 1)
        co_return error_response(400, "bad_field", "Host", "stands there more than once");
    Caller caller{local_, header(message, bhttp::field::host), header(message, bhttp::field::origin),
                  header(message, bhttp::field::authorization)};
    if (local_ && !caller.host && message.version() >= 11)
        co_return error_response(400, "bad_field", "Host", "is missing");
    if (target.authority) caller.host = target.authority;
    if (auto refusal = refuse_access(caller, server_->options.token, server_->options.host_names)) co_return refusal;

    std::optional<Response> refusal;
    const auto found = server_->router.find(incoming.method, target.path);
    if (const auto* match = std::get_if<Router::Found>(&found)) {
        incoming.route = match->route;
        incoming.pattern = match->route->pattern;
        incoming.request.captures = match->captures;
    } else if (const auto* wrong = std::get_if<Router::WrongMethod>(&found)) {
        refusal = error_response(405, "method_not_allowed", "", "this path takes " + wrong->allow);
        refusal->headers.emplace_back("Allow", wrong->allow);
    } else {
        refusal = error_response(404, "not_found", "", "no such path; GET /v1/openapi.yaml lists them");
    }

    const std::size_t most = incoming.route != nullptr ? incoming.route->body_limit : limits.body_bytes;
    if (parser.content_length().value_or(0) > most) co_return refuse_read(bhttp::error::body_limit);
    if (has_body) {
        const auto expect = header(message, bhttp::field::expect);
        if (expect && refusal) co_return refusal;  // the body was not sent yet, and need not be
        if (expect && message.version() >= 11) {
            const auto [error, size] =
                co_await asio::async_write(socket_, asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25), kAwait);
            if (error) co_return refuse_read(error);
        }
        parser.body_limit(most);
        const auto used = asio::steady_timer::clock_type::now() - begin;
        deadline_->arm(std::chrono::duration_cast<std::chrono::milliseconds>(limits.request - used),
                       Deadline::Then::StopReading);
        if (const auto [error, size] = co_await bhttp::async_read(socket_, *buffer_, parser, kAwait); error) {
            co_return refuse_read(error);
        }
        incoming.may_continue = parser.get().keep_alive();
    }

    Request& request = incoming.request;
    request.method = incoming.method;
    request.path = std::string(target.path);
    request.query = std::string(target.query);
    if (const auto id = parser.get().find("Last-Event-ID"); id != parser.get().end())
        request.last_event_id = std::string(id->value());
    request.peer = peer_;
    request.body = std::move(parser.get().body());
    co_return refusal;
}

// The handler runs as a coroutine of its own: when the client's time is up, the work goes on.
asio::awaitable<Response> Connection::call(const Route& route, Request request) {
    const Limits& limits = server_->options.limits;
    if (server_->calls >= limits.calls) co_return error_response(503, "busy", "", "too many calls at work; try again");

    struct Work {
        explicit Work(const asio::any_io_executor& executor) : done(executor) {}
        asio::steady_timer done;
        std::optional<Response> response;
    };
    const auto executor = socket_.get_executor();
    auto work = std::make_shared<Work>(executor);
    work->done.expires_after(limits.answer);
    ++server_->calls;
    asio::co_spawn(
        executor,
        [](std::shared_ptr<Server::State> server, std::shared_ptr<Work> shared, Handler handler,
           Request asked) -> asio::awaitable<void> {
            Response response;
            try {
                response = co_await handler(std::move(asked));
            } catch (const std::exception& error) {
                logger("control").error("a handler failed err='{}'", error.what());
                response = error_response(500, "internal", "", "an internal error; the log of weftd has more");
            }
            shared->response = std::move(response);
            --server->calls;
            shared->done.cancel();
        }(server_, work, route.handler, std::move(request)),
        asio::detached);
    if (!work->response) co_await work->done.async_wait(kAwait);
    if (work->response) co_return std::move(*work->response);
    co_return error_response(503, "busy", "",
                             "the call takes longer than expected and goes on; ask again for its outcome");
}

asio::awaitable<bool> Connection::answer(Incoming& incoming, Response response) {
    ++server_->answers[{incoming.pattern, response.status}];
    const bool keeps = incoming.has_headers && incoming.may_continue && !response.stream;
    const bool is_head = incoming.method == "HEAD";
    const auto fill = [&](auto& message) {
        message.result(response.status);
        message.version(incoming.has_headers ? incoming.parser.get().version() : 11);
        message.keep_alive(keeps);
        message.set(bhttp::field::content_type, response.content_type);
        for (const auto& [name, value] : response.headers)
            message.set(name, value);
    };
    deadline_->arm(server_->options.limits.write, Deadline::Then::Close);
    error_code failed;
    if (is_head || response.stream) {
        bhttp::response<bhttp::empty_body> message;
        fill(message);
        if (is_head) message.content_length(response.body.size());
        bhttp::response_serializer<bhttp::empty_body> serializer(message);
        std::tie(failed, std::ignore) = co_await bhttp::async_write_header(socket_, serializer, kAwait);
    } else {
        bhttp::response<bhttp::string_body> message;
        message.body() = std::move(response.body);
        fill(message);
        message.prepare_payload();
        std::tie(failed, std::ignore) = co_await bhttp::async_write(socket_, message, kAwait);
    }
    deadline_->disarm();
    if (failed) co_return false;
    if (response.stream && !is_head) {
        StreamToClient stream(*this);
        co_await response.stream(stream);
    }
    co_return keeps;
}

// A close with unread input would reset the connection, and the client might lose the answer it was given: say that we
// are done, and read a little of what still comes.
asio::awaitable<void> Connection::linger() {
    error_code error;
    socket_.shutdown(Socket::shutdown_send, error);
    if (error) co_return;
    deadline_->arm(kLinger, Deadline::Then::Close);
    std::array<char, 4096> sink{};
    for (std::size_t total = 0; total < kLingerBytes;) {
        const auto [failed, size] = co_await socket_.async_read_some(asio::buffer(sink), kAwait);
        if (failed) break;
        total += size;
    }
    deadline_->disarm();
}

}  // namespace weft::http
