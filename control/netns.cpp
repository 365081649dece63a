// SPDX-License-Identifier: Apache-2.0
#include "control/netns.hpp"

#include <algorithm>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/rollback.hpp"

namespace weft::control {

namespace {

constexpr const char* kNameFolder = "/run/netns";

std::string path_of(const std::string& name) {
    return fmt::format("{}/{}", kNameFolder, name);
}

bool is_letter_or_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// A mount made here must be seen in other mount namespaces and the other way round, or a name deleted here would keep
// its namespace alive there: the folder becomes a shared mount of its own.
Result<void> prepare_name_folder() {
    if (::mkdir(kNameFolder, 0755) != 0 && errno != EEXIST)
        return std::unexpected(Error::system(fmt::format("make folder {}", kNameFolder)));
    if (::mount("", kNameFolder, "none", MS_SHARED | MS_REC, nullptr) == 0) return {};
    // EINVAL: not a mount point yet.
    if (errno != EINVAL || ::mount(kNameFolder, kNameFolder, "none", MS_BIND | MS_REC, nullptr) != 0 ||
        ::mount("", kNameFolder, "none", MS_SHARED | MS_REC, nullptr) != 0)
        return std::unexpected(Error::system(fmt::format("make {} a shared mount", kNameFolder)));
    return {};
}

Result<void> unlink_name(const std::string& path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return std::unexpected(Error::system("remove " + path));
}

// On a thread of its own, because the thread stays in the new namespace.
Result<void> mount_new_namespace(const std::string& path) {
    Result<void> outcome;
    std::thread([&] {
        if (::unshare(CLONE_NEWNET) != 0)
            outcome = std::unexpected(Error::system("make a network namespace"));
        else if (::mount(fmt::format("/proc/self/task/{}/ns/net", ::gettid()).c_str(), path.c_str(), "none", MS_BIND,
                         nullptr) != 0)
            outcome = std::unexpected(Error::system("mount a network namespace on " + path));
    }).join();
    return outcome;
}

}  // namespace

Result<Netns> Netns::open_path(const std::string& path, const std::string& attempt) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        if (errno == ENOENT || errno == ESRCH || errno == ENOTDIR)
            return std::unexpected(Error(ErrorCode::NotFound, attempt + " does not exist"));
        return std::unexpected(Error::system("open " + path));
    }
    // A name whose mount went away (a reboot) is an empty file.
    if (::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET)
        return std::unexpected(Error(ErrorCode::NotFound, attempt + " is not a network namespace"));
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) return std::unexpected(Error::system("look at " + path));
    return Netns(std::move(fd), {status.st_dev, status.st_ino});
}

Result<Netns> Netns::open_name(const std::string& name) {
    if (!is_netns_name(name))
        return std::unexpected(Error(ErrorCode::BadInput, "not a name for a namespace: \"" + name + "\""));
    return open_path(path_of(name), fmt::format("the namespace {}", path_of(name)));
}

Result<Netns> Netns::open_pid(int pid) {
    return open_path(fmt::format("/proc/{}/ns/net", pid), fmt::format("the process {}", pid));
}

Result<Netns> Netns::open_own() {
    return open_path("/proc/thread-self/ns/net", "this thread's namespace");
}

bool is_netns_name(std::string_view name) {
    return !name.empty() && name.size() <= 128 && is_letter_or_digit(name.front()) &&
           std::ranges::all_of(name, [](char c) { return is_letter_or_digit(c) || c == '_' || c == '.' || c == '-'; });
}

Result<void> create_netns(const std::string& name) {
    if (!is_netns_name(name))
        return std::unexpected(Error(ErrorCode::BadInput, "not a name for a namespace: \"" + name + "\""));
    if (auto ready = prepare_name_folder(); !ready) return ready;

    const std::string path = path_of(name);
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0));
    if (!file) {
        if (errno == EEXIST) return std::unexpected(Error(ErrorCode::Conflict, path + " exists"));
        return std::unexpected(Error::system("make " + path));
    }
    Rollback name_made("remove " + path, [&] { return unlink_name(path); });
    if (auto mounted = mount_new_namespace(path); !mounted) return mounted;
    name_made.keep();
    return {};
}

Result<void> remove_netns(const std::string& name) {
    if (!is_netns_name(name)) return {};
    const std::string path = path_of(name);
    // EINVAL: a file without a mount on it, which is what a reboot leaves.
    if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT)
        return std::unexpected(Error::system("unmount " + path));
    return unlink_name(path);
}

Result<void> run_in(int netns_fd, const std::function<Result<void>()>& work) {
    Result<void> outcome;
    std::thread([&] {
        if (::setns(netns_fd, CLONE_NEWNET) != 0)
            outcome = std::unexpected(Error::system("enter a network namespace"));
        else
            outcome = work();
    }).join();
    return outcome;
}

}  // namespace weft::control
