// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "control/netns.hpp"
#include "control/requests.hpp"

namespace weft::control {

// A container's network namespace, and how to tell later whether the container still lives.
struct ResolvedContainer {
    Netns netns;
    UniqueFd pidfd;                // invalid for netns:NAME
    int pid = 0;                   // 0 for netns:NAME
    std::uint64_t start_time = 0;  // of the process, in clock ticks since boot: tells a pid used again
    bool was_created = false;      // by this call, for netns:NAME
};

enum class IfAbsent : std::uint8_t { Fail, Create };

// Opens the namespace that `container` names. For Docker, `pid` is the container's process as the engine told it; for
// Pid it is in the reference itself. NotFound if there is no such namespace or process; Conflict if it is the calling
// thread's own (the host's); a pid that changes hands in the meantime is Conflict too.
Result<ResolvedContainer> resolve_container(const ContainerRef& container, int pid, IfAbsent if_absent);

// The process is still the one that was resolved.
bool is_same_process(int pid, std::uint64_t start_time);
// Field 22 of /proc/PID/stat; NotFound if the process is gone or a zombie.
Result<std::uint64_t> process_start_time(int pid);

}  // namespace weft::control
