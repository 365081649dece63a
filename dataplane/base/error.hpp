// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace weft {

// Why an operation on the world outside (system call, netlink, registry, file, request) was refused.
// `code` says which kind of refusal it was, so that callers can decide; `text` is a sentence that names the attempt
// and the object, so that an operator can act. Made where it happens, logged once where it is handled.
enum class ErrorCode {
    System,       // the kernel said no; `system_errno` tells why
    NotFound,     // the named thing does not exist
    Conflict,     // it exists, but belongs to somebody else or differs
    BadInput,     // the caller's value is wrong
    Exhausted,    // a pool (addresses, slots) is used up
    Unavailable,  // a part we depend on does not answer now
    Timeout,      // it did not answer in time
    Internal,     // none of the above; a defect of ours or of a library
};

class [[nodiscard]] Error {
  public:
    Error(ErrorCode code, std::string text) : code_(code), text_(std::move(text)) {}

    // From errno, e.g. Error::system("open /dev/net/tun").
    static Error system(std::string_view attempt, int error_number = errno) {
        Error error(ErrorCode::System, std::string(attempt) + ": " + std::strerror(error_number));
        error.system_errno_ = error_number;
        return error;
    }

    [[nodiscard]] ErrorCode code() const { return code_; }
    [[nodiscard]] int system_errno() const { return system_errno_; }
    [[nodiscard]] const std::string& text() const { return text_; }

    // The same error with the larger attempt before it: "create veth for i7f3a9c: RTNETLINK: File exists".
    [[nodiscard]] Error during(std::string_view attempt) const {
        Error error = *this;
        error.text_ = std::string(attempt) + ": " + text_;
        return error;
    }

  private:
    ErrorCode code_;
    int system_errno_ = 0;
    std::string text_;
};

template <class T>
using Result = std::expected<T, Error>;

}  // namespace weft
