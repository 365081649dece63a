// SPDX-License-Identifier: Apache-2.0
#include "dataplane/socket_address.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

namespace weft {
namespace {

TEST(SocketAddress, ComesBackAsItWentIn) {
    const struct {
        const char* endpoint;
        int family;
        socklen_t length;
    } cases[] = {
        {"192.168.77.11:50103", AF_INET, sizeof(sockaddr_in)},
        {"192.168.77.11:50103", AF_INET6, sizeof(sockaddr_in6)},  // v4-mapped
        {"[fd00::1]:65535", AF_INET6, sizeof(sockaddr_in6)},
        {"[fd00::1]:1", AF_INET, sizeof(sockaddr_in6)},  // for the kernel to refuse
        {"0.0.0.0:0", AF_INET, sizeof(sockaddr_in)},
    };
    for (const auto& [text, family, length] : cases) {
        SCOPED_TRACE(text);
        const auto endpoint = net::Endpoint::parse(text);
        ASSERT_TRUE(endpoint.has_value());
        sockaddr_storage address{};
        EXPECT_EQ(to_socket_address(*endpoint, family, address), length);
        EXPECT_EQ(from_socket_address(address), *endpoint);
    }
}

}  // namespace
}  // namespace weft
