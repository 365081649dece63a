// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include <sys/types.h>

#include "dataplane/base/unique_fd.hpp"
#include "dataplane/net/address.hpp"

// What the environment's tests do to the kernel besides the environment, and how they look at it. Everything happens in
// the calling thread's network namespace, or in the named one below /run/netns.
namespace weft::control::probe {

// Devices, addresses, routes, nft rules and settings of this namespace and of every named one; equal text means that
// nothing was left behind. Without indices, handles and counters, which count up, and without link-local addresses,
// which the kernel makes in its own time.
std::string fingerprint();
std::size_t open_descriptors();

void make_underlay();  // eth9 192.168.77.11/24 MTU 1400, default route, a route to 172.20.0.0/16; lo up
void make_tun(const std::string& name);
void add_device(const std::string& name);
void add_device_inside(const std::string& netns, const std::string& name);
void add_inside(const std::string& netns, const net::IpAddress& address);  // one more address on weft0
void route_loopback_out_of(const std::string& netns);                      // sends 127.0.0.1 over weft0

// How long to wait for what should come, and for what should not (a positive twin shows that it would have).
inline constexpr std::chrono::milliseconds kPatient{5000};
inline constexpr std::chrono::milliseconds kBrief{500};

// An echo request is answered. `from`: a source address of the namespace.
bool pings(const std::string& netns, const net::IpAddress& to, std::optional<net::IpAddress> from = std::nullopt,
           std::chrono::milliseconds patience = kPatient);
// A TCP connection is greeted by a Listener.
bool connects(const net::IpAddress& to, std::uint16_t port, std::chrono::milliseconds patience = kPatient);
bool connects_from(const std::string& netns, const net::IpAddress& to, std::uint16_t port,
                   std::chrono::milliseconds patience = kPatient);

// Greets every TCP connection to a port, on all addresses of both families, until it is destroyed.
class Listener {
  public:
    struct Here {};
    Listener(const std::string& netns, std::uint16_t port);
    Listener(Here, std::uint16_t port);
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener();

  private:
    void open(std::uint16_t port);
    void serve();
    UniqueFd socket_;
    std::thread thread_;
};

// A process with a network namespace of its own that does nothing.
class Sleeper {
  public:
    Sleeper();
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    ~Sleeper() { end(); }
    [[nodiscard]] int pid() const { return pid_; }
    void end();

  private:
    pid_t pid_ = 0;
};

}  // namespace weft::control::probe
