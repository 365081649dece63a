// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "config/config.hpp"

namespace weft::control {

// The log on stderr, as text or as one JSON object a line (docs/logging.md).
inline std::shared_ptr<spdlog::logger> make_stderr_logger(const config::Log& log) {
    auto logger = std::make_shared<spdlog::logger>("weftd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    if (log.format == config::LogFormat::Json)
        logger->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","part":"%n","message":"%v"})",
                            spdlog::pattern_time_type::utc);
    else
        logger->set_pattern("%b %d %H:%M:%S.%e %-5l %n: %v");
    logger->flush_on(spdlog::level::warn);
    return logger;
}

}  // namespace weft::control
