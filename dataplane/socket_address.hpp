// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include <sys/socket.h>
#include <sys/types.h>

#include "dataplane/net/address.hpp"

namespace weft {

// Between Endpoint and the kernel's socket addresses; the casts that the socket calls force upon us live here alone.
// An IPv4 endpoint on an IPv6 socket is written v4-mapped, and read back as IPv4. Pure, but for the three calls below.

// Fills `address` for a socket of `family` and says its length.
socklen_t to_socket_address(const net::Endpoint& endpoint, int family, sockaddr_storage& address) noexcept;
[[nodiscard]] net::Endpoint from_socket_address(const sockaddr_storage& address) noexcept;

// As bind, sendto (without waiting) and getsockname; errno tells why not.
int bind_socket(int fd, const sockaddr_storage& address, socklen_t length) noexcept;
ssize_t send_to(int fd, std::span<const std::byte> bytes, const sockaddr_storage& address, socklen_t length) noexcept;
[[nodiscard]] std::optional<net::Endpoint> local_endpoint(int fd) noexcept;

}  // namespace weft
