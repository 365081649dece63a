// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "control/service_model.hpp"
#include "control/session_keeper.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/port.hpp"
#include "overlay/control_channel.hpp"
#include "overlay/flow_table.hpp"
#include "overlay/proxy.hpp"
#include "tests/support/test_packet.hpp"

namespace weft::test {

class VirtualNetwork;

// A whole node without a kernel: the real engine, tables, flow table, sessions and handshakes, between two ports that
// are queues. Containers are the test itself: it puts packets into the TUN and looks at what comes out.
class VirtualNode {
  public:
    struct Options {
        std::string id;
        std::string subnet;                                     // "10.18.0.0/26"
        std::string subnet_v6 = {};                             // "fc00::/120"
        std::string host;                                       // underlay address
        overlay::Security security = overlay::Security::Clear;  // towards peers
        std::uint32_t flows = 1024;
    };
    // What was written to the TUN, one entry a call.
    struct Delivered {
        Bytes bytes;
        ChecksumState checksum = ChecksumState::Full;
        Gso gso = Gso::None;
        std::uint16_t gso_size = 0;
        std::uint16_t segments = 1;
    };

    VirtualNode(VirtualNetwork& network, const Options& options);
    ~VirtualNode();

    [[nodiscard]] control::ServiceModel& services() { return model_; }
    [[nodiscard]] const Counters& counters() const { return counters_; }
    [[nodiscard]] overlay::FlowTable& flows() { return *flows_; }
    [[nodiscard]] net::Endpoint endpoint() const { return endpoint_; }
    [[nodiscard]] const std::string& id() const { return id_; }

    // Deploys without a container: "shop.default.api.default", 0, "10.18.0.66", addresses like "RR 10.30.0.10".
    void deploy(const std::string& service, std::uint32_t number, const std::string& ns_address,
                const std::vector<std::string>& service_ips, const std::string& ns_address_v6 = {});
    void undeploy(const std::string& service, std::uint32_t number);
    // Pushes everything that `other` deployed, as a cluster manager would.
    void learn_from(const VirtualNode& other);
    void know_peer(const VirtualNode& other, std::vector<std::string> subnets = {},
                   std::optional<overlay::Security> security = {});
    void tables_changed();  // after changing services() by hand

    // Into the TUN; processed by the network's run().
    void send(TestPacket packet) { inside_.to_node.push_back(std::move(packet)); }
    void send(const Bytes& packet) { send(TestPacket(packet)); }
    // A datagram at the tunnel port, from anyone.
    void receive(const net::Endpoint& from, const Bytes& datagram, std::uint8_t tos = 0) {
        outside_.to_node.push_back({from, datagram, tos});
    }
    // Everything that came out of the TUN since the last call.
    std::vector<Delivered> take_delivered() { return std::exchange(inside_.from_node, {}); }
    // The one packet that came out; fails the test if it was not exactly one.
    Bytes take_one();

    // Forgets keys and handshakes, keeps tables and flows: what a killed process leaves.
    void restart();
    // True if something was done.
    bool turn();
    // rx == tx + drops + waiting, in the sense of Counters.
    [[nodiscard]] std::string conservation_fault() const;
    [[nodiscard]] std::uint64_t dropped() const;

  private:
    friend class VirtualNetwork;
    struct Inside final : InsidePort {
        explicit Inside(Counters& c) : counters(c) {}
        std::size_t rx_burst(std::span<Packet> packets) override;
        void tx(const Packet& packet) override;
        Counters& counters;
        std::deque<TestPacket> to_node;
        std::vector<TestPacket> held;  // of the current turn
        std::vector<Delivered> from_node;
    };
    struct Outside final : OutsidePort {
        Outside(VirtualNode& n, Counters& c) : node(n), counters(c) {}
        std::size_t rx_burst(std::span<Train> trains) override;
        void append(const net::Endpoint& to, std::uint8_t tos, std::span<const Slice> datagram) override;
        std::byte* scratch(std::size_t size) override;
        void flush() override;
        struct Datagram {
            net::Endpoint peer;
            Bytes bytes;
            std::uint8_t tos = 0;
        };
        struct Queued {
            net::Endpoint to;
            std::uint8_t tos;
            std::vector<Slice> slices;
        };
        VirtualNode& node;
        Counters& counters;
        std::deque<Datagram> to_node;
        std::vector<Bytes> held;
        std::vector<Queued> queued;
        std::vector<std::unique_ptr<std::byte[]>> slabs;
    };
    struct Channel final : overlay::ControlChannel {
        const overlay::Tables& tables() override { return *current; }
        void quiescent() override {}
        bool report(const overlay::Event& event) override {
            events.push_back(event);
            return true;
        }
        bool hand_over(const overlay::HandshakeFrame& frame) override {
            frames.push_back(frame);
            return true;
        }
        bool next(overlay::Command& command) override;
        std::shared_ptr<const overlay::Tables> current;
        std::deque<overlay::Event> events;
        std::deque<overlay::HandshakeFrame> frames;
        std::deque<overlay::Command> commands;
    };

    void make_keeper();
    bool serve_control();

    VirtualNetwork& network_;
    std::string id_;
    net::Endpoint endpoint_;
    overlay::Security security_;
    std::uint64_t starts_ = 0;
    Counters counters_;
    control::ServiceModel model_;
    std::vector<control::LocalInstance> local_;
    std::unique_ptr<overlay::FlowTable> flows_;
    Inside inside_;
    Outside outside_;
    Channel channel_;
    std::unique_ptr<overlay::Proxy> proxy_;
    std::unique_ptr<control::SessionKeeper> keeper_;
};

// The underlay between virtual nodes: carries datagrams by address, with faults by a seeded die, and owns the clock.
class VirtualNetwork {
  public:
    struct Faults {
        double loss = 0, duplicate = 0, reorder = 0, corrupt = 0;
    };

    explicit VirtualNetwork(std::uint32_t seed = 1) : die_(seed) {}

    VirtualNode& add(const VirtualNode::Options& options);
    void set_faults(Faults faults) { faults_ = faults; }
    void cut(const std::string& node, bool is_cut);  // nothing to or from it
    [[nodiscard]] TimePoint now() const { return now_; }
    // Lets everything happen that can happen without time passing.
    void run();
    // Time passes in small steps, so that retries and sweeps fall where they would.
    void advance(std::chrono::nanoseconds duration);
    // Every datagram on the wire, before faults.
    std::function<void(const net::Endpoint& from, const net::Endpoint& to, const Bytes& datagram)> tap;

    void carry(const net::Endpoint& from, const net::Endpoint& to, std::uint8_t tos, Bytes datagram);
    // After every test: conservation on every node.
    void expect_conservation() const;

  private:
    struct InFlight {
        net::Endpoint from, to;
        std::uint8_t tos;
        Bytes bytes;
    };
    [[nodiscard]] bool chance(double probability) {
        return probability > 0 && std::uniform_real_distribution<>(0, 1)(die_) < probability;
    }

    std::vector<std::unique_ptr<VirtualNode>> nodes_;
    std::vector<std::string> cut_;
    std::deque<InFlight> in_flight_;
    Faults faults_;
    std::mt19937 die_;
    TimePoint now_{std::chrono::hours(1)};
};

}  // namespace weft::test
