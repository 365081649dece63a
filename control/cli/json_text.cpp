// SPDX-License-Identifier: Apache-2.0
#include "control/cli/json_text.hpp"

#include <cstdio>

#include <boost/json/serialize.hpp>

namespace weft::cli {

namespace json = boost::json;

const json::value* find_at(const json::value& from, std::string_view path) {
    const json::value* at = &from;
    while (!path.empty()) {
        const auto dot = path.find('.');
        const std::string_view key = path.substr(0, dot);
        if (!at->is_object()) return nullptr;
        at = at->get_object().if_contains({key.data(), key.size()});
        if (at == nullptr) return nullptr;
        path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
    }
    return at->is_null() ? nullptr : at;
}

std::string text_or_empty(const json::value& from, std::string_view path) {
    const json::value* found = find_at(from, path);
    if (found == nullptr) return "";
    if (const auto* text = found->if_string()) return {text->data(), text->size()};
    if (const auto* flag = found->if_bool()) return *flag ? "yes" : "no";
    if (const auto* real = found->if_double()) {
        char digits[32];
        const int length = std::snprintf(digits, sizeof digits, "%.2f", *real);
        return {digits, static_cast<std::size_t>(length)};
    }
    return json::serialize(*found);
}

std::string text_at(const json::value& from, std::string_view path) {
    std::string text = text_or_empty(from, path);
    return text.empty() ? "-" : text;
}

std::uint64_t count_at(const json::value& from, std::string_view path) {
    const json::value* found = find_at(from, path);
    if (found == nullptr) return 0;
    if (const auto* number = found->if_uint64()) return *number;
    if (const auto* number = found->if_int64()) return *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
    return 0;
}

const json::array& array_at(const json::value& from, std::string_view path) {
    static const json::array none;
    const json::value* found = find_at(from, path);
    return found != nullptr && found->is_array() ? found->get_array() : none;
}

const json::object& object_at(const json::value& from, std::string_view path) {
    static const json::object none;
    const json::value* found = find_at(from, path);
    return found != nullptr && found->is_object() ? found->get_object() : none;
}

}  // namespace weft::cli
