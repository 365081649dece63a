// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/base/error.hpp"
#include "dataplane/base/unique_fd.hpp"

namespace weft::control {

// One weftd for each run_dir: an exclusive lock on {run_dir}/lock, held as long as this object lives. The kernel gives
// it back when the process dies, however it dies. The file holds the owner's process id, for people and for teardown.
class RunLock {
  public:
    // Makes the folder if it is absent. Conflict if another weftd runs there.
    static Result<RunLock> take(const std::string& run_dir);
    // The same, but ends the weftd that runs there first (SIGTERM) and waits up to 10 s for it.
    static Result<RunLock> take_over(const std::string& run_dir);

  private:
    explicit RunLock(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace weft::control
