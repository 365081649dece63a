// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <spdlog/spdlog.h>

#include "config/config.hpp"

namespace weft::control {

// The log on stderr, as text or as one JSON object a line (docs/logging.md). Messages may hold what clients and files
// said: in text control characters are escaped, in JSON everything that JSON asks for.
std::shared_ptr<spdlog::logger> make_stderr_logger(const config::Log& log);

// The form of one message, for both.
std::string escape_log_text(std::string_view message, config::LogFormat format);

}  // namespace weft::control
