// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "dataplane/base/error.hpp"
#include "dataplane/base/log.hpp"

namespace weft::control {

// The inverse of a kernel step that was just taken: runs when the scope is left, unless `keep` was called because all
// the steps after it succeeded as well. A failure is logged, never thrown.
class [[nodiscard]] Rollback {
  public:
    Rollback(std::string what, std::function<Result<void>()> undo) : what_(std::move(what)), undo_(std::move(undo)) {}
    Rollback(const Rollback&) = delete;
    Rollback& operator=(const Rollback&) = delete;
    ~Rollback() {
        if (!undo_) return;
        if (const auto undone = undo_(); !undone)
            logger("control").error("Undoing a step failed: {} err=\"{}\"", what_, undone.error().text());
    }
    void keep() { undo_ = nullptr; }

  private:
    std::string what_;
    std::function<Result<void>()> undo_;
};

}  // namespace weft::control
