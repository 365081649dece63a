// SPDX-License-Identifier: Apache-2.0
#include "control/deployment_record.hpp"

#include <array>
#include <utility>

namespace weft::control {

namespace {

constexpr std::array<std::pair<DeploymentState, std::string_view>, 4> kStates{{
    {DeploymentState::Intent, "intent"},
    {DeploymentState::Running, "running"},
    {DeploymentState::Leaving, "leaving"},
    {DeploymentState::Lost, "lost"},
}};

}  // namespace

std::string_view to_string(DeploymentState state) {
    for (const auto& [value, text] : kStates)
        if (value == state) return text;
    std::unreachable();
}

std::optional<DeploymentState> parse_deployment_state(std::string_view text) {
    for (const auto& [value, name] : kStates)
        if (name == text) return value;
    return std::nullopt;
}

}  // namespace weft::control
