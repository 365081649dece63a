// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "config/config.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/counters.hpp"
#include "overlay/control_channel.hpp"
#include "overlay/flow_table.hpp"
#include "overlay/tables.hpp"

namespace weft::control {

// The packet side of this process: EAL, TUN, tunnel socket, flow table, engine and worker, and the rings to them.
//
// Threading: control. Packets go on however long control takes. Errors: only start() and replace_tun() can fail.
class Forwarding {
  public:
    struct Options {
        std::string tun_name;
        net::Endpoint tunnel;  // where the socket is bound
        std::string run_dir;   // flow file
        std::string node_id;
        std::uint32_t flows_max = 262144;
        config::Spin spin = config::Spin::Auto;
        std::vector<std::string> eal_args;
    };
    // What workers tell; called by take_events() on the control thread.
    struct Listener {
        std::function<void(const overlay::Event&)> event;
        std::function<void(const overlay::HandshakeFrame&)> handshake;
    };

    // Maps the flow table and makes the ports. Nothing is forwarded before run().
    static Result<std::unique_ptr<Forwarding>> create(Options options);
    virtual ~Forwarding() = default;

    // Flows found in the file belong to the instances of these tables, or to nobody. Then the worker starts.
    virtual void run(std::shared_ptr<const overlay::Tables> tables) = 0;
    virtual void stop() = 0;
    virtual void publish(std::shared_ptr<const overlay::Tables> tables) = 0;

    // Readable when workers have something to tell; then call take_events().
    [[nodiscard]] virtual int event_fd() const = 0;
    virtual void take_events(const Listener& listener) = 0;
    virtual void probe(overlay::PeerIndex peer) = 0;
    virtual void erase_flow(const overlay::FlowKey& opener) = 0;
    // One datagram from the tunnel's own port (handshakes).
    virtual void send(const net::Endpoint& to, std::span<const std::byte> datagram) = 0;

    // The TUN was deleted or taken down under us; replace_tun() makes it anew and goes on.
    [[nodiscard]] virtual bool tun_lost() const = 0;
    virtual Result<void> replace_tun() = 0;

    [[nodiscard]] virtual const Counters& counters() const = 0;
    [[nodiscard]] virtual const overlay::FlowTable& flows() const = 0;
    [[nodiscard]] virtual std::uint64_t events_lost() const = 0;
    // "TSO4 TSO6 USO4 USO6, UDP_SEGMENT, UDP_GRO"
    [[nodiscard]] virtual std::string offloads() const = 0;
};

}  // namespace weft::control
