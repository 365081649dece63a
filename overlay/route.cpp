// SPDX-License-Identifier: Apache-2.0
//
// Where a new flow goes. Three kinds of destination:
//
//   a service IP or instance IP   pick an instance; the client shows its instance IP (if it has one), the server is
//                                 reached at its namespace IP, and its answers are given the address that was asked
//   a namespace IP                straight through, nothing is rewritten
//   anything else                 a named drop
//
// Both halves of a flow are decided here at once, so that an answer needs no decision of its own.
#include "overlay/route.hpp"

#include <algorithm>

#include "overlay/balancer.hpp"

namespace weft::overlay {

namespace {

bool in_any(const std::vector<net::Prefix>& prefixes, const net::IpAddress& address) noexcept {
    return std::ranges::any_of(prefixes, [&](const net::Prefix& prefix) { return prefix.contains(address); });
}

const Instance* instance_at(const Tables& tables, const net::IpAddress& namespace_ip) noexcept {
    const auto* found = tables.by_namespace_ip.find(namespace_ip);
    return found ? found->get() : nullptr;
}

// The instance that an instance IP stands for.
const Instance* instance_behind(const Tables& tables, const net::IpAddress& address) noexcept {
    const auto* found = tables.addresses.find(address);
    return found && found->policy == Policy::InstanceNumber ? found->instance.get() : nullptr;
}

FlowKey reversed(const FlowKey& key, Direction direction) noexcept {
    return {key.destination, key.source, key.destination_port, key.source_port, key.protocol, direction};
}

Rewrite unchanged(const FlowKey& key) noexcept {
    return {key.source, key.destination, key.source_port, key.destination_port};
}

// Answers come back by the TUN from a container here, by the tunnel from one elsewhere.
Direction answers_come(PeerIndex next_hop) noexcept {
    return next_hop == kLocal ? Direction::Outbound : Direction::Inbound;
}

std::expected<Route, Drop> route_to_namespace_ip(const Tables& tables, const HostCache& hosts, const FlowKey& key,
                                                 TimePoint now) noexcept {
    if (in_any(tables.own_subnets, key.destination)) return std::unexpected(Drop::Loop);  // the bridge's business
    const Instance* instance = instance_at(tables, key.destination);
    PeerIndex next_hop = instance ? instance->next_hop : kLocal;
    if (const auto learned = hosts.find(key.destination, now); learned && !instance) next_hop = *learned;
    if (const auto owner = tables.subnets.find(key.destination); owner && next_hop == kLocal) next_hop = *owner;
    if (next_hop == kLocal) return std::unexpected(Drop::PeerUnknown);

    Route route;
    route.instance = instance;
    route.opener = {.key = key, .rewrite = unchanged(key), .next_hop = next_hop, .instance = {}, .role = Role::Opener};
    const FlowKey answer = reversed(key, Direction::Inbound);
    route.answer = {
        .key = answer, .rewrite = unchanged(answer), .next_hop = next_hop, .instance = {}, .role = Role::Answer};
    return route;
}

// A container that reaches a service on its own node must not be answered past the TUN: the bridge would carry the
// answer straight to it, untranslated. Its instance IP leads back into the TUN; without one, the service IP itself
// does.
net::IpAddress face_of_client(const Instance* client, const FlowKey& key, const Instance& server) noexcept {
    if (client && !client->instance_ip_like(key.source).is_unspecified()) return client->instance_ip_like(key.source);
    return server.next_hop == kLocal ? key.destination : key.source;
}

std::expected<Route, Drop> route_to_service(const Tables& tables, const ServiceAddress& address, const FlowKey& key,
                                            Opening opening, Turn turn) noexcept {
    if (opening == Opening::Continues && address.policy != Policy::InstanceNumber &&
        address.service->instances.size() > 1)
        return std::unexpected(Drop::NoInstance);
    const Instance* server = pick(address, key, turn);
    if (!server) return std::unexpected(Drop::NoInstance);

    const Instance* client = instance_at(tables, key.source);
    const net::IpAddress face = face_of_client(client, key, *server);
    const bool has_face = client && face == client->instance_ip_like(key.source);
    if (server->next_hop != kLocal && !has_face) {
        const Peer* peer = tables.peer(server->next_hop);
        if (peer && peer->security == Security::Bare) return std::unexpected(Drop::NoInstanceIp);
    }

    // What the server's node makes of its answers: to an instance IP it speaks with its own, if it has one.
    const net::IpAddress& server_at = server->namespace_ip_like(key.destination);
    const net::IpAddress& server_face = server->instance_ip_like(key.destination);
    const bool answers_with_face = server->next_hop != kLocal && has_face && !server_face.is_unspecified();

    Route route;
    route.service = &address;
    route.instance = server;
    route.opener = {.key = key,
                    .rewrite = {face, server_at, key.source_port, key.destination_port},
                    .next_hop = server->next_hop,
                    .instance = server->ref,
                    .role = Role::Opener};
    // Answers to a local client are addressed to its face; the peer's node has put the namespace IP back already.
    const net::IpAddress& answer_to = server->next_hop == kLocal ? face : key.source;
    route.answer = {.key = {answers_with_face ? server_face : server_at, answer_to, key.destination_port,
                            key.source_port, key.protocol, answers_come(server->next_hop)},
                    .rewrite = {key.destination, key.source, key.destination_port, key.source_port},
                    .next_hop = server->next_hop,
                    .instance = server->ref,
                    .role = Role::Answer};
    return route;
}

}  // namespace

std::expected<Route, Drop> route_outbound(const Tables& tables, const HostCache& hosts, const FlowKey& key,
                                          Opening opening, Turn turn, TimePoint now) noexcept {
    if (!in_any(tables.own_subnets, key.source)) {
        const bool belongs_to_another =
            in_any(tables.node_ranges, key.source) || in_any(tables.service_ranges, key.source);
        return std::unexpected(belongs_to_another ? Drop::SourceSpoofed : Drop::UnknownSource);
    }
    if (const ServiceAddress* address = tables.addresses.find(key.destination))
        return route_to_service(tables, *address, key, opening, turn);
    if (in_any(tables.service_ranges, key.destination)) return std::unexpected(Drop::UnknownService);
    if (in_any(tables.node_ranges, key.destination)) return route_to_namespace_ip(tables, hosts, key, now);
    return std::unexpected(Drop::NotServiceAddress);
}

std::expected<Route, Drop> route_inbound(const Tables& tables, const FlowKey& key, PeerIndex peer) noexcept {
    const Instance* server = instance_at(tables, key.destination);
    if (!server || server->next_hop != kLocal) return std::unexpected(Drop::NotServiceAddress);

    Route route;
    route.instance = server;
    route.opener = {
        .key = key, .rewrite = unchanged(key), .next_hop = peer, .instance = server->ref, .role = Role::Opener};
    const FlowKey answer = reversed(key, Direction::Outbound);
    route.answer = {
        .key = answer, .rewrite = unchanged(answer), .next_hop = peer, .instance = server->ref, .role = Role::Answer};
    // A client seen by its instance IP is answered at its namespace IP, by our own instance IP (contracts F, step 3).
    if (const Instance* client = instance_behind(tables, key.source)) {
        const net::IpAddress& face = server->instance_ip_like(key.destination);
        if (!face.is_unspecified()) route.answer.rewrite.source = face;
        route.answer.rewrite.destination = client->namespace_ip_like(key.source);
    }
    return route;
}

bool may_speak_for(const Tables& tables, PeerIndex peer, const net::IpAddress& source) noexcept {
    if (const auto owner = tables.subnets.find(source); owner && *owner == peer) return true;
    if (const Instance* by_namespace = instance_at(tables, source)) return by_namespace->next_hop == peer;
    const Instance* by_face = instance_behind(tables, source);
    return by_face && by_face->next_hop == peer;
}

}  // namespace weft::overlay
