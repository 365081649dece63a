// SPDX-License-Identifier: Apache-2.0
#include "control/http/router.hpp"

#include <optional>

namespace weft::http {

namespace {

std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> parts;
    if (path.starts_with('/')) path.remove_prefix(1);
    if (path.ends_with('/')) path.remove_suffix(1);
    for (;;) {
        const auto slash = path.find('/');
        parts.push_back(path.substr(0, slash));
        if (slash == std::string_view::npos) return parts;
        path.remove_prefix(slash + 1);
    }
}

std::optional<std::vector<std::string>> match(std::string_view pattern, const std::vector<std::string_view>& parts) {
    const auto wanted = split(pattern);
    if (wanted.size() != parts.size()) return std::nullopt;
    std::vector<std::string> captures;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (!wanted[i].starts_with('{')) {
            if (wanted[i] != parts[i]) return std::nullopt;
            continue;
        }
        auto decoded = percent_decode(parts[i]);
        if (!decoded || decoded->empty()) return std::nullopt;
        captures.push_back(std::move(*decoded));
    }
    return captures;
}

}  // namespace

void Router::add(std::string method, std::string pattern, std::size_t body_limit, Handler handler) {
    routes_.push_back({std::move(method), std::move(pattern), std::move(handler), body_limit});
}

std::variant<Router::Found, Router::WrongMethod, Router::Unknown> Router::find(std::string_view method,
                                                                               std::string_view path) const {
    if (!path.starts_with('/')) return Unknown{};
    const auto parts = split(path);
    WrongMethod wrong;
    for (const auto& route : routes_) {
        auto captures = match(route.pattern, parts);
        if (!captures) continue;
        if (route.method == method) return Found{&route, std::move(*captures)};
        wrong.allow += (wrong.allow.empty() ? "" : ", ") + route.method;
    }
    if (wrong.allow.empty()) return Unknown{};
    return wrong;
}

}  // namespace weft::http
