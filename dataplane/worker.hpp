// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "dataplane/base/error.hpp"
#include "dataplane/base/unique_fd.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/engine.hpp"
#include "dataplane/port.hpp"
#include "dataplane/port_tun.hpp"
#include "dataplane/port_udp.hpp"
#include "dataplane/spin.hpp"

namespace weft {

struct WorkerOptions {
    unsigned id = 0;
    SpinMode spin = SpinMode::Auto;
};

// The two ports and the descriptors that say when there is something to read.
struct WorkerPorts {
    InsidePort& inside;
    int inside_fd;
    OutsidePort& outside;
    int outside_fd;
};

// One thread that drives an engine over its ports, run to completion. It sleeps when there is nothing to do.
// Threading: create, start, stop and destroy on the control thread; wake, is_tun_lost and the counters from any.
// Errors: start answers what the kernel refused. A TUN that was deleted is reported by is_tun_lost(): stop, reopen the
// port, start again; until then the worker serves the socket alone.
class Worker {
  public:
    static constexpr std::size_t kPacketBurst = TunPort::kBurst;
    static constexpr std::size_t kTrainBurst = UdpPort::kSlots;

    Worker(Engine& engine, WorkerPorts ports, WorkerOptions options = {});
    Worker(Engine& engine, TunPort& tun, UdpPort& udp, WorkerOptions options = {})
        : Worker(engine, WorkerPorts{tun, tun.fd(), udp, udp.fd()}, options) {}
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker() { stop(); }

    Result<void> start();
    // Ends after the current turn and waits for that. Idempotent.
    void stop() noexcept;
    // Makes a sleeping worker take a turn: a command or a new snapshot is there.
    void wake() noexcept;
    [[nodiscard]] bool is_running() const { return thread_.joinable(); }
    [[nodiscard]] bool is_tun_lost() const { return is_tun_lost_.load(std::memory_order_acquire); }

    struct Activity {
        Counter turns, sleeps, spins;
    };
    [[nodiscard]] const Activity& activity() const { return activity_; }

  private:
    enum class Source : std::uint32_t { Inside, Outside, Wake };

    void run();
    std::uint64_t turn(TimePoint now);
    void wait();
    bool spin(TimePoint deadline);
    void sleep(TimePoint deadline);
    bool poll(int timeout_ms);
    [[nodiscard]] Result<void> watch(int fd, Source source) const;

    Engine& engine_;
    WorkerPorts ports_;
    WorkerOptions options_;
    Spin spin_;
    UniqueFd epoll_;
    UniqueFd wake_;
    std::vector<Packet> packets_;
    std::vector<Train> trains_;
    Activity activity_;
    std::atomic<bool> is_tun_lost_{false};
    std::atomic<bool> is_stopping_{false};
    std::thread thread_;
};

}  // namespace weft
