// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/base/error.hpp"
#include "dataplane/base/unique_fd.hpp"

namespace weft::http {

// A listening unix socket at `path`, which it owns: the destructor removes the file if it is still its own. Once the
// file is there, connections are taken. A stale socket is replaced; one that somebody answers on is Conflict. Mode 0660
// with `group`, or 0600 if `group` is empty or unknown.
class SocketFile {
  public:
    static Result<SocketFile> create(const std::string& path, const std::string& group);
    SocketFile(SocketFile&& other) noexcept = default;
    SocketFile& operator=(SocketFile&& other) noexcept = delete;
    ~SocketFile();

    // Hands the descriptor to somebody who closes it; the file stays ours.
    [[nodiscard]] int release_fd() { return fd_.release(); }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    SocketFile(std::string path, UniqueFd fd, unsigned long inode)
        : path_(std::move(path)), fd_(std::move(fd)), inode_(inode) {}

    std::string path_;  // empty after a move
    UniqueFd fd_;
    unsigned long inode_;
};

}  // namespace weft::http
