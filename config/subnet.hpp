// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "dataplane/net/address.hpp"

// The subnet of a node, as the configuration and `POST /register` give it.
namespace weft::config {

// An address (then of `default_length`) or a CIDR of /16 to /29 without host bits, out of private space. The error text
// says what is wrong and what would be right.
std::expected<net::Prefix, std::string> parse_node_subnet(std::string_view text, int default_length);
// The same for IPv6: /64 to /125, unique local.
std::expected<net::Prefix, std::string> parse_node_subnet_v6(std::string_view text, int default_length);

inline constexpr int kShortestNodePrefix = 16, kLongestNodePrefix = 29;
inline constexpr int kShortestNodePrefixV6 = 64, kLongestNodePrefixV6 = 125;

}  // namespace weft::config
