// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>

// What handlers see of HTTP: a request that was read whole and checked, and the answer to it.
namespace weft::http {

struct Request {
    std::string method;
    std::string path;                   // as sent, without query
    std::string query;                  // as sent, without '?'
    std::vector<std::string> captures;  // the {parts} of the route's pattern, percent-decoded
    std::string body;
    std::string last_event_id;
    std::string peer;  // who called, for the log: "uid 0 pid 4711" or "127.0.0.1:40000"
};

// Where a handler that streams writes to. `send` answers false once the client is gone.
class Stream {
  public:
    virtual ~Stream() = default;
    virtual boost::asio::awaitable<bool> send(std::string data) = 0;
};

struct Response {
    unsigned status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers;
    // If set, runs after the headers went out; the connection ends with it.
    std::function<boost::asio::awaitable<void>(Stream&)> stream;
};

// The form of every refusal: {"error": ..., "field": ..., "detail": ...}; an empty field is left out. 503 gets
// Retry-After.
Response error_response(unsigned status, std::string_view error, std::string_view field, std::string_view detail);

// "a=1&b=x%20y" as pairs in order; nullopt if an escape is broken.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace weft::http
