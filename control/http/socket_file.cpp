// SPDX-License-Identifier: Apache-2.0
#include "control/http/socket_file.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <optional>

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace weft::http {

namespace {

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        return std::unexpected(
            Error(ErrorCode::BadInput, "listen on unix:" + path + ": the path has more than 107 characters"));
    }
    path.copy(static_cast<char*>(address.sun_path), path.size());
    return address;
}

// POSIX wants the generic pointer type; this is the one place that makes it.
const sockaddr* generic(const sockaddr_un& address) {
    return static_cast<const sockaddr*>(static_cast<const void*>(&address));
}

bool answers(const sockaddr_un& address) {
    const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return false;
    return connect(probe.get(), generic(address), sizeof(address)) == 0 || errno == EAGAIN || errno == EINPROGRESS;
}

std::optional<gid_t> find_group(const std::string& name) {
    if (name.empty()) return std::nullopt;
    std::array<char, 4096> buffer{};
    group entry{};
    group* found = nullptr;
    if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
        return std::nullopt;
    return found->gr_gid;
}

}  // namespace

Result<SocketFile> SocketFile::create(const std::string& path, const std::string& group) {
    const std::string attempt = "listen on unix:" + path;
    const auto address = address_of(path);
    if (!address) return std::unexpected(address.error());
    std::error_code made;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), made);
    struct stat about{};
    if (lstat(path.c_str(), &about) == 0) {
        if (!S_ISSOCK(about.st_mode))
            return std::unexpected(Error(ErrorCode::Conflict, attempt + ": a file that is no socket is in the way"));
        if (answers(*address))
            return std::unexpected(Error(ErrorCode::Conflict, attempt + ": another process answers there"));
    }

    // Made under a name beside the real one and renamed when it listens, so that nobody meets it half made. The name
    // has the same length, which is limited.
    std::string draft = path;
    draft.back() = draft.back() == '~' ? '_' : '~';
    const auto draft_address = address_of(draft);
    if (!draft_address) return std::unexpected(draft_address.error());
    if (lstat(draft.c_str(), &about) == 0 && S_ISSOCK(about.st_mode)) unlink(draft.c_str());
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return std::unexpected(Error::system(attempt));
    if (fchmod(fd.get(), 0600) != 0)
        return std::unexpected(Error::system(attempt));  // the mode that bind gives the file
    if (bind(fd.get(), generic(*draft_address), sizeof(*draft_address)) != 0)
        return std::unexpected(Error::system(attempt));
    const auto give_up = [&](const Error& error) {
        unlink(draft.c_str());
        return std::unexpected(error);
    };
    if (const auto gid = find_group(group)) {
        // Without the right to give it to that group the socket stays the owner's alone.
        if (chown(draft.c_str(), static_cast<uid_t>(-1), *gid) == 0 && chmod(draft.c_str(), 0660) != 0) {
            return give_up(Error::system(attempt + ": chmod"));
        }
    }
    if (::listen(fd.get(), SOMAXCONN) != 0) return give_up(Error::system(attempt));
    if (lstat(draft.c_str(), &about) != 0) return give_up(Error::system(attempt));
    if (std::rename(draft.c_str(), path.c_str()) != 0) return give_up(Error::system(attempt));
    return SocketFile(path, std::move(fd), about.st_ino);
}

SocketFile::~SocketFile() {
    struct stat about{};
    if (!path_.empty() && lstat(path_.c_str(), &about) == 0 && about.st_ino == inode_) unlink(path_.c_str());
}

}  // namespace weft::http
