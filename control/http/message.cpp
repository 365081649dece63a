// SPDX-License-Identifier: Apache-2.0
#include "control/http/message.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace weft::http {

namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

Response error_response(unsigned status, std::string_view error, std::string_view field, std::string_view detail) {
    boost::json::object body;
    body["error"] = error;
    if (!field.empty()) body["field"] = field;
    body["detail"] = detail;
    Response response;
    response.status = status;
    response.body = boost::json::serialize(body);
    if (status == 503) response.headers.emplace_back("Retry-After", "1");
    return response;
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const int high = hex_digit(text[i + 1]);
        const int low = hex_digit(text[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        decoded += static_cast<char>(high << 4 | low);
        i += 2;
    }
    return decoded;
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> pairs;
    while (!query.empty()) {
        const auto part = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), part.size() + 1));
        if (part.empty()) continue;
        const auto equals = std::min(part.find('='), part.size());
        auto name = percent_decode(part.substr(0, equals));
        auto value = percent_decode(part.substr(std::min(part.size(), equals + 1)));
        if (!name || !value) return std::nullopt;
        pairs.emplace_back(std::move(*name), std::move(*value));
    }
    return pairs;
}

}  // namespace weft::http
