// SPDX-License-Identifier: Apache-2.0
#include "dataplane/socket_address.hpp"

#include <cstring>

#include <netinet/in.h>

#include "dataplane/net/byte_order.hpp"

namespace weft {

namespace {

constexpr std::size_t kMappedPrefix = 12;  // ::ffff:0:0/96 before the four bytes of IPv4

sockaddr* generic(sockaddr_storage& address) {
    return reinterpret_cast<sockaddr*>(&address);
}
const sockaddr* generic(const sockaddr_storage& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

socklen_t to_socket_address(const net::Endpoint& endpoint, int family, sockaddr_storage& address) noexcept {
    const auto l4_port = net::Be16(endpoint.l4_port).raw();
    // An IPv6 endpoint stays one on an IPv4 socket too: the kernel then refuses it.
    if (family == AF_INET && endpoint.address.is_v4()) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = l4_port;
        std::memcpy(&v4.sin_addr, endpoint.address.data(), 4);
        std::memcpy(&address, &v4, sizeof v4);
        return sizeof v4;
    }
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = l4_port;
    if (endpoint.address.is_v6()) {
        std::memcpy(&v6.sin6_addr, endpoint.address.data(), 16);
    } else {
        v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xFF;
        std::memcpy(&v6.sin6_addr.s6_addr[kMappedPrefix], endpoint.address.data(), 4);
    }
    std::memcpy(&address, &v6, sizeof v6);
    return sizeof v6;
}

net::Endpoint from_socket_address(const sockaddr_storage& address) noexcept {
    if (address.ss_family == AF_INET) {
        sockaddr_in v4;
        std::memcpy(&v4, &address, sizeof v4);
        return {net::IpAddress::v4_from(&v4.sin_addr), net::Be16::from_raw(v4.sin_port).value()};
    }
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    const auto l4_port = net::Be16::from_raw(v6.sin6_port).value();
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return {net::IpAddress::v4_from(&v6.sin6_addr.s6_addr[kMappedPrefix]), l4_port};
    return {net::IpAddress::v6_from(&v6.sin6_addr), l4_port};
}

int bind_socket(int fd, const sockaddr_storage& address, socklen_t length) noexcept {
    return bind(fd, generic(address), length);
}

ssize_t send_to(int fd, std::span<const std::byte> bytes, const sockaddr_storage& address, socklen_t length) noexcept {
    return sendto(fd, bytes.data(), bytes.size(), MSG_DONTWAIT, generic(address), length);
}

std::optional<net::Endpoint> local_endpoint(int fd) noexcept {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (getsockname(fd, generic(address), &length) < 0) return std::nullopt;
    return from_socket_address(address);
}

}  // namespace weft
