// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "dataplane/base/error.hpp"

namespace weft::cli {

// Where a weftd listens: unix:PATH or tcp:HOST:PORT.
struct ServerAddress {
    std::string unix_path;  // empty: TCP
    std::string host;
    std::uint16_t port = 0;

    // The error text says what would be right.
    static std::expected<ServerAddress, std::string> parse(std::string_view text);
    [[nodiscard]] std::string to_string() const;
};

struct Reply {
    unsigned status = 0;
    std::string body;
};

// One HTTP/1.1 exchange on a connection of its own. `body` may be empty. Errors: Unavailable if nobody could be reached
// (system_errno tells why), Timeout after 15 s, Internal for an answer that is not HTTP.
Result<Reply> exchange(const ServerAddress& server, std::string_view method, std::string_view target, std::string body);

}  // namespace weft::cli
