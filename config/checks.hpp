// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "config/value.hpp"

namespace weft::config {

struct Place {
    int line = 1;
    int column = 1;
};
using Places = std::map<std::string, Place>;  // by key

// What no key can see by itself: values that contradict each other. Takes a resolved configuration.
std::optional<Fault> check(const Config& config, const Places& places);

}  // namespace weft::config
