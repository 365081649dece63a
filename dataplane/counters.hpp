// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/drop.hpp"

namespace weft {

// A counter with one writer and any number of readers: a plain add for the writer, never torn for a reader.
class Counter {
  public:
    void add(std::uint64_t n = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void subtract(std::uint64_t n) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

struct PortCounters {
    Counter rx, tx, rx_bytes, tx_bytes;
};

// One worker's counters, in wire packets (a superpacket counts its segments).
// At rest: tun.rx + tunnel.rx == tun.tx + tunnel.tx + sum(drops) + waiting - generated + absorbed
// where `generated` are packets the worker made itself (ICMP errors, resets, probes) and `absorbed` are control
// datagrams (handshakes, probes) that ended here because they were meant for us.
// Threading: the worker writes, anyone reads.
struct Counters {
    PortCounters tun, tunnel;
    Counter generated, absorbed;
    Counter waiting;  // a gauge: packets parked until a session or an answer is there
    std::array<Counter, kDropCount> drops;
    Counter tun_calls, tunnel_rx_calls, tunnel_tx_calls;  // system calls, for the bench

    void drop(Drop reason, std::uint64_t packets = 1) noexcept { drops[static_cast<std::size_t>(reason)].add(packets); }
    [[nodiscard]] std::uint64_t dropped(Drop reason) const noexcept {
        return drops[static_cast<std::size_t>(reason)].value();
    }
};

}  // namespace weft
