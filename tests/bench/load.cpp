// SPDX-License-Identifier: Apache-2.0
//
// The load generator of scripts/bench: round trips, connections per second, small datagrams. One thread, plain sockets,
// cubic, so that what is measured is the way between the ends.
//
//   load serve PORT                        TCP: echoes bytes; 'U' as the first byte: answers the count of datagrams
//   seen
//                                          UDP on the same port: counts
//   load rr ADDRESS PORT SECONDS           1 byte there and back on one connection     {"p50_us", "p99_us", "per_s"}
//   load crr ADDRESS PORT SECONDS          connect, 1 byte there and back, close       {"per_s", "failed"}
//   load udp ADDRESS PORT SECONDS SIZE     as many datagrams as go                     {"sent_per_s", "received_per_s"}
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base/unique_fd.hpp"

namespace {

using weft::UniqueFd;
using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const char* attempt) {
    std::fprintf(stderr, "load: %s: %s\n", attempt, std::strerror(errno));
    std::exit(1);
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void set_option(int fd, int level, int option, int value) {
    if (::setsockopt(fd, level, option, &value, sizeof value) != 0) fail("setsockopt");
}

void prepare_tcp(int fd) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0) fail("set congestion control cubic");
}

sockaddr_in endpoint(const char* address, const char* port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
    if (::inet_pton(AF_INET, address, &to.sin_addr) != 1) fail("read the address");
    return to;
}

int connect_or_error(const sockaddr_in& to, UniqueFd& fd) {
    fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) fail("socket");
    prepare_tcp(fd.get());
    // RST at close: neither side keeps TIME_WAIT, so ports do not run out in a long run of short connections.
    const linger hard{1, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    const timeval limit{3, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

bool round_trip(int fd) {
    char byte = 'e';
    return ::send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(fd, &byte, 1, 0) == 1;
}

// The server: one epoll loop over the listener, the datagram socket and all connections.
class Server {
  public:
    explicit Server(const char* port) : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        sockaddr_in any = endpoint("0.0.0.0", port);
        listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        set_option(listener_.get(), SOL_SOCKET, SO_REUSEADDR, 1);
        datagrams_ = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        set_option(datagrams_.get(), SOL_SOCKET, SO_RCVBUF, 8 << 20);
        for (const int fd : {listener_.get(), datagrams_.get()}) {
            if (::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) fail("bind");
            watch(fd);
        }
        if (::listen(listener_.get(), 1024) != 0) fail("listen");
    }

    void run() {
        std::array<epoll_event, 64> events{};
        while (true) {
            const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < ready; ++i) {
                const int fd = events[static_cast<std::size_t>(i)].data.fd;
                if (fd == listener_.get())
                    accept_all();
                else if (fd == datagrams_.get())
                    count_datagrams();
                else
                    serve(fd);
            }
        }
    }

  private:
    void watch(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
    }
    void accept_all() {
        while (true) {
            UniqueFd made(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!made) return;
            set_option(made.get(), IPPROTO_TCP, TCP_NODELAY, 1);
            watch(made.get());
            const int fd = made.get();
            connections_[fd] = std::move(made);
        }
    }
    void count_datagrams() {
        std::array<std::array<char, 2048>, 64> buffers;
        std::array<iovec, 64> pieces;
        std::array<mmsghdr, 64> messages{};
        for (std::size_t i = 0; i < messages.size(); ++i) {
            pieces[i] = {buffers[i].data(), buffers[i].size()};
            messages[i].msg_hdr.msg_iov = &pieces[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        const int received = ::recvmmsg(datagrams_.get(), messages.data(), messages.size(), 0, nullptr);
        if (received > 0) seen_ += static_cast<std::uint64_t>(received);
    }
    void serve(int fd) {
        char buffer[65536];
        const auto length = ::recv(fd, buffer, sizeof buffer, 0);
        if (length <= 0) {
            if (length == 0 || errno != EAGAIN) connections_.erase(fd);
        } else if (buffer[0] == 'U') {
            if (::send(fd, &seen_, sizeof seen_, MSG_NOSIGNAL) < 0) connections_.erase(fd);
        } else if (::send(fd, buffer, static_cast<std::size_t>(length), MSG_NOSIGNAL) < 0) {
            connections_.erase(fd);
        }
    }

    UniqueFd epoll_, listener_, datagrams_;
    std::map<int, UniqueFd> connections_;
    std::uint64_t seen_ = 0;
};

int round_trips(const sockaddr_in& to, double seconds) {
    UniqueFd fd;
    if (connect_or_error(to, fd) != 0) fail("connect");
    for (int i = 0; i < 200; ++i) {
        if (!round_trip(fd.get())) fail("round trip");
    }
    std::vector<double> micros;
    const auto start = Clock::now();
    while (seconds_since(start) < seconds) {
        const auto before = Clock::now();
        if (!round_trip(fd.get())) fail("round trip");
        micros.push_back(seconds_since(before) * 1e6);
    }
    const double rate = static_cast<double>(micros.size()) / seconds_since(start);
    std::ranges::sort(micros);
    std::printf("{\"p50_us\": %.2f, \"p99_us\": %.2f, \"per_s\": %.0f}\n", micros[micros.size() / 2],
                micros[micros.size() * 99 / 100], rate);
    return 0;
}

int connections(const sockaddr_in& to, double seconds) {
    std::uint64_t done = 0, failed = 0;
    const auto start = Clock::now();
    while (seconds_since(start) < seconds) {
        UniqueFd fd;
        const bool fine = connect_or_error(to, fd) == 0 && round_trip(fd.get());
        ++(fine ? done : failed);
    }
    std::printf("{\"per_s\": %.0f, \"failed\": %lu}\n", static_cast<double>(done) / seconds_since(start), failed);
    return 0;
}

std::uint64_t datagrams_seen(int fd) {
    std::uint64_t seen = 0;
    if (::send(fd, "U", 1, MSG_NOSIGNAL) != 1 || ::recv(fd, &seen, sizeof seen, MSG_WAITALL) != sizeof seen)
        fail("ask for the count");
    return seen;
}

int small_datagrams(const sockaddr_in& to, double seconds, std::size_t size) {
    UniqueFd asking;
    if (connect_or_error(to, asking) != 0) fail("connect");
    UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
    const std::vector<char> payload(size, 'w');
    const std::uint64_t before = datagrams_seen(asking.get());
    std::uint64_t sent = 0;
    const auto start = Clock::now();
    while (seconds_since(start) < seconds) {
        for (int i = 0; i < 32; ++i)
            sent += ::send(fd.get(), payload.data(), payload.size(), 0) >= 0 ? 1U : 0U;
    }
    const double took = seconds_since(start);
    // What is on its way belongs to the time it was sent in: until the count has stood still for 100 ms.
    std::uint64_t seen = datagrams_seen(asking.get()), last = 0;
    while (seen != last) {
        last = seen;
        ::poll(nullptr, 0, 100);
        seen = datagrams_seen(asking.get());
    }
    std::printf("{\"sent_per_s\": %.0f, \"received_per_s\": %.0f}\n", static_cast<double>(sent) / took,
                static_cast<double>(seen - before) / took);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string verb = argc > 1 ? argv[1] : "";
    if (verb == "serve" && argc == 3) Server(argv[2]).run();
    if (argc >= 5) {
        const sockaddr_in to = endpoint(argv[2], argv[3]);
        const double seconds = std::atof(argv[4]);
        if (verb == "rr") return round_trips(to, seconds);
        if (verb == "crr") return connections(to, seconds);
        if (verb == "udp" && argc == 6)
            return small_datagrams(to, seconds, static_cast<std::size_t>(std::atoi(argv[5])));
    }
    std::fprintf(stderr,
                 "usage: load serve PORT | load rr|crr ADDRESS PORT SECONDS | load udp ADDRESS PORT SECONDS SIZE\n");
    return 2;
}
