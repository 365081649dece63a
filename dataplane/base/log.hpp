// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <spdlog/spdlog.h>

namespace weft {

// One logger per folder: `auto& log = weft::logger("control");`. A sentence, then key=value pairs from docs/logging.md.
// Never on the packet path. Threading: any thread but the workers.
inline spdlog::logger& logger(const char* folder) {
    if (auto existing = spdlog::get(folder)) return *existing;
    auto fresh = spdlog::default_logger()->clone(folder);
    try {
        spdlog::register_logger(fresh);
    } catch (const spdlog::spdlog_ex&) {
        // Another thread was first; its logger is as good.
    }
    return *spdlog::get(folder);
}

}  // namespace weft
