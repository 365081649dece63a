// SPDX-License-Identifier: Apache-2.0
#include "tests/support/virtual_node.hpp"

#include <algorithm>
#include <sstream>

#include <gtest/gtest.h>

namespace weft::test {

using overlay::Security;

namespace {

net::IpAddress address(const std::string& text) {
    if (text.empty()) return {};
    const auto parsed = net::IpAddress::parse(text);
    if (!parsed) throw std::invalid_argument("not an address: " + text);
    return *parsed;
}

net::Prefix prefix(const std::string& text) {
    return net::Prefix::parse(text).value();
}

control::ServiceModel::Node model_node(const VirtualNode::Options& options, const net::Endpoint& endpoint) {
    control::ServiceModel::Node node;
    node.service_ranges = {prefix("10.30.0.0/16"), prefix("fdff::/16")};
    node.node_ranges = {prefix("10.18.0.0/15"), prefix("10.20.0.0/14"), prefix("10.24.0.0/14"), prefix("10.28.0.0/15"),
                        prefix("fc00::/64")};
    node.own_subnets = {prefix(options.subnet)};
    node.bridge_ip = node.own_subnets[0].address.plus(1);
    if (!options.subnet_v6.empty()) {
        node.own_subnets.push_back(prefix(options.subnet_v6));
        node.bridge_ip_v6 = node.own_subnets[1].address.plus(1);
    }
    node.tun_address = address("10.19.1.254");
    node.tunnel = endpoint;
    node.default_security = options.security;
    return node;
}

overlay::Policy policy_of(const std::string& word) {
    if (word == "RR") return overlay::Policy::RoundRobin;
    if (word == "Closest") return overlay::Policy::Closest;
    if (word == "Underutilized") return overlay::Policy::Underutilized;
    if (word == "InstanceNumber") return overlay::Policy::InstanceNumber;
    throw std::invalid_argument("not a policy: " + word);
}

// "RR 10.30.0.10 fdff::10": policy, then one or two addresses.
control::ServiceIpRequest service_ip(const std::string& text) {
    std::istringstream words(text);
    std::string policy;
    words >> policy;
    control::ServiceIpRequest request;
    request.policy = policy_of(policy);
    for (std::string word; words >> word;)
        (address(word).is_v4() ? request.address : request.address_v6) = address(word);
    return request;
}

}  // namespace

// ---- Ports ----------------------------------------------------------------------------------------------------------

std::size_t VirtualNode::Inside::rx_burst(std::span<Packet> packets) {
    held.clear();
    for (; held.size() < packets.size() && !to_node.empty(); to_node.pop_front())
        held.push_back(std::move(to_node.front()));
    for (std::size_t i = 0; i < held.size(); ++i) {
        packets[i] = held[i].packet();
        counters.tun.rx.add(packets[i].segments);
        counters.tun.rx_bytes.add(packets[i].size);
    }
    return held.size();
}

void VirtualNode::Inside::tx(const Packet& packet) {
    counters.tun.tx.add(packet.segments);
    counters.tun.tx_bytes.add(packet.size);
    from_node.push_back({bytes_of(packet), packet.checksum, packet.gso, packet.gso_size, packet.segments});
}

// Datagrams of one size from one peer come as one train, as the kernel's GRO would hand them out.
std::size_t VirtualNode::Outside::rx_burst(std::span<Train> trains) {
    held.clear();
    std::size_t count = 0;
    while (count < trains.size() && !to_node.empty()) {
        Datagram first = std::move(to_node.front());
        to_node.pop_front();
        const std::size_t stride = first.bytes.size();
        counters.tunnel.rx.add();
        if (stride == 0) {
            counters.drop(Drop::TunnelFormat);
            continue;
        }
        Bytes train = first.bytes;
        while (!to_node.empty() && to_node.front().peer == first.peer && to_node.front().tos == first.tos &&
               to_node.front().bytes.size() == stride && train.size() + stride < 65000) {
            train.insert(train.end(), to_node.front().bytes.begin(), to_node.front().bytes.end());
            to_node.pop_front();
            counters.tunnel.rx.add();
        }
        held.push_back(std::move(train));
        trains[count++] = {.bytes = held.back(),
                           .stride = static_cast<std::uint32_t>(stride),
                           .headroom = 0,
                           .from = first.peer,
                           .tos = first.tos};
    }
    return count;
}

void VirtualNode::Outside::append(const net::Endpoint& to, std::uint8_t tos, std::span<const Slice> datagram) {
    queued.push_back({to, tos, {datagram.begin(), datagram.end()}});
}

std::byte* VirtualNode::Outside::scratch(std::size_t size) {
    slabs.push_back(std::make_unique<std::byte[]>(size));
    return slabs.back().get();
}

// Slices are read only now: what was overwritten since append would show.
void VirtualNode::Outside::flush() {
    for (const Queued& item : queued) {
        Bytes bytes;
        for (const Slice& slice : item.slices)
            bytes.insert(bytes.end(), slice.data, slice.data + slice.size);
        counters.tunnel.tx.add();
        node.network_.carry(node.endpoint_, item.to, item.tos, std::move(bytes));
    }
    queued.clear();
    slabs.clear();
}

bool VirtualNode::Channel::next(overlay::Command& command) {
    if (commands.empty()) return false;
    command = commands.front();
    commands.pop_front();
    return true;
}

// ---- The node -------------------------------------------------------------------------------------------------------

VirtualNode::VirtualNode(VirtualNetwork& network, const Options& options)
    : network_(network),
      id_(options.id),
      endpoint_{address(options.host), 50103},
      security_(options.security),
      model_(model_node(options, endpoint_)),
      inside_(counters_),
      outside_(*this, counters_) {
    auto flows = overlay::FlowTable::open({.file = {}, .capacity = options.flows, .node_id = id_, .boot_id = "test"},
                                          network.now());
    if (!flows) throw std::runtime_error(flows.error().text());
    flows_ = std::move(*flows);
    channel_.current = model_.tables();
    proxy_ = std::make_unique<overlay::Proxy>(channel_, *flows_, inside_, outside_, counters_);
    make_keeper();
}

VirtualNode::~VirtualNode() = default;

void VirtualNode::make_keeper() {
    overlay::Handshaker::Options options;
    options.node_id = id_;
    options.start_number = ++starts_;
    if (security_ == Security::Aead) {
        options.key.emplace();
        options.key->fill(std::byte{0x42});
    }
    keeper_ = std::make_unique<control::SessionKeeper>(
        options, model_,
        control::SessionKeeper::World{[this](const net::Endpoint& to, std::span<const std::byte> datagram) {
                                          network_.carry(endpoint_, to, 0, {datagram.begin(), datagram.end()});
                                      },
                                      [this] { channel_.current = model_.tables(); },
                                      [this](overlay::PeerIndex peer) {
                                          channel_.commands.push_back(
                                              {.kind = overlay::Command::Kind::Probe, .peer = peer, .key = {}});
                                      }});
}

void VirtualNode::restart() {
    std::vector<control::PeerPush> peers;
    for (const auto& [id, peer] : model_.peers())
        if (peer.source != control::PeerSource::Learned)
            peers.push_back({id, peer.endpoint, peer.subnets, peer.security});
    const auto services = model_.services();
    auto fresh = control::ServiceModel(model_.node());
    for (const auto& local : local_)
        fresh.add_local(local);
    for (const auto& peer : peers)
        EXPECT_TRUE(fresh.put_peer(peer, control::PeerSource::Api));
    for (const auto& view : services) {
        control::ServicePush push{.name = view.name, .labels = {}, .service_ips = view.service_ips, .instances = {}};
        for (const auto& instance : view.instances)
            if (instance.source == "push")
                push.instances.push_back({instance.number, instance.host, instance.ns_address, instance.ns_address_v6,
                                          instance.instance_ip, instance.instance_ip_v6});
        if (push.instances.empty()) continue;
        EXPECT_TRUE(fresh.put_pushed(push));
    }
    model_ = std::move(fresh);
    channel_.events.clear();
    channel_.frames.clear();
    channel_.commands.clear();
    make_keeper();
    tables_changed();
    flows_->revalidate(
        [this](const overlay::Flow& opener) -> std::optional<std::pair<overlay::InstanceRef, overlay::PeerIndex>> {
            const auto* found = channel_.current->by_namespace_ip.find(opener.rewrite.destination);
            if (!found) return std::nullopt;
            return std::pair{(*found)->ref, opener.next_hop};
        });
    keeper_->want_all(network_.now());
}

void VirtualNode::deploy(const std::string& service, std::uint32_t number, const std::string& ns_address,
                         const std::vector<std::string>& service_ips, const std::string& ns_address_v6) {
    control::LocalInstance instance;
    instance.id = service + "/" + std::to_string(number);
    instance.service = service;
    instance.number = number;
    instance.ns_address = address(ns_address);
    instance.ns_address_v6 = address(ns_address_v6);
    for (const auto& text : service_ips)
        instance.service_ips.push_back(service_ip(text));
    local_.push_back(instance);
    model_.add_local(std::move(instance));
    tables_changed();
}

void VirtualNode::undeploy(const std::string& service, std::uint32_t number) {
    const std::string id = service + "/" + std::to_string(number);
    std::erase_if(local_, [&](const auto& local) { return local.id == id; });
    model_.remove_local(id);
    tables_changed();
}

void VirtualNode::learn_from(const VirtualNode& other) {
    std::map<std::string, control::ServicePush> pushes;
    for (const auto& view : model_.services()) {
        auto& push = pushes[view.name];
        push.name = view.name;
        for (const auto& instance : view.instances)
            if (instance.source == "push")
                push.instances.push_back({instance.number, instance.host, instance.ns_address, instance.ns_address_v6,
                                          instance.instance_ip, instance.instance_ip_v6});
    }
    for (const auto& local : other.local_) {
        auto& push = pushes[local.service];
        push.name = local.service;
        for (const auto& ip : local.service_ips)
            if (ip.policy != overlay::Policy::InstanceNumber) push.service_ips.push_back(ip);
        push.instances.push_back({local.number, other.endpoint_, local.ns_address, local.ns_address_v6,
                                  local.instance_ip(4), local.instance_ip(6)});
    }
    for (auto& [name, push] : pushes) {
        std::ranges::sort(push.service_ips, {}, [](const auto& ip) { return std::pair(ip.address, ip.address_v6); });
        const auto doubles = std::ranges::unique(push.service_ips, {},
                                                 [](const auto& ip) { return std::pair(ip.address, ip.address_v6); });
        push.service_ips.erase(doubles.begin(), doubles.end());
        if (push.instances.empty()) continue;
        const auto put = model_.put_pushed(push);
        EXPECT_TRUE(put) << put.error().detail;
    }
    tables_changed();
}

void VirtualNode::know_peer(const VirtualNode& other, std::vector<std::string> subnets,
                            std::optional<Security> security) {
    control::PeerPush push{.id = other.id_, .endpoint = other.endpoint_, .subnets = {}, .security = security};
    for (const auto& subnet : subnets)
        push.subnets.push_back(prefix(subnet));
    const auto put = model_.put_peer(push, control::PeerSource::Api);
    EXPECT_TRUE(put) << put.error().detail;
    tables_changed();
}

void VirtualNode::tables_changed() {
    keeper_->peers_changed();
    channel_.current = model_.tables();
}

Bytes VirtualNode::take_one() {
    const auto delivered = take_delivered();
    EXPECT_EQ(delivered.size(), 1U) << "at node " << id_;
    return delivered.empty() ? Bytes{} : delivered.front().bytes;
}

bool VirtualNode::serve_control() {
    const bool something = !channel_.events.empty() || !channel_.frames.empty();
    for (; !channel_.events.empty(); channel_.events.pop_front())
        if (channel_.events.front().kind == overlay::Event::Kind::SessionWanted)
            keeper_->want(channel_.events.front().peer, network_.now());
    for (; !channel_.frames.empty(); channel_.frames.pop_front())
        keeper_->receive(channel_.frames.front(), network_.now());
    return something;
}

bool VirtualNode::turn() {
    std::array<Packet, 64> packets;
    std::array<Train, 8> trains;
    const bool had_commands = !channel_.commands.empty();
    proxy_->begin_turn(network_.now());
    const auto inside = inside_.rx_burst(packets);
    proxy_->outbound({packets.data(), inside});
    const auto outside = outside_.rx_burst(trains);
    proxy_->inbound({trains.data(), outside});
    outside_.flush();
    proxy_->end_turn();
    return serve_control() || had_commands || inside > 0 || outside > 0;
}

std::uint64_t VirtualNode::dropped() const {
    std::uint64_t sum = 0;
    for (const auto& drop : counters_.drops)
        sum += drop.value();
    return sum;
}

std::string VirtualNode::conservation_fault() const {
    const auto came = counters_.tun.rx.value() + counters_.tunnel.rx.value() + counters_.generated.value();
    const auto went = counters_.tun.tx.value() + counters_.tunnel.tx.value() + dropped() + counters_.waiting.value() +
                      counters_.absorbed.value();
    if (came == went) return "";
    return id_ + ": " + std::to_string(came) + " came, " + std::to_string(went) + " have a fate";
}

// ---- The network ----------------------------------------------------------------------------------------------------

VirtualNode& VirtualNetwork::add(const VirtualNode::Options& options) {
    nodes_.push_back(std::make_unique<VirtualNode>(*this, options));
    return *nodes_.back();
}

void VirtualNetwork::cut(const std::string& node, bool is_cut) {
    std::erase(cut_, node);
    if (is_cut) cut_.push_back(node);
}

void VirtualNetwork::carry(const net::Endpoint& from, const net::Endpoint& to, std::uint8_t tos, Bytes datagram) {
    if (tap) tap(from, to, datagram);
    if (chance(faults_.loss)) return;
    if (chance(faults_.corrupt) && !datagram.empty()) {
        const auto at = std::uniform_int_distribution<std::size_t>(0, datagram.size() - 1)(die_);
        datagram[at] ^= std::byte{1};
    }
    if (chance(faults_.duplicate)) in_flight_.push_back({from, to, tos, datagram});
    if (chance(faults_.reorder))
        in_flight_.push_front({from, to, tos, std::move(datagram)});
    else
        in_flight_.push_back({from, to, tos, std::move(datagram)});
}

void VirtualNetwork::run() {
    for (int rounds = 0; rounds < 10000; ++rounds) {
        bool busy = false;
        auto arriving = std::exchange(in_flight_, {});
        for (InFlight& datagram : arriving)
            for (const auto& node : nodes_) {
                const bool is_there =
                    node->endpoint() == datagram.to && std::ranges::find(cut_, node->id()) == cut_.end();
                const bool came_out = std::ranges::none_of(nodes_, [&](const auto& sender) {
                    return sender->endpoint() == datagram.from && std::ranges::find(cut_, sender->id()) != cut_.end();
                });
                if (is_there && came_out) node->receive(datagram.from, datagram.bytes, datagram.tos);
            }
        for (const auto& node : nodes_)
            busy = node->turn() || busy;
        if (!busy && in_flight_.empty()) return;
    }
    ADD_FAILURE() << "the network never came to rest";
}

void VirtualNetwork::advance(std::chrono::nanoseconds duration) {
    constexpr auto kStep = std::chrono::milliseconds(50);
    for (auto left = duration; left.count() > 0; left -= kStep) {
        now_ += std::min<std::chrono::nanoseconds>(left, kStep);
        for (const auto& node : nodes_)
            node->keeper_->tick(now_);
        run();
    }
}

void VirtualNetwork::expect_conservation() const {
    for (const auto& node : nodes_)
        EXPECT_EQ(node->conservation_fault(), "");
}

}  // namespace weft::test
