// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "dataplane/base/error.hpp"

// Files that hold secrets. They are refused unless only their owner (root or ourselves) can read them: a regular file
// of mode 0600 or less, no symbolic link, in a folder that only the owner may enter (0700). Errors never show the
// content.
namespace weft::config {

// The cluster's key: 32 bytes in base64, one line.
Result<std::array<std::uint8_t, 32>> read_psk(const std::string& file);

// The API's bearer token: one line of 16 to 256 printable ASCII characters without spaces.
Result<std::string> read_token(const std::string& file);

}  // namespace weft::config
