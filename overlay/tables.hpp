// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/counters.hpp"
#include "dataplane/net/address.hpp"
#include "overlay/address_map.hpp"

namespace weft::overlay {

class Session;

enum class Policy : std::uint8_t { RoundRobin, Closest, InstanceNumber, Underutilized };
enum class Security : std::uint8_t { Bare, Clear, Aead };  // in order of strength

// Where a packet goes next: this node, or the peer with that index.
using PeerIndex = std::uint16_t;
inline constexpr PeerIndex kLocal = 0xFFFF;

// Names one instance across snapshots: a slot, and how often the slot was given out. A flow keeps it; when the slot's
// generation in the current tables differs, the instance is gone and the flow is picked again.
struct InstanceRef {
    static constexpr std::uint32_t kNoSlot = 0xFFFFF;
    std::uint32_t slot : 20 = kNoSlot;
    std::uint32_t generation : 12 = 0;
    friend bool operator==(InstanceRef, InstanceRef) = default;
};
static_assert(sizeof(InstanceRef) == 4);

// Counts that live as long as the instance, whatever snapshots come and go. Written by workers, read by all.
struct InstanceState {
    std::atomic<std::int64_t> active_flows{0};
    std::atomic<std::uint64_t> flows_total{0};
};

// Immutable once in a snapshot.
struct Instance {
    std::uint32_t number = 0;
    InstanceRef ref;
    PeerIndex next_hop = kLocal;
    bool usable = true;  // takes new flows
    // Unspecified (0.0.0.0) where the instance has none of that family. Index 0: IPv4, 1: IPv6.
    std::array<net::IpAddress, 2> namespace_ip;
    std::array<net::IpAddress, 2> instance_ip;
    std::uint32_t service_slot = 0;
    std::shared_ptr<InstanceState> state;

    [[nodiscard]] const net::IpAddress& namespace_ip_like(const net::IpAddress& a) const {
        return namespace_ip[a.is_v6()];
    }
    [[nodiscard]] const net::IpAddress& instance_ip_like(const net::IpAddress& a) const {
        return instance_ip[a.is_v6()];
    }
};

// Lives as long as the service.
struct ServiceState {
    std::atomic<std::uint32_t> turn{0};  // round robin: the next in turn
};

// Immutable once in a snapshot.
struct Service {
    std::string name;
    std::uint32_t slot = 0;
    std::vector<std::shared_ptr<const Instance>> instances;  // sorted by number
    std::vector<std::uint32_t> by_distance;                  // indices into `instances`, nearest first
    std::shared_ptr<ServiceState> state;
};

// What one service address means: which service, chosen how. For InstanceNumber, `instance` is the only candidate.
struct ServiceAddress {
    Policy policy = Policy::RoundRobin;
    std::shared_ptr<const Service> service;
    std::shared_ptr<const Instance> instance;
};

// Lives as long as the peer. Workers write counters and times; control writes nothing but reads.
struct PeerState {
    Counter rx_packets, tx_packets, rx_bytes, tx_bytes;
    std::atomic<std::int64_t> last_seen_ns{0};  // boot clock; 0: never
    std::atomic<std::int64_t> rtt_ns{0};        // smoothed; 0: not measured
    std::atomic<bool> session_wanted{false};    // a worker asked for a handshake; control clears it
};

// Another node. Immutable once in a snapshot.
struct Peer {
    std::string id;
    PeerIndex index = 0;
    net::Endpoint endpoint;
    Security security = Security::Clear;
    std::uint16_t inner_mtu = 1440;    // the largest inner packet that its path carries
    std::vector<net::Prefix> subnets;  // what it may speak for besides its instances
    // `session` seals what we send. `next` is the responder's: used for sending once a valid packet came in under it.
    std::shared_ptr<Session> session;
    std::shared_ptr<Session> next;
    std::shared_ptr<PeerState> state;
};

// Longest-prefix match from an address to a peer; few distinct lengths are in use (/26 and /120).
class SubnetMap {
  public:
    void put(const net::Prefix& prefix, PeerIndex peer);
    void erase(const net::Prefix& prefix);
    [[nodiscard]] std::optional<PeerIndex> find(const net::IpAddress& address) const noexcept;

  private:
    std::vector<int> lengths_v4_, lengths_v6_;  // longest first
    AddressMap<net::IpAddress, std::vector<std::pair<int, PeerIndex>>> by_network_;
};

// Everything the engine decides by, at one moment. Built and published by control, retired by RCU, never changed.
struct Tables {
    // This node.
    std::vector<net::Prefix> service_ranges;  // routed into the TUN
    std::vector<net::Prefix> node_ranges;     // namespace IPs of all nodes, ditto
    std::vector<net::Prefix> own_subnets;     // this node's part of node_ranges
    std::array<net::IpAddress, 2> bridge_ip;  // source of ICMP errors born here
    std::uint16_t inner_mtu = 1440;

    AddressMap<net::IpAddress, ServiceAddress> addresses;                         // service IPs and instance IPs
    AddressMap<net::IpAddress, std::shared_ptr<const Instance>> by_namespace_ip;  // all known instances, local too
    std::vector<std::shared_ptr<const Instance>> instances;                       // by ref.slot; null where free
    std::vector<std::shared_ptr<const Peer>> peers;                               // by PeerIndex; null where free
    AddressMap<net::IpAddress, PeerIndex> peer_by_address;                        // outer address
    SubnetMap subnets;                                                            // peers' subnets
    AddressMap<std::uint32_t, std::shared_ptr<Session>> sessions;                 // by our receiver index

    [[nodiscard]] const Peer* peer(PeerIndex index) const noexcept {
        return index < peers.size() ? peers[index].get() : nullptr;
    }
    // The instance a flow was given, or null if it is gone (or never was).
    [[nodiscard]] const Instance* instance(InstanceRef ref) const noexcept {
        if (ref.slot >= instances.size()) return nullptr;
        const Instance* found = instances[ref.slot].get();
        return found && found->ref == ref ? found : nullptr;
    }
};

}  // namespace weft::overlay
