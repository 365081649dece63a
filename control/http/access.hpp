// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/http/message.hpp"
#include "dataplane/net/address.hpp"

// Who may call. The content type is ignored, so a browser could be made to post to us; what it cannot forge is Host and
// Origin. A token is kept as its SHA-256 only and compared in constant time.
namespace weft::http {

class Token {
  public:
    explicit Token(std::string_view secret);
    [[nodiscard]] bool matches(std::string_view presented) const;

  private:
    std::array<std::uint8_t, 32> digest_{};
};

// Where a request came in and what it said of itself. Absent headers are nullopt.
struct Caller {
    std::optional<net::Endpoint> local;  // TCP: our end of the connection; nullopt: unix socket
    std::optional<std::string_view> host;
    std::optional<std::string_view> origin;
    std::optional<std::string_view> authorization;
};

// The refusal (401, 403), or nullopt if the call may go on. `host_names`: names that are ours besides "localhost".
std::optional<Response> refuse_access(const Caller& caller, const std::optional<Token>& token,
                                      const std::vector<std::string>& host_names);

}  // namespace weft::http
