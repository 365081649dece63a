// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "control/forwarding.hpp"
#include "control/service_model.hpp"

namespace weft::control {

// Prometheus text of what the node counts (names: docs/api/metrics.md). Nothing is kept between calls: the counters
// live where the packets are counted. Threading: control.
[[nodiscard]] std::string render_metrics(const Forwarding& forwarding, const ServiceModel& services,
                                         std::size_t instances, std::uint64_t unknown_services,
                                         std::chrono::nanoseconds uptime);

}  // namespace weft::control
