// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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
    PeerIndex next_hop = kLocal;  // the other end's node; same in both halves
    InstanceRef instance;         // whom the opener's half was balanced to; same in both halves
    Role role = Role::Opener;
    FlowState state = FlowState::New;  // same in both halves
};

// One connection as people see it.
struct FlowView {
    std::uint64_t id = 0;  // stable while the flow lives, across restarts too; FlowTable::by_id finds it again
    Flow opener;
    FlowKey answer_key;
    Rewrite answer_rewrite;
    std::chrono::nanoseconds idle{}, age{};  // in steps of 1/16 s
    std::uint64_t packets_out = 0, packets_in = 0, bytes_out = 0, bytes_in = 0;
};

// Opaque: names an entry until the next insert, erase or sweep.
using FlowHandle = std::uint32_t;
inline constexpr FlowHandle kNoFlow = 0xFFFFFFFF;

// KeyTaken: another connection answers to one of the two keys. Full: no room, even after reclaiming what has expired.
enum class InsertError : std::uint8_t { KeyTaken, Full };

// The connections of one worker, in a mapped file so that they outlive the process.
//
// Layout and rules: docs/wire-format.md, "flow file". IPv4 entries are 64 bytes, IPv6 entries 128, two per connection
// and next to each other; indices, never pointers. There is room for `capacity` IPv4 connections and a quarter as many
// of IPv6, each with an index of its own in anonymous memory, rebuilt by one linear pass on attach. A header that is
// wrong in any way (magic, version, sizes, capacity, boot id, node id, CRC32C) sets the file aside and starts empty; a
// torn entry is skipped and counted. Memory that was never used is not resident.
//
// Expiry (flow_expiry.hpp): by `sweep`, by inserts where the table is over 80 % full or a key is taken, and then with
// shorter timeouts; an established TCP connection is never removed before its time.
//
// Threading: one writer, the worker. `snapshot`, `size` and `inserts` may be called by any thread: snapshots read
// entries by sequence number.
// Errors: open and map fail as Result; nothing else fails. No allocation after `open`, but for snapshots.
class FlowTable {
  public:
    struct Options {
        std::filesystem::path file;       // empty: anonymous memory (tests)
        std::uint32_t capacity = 262144;  // IPv4 connections
        std::string node_id;
        std::string boot_id;  // of the running kernel
    };
    static constexpr std::uint32_t kMaxCapacity = 1U << 26;
    struct AttachReport {
        std::uint64_t kept = 0, torn = 0;  // connections
        std::string set_aside;             // why the old file was refused; empty if it was taken or there was none
    };
    using Keep = std::function<std::optional<std::pair<InstanceRef, PeerIndex>>(const Flow& opener)>;

    // `now`: the boot clock; entries from the future are torn ones.
    static Result<std::unique_ptr<FlowTable>> open(const Options& options, TimePoint now);
    ~FlowTable();
    FlowTable(const FlowTable&) = delete;
    FlowTable& operator=(const FlowTable&) = delete;

    [[nodiscard]] const AttachReport& attach_report() const noexcept;

    // For every connection found on attach: the caller says whom it belongs to now (its instance and its peer may have
    // other numbers after a restart), or nullopt to forget it. Forgetting is not reported to `on_removed`.
    void revalidate(const Keep& keep);

    [[nodiscard]] FlowHandle find(const FlowKey& key) const noexcept;
    [[nodiscard]] Flow get(FlowHandle handle) const noexcept;
    [[nodiscard]] FlowHandle partner(FlowHandle handle) const noexcept;
    // The opener's half of FlowView::id, or kNoFlow if that flow is gone.
    [[nodiscard]] FlowHandle by_id(std::uint64_t id) const noexcept;

    // Both halves at once; all addresses of one family. Gives the opener's handle. A TCP connection starts half-open,
    // others new, unless the opener's state says Established (picked up in mid-stream); the instance and next hop are
    // the opener's.
    [[nodiscard]] std::expected<FlowHandle, InsertError> insert(const Flow& opener, const Flow& answer,
                                                                TimePoint now) noexcept;
    // Removes both halves.
    void erase(FlowHandle handle) noexcept;
    // Counts one (super)packet on this half, moves the TCP state machine by its flags (0 for others), notes the time.
    // A plain SYN on a Closing or Closed connection is left to the caller, who erases and starts anew.
    void touch(FlowHandle handle, std::uint32_t packets, std::uint64_t bytes, std::uint8_t tcp_flags,
               TimePoint now) noexcept;

    // Looks at `budget` connections, going round; returns how many it removed.
    std::size_t sweep(TimePoint now, std::size_t budget) noexcept;
    // Called for each connection removed: by sweep, by reclaiming inserts, and by erase. It must not call the table.
    void on_removed(std::function<void(const Flow& opener)> gone);

    [[nodiscard]] std::size_t size() const noexcept;       // connections of both families
    [[nodiscard]] std::size_t capacity() const noexcept;   // as configured: of IPv4
    [[nodiscard]] std::uint64_t inserts() const noexcept;  // since start
    // Any thread. At most `limit` connections that `wanted` accepts.
    [[nodiscard]] std::vector<FlowView> snapshot(TimePoint now, std::size_t limit,
                                                 const std::function<bool(const Flow& opener)>& wanted) const;

  private:
    struct Impl;
    explicit FlowTable(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace weft::overlay
