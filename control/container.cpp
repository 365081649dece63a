// SPDX-License-Identifier: Apache-2.0
#include "control/container.hpp"

#include <array>
#include <charconv>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/rollback.hpp"

namespace weft::control {

namespace {

std::string described(const ContainerRef& container) {
    switch (container.kind) {
        case ContainerRef::Kind::Docker:
            return "container " + container.name;
        case ContainerRef::Kind::Netns:
            return "namespace " + container.name;
        case ContainerRef::Kind::Pid:
            break;
    }
    return fmt::format("process {}", container.pid);
}

Result<void> refuse_own_namespace(const Netns& netns, const std::string& container) {
    const auto own = Netns::open_own();
    if (!own) return std::unexpected(own.error());
    if (own->identity() == netns.identity())
        return std::unexpected(Error(ErrorCode::Conflict, container + " is in the host's network namespace"));
    return {};
}

Result<ResolvedContainer> resolve_name(const std::string& name, IfAbsent if_absent) {
    auto netns = Netns::open_name(name);
    if (netns) return ResolvedContainer{.netns = std::move(*netns)};
    if (netns.error().code() != ErrorCode::NotFound || if_absent == IfAbsent::Fail)
        return std::unexpected(netns.error());

    // A file without a namespace on it is what a reboot leaves of a name.
    if (auto cleared = remove_netns(name); !cleared) return std::unexpected(cleared.error());
    if (auto made = create_netns(name); !made) return std::unexpected(made.error());
    Rollback made_name("remove namespace " + name, [&] { return remove_netns(name); });
    netns = Netns::open_name(name);
    if (!netns) return std::unexpected(netns.error());
    made_name.keep();
    return ResolvedContainer{.netns = std::move(*netns), .was_created = true};
}

// The pidfd holds the process's number while we look: opened first, and asked again at the end by start time.
Result<ResolvedContainer> resolve_pid(int pid, const std::string& container) {
    if (pid <= 0) return std::unexpected(Error(ErrorCode::NotFound, container + " has no running process"));
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) {
        if (errno == ESRCH || errno == EINVAL)
            return std::unexpected(Error(ErrorCode::NotFound, fmt::format("there is no process {}", pid)));
        return std::unexpected(Error::system(fmt::format("open process {}", pid)));
    }
    const auto start_time = process_start_time(pid);
    if (!start_time) return std::unexpected(start_time.error());
    auto netns = Netns::open_pid(pid);
    if (!netns) return std::unexpected(netns.error());
    if (!is_same_process(pid, *start_time))
        return std::unexpected(
            Error(ErrorCode::Conflict, fmt::format("process {} ended while its namespace was opened", pid)));
    return ResolvedContainer{
        .netns = std::move(*netns), .pidfd = std::move(pidfd), .pid = pid, .start_time = *start_time};
}

}  // namespace

Result<ResolvedContainer> resolve_container(const ContainerRef& container, int pid, IfAbsent if_absent) {
    auto resolved =
        container.kind == ContainerRef::Kind::Netns
            ? resolve_name(container.name, if_absent)
            : resolve_pid(container.kind == ContainerRef::Kind::Pid ? container.pid : pid, described(container));
    if (!resolved || resolved->was_created) return resolved;
    if (auto foreign = refuse_own_namespace(resolved->netns, described(container)); !foreign)
        return std::unexpected(foreign.error());
    return resolved;
}

Result<std::uint64_t> process_start_time(int pid) {
    const Error gone(ErrorCode::NotFound, fmt::format("there is no process {}", pid));
    const UniqueFd file(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return std::unexpected(gone);
    std::array<char, 1024> buffer{};
    const auto size = ::read(file.get(), buffer.data(), buffer.size());
    if (size <= 0) return std::unexpected(gone);
    std::string_view text(buffer.data(), static_cast<std::size_t>(size));

    // "pid (name) S ppid ...": the name may contain anything, so fields are counted from the last parenthesis.
    const auto name_end = text.rfind(") ");
    if (name_end == text.npos) return std::unexpected(gone);
    text.remove_prefix(name_end + 2);
    if (text.starts_with('Z') || text.starts_with('X')) return std::unexpected(gone);
    for (int field = 3; field < 22; ++field) {
        const auto space = text.find(' ');
        if (space == text.npos) return std::unexpected(gone);
        text.remove_prefix(space + 1);
    }
    std::uint64_t ticks = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), ticks).ec != std::errc{}) return std::unexpected(gone);
    return ticks;
}

bool is_same_process(int pid, std::uint64_t start_time) {
    const auto now = process_start_time(pid);
    return now && *now == start_time;
}

}  // namespace weft::control
