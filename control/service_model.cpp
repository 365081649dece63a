// SPDX-License-Identifier: Apache-2.0
//
// From what was said about services to the tables that packets are decided by:
//
//   entry (pushed document + local instances) -> instance views, merged -> immutable records -> forked tables
//
// A change rebuilds the records of one service only. An instance keeps its slot and generation as long as it stays the
// same container at the same place, so that its flows stay; otherwise the generation moves on and they are picked
// again.
#include "control/service_model.hpp"

#include <algorithm>
#include <numeric>
#include <ranges>
#include <tuple>

#include "dataplane/base/check.hpp"

namespace weft::control {

using overlay::Instance;
using overlay::InstanceRef;
using overlay::kLocal;
using overlay::PeerIndex;
using overlay::Policy;
using overlay::Tables;

namespace {

constexpr std::uint32_t kGenerations = 1U << 12;
constexpr auto kSealedSessionLife = std::chrono::seconds(180);

template <class Visit>
void each_address(const ServiceIpRequest& request, Visit&& visit) {
    if (!request.address.is_unspecified()) visit(request.address);
    if (!request.address_v6.is_unspecified()) visit(request.address_v6);
}

bool in_any(const std::vector<net::Prefix>& prefixes, const net::IpAddress& address) {
    return std::ranges::any_of(prefixes, [&](const net::Prefix& prefix) { return prefix.contains(address); });
}

std::string text_of(const std::vector<net::Prefix>& prefixes, int version) {
    std::string text;
    for (const auto& prefix : prefixes)
        if (prefix.address.version() == version) text += (text.empty() ? "" : ", ") + prefix.to_string();
    return text;
}

}  // namespace

net::IpAddress LocalInstance::instance_ip(int version) const {
    for (const auto& ip : service_ips) {
        if (ip.policy != Policy::InstanceNumber) continue;
        const auto& address = version == 4 ? ip.address : ip.address_v6;
        if (!address.is_unspecified()) return address;
    }
    return {};
}

// Where an instance is and what it is called there; the same identity keeps its flows.
struct ServiceModel::Identity {
    net::IpAddress ns_address, ns_address_v6;
    net::Endpoint host;
    friend bool operator==(const Identity&, const Identity&) = default;
};

struct ServiceModel::Entry {
    struct Slot {
        Identity identity;
        InstanceRef ref;
        std::shared_ptr<overlay::InstanceState> state;
    };
    std::string name;
    std::uint32_t slot = 0;
    std::shared_ptr<overlay::ServiceState> state = std::make_shared<overlay::ServiceState>();
    std::optional<ServicePush> pushed;
    std::map<std::uint32_t, LocalInstance> local;  // by number
    std::map<std::uint32_t, Slot> slots;           // by number
    // What stands in the current tables, for taking it out again.
    std::vector<net::IpAddress> addresses;
    std::vector<std::shared_ptr<const Instance>> instances;

    [[nodiscard]] bool is_empty() const { return !pushed && local.empty(); }
};

ServiceModel::ServiceModel(Node node) : tables_(std::make_shared<Tables>()) {
    set_node(std::move(node));
}
ServiceModel::ServiceModel(ServiceModel&&) noexcept = default;
ServiceModel& ServiceModel::operator=(ServiceModel&&) noexcept = default;
ServiceModel::~ServiceModel() = default;

std::shared_ptr<Tables> ServiceModel::fork() const {
    return std::make_shared<Tables>(*tables_);
}

void ServiceModel::set_node(Node node) {
    node_ = std::move(node);
    auto next = fork();
    next->service_ranges = node_.service_ranges;
    next->node_ranges = node_.node_ranges;
    next->own_subnets = node_.own_subnets;
    next->bridge_ip = {node_.bridge_ip, node_.bridge_ip_v6};
    next->inner_mtu = node_.inner_mtu;
    tables_ = std::move(next);
    const auto keys = std::views::keys(entries_);
    for (const auto& name : std::vector<std::string>(keys.begin(), keys.end()))
        rebuild(name);
}

// ---- Services -------------------------------------------------------------------------------------------------------

bool ServiceModel::is_own(const net::IpAddress& address) const {
    return in_any(node_.own_subnets, address);
}

Answer<void> ServiceModel::check_service_ips(const std::string& service,
                                             const std::vector<ServiceIpRequest>& wanted) const {
    std::set<net::IpAddress> seen;
    for (const auto& request : wanted) {
        std::optional<Problem> problem;
        each_address(request, [&](const net::IpAddress& address) {
            if (problem) return;
            const std::string field = request.field + (address.is_v4() ? ".Address" : ".Address_v6");
            if (!in_any(node_.service_ranges, address))
                problem = Problem::bad_field(field, address.to_string() + " is outside the service range " +
                                                        text_of(node_.service_ranges, address.version()));
            else if (address == node_.tun_address || address == node_.tun_address_v6)
                problem = Problem::bad_field(field, address.to_string() + " is the TUN's own address");
            else if (!seen.insert(address).second)
                problem = Problem::bad_field(field, address.to_string() + " is named twice in this request");
            else if (const std::string owner = owner_of(address); !owner.empty() && owner != service)
                problem = Problem::conflict(field, address.to_string() + " belongs to service " + owner);
        });
        if (problem) return std::unexpected(*problem);
    }
    return {};
}

void ServiceModel::add_local(LocalInstance instance) {
    Entry& entry = entry_of(instance.service);
    const std::string name = instance.service;
    const auto number = instance.number;
    entry.local.insert_or_assign(number, std::move(instance));
    rebuild(name);
}

void ServiceModel::remove_local(const std::string& id) {
    for (auto& [name, entry] : entries_) {
        const auto found = std::ranges::find_if(entry->local, [&](const auto& local) { return local.second.id == id; });
        if (found == entry->local.end()) continue;
        entry->local.erase(found);
        return rebuild(std::string(name));
    }
}

Answer<bool> ServiceModel::put_pushed(ServicePush push) {
    if (const auto checked = check_service_ips(push.name, push.service_ips); !checked)
        return std::unexpected(checked.error());
    for (std::size_t i = 0; i < push.instances.size(); ++i) {
        const auto& instance = push.instances[i];
        const ServiceIpRequest face{Policy::InstanceNumber, instance.instance_ip, instance.instance_ip_v6,
                                    "instances[" + std::to_string(i) + "]"};
        if (const auto checked = check_service_ips(push.name, {face}); !checked)
            return std::unexpected(checked.error());
    }
    Entry& entry = entry_of(push.name);
    const bool is_new = !entry.pushed.has_value();
    const std::string name = push.name;
    entry.pushed = std::move(push);
    rebuild(name);
    return is_new;
}

void ServiceModel::erase_pushed(const std::string& name) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    found->second->pushed.reset();
    rebuild(name);
}

ServiceModel::Entry& ServiceModel::entry_of(const std::string& name) {
    auto& entry = entries_[name];
    if (!entry) {
        entry = std::make_unique<Entry>();
        entry->name = name;
        entry->slot = next_service_slot_++;
    }
    return *entry;
}

std::vector<ServiceModel::InstanceView> ServiceModel::instances_of(const Entry& entry) const {
    std::map<std::uint32_t, InstanceView> merged;
    if (entry.pushed) {
        for (const auto& pushed : entry.pushed->instances) {
            InstanceView view{.number = pushed.number,
                              .source = "push",
                              .why = "",
                              .host = pushed.host,
                              .ns_address = pushed.ns_address,
                              .ns_address_v6 = pushed.ns_address_v6,
                              .instance_ip = pushed.instance_ip,
                              .instance_ip_v6 = pushed.instance_ip_v6,
                              .state = nullptr,
                              .ref = {}};
            if (is_own(pushed.ns_address) || is_own(pushed.ns_address_v6))
                view.why = "its namespace IP is in this node's own subnet, but this node did not deploy it";
            else if (pushed.host.address == node_.tunnel.address)
                view.why = "its host is this node, but this node did not deploy it";
            merged.insert_or_assign(pushed.number, std::move(view));
        }
    }
    for (const auto& [number, local] : entry.local)
        merged.insert_or_assign(number, InstanceView{.number = number,
                                                     .source = "local",
                                                     .why = "",
                                                     .host = node_.tunnel,
                                                     .ns_address = local.ns_address,
                                                     .ns_address_v6 = local.ns_address_v6,
                                                     .instance_ip = local.instance_ip(4),
                                                     .instance_ip_v6 = local.instance_ip(6),
                                                     .state = nullptr,
                                                     .ref = {}});
    std::vector<InstanceView> views;
    for (auto& [number, view] : merged) {
        if (const auto slot = entry.slots.find(number); slot != entry.slots.end()) {
            view.state = slot->second.state;
            view.ref = slot->second.ref;
        }
        views.push_back(std::move(view));
    }
    return views;
}

// Every address of the service but the instances' own ones, each once.
std::vector<ServiceIpRequest> ServiceModel::service_ips_of(const Entry& entry) const {
    std::vector<ServiceIpRequest> all;
    const auto add = [&](const ServiceIpRequest& request) {
        if (request.policy == Policy::InstanceNumber) return;
        const bool known = std::ranges::any_of(all, [&](const ServiceIpRequest& other) {
            return std::tie(other.address, other.address_v6) == std::tie(request.address, request.address_v6);
        });
        if (!known) all.push_back(request);
    };
    if (entry.pushed) std::ranges::for_each(entry.pushed->service_ips, add);
    for (const auto& [number, local] : entry.local)
        std::ranges::for_each(local.service_ips, add);
    return all;
}

std::shared_ptr<const Instance> ServiceModel::make_instance(Entry& entry, const InstanceView& view) {
    const Identity identity{view.ns_address, view.ns_address_v6, view.host};
    auto found = entry.slots.find(view.number);
    if (found == entry.slots.end() || found->second.identity != identity) {
        if (found != entry.slots.end()) free_slots_.push_back(found->second.ref.slot);
        std::uint32_t slot = static_cast<std::uint32_t>(generations_.size());
        if (free_slots_.empty()) {
            WEFT_CHECK(slot < InstanceRef::kNoSlot, "more instances than a flow can name");
            generations_.push_back(0);
        } else {
            slot = free_slots_.back();
            free_slots_.pop_back();
        }
        generations_[slot] = static_cast<std::uint16_t>((generations_[slot] + 1U) % kGenerations);
        const InstanceRef ref{.slot = slot & InstanceRef::kNoSlot,
                              .generation = generations_[slot] & (kGenerations - 1U)};
        found =
            entry.slots
                .insert_or_assign(view.number, Entry::Slot{identity, ref, std::make_shared<overlay::InstanceState>()})
                .first;
    }
    Instance instance;
    instance.number = view.number;
    instance.ref = found->second.ref;
    const bool is_elsewhere = view.source != "local" && view.host.address != node_.tunnel.address;
    instance.next_hop = is_elsewhere ? learn_peer(view.host) : kLocal;
    instance.usable = view.why.empty();
    instance.namespace_ip = {view.ns_address, view.ns_address_v6};
    instance.instance_ip = {view.instance_ip, view.instance_ip_v6};
    instance.service_slot = entry.slot;
    instance.state = found->second.state;
    return std::make_shared<const Instance>(std::move(instance));
}

void ServiceModel::withdraw(Tables& tables, Entry& entry) {
    for (const auto& address : entry.addresses) {
        tables.addresses.erase(address);
        owners_.erase(address);
    }
    for (const auto& instance : entry.instances) {
        for (const auto& ns : instance->namespace_ip) {
            const auto* present = ns.is_unspecified() ? nullptr : tables.by_namespace_ip.find(ns);
            if (present && *present == instance) tables.by_namespace_ip.erase(ns);
        }
        if (instance->ref.slot < tables.instances.size() && tables.instances[instance->ref.slot] == instance)
            tables.instances[instance->ref.slot].reset();
    }
    entry.addresses.clear();
    entry.instances.clear();
}

void ServiceModel::rebuild(const std::string& name) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    Entry& entry = *found->second;

    // Peers are learnt first: their indices stand in the instances.
    const auto views = instances_of(entry);
    std::vector<std::shared_ptr<const Instance>> instances;
    for (const auto& view : views)
        instances.push_back(make_instance(entry, view));
    std::erase_if(entry.slots, [&](const auto& slot) {
        const bool gone =
            std::ranges::none_of(views, [&](const InstanceView& view) { return view.number == slot.first; });
        if (gone) free_slots_.push_back(slot.second.ref.slot);
        return gone;
    });

    auto next = fork();
    withdraw(*next, entry);
    entry.instances = instances;
    next->instances.resize(std::max(next->instances.size(), generations_.size()));
    for (const auto& instance : instances) {
        next->instances[instance->ref.slot] = instance;
        if (!instance->usable) continue;
        for (const auto& ns : instance->namespace_ip)
            if (!ns.is_unspecified()) next->by_namespace_ip.put(ns, instance);
    }

    auto service = std::make_shared<overlay::Service>();
    service->name = name;
    service->slot = entry.slot;
    service->instances = instances;
    service->by_distance = distances(instances);
    service->state = entry.state;
    const auto publish = [&](const net::IpAddress& address, Policy policy, std::shared_ptr<const Instance> only) {
        next->addresses.put(address, {policy, service, std::move(only)});
        owners_[address] = name;
        entry.addresses.push_back(address);
    };
    for (const auto& request : service_ips_of(entry))
        each_address(request, [&](const net::IpAddress& address) { publish(address, request.policy, nullptr); });
    for (const auto& instance : instances)
        for (const auto& face : instance->instance_ip)
            if (!face.is_unspecified()) publish(face, Policy::InstanceNumber, instance);

    tables_ = std::move(next);
    if (entry.is_empty()) entries_.erase(found);
    forget_unused_peers();
    refresh_peers();
}

std::vector<std::uint32_t> ServiceModel::distances(
    const std::vector<std::shared_ptr<const Instance>>& instances) const {
    const auto distance = [&](std::uint32_t index) {
        const PeerIndex hop = instances[index]->next_hop;
        if (hop == kLocal) return std::int64_t{-1};
        const PeerEntry* entry = peer(hop);
        const auto rtt = entry ? entry->state->rtt_ns.load(std::memory_order_relaxed) : 0;
        return rtt > 0 ? rtt : std::numeric_limits<std::int64_t>::max();
    };
    std::vector<std::uint32_t> order(instances.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, {}, distance);
    return order;
}

bool ServiceModel::sort_by_distance() {
    std::vector<std::string> changed;
    for (const auto& [name, entry] : entries_) {
        const auto* record = entry->addresses.empty() ? nullptr : tables_->addresses.find(entry->addresses.front());
        if (record && record->service->by_distance != distances(entry->instances)) changed.push_back(name);
    }
    for (const auto& name : changed)
        rebuild(name);
    return !changed.empty();
}

// ---- Peers ----------------------------------------------------------------------------------------------------------

const PeerEntry* ServiceModel::peer(PeerIndex index) const {
    for (const auto& entry : std::views::values(peers_))
        if (entry.index == index) return &entry;
    return nullptr;
}

PeerIndex ServiceModel::free_peer_index() const {
    PeerIndex index = 0;
    while (peer(index))
        ++index;
    return index;
}

// A host that no entry names becomes a peer by itself, in the default mode, without subnets.
PeerIndex ServiceModel::learn_peer(const net::Endpoint& endpoint) {
    for (const auto& entry : std::views::values(peers_))
        if (entry.endpoint.address == endpoint.address) return entry.index;
    PeerEntry entry;
    entry.id = endpoint.address.to_string();
    entry.index = free_peer_index();
    entry.endpoint = endpoint;
    entry.security = node_.default_security;
    entry.inner_mtu = node_.inner_mtu;
    entry.state = std::make_shared<overlay::PeerState>();
    const auto index = entry.index;
    peers_.insert_or_assign(entry.id, std::move(entry));
    return index;
}

void ServiceModel::forget_unused_peers() {
    std::set<PeerIndex> used;
    for (const auto& entry : std::views::values(entries_))
        for (const auto& instance : entry->instances)
            used.insert(instance->next_hop);
    std::erase_if(peers_, [&](const auto& peer) {
        return peer.second.source == PeerSource::Learned && !used.contains(peer.second.index);
    });
}

Answer<bool> ServiceModel::put_peer(const PeerPush& push, PeerSource source) {
    const auto existing = peers_.find(push.id);
    if (existing != peers_.end() && existing->second.source == PeerSource::Config && source != PeerSource::Config)
        return std::unexpected(
            Problem::conflict("id", "peer " + push.id + " comes from the configuration file and is read-only"));
    if (push.endpoint == node_.tunnel)
        return std::unexpected(
            Problem::bad_field("address", push.endpoint.to_string() + " is this node's own tunnel address"));
    for (const auto& [id, other] : peers_) {
        if (id == push.id) continue;
        if (other.endpoint.address == push.endpoint.address && other.source != PeerSource::Learned)
            return std::unexpected(
                Problem::conflict("address", push.endpoint.address.to_string() + " is peer " + id + "'s"));
        for (const auto& mine : push.subnets)
            for (const auto& theirs : other.subnets)
                if (mine.overlaps(theirs))
                    return std::unexpected(Problem::conflict(
                        "subnets", mine.to_string() + " overlaps " + theirs.to_string() + " of peer " + id));
    }
    for (const auto& subnet : push.subnets)
        for (const auto& own : node_.own_subnets)
            if (subnet.overlaps(own))
                return std::unexpected(
                    Problem::conflict("subnets", subnet.to_string() + " overlaps this node's own " + own.to_string()));

    // A named entry takes over from one that was learnt at the same address, with its sessions and index.
    PeerEntry entry;
    const auto learnt = std::ranges::find_if(peers_, [&](const auto& peer) {
        return peer.first != push.id && peer.second.endpoint.address == push.endpoint.address;
    });
    const bool is_new = existing == peers_.end();
    if (!is_new) {
        entry = existing->second;
    } else if (learnt != peers_.end()) {
        entry = learnt->second;
        peers_.erase(learnt);
    } else {
        entry.index = free_peer_index();
        entry.state = std::make_shared<overlay::PeerState>();
    }
    const auto security = push.security.value_or(node_.default_security);
    if (entry.endpoint != push.endpoint || entry.security != security) entry.session = entry.next = nullptr;
    entry.id = push.id;
    entry.endpoint = push.endpoint;
    entry.security = security;
    entry.subnets = push.subnets;
    entry.source = source;
    entry.inner_mtu = node_.inner_mtu;
    peers_.insert_or_assign(push.id, std::move(entry));
    refresh_peers();
    return is_new;
}

Answer<void> ServiceModel::erase_peer(const std::string& id, PeerSource asker) {
    const auto found = peers_.find(id);
    if (found == peers_.end()) return {};
    if (found->second.source == PeerSource::Config && asker != PeerSource::Config)
        return std::unexpected(
            Problem::conflict("id", "peer " + id + " comes from the configuration file and is read-only"));
    const PeerIndex index = found->second.index;
    peers_.erase(found);
    // Instances that still run there make it a learnt peer again.
    std::vector<std::string> touched;
    for (const auto& [name, entry] : entries_)
        if (std::ranges::any_of(entry->instances, [&](const auto& instance) { return instance->next_hop == index; }))
            touched.push_back(name);
    for (const auto& name : touched)
        rebuild(name);
    refresh_peers();
    return {};
}

void ServiceModel::refresh_peers() {
    auto next = fork();
    next->peers.clear();
    next->peer_by_address = {};
    next->subnets = {};
    for (const auto& entry : std::views::values(peers_)) {
        overlay::Peer peer;
        peer.id = entry.id;
        peer.index = entry.index;
        peer.endpoint = entry.endpoint;
        peer.security = entry.security;
        peer.inner_mtu = entry.inner_mtu;
        peer.subnets = entry.subnets;
        peer.session = entry.session;
        peer.next = entry.next;
        peer.state = entry.state;
        if (next->peers.size() <= entry.index) next->peers.resize(entry.index + 1U);
        for (const auto& subnet : entry.subnets)
            next->subnets.put(subnet, entry.index);
        next->peer_by_address.put(entry.endpoint.address, entry.index);
        next->peers[entry.index] = std::make_shared<const overlay::Peer>(std::move(peer));
    }
    tables_ = std::move(next);
}

// ---- Sessions -------------------------------------------------------------------------------------------------------

void ServiceModel::install(std::shared_ptr<overlay::Session> session, bool initiator) {
    const auto owner =
        std::ranges::find_if(peers_, [&](const auto& peer) { return peer.second.index == session->peer(); });
    if (owner == peers_.end()) return;
    PeerEntry& entry = owner->second;
    if (entry.security != session->security()) return;
    if (initiator) {
        entry.session = session;
        entry.next = nullptr;
    } else {
        if (entry.next && entry.next->confirmed()) entry.session = entry.next;
        entry.next = session;
    }
    sessions_.push_back(session);
    refresh_peers();
    auto next = fork();
    next->sessions.put(session->local_index(), session);
    tables_ = std::move(next);
}

bool ServiceModel::rotate_sessions(TimePoint now) {
    bool changed = false;
    for (auto& entry : std::views::values(peers_)) {
        if (entry.next && entry.next->confirmed()) {
            entry.session = std::move(entry.next);
            entry.next = nullptr;
            changed = true;
        }
        if (entry.session && entry.security == overlay::Security::Aead &&
            now - entry.session->born() > kSealedSessionLife) {
            entry.session = nullptr;
            changed = true;
        }
    }
    // What a peer neither sends nor is to send by may still receive for a while: packets were under way.
    std::vector<std::uint32_t> ended;
    std::erase_if(sessions_, [&](const auto& session) {
        const bool in_use = std::ranges::any_of(std::views::values(peers_), [&](const PeerEntry& entry) {
            return entry.session == session || entry.next == session;
        });
        if (in_use || now - session->born() < kSealedSessionLife) return false;
        ended.push_back(session->local_index());
        return true;
    });
    if (changed) refresh_peers();
    if (!ended.empty()) {
        auto next = fork();
        for (const auto index : ended)
            next->sessions.erase(index);
        tables_ = std::move(next);
    }
    return changed || !ended.empty();
}

// ---- Views ----------------------------------------------------------------------------------------------------------

std::vector<ServiceModel::ServiceView> ServiceModel::services() const {
    std::vector<ServiceView> all;
    for (const auto& name : std::views::keys(entries_))
        all.push_back(*service(name));
    return all;
}

std::optional<ServiceModel::ServiceView> ServiceModel::service(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return std::nullopt;
    const Entry& entry = *found->second;
    ServiceView view;
    view.name = name;
    if (entry.pushed) view.labels = entry.pushed->labels;
    view.service_ips = service_ips_of(entry);
    view.instances = instances_of(entry);
    return view;
}

std::string ServiceModel::service_of(InstanceRef ref) const {
    for (const auto& [name, entry] : entries_)
        for (const auto& instance : entry->instances)
            if (instance->ref == ref) return name;
    return "";
}

std::string ServiceModel::owner_of(const net::IpAddress& address) const {
    const auto found = owners_.find(address);
    return found == owners_.end() ? "" : found->second;
}

}  // namespace weft::control
