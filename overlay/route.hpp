// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>

#include "dataplane/base/clock.hpp"
#include "dataplane/drop.hpp"
#include "overlay/balancer.hpp"
#include "overlay/flow_table.hpp"
#include "overlay/host_cache.hpp"
#include "overlay/tables.hpp"

namespace weft::overlay {

// How a new flow goes: what both halves are rewritten to, and where to. A pure function of the tables and the first
// packet's key; the trace asks it too.
struct Route {
    Flow opener, answer;
    const ServiceAddress* service = nullptr;  // null: straight to a namespace IP
    const Instance* instance = nullptr;       // whom it was balanced to; null if no table knows the receiver
};

// Does the packet open a connection, or continue one that no table knows (TCP without SYN, an echo reply)? The latter
// is taken only to a destination that can mean a single instance.
enum class Opening : std::uint8_t { Opens, Continues };
// Routes a packet from a container.
[[nodiscard]] std::expected<Route, Drop> route_outbound(const Tables& tables, const HostCache& hosts,
                                                        const FlowKey& key, Opening opening, Turn turn,
                                                        TimePoint now) noexcept;
// Routes a packet that a peer sent to a container of this node.
[[nodiscard]] std::expected<Route, Drop> route_inbound(const Tables& tables, const FlowKey& key,
                                                       PeerIndex peer) noexcept;
// May this peer speak for this inner source: its subnets, and the instances that the tables place on it.
[[nodiscard]] bool may_speak_for(const Tables& tables, PeerIndex peer, const net::IpAddress& source) noexcept;

}  // namespace weft::overlay
