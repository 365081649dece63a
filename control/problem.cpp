// SPDX-License-Identifier: Apache-2.0
#include "control/problem.hpp"

namespace weft::control {

Problem Problem::from(const Error& error) {
    switch (error.code()) {
        case ErrorCode::NotFound:
            return {404, "not_found", "", error.text()};
        case ErrorCode::Conflict:
            return {409, "conflict", "", error.text()};
        case ErrorCode::BadInput:
            return {400, "bad_field", "", error.text()};
        case ErrorCode::Exhausted:
            return {503, "no_addresses", "", error.text()};
        case ErrorCode::Unavailable:
        case ErrorCode::Timeout:
            return {503, "runtime_unavailable", "", error.text()};
        case ErrorCode::System:
        case ErrorCode::Internal:
            break;
    }
    return {500, "internal", "", error.text()};
}

}  // namespace weft::control
