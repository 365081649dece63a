// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "dataplane/base/clock.hpp"
#include "dataplane/base/unique_fd.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/eal.hpp"

namespace weft::test {

// A network namespace of its own, with loopback up and IPv6 quiet on devices made in it. It ends with the last
// descriptor that was opened in it. Nothing here touches the namespace the tests were started in.
class NetworkNamespace {
  public:
    NetworkNamespace();
    // Runs `job` in a thread that stands in this namespace, and waits for it. Descriptors stay in the namespace.
    void in(const std::function<void()>& job) const;

  private:
    UniqueFd fd_;
};

// These act in the calling thread's namespace; a refusal aborts the test program with a reason.
void set_up(const std::string& device);
void set_mtu(const std::string& device, int mtu);
// With the addresses of the same /24 routed to the device.
void set_address(const std::string& device, const std::string& address);
void delete_device(const std::string& device);
void write_file(const std::string& path, std::string_view text);
// A figure of /proc/net/snmp, as ("Tcp", "InCsumErrors").
[[nodiscard]] long kernel_counter(std::string_view protocol, std::string_view name);

// Looks again and again, yielding, until `condition` holds or ten seconds are over; says whether it holds.
[[nodiscard]] bool eventually(const std::function<bool()>& condition);

// rx - tx - drops; 0 for ports at rest that generate and absorb nothing.
[[nodiscard]] long missing(const Counters& counters);

// The process's one EAL, started by main().
[[nodiscard]] Eal& eal();

}  // namespace weft::test
