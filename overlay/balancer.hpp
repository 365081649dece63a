// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "overlay/flow_table.hpp"
#include "overlay/maglev.hpp"
#include "overlay/tables.hpp"

namespace weft::overlay {

// Which instance a new flow goes to. One function per policy, pure but for the service's turn. A candidate takes new
// flows and has a namespace IP of the family that the packet's destination is of.
//
// Threading: workers; the turn is exact with one worker, nearly so with several.

// Peek: say who would be next, but leave the turn alone (the trace asks so).
enum class Turn : std::uint8_t { Take, Peek };

// By the address's policy; null if there is no candidate.
[[nodiscard]] const Instance* pick(const ServiceAddress& address, const FlowKey& key, Turn turn) noexcept;

// Without any state, for when the flow table is full: every packet of a flow comes out at the same instance, and when
// an instance comes or goes no flow moves that need not (up to 16 candidates, or where there is no `table`: rendezvous
// hashing; above: the Maglev table of the service's candidates, where few move). InstanceNumber stays what it is.
[[nodiscard]] const Instance* pick_stateless(const ServiceAddress& address, const FlowKey& key,
                                             const MaglevTable* table) noexcept;

}  // namespace weft::overlay
