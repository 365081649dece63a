// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "control/http/message.hpp"

namespace weft::http {

// A handler finishes its work even if the client has gone, and never throws on purpose; what does escape is 500.
using Handler = std::function<boost::asio::awaitable<Response>(Request)>;

struct Route {
    std::string method;
    std::string pattern;  // "/v1/services/{name}"
    Handler handler;
    std::size_t body_limit = 0;
};

// The table of calls. `/path/` is the same as `/path`.
class Router {
  public:
    void add(std::string method, std::string pattern, std::size_t body_limit, Handler handler);

    struct Found {
        const Route* route = nullptr;
        std::vector<std::string> captures;
    };
    struct WrongMethod {
        std::string allow;  // "GET, PUT"
    };
    struct Unknown {};
    [[nodiscard]] std::variant<Found, WrongMethod, Unknown> find(std::string_view method, std::string_view path) const;

  private:
    std::vector<Route> routes_;
};

}  // namespace weft::http
