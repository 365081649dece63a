// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>

#include "dataplane/base/error.hpp"

namespace weft::control {

// A refused call, as the client is told (docs/api): HTTP status, the stable error word, the field at fault (may be
// empty), and a sentence that says what was wrong and what would be right.
struct Problem {
    unsigned status = 500;
    std::string error;
    std::string field;
    std::string detail;

    static Problem bad_field(std::string field, std::string detail) {
        return {400, "bad_field", std::move(field), std::move(detail)};
    }
    static Problem conflict(std::string field, std::string detail) {
        return {409, "conflict", std::move(field), std::move(detail)};
    }
    static Problem not_found(std::string field, std::string detail) {
        return {404, "not_found", std::move(field), std::move(detail)};
    }
    // A kernel step, a library or a dependency failed: code decides between 404, 409, 500 and 503.
    static Problem from(const Error& error);
};

template <class T>
using Answer = std::expected<T, Problem>;

}  // namespace weft::control
