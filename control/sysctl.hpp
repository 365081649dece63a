// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/base/error.hpp"

// Kernel settings of the calling thread's network namespace, by path below /proc/sys: "net/ipv4/ip_forward".
namespace weft::control {

// Without the line end. NotFound if this kernel has no such setting.
Result<std::string> read_sysctl(const std::string& path);
// Reads it back: a value the kernel took and changed is an error too.
Result<void> write_sysctl(const std::string& path, const std::string& value);

}  // namespace weft::control
