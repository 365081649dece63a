// SPDX-License-Identifier: Apache-2.0
#include "control/sysctl.hpp"

#include <array>

#include <fcntl.h>
#include <unistd.h>

#include "dataplane/base/unique_fd.hpp"

namespace weft::control {

namespace {

Result<UniqueFd> open_setting(const std::string& path, int flags) {
    UniqueFd file(::open(("/proc/sys/" + path).c_str(), flags | O_CLOEXEC));
    if (file) return file;
    if (errno == ENOENT) return std::unexpected(Error(ErrorCode::NotFound, "this kernel has no setting " + path));
    return std::unexpected(Error::system("open /proc/sys/" + path));
}

}  // namespace

Result<std::string> read_sysctl(const std::string& path) {
    const auto file = open_setting(path, O_RDONLY);
    if (!file) return std::unexpected(file.error());
    std::array<char, 256> buffer{};
    const auto size = ::read(file->get(), buffer.data(), buffer.size());
    if (size < 0) return std::unexpected(Error::system("read /proc/sys/" + path));
    std::string value(buffer.data(), static_cast<std::size_t>(size));
    while (!value.empty() && value.back() == '\n')
        value.pop_back();
    return value;
}

Result<void> write_sysctl(const std::string& path, const std::string& value) {
    const auto file = open_setting(path, O_WRONLY);
    if (!file) return std::unexpected(file.error());
    if (::write(file->get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
        return std::unexpected(Error::system("write " + value + " to /proc/sys/" + path));
    const auto now = read_sysctl(path);
    if (!now) return std::unexpected(now.error());
    if (*now != value)
        return std::unexpected(
            Error(ErrorCode::System, "/proc/sys/" + path + " is " + *now + " after " + value + " was written"));
    return {};
}

}  // namespace weft::control
