// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/clock.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/net/address.hpp"
#include "overlay/tables.hpp"

namespace weft::overlay {

// Where a packet came in: from the TUN, or from the tunnel socket.
enum class Direction : std::uint8_t { Outbound = 0, Inbound = 1 };

// A packet's five-tuple and the side it came in on. ICMP echo: both ports are the identifier.
struct FlowKey {
    net::IpAddress source, destination;
    std::uint16_t source_port = 0, destination_port = 0;
    std::uint8_t protocol = 0;
    Direction direction = Direction::Outbound;
    friend bool operator==(const FlowKey&, const FlowKey&) = default;
};

// What the packet's addresses and ports become.
struct Rewrite {
    net::IpAddress source, destination;
    std::uint16_t source_port = 0, destination_port = 0;
    friend bool operator==(const Rewrite&, const Rewrite&) = default;
};

enum class FlowState : std::uint8_t { New, HalfOpen, Established, Closing, Closed };

// The way of one half of a connection. Two make a connection: the half that opened it (`Role::Opener`, counted as one
// flow) and its partner, the answers. Handed out as a value; changing the table goes through FlowTable.
enum class Role : std::uint8_t { Opener, Answer };

struct Flow {
    FlowKey key;
    Rewrite rewrite;
    PeerIndex next_hop = kLocal;
    InstanceRef instance;     // whom the opener's half was balanced to; same in both halves
    Role role = Role::Opener;
    FlowState state = FlowState::New;
};

// One connection as people see it.
struct FlowView {
    std::uint64_t id = 0;         // stable while the flow lives
    Flow opener;
    FlowKey answer_key;
    Rewrite answer_rewrite;
    std::chrono::nanoseconds idle{}, age{};
    std::uint64_t packets_out = 0, packets_in = 0, bytes_out = 0, bytes_in = 0;
};

// Opaque: names an entry until the next insert, erase or sweep.
using FlowHandle = std::uint32_t;
inline constexpr FlowHandle kNoFlow = 0xFFFFFFFF;

// The connections of one worker, in a mapped file so that they outlive the process.
//
// Layout and rules: docs/wire-format.md, "flow file". IPv4 entries are 64 bytes, IPv6 entries 128, two per connection;
// indices, never pointers. A header that is wrong in any way (magic, version, sizes, capacity, boot id, node id, CRC32C)
// sets the file aside and starts empty; a torn entry is skipped and counted. The index lives in anonymous memory and is
// rebuilt by one linear pass on attach.
//
// Threading: one writer, the worker. `snapshot` may be called by any thread: it reads entries by sequence number.
// Errors: open and map fail as Result; nothing else fails. No allocation after `open`.
class FlowTable {
  public:
    struct Options {
        std::filesystem::path file;      // empty: anonymous memory (tests)
        std::uint32_t capacity = 262144; // connections (half for each family's entries is reserved as needed)
        std::string node_id;
        std::string boot_id;             // of the running kernel
    };
    struct AttachReport {
        std::uint64_t kept = 0, torn = 0;
        std::string set_aside;           // why the old file was refused; empty if it was taken or there was none
    };

    static Result<std::unique_ptr<FlowTable>> open(const Options& options, TimePoint now);
    virtual ~FlowTable() = default;

    [[nodiscard]] virtual const AttachReport& attach_report() const = 0;

    // For every connection found on attach: the caller says whom it belongs to now (its instance may have another slot
    // after a restart), or nullopt to forget it.
    virtual void revalidate(const std::function<std::optional<std::pair<InstanceRef, PeerIndex>>(const Flow& opener)>& keep) = 0;

    [[nodiscard]] virtual FlowHandle find(const FlowKey& key) const noexcept = 0;
    [[nodiscard]] virtual Flow get(FlowHandle handle) const noexcept = 0;
    [[nodiscard]] virtual FlowHandle partner(FlowHandle handle) const noexcept = 0;

    // Both halves at once. kNoFlow if there is no room (after reclaiming what has expired) or if a key is taken.
    [[nodiscard]] virtual FlowHandle insert(const Flow& opener, const Flow& answer, TimePoint now) noexcept = 0;
    // Removes both halves.
    virtual void erase(FlowHandle handle) noexcept = 0;
    // Counts one (super)packet on this half, moves the TCP state machine by its flags (0 for others), notes the time.
    // A plain SYN on a Closing or Closed connection is left to the caller, who erases and starts anew.
    virtual void touch(FlowHandle handle, std::uint32_t packets, std::uint64_t bytes, std::uint8_t tcp_flags, TimePoint now) noexcept = 0;

    // Expires at most `budget` entries' worth of work; returns how many connections it removed. `gone` is called for
    // each one removed, here and by reclaiming inserts (set once).
    virtual std::size_t sweep(TimePoint now, std::size_t budget) noexcept = 0;
    virtual void on_removed(std::function<void(const Flow& opener)> gone) = 0;

    [[nodiscard]] virtual std::size_t size() const noexcept = 0;       // connections
    [[nodiscard]] virtual std::size_t capacity() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t inserts() const noexcept = 0;  // since start
    // Any thread. At most `limit` connections that `wanted` accepts.
    [[nodiscard]] virtual std::vector<FlowView> snapshot(TimePoint now, std::size_t limit, const std::function<bool(const Flow&)>& wanted) const = 0;
};

}  // namespace weft::overlay
