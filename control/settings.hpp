// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "control/journal.hpp"
#include "dataplane/base/error.hpp"

namespace weft::control {

struct Setting {
    std::string path;  // below /proc/sys
    std::string value;
};

// The kernel settings of this network namespace that weft needs. What they were before is in the journal, and comes
// back at teardown unless somebody changed them since. Settings of weft's own devices go with the devices.
//
// Threading: the environment thread.
class KernelSettings {
  public:
    explicit KernelSettings(Journal& journal) : journal_(journal) {}

    // Forwarding for IPv4 and IPv6. An interface that takes its IPv6 route from router advertisements would stop doing
    // so, because a router ignores them: such interfaces are told to go on (accept_ra 2).
    Result<std::vector<std::string>> ensure_forwarding(bool mend);
    // A device of weft's own. A setting this kernel lacks is passed over.
    static Result<std::vector<std::string>> ensure(const std::vector<Setting>& settings, bool mend);
    Result<void> restore();

  private:
    Result<void> change(const Setting& setting);

    Journal& journal_;
};

// The ProxyTUN's: packets come from addresses that are routed elsewhere (loose reverse path), and from this node's own
// bridge address (ICMP errors that the engine makes).
std::vector<Setting> tun_settings(const std::string& name);
// The bridge's: containers cannot move this host's routes, and reach published ports of it by 127.0.0.1 from the host.
std::vector<Setting> bridge_settings(const std::string& name);

}  // namespace weft::control
