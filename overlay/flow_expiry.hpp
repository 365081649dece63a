// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "overlay/flow_table.hpp"

namespace weft::overlay {

// When a connection has been silent for too long, and how its packets move its state. Pure functions.

// Normal: the times of RFC 5382 and 4787 (half-open TCP sooner: picking it again harms nobody). Crowded: the table is
// over 80 % full, everything but established TCP goes sooner.
enum class Pressure : std::uint8_t { Normal, Crowded };
[[nodiscard]] std::chrono::seconds flow_timeout(std::uint8_t protocol, FlowState state, Pressure pressure) noexcept;

// What a packet does to its connection. `fin_from_other` says that the other half has sent its FIN already.
struct PacketEvent {
    std::uint8_t protocol = 0;
    Role from = Role::Opener;
    std::uint8_t tcp_flags = 0;
    bool fin_from_other = false;
};
[[nodiscard]] FlowState first_state(std::uint8_t protocol, FlowState asked) noexcept;
[[nodiscard]] FlowState next_state(FlowState state, const PacketEvent& event) noexcept;

}  // namespace weft::overlay
