// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/problem.hpp"
#include "control/requests.hpp"
#include "overlay/session.hpp"
#include "overlay/tables.hpp"

namespace weft::control {

// One instance that this node deployed.
struct LocalInstance {
    std::string id;  // the deployment's
    std::string service;
    std::uint32_t number = 0;
    net::IpAddress ns_address, ns_address_v6;   // the latter may be unspecified
    std::vector<ServiceIpRequest> service_ips;  // all that its deploy named, its own instance IP among them

    // The address others reach exactly it by; unspecified if none was named.
    [[nodiscard]] net::IpAddress instance_ip(int version) const;
};

enum class PeerSource : std::uint8_t { Config, Api, Learned };

struct PeerEntry {
    std::string id;
    overlay::PeerIndex index = 0;
    net::Endpoint endpoint;
    overlay::Security security = overlay::Security::Clear;
    std::vector<net::Prefix> subnets;
    PeerSource source = PeerSource::Learned;
    std::uint16_t inner_mtu = 1440;
    std::shared_ptr<overlay::PeerState> state;
    std::shared_ptr<overlay::Session> session, next;
};

// What this node knows of services, instances and peers, and the immutable tables that its workers decide by. Two
// sources meet here: what was deployed on this node, and what was pushed; the local entry wins where both name one
// instance.
//
// Pure: no I/O, no clock but the one handed in. Every change is checked completely before anything is touched.
// Threading: control. Errors: Problem.
class ServiceModel {
  public:
    struct Node {
        std::vector<net::Prefix> service_ranges, node_ranges, own_subnets;
        net::IpAddress bridge_ip, bridge_ip_v6;
        net::IpAddress tun_address, tun_address_v6;
        net::Endpoint tunnel;  // our own end: a peer by this name would be a loop
        std::uint16_t inner_mtu = 1440;
        overlay::Security default_security = overlay::Security::Clear;
        std::uint16_t tunnel_port = 50103;
    };
    // One line of the service table, as people see it.
    struct InstanceView {
        std::uint32_t number = 0;
        std::string source;  // "local" or "push"
        std::string why;     // why it is not usable; empty if it is
        net::Endpoint host;
        net::IpAddress ns_address, ns_address_v6, instance_ip, instance_ip_v6;
        std::shared_ptr<overlay::InstanceState> state;
        overlay::InstanceRef ref;
    };
    struct ServiceView {
        std::string name;
        std::map<std::string, std::string> labels;
        std::vector<ServiceIpRequest> service_ips;
        std::vector<InstanceView> instances;
    };

    explicit ServiceModel(Node node);
    ServiceModel(ServiceModel&&) noexcept;
    ServiceModel& operator=(ServiceModel&&) noexcept;
    ~ServiceModel();

    [[nodiscard]] const Node& node() const { return node_; }
    void set_node(Node node);

    // Would these service IPs be refused for this service? Nothing is changed.
    [[nodiscard]] Answer<void> check_service_ips(const std::string& service,
                                                 const std::vector<ServiceIpRequest>& wanted) const;

    void add_local(LocalInstance instance);
    void remove_local(const std::string& id);

    [[nodiscard]] Answer<bool> put_pushed(ServicePush push);  // true: new
    void erase_pushed(const std::string& name);

    [[nodiscard]] Answer<bool> put_peer(const PeerPush& push, PeerSource source);  // true: new
    // What the configuration names, only the configuration takes away.
    [[nodiscard]] Answer<void> erase_peer(const std::string& id, PeerSource asker = PeerSource::Api);
    [[nodiscard]] const std::map<std::string, PeerEntry>& peers() const { return peers_; }
    [[nodiscard]] const PeerEntry* peer(overlay::PeerIndex index) const;

    // A finished handshake. The initiator sends by it at once, the responder once it is confirmed.
    void install(std::shared_ptr<overlay::Session> session, bool initiator);
    // Rotates confirmed sessions into place, forgets dead ones. True if the tables changed.
    bool rotate_sessions(TimePoint now);
    // Sorts instances by measured distance again. True if the tables changed.
    bool sort_by_distance();

    [[nodiscard]] std::vector<ServiceView> services() const;
    [[nodiscard]] std::optional<ServiceView> service(const std::string& name) const;
    [[nodiscard]] std::string service_of(overlay::InstanceRef ref) const;  // "" if unknown
    // The service that has this address, "" if none.
    [[nodiscard]] std::string owner_of(const net::IpAddress& address) const;

    // The current tables. Every change makes a new snapshot; the caller publishes it.
    [[nodiscard]] std::shared_ptr<const overlay::Tables> tables() const { return tables_; }

  private:
    struct Identity;  // of an instance: who it is, where it runs
    struct Entry;

    Entry& entry_of(const std::string& name);
    void rebuild(const std::string& name);
    void withdraw(overlay::Tables& tables, Entry& entry);
    void refresh_peers();
    std::shared_ptr<const overlay::Instance> make_instance(Entry& entry, const InstanceView& view);
    std::vector<InstanceView> instances_of(const Entry& entry) const;
    std::vector<ServiceIpRequest> service_ips_of(const Entry& entry) const;
    overlay::PeerIndex learn_peer(const net::Endpoint& endpoint);
    overlay::PeerIndex free_peer_index() const;
    void forget_unused_peers();
    [[nodiscard]] std::vector<std::uint32_t> distances(
        const std::vector<std::shared_ptr<const overlay::Instance>>& instances) const;
    [[nodiscard]] bool is_own(const net::IpAddress& address) const;
    [[nodiscard]] std::shared_ptr<overlay::Tables> fork() const;

    Node node_;
    std::map<std::string, std::unique_ptr<Entry>> entries_;
    std::unordered_map<net::IpAddress, std::string> owners_;  // service and instance IPs
    std::map<std::string, PeerEntry> peers_;
    std::vector<std::uint16_t> generations_;  // by instance slot
    std::vector<std::uint32_t> free_slots_;
    std::uint32_t next_service_slot_ = 0;
    std::vector<std::shared_ptr<overlay::Session>> sessions_;  // all that may still receive
    std::shared_ptr<const overlay::Tables> tables_;
};

}  // namespace weft::control
