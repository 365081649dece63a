// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>

namespace weft::cli {

// What the shell is told. Degraded: the verb did its work, but something it shows is not in order.
enum class ExitCode { Ok = 0, Failed = 1, Usage = 2, Degraded = 3 };

// Why a verb did not do its work, in the three parts a person needs; `next` may be empty.
struct Failure {
    ExitCode code = ExitCode::Failed;
    std::string what;  // what was tried and did not happen
    std::string why;
    std::string next;  // what to type now
};

template <class T>
using Outcome = std::expected<T, Failure>;

}  // namespace weft::cli
