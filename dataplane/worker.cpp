// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "dataplane/eal.hpp"

// A turn: what the TUN has (a burst), what the socket has (a burst), flush, quiescent state. Turns follow each other
// until both ports gave nothing; only then the worker waits: it may spin for a moment (spin.hpp says whether), looking
// at all descriptors with one call and yielding between, and then sleeps in epoll until a packet, a wake() or the
// engine's next deadline. No other timer runs.

namespace weft {

Worker::Worker(Engine& engine, WorkerPorts ports, WorkerOptions options)
    : engine_(engine),
      ports_(ports),
      options_(options),
      spin_(options.spin),
      packets_(kPacketBurst),
      trains_(kTrainBurst) {}

Result<void> Worker::start() {
    if (is_running()) return {};
    epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return std::unexpected(Error::system("create the worker's epoll"));
    if (!wake_) wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return std::unexpected(Error::system("create the worker's eventfd"));
    for (const auto& [fd, source] :
         {std::pair{ports_.inside_fd, Source::Inside}, std::pair{ports_.outside_fd, Source::Outside},
          std::pair{wake_.get(), Source::Wake}})
        if (auto watched = watch(fd, source); !watched) return watched;
    is_tun_lost_ = false;
    is_stopping_ = false;

    // Signals are the control thread's; the new thread inherits this mask before its first instruction.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return {};
}

void Worker::stop() noexcept {
    if (!is_running()) return;
    is_stopping_.store(true, std::memory_order_release);
    wake();
    thread_.join();
}

void Worker::wake() noexcept {
    // Fails only when the count is at its limit, and then the worker is woken already.
    (void)!eventfd_write(wake_.get(), 1);
}

Result<void> Worker::watch(int fd, Source source) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<std::uint32_t>(source);
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0)
        return std::unexpected(Error::system("watch a descriptor of the worker"));
    return {};
}

void Worker::run() {
    pthread_setname_np(pthread_self(), ("weft-worker-" + std::to_string(options_.id)).c_str());
    const EalThread eal_thread;
    while (!is_stopping_.load(std::memory_order_acquire)) {
        if (turn(BootClock::now()) == 0) wait();
    }
}

// Bytes received; 0: both ports had nothing.
std::uint64_t Worker::turn(TimePoint now) {
    activity_.turns.add();
    std::uint64_t bytes = 0;
    engine_.begin_turn(now);
    const std::span packets(packets_.data(), ports_.inside.rx_burst(packets_));
    for (const Packet& packet : packets)
        bytes += packet.size;
    if (!packets.empty()) engine_.outbound(packets);
    const std::span<const Train> trains(trains_.data(), ports_.outside.rx_burst(trains_));
    for (const Train& train : trains)
        bytes += train.bytes.size();
    if (!trains.empty()) engine_.inbound(trains);
    ports_.outside.flush();
    engine_.end_turn();
    if (bytes > 0) spin_.moved(bytes);
    return bytes;
}

void Worker::wait() {
    const TimePoint deadline = engine_.next_deadline();
    if (!spin(deadline)) sleep(deadline);
}

// True if something came or is due; false: sleep.
bool Worker::spin(TimePoint deadline) {
    const auto budget = spin_.budget();
    if (budget == Spin::Duration::zero()) return false;
    activity_.spins.add();
    const TimePoint begin = BootClock::now();
    for (TimePoint now = begin; now - begin < budget;) {
        if (poll(0)) return true;
        if (now >= deadline) return true;
        const TimePoint before = now;
        sched_yield();
        now = BootClock::now();
        if (!spin_.yielded(now - before)) return false;
    }
    return false;
}

void Worker::sleep(TimePoint deadline) {
    int timeout_ms = -1;
    if (deadline != TimePoint::max()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - BootClock::now()).count();
        timeout_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
    }
    activity_.sleeps.add();
    poll(timeout_ms);
}

// True if there is a reason for a turn.
bool Worker::poll(int timeout_ms) {
    std::array<epoll_event, 3> events;
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
    bool packets_came = false;
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        switch (static_cast<Source>(event.data.u32)) {
            case Source::Wake: {
                eventfd_t times = 0;
                eventfd_read(wake_.get(), &times);
                break;
            }
            case Source::Inside:
                if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) {
                    // The device is gone, and would be reported for ever.
                    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, ports_.inside_fd, nullptr);
                    is_tun_lost_.store(true, std::memory_order_release);
                    break;
                }
                [[fallthrough]];
            case Source::Outside:
                packets_came = true;
                break;
        }
    }
    if (packets_came) spin_.woke(BootClock::now());
    return count > 0;
}

}  // namespace weft
