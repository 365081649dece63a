// SPDX-License-Identifier: Apache-2.0
#include "control/run_lock.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

namespace weft::control {

namespace {

constexpr auto kPatience = std::chrono::seconds(10);

Result<UniqueFd> open_lock(const std::string& run_dir) {
    std::error_code failed;
    std::filesystem::create_directories(run_dir, failed);
    if (failed) return std::unexpected(Error::system("create run_dir " + run_dir, failed.value()));
    const std::string path = run_dir + "/lock";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return std::unexpected(Error::system("open " + path));
    return fd;
}

bool try_lock(const UniqueFd& fd) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return false;
    const std::string pid = std::to_string(::getpid()) + "\n";
    (void)!::ftruncate(fd.get(), 0);
    (void)!::pwrite(fd.get(), pid.data(), pid.size(), 0);
    return true;
}

int owner_of(const UniqueFd& fd) {
    std::array<char, 16> text{};
    const auto size = ::pread(fd.get(), text.data(), text.size() - 1, 0);
    int pid = 0;
    if (size > 0) std::from_chars(text.data(), text.data() + size, pid);
    return pid;
}

}  // namespace

Result<RunLock> RunLock::take(const std::string& run_dir) {
    auto fd = open_lock(run_dir);
    if (!fd) return std::unexpected(fd.error());
    if (!try_lock(*fd))
        return std::unexpected(Error(ErrorCode::Conflict, "another weftd (process " + std::to_string(owner_of(*fd)) +
                                                              ") runs on run_dir " + run_dir +
                                                              "; give this one a run_dir and state_dir of its own"));
    return RunLock(std::move(*fd));
}

Result<RunLock> RunLock::take_over(const std::string& run_dir) {
    auto fd = open_lock(run_dir);
    if (!fd) return std::unexpected(fd.error());
    if (try_lock(*fd)) return RunLock(std::move(*fd));
    const int pid = owner_of(*fd);
    if (pid <= 1 || ::kill(pid, SIGTERM) != 0)
        return std::unexpected(Error::system("end weftd, process " + std::to_string(pid)));
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
        if (try_lock(*fd)) return RunLock(std::move(*fd));
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return std::unexpected(
        Error(ErrorCode::Timeout, "weftd, process " + std::to_string(pid) + ", does not end within 10 s"));
}

}  // namespace weft::control
