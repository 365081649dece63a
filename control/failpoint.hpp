// SPDX-License-Identifier: Apache-2.0
#pragma once

// Places where tests make things go wrong: WEFT_FAILPOINT("deploy.veth") in a function that answers a Result.
// Armed by the environment: WEFT_FAILPOINTS="deploy.veth=kill;undeploy.veth=error:16;deploy.done=sleep:200".
//   kill       SIGKILL to this process        error[:N]  the function answers errno N (default EIO)
//   sleep:MS   waits, then goes on            pause      stops (SIGSTOP) until somebody lets it go on
// Compiled out unless the build option `failpoints` is set.
#ifdef WEFT_FAILPOINTS

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include <signal.h>
#include <unistd.h>

#include "dataplane/base/error.hpp"

namespace weft::control {

inline Result<void> hit_failpoint(std::string_view name) {
    const char* armed = std::getenv("WEFT_FAILPOINTS");
    std::string_view rest = armed ? armed : "";
    while (!rest.empty()) {
        const auto item = rest.substr(0, rest.find(';'));
        rest.remove_prefix(item.size() < rest.size() ? item.size() + 1 : rest.size());
        const auto equals = item.find('=');
        if (equals == item.npos || item.substr(0, equals) != name) continue;
        const auto action = item.substr(equals + 1);
        const auto colon = action.find(':');
        const auto verb = action.substr(0, colon);
        int number = EIO;
        if (colon != action.npos) std::from_chars(action.data() + colon + 1, action.data() + action.size(), number);
        if (verb == "kill") ::kill(::getpid(), SIGKILL);
        if (verb == "pause") ::raise(SIGSTOP);
        if (verb == "sleep") std::this_thread::sleep_for(std::chrono::milliseconds(number));
        if (verb == "error") return std::unexpected(Error::system("failpoint " + std::string(name), number));
    }
    return {};
}

}  // namespace weft::control

#define WEFT_FAILPOINT(name)                                                                                           \
    do {                                                                                                               \
        if (auto weft_hit = ::weft::control::hit_failpoint(name); !weft_hit) return std::unexpected(weft_hit.error()); \
    } while (false)

#else

#define WEFT_FAILPOINT(name) \
    do {                     \
    } while (false)

#endif
