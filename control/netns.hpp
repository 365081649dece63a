// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "dataplane/base/error.hpp"
#include "dataplane/base/unique_fd.hpp"

// Network namespaces: opened by name or by process, made, removed, and entered for one piece of work.
namespace weft::control {

// Tells namespaces apart while they live. The kernel may use an inode again once a namespace is gone, so an identity
// read from the journal proves nothing alone: the link that should be inside is looked at too.
struct NetnsIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    friend bool operator==(const NetnsIdentity&, const NetnsIdentity&) = default;
};

// An open namespace; it lives at least as long as this handle. Threading: any one thread.
class Netns {
  public:
    // /run/netns/NAME. NotFound if there is no such name or no namespace mounted on it.
    static Result<Netns> open_name(const std::string& name);
    // The network namespace of a process. NotFound if it is gone.
    static Result<Netns> open_pid(int pid);
    // The one the calling thread is in.
    static Result<Netns> open_own();

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const NetnsIdentity& identity() const { return identity_; }

  private:
    Netns(UniqueFd fd, NetnsIdentity identity) : fd_(std::move(fd)), identity_(identity) {}
    static Result<Netns> open_path(const std::string& path, const std::string& attempt);

    UniqueFd fd_;
    NetnsIdentity identity_;
};

// Letters, digits, "_.-", starting with a letter or digit, at most 128 characters: safe as a file name.
bool is_netns_name(std::string_view name);

// Makes a namespace and its name, as iproute2 does, so that `ip netns` sees it. Conflict if the name is taken.
Result<void> create_netns(const std::string& name);
// Takes the name away; the namespace goes with its last user. Success if there is none.
Result<void> remove_netns(const std::string& name);

// Runs `work` inside the namespace, on a thread that does this one thing and ends, and waits for it. A socket opened in
// `work` stays in that namespace. `work` must not throw.
Result<void> run_in(int netns_fd, const std::function<Result<void>()>& work);

}  // namespace weft::control
