// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sys/uio.h>

#include "dataplane/base/error.hpp"
#include "dataplane/base/unique_fd.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/eal.hpp"
#include "dataplane/port.hpp"
#include "dataplane/vnet_header.hpp"

namespace weft {

// What the kernel leaves to us on this TUN (it hands over superpackets and partial sums), and takes from us likewise.
struct TunOffloads {
    bool vnet_header = false;  // false: packet at a time, every checksum finished
    bool checksum = false;
    bool tso4 = false;
    bool tso6 = false;
    bool tso_ecn = false;
    bool uso4 = false;
    bool uso6 = false;

    [[nodiscard]] std::string to_string() const;  // "checksum tso4 tso6 tso_ecn uso4 uso6"
    friend bool operator==(const TunOffloads&, const TunOffloads&) = default;
};

struct TunOptions {
    std::string name = "weft-tun";
    bool is_persistent = true;
    // The most to ask for; tests ask for less to walk the ways of an old kernel.
    TunOffloads wanted{true, true, true, true, true, true, true};
};

// The ProxyTUN. Packets live in buffers that belong to this port and are used again in each burst.
// Threading: create and reopen on the control thread while no worker runs; the rest by one worker.
// Errors: a read that fails yields no packets; a packet the device refuses is a counted drop. A device that was deleted
// shows as is_lost() until reopen().
class TunPort final : public InsidePort {
  public:
    static constexpr std::size_t kBurst = 64;
    static constexpr std::size_t kBurstBytes = 512 * 1024;

    static Result<std::unique_ptr<TunPort>> create(const TunOptions& options, Eal& eal, Counters& counters);

    std::size_t rx_burst(std::span<Packet> packets) override;
    void tx(const Packet& packet) override;

    // Attaches to the device again (made anew if it is gone). The descriptor keeps its number.
    Result<void> reopen();
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const std::string& name() const { return name_; }  // as the kernel says
    [[nodiscard]] const TunOffloads& offloads() const { return offloads_; }
    [[nodiscard]] bool is_lost() const { return is_lost_; }

  private:
    struct Slot {
        Buffer packet;
        Buffer jumbo;
        VnetHeader header;
    };

    TunPort(TunOptions options, Counters& counters) : options_(std::move(options)), counters_(counters) {}
    static Result<UniqueFd> open_device();
    Result<void> attach();
    bool receive(Slot& slot, std::size_t size, Packet& packet);
    [[nodiscard]] bool takes(Gso gso, bool is_v4) const;
    void tx_cut(const Packet& packet);
    void write(const VnetHeader& header, const Packet& packet);

    TunOptions options_;
    Counters& counters_;
    UniqueFd fd_;
    std::string name_;
    TunOffloads offloads_;
    bool is_lost_ = false;
    std::vector<Slot> slots_;
    Packet cut_;  // the segment being written, where the kernel does not cut for us
};

}  // namespace weft
