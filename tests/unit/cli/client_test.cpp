// SPDX-License-Identifier: Apache-2.0
#include "control/cli/client.hpp"

#include <cerrno>

#include <gtest/gtest.h>

#include "tests/unit/cli/fake_node.hpp"

namespace weft::cli {
namespace {

TEST(ServerAddress, ReadsUnixPathsAndTcpEndpoints) {
    EXPECT_EQ(ServerAddress::parse("unix:/run/x.sock")->to_string(), "unix:/run/x.sock");
    EXPECT_EQ(ServerAddress::parse("/run/x.sock")->to_string(), "unix:/run/x.sock");
    EXPECT_EQ(ServerAddress::parse("tcp:127.0.0.1:10010")->to_string(), "tcp:127.0.0.1:10010");
    const auto v6 = ServerAddress::parse("tcp:[::1]:80");
    ASSERT_TRUE(v6);
    EXPECT_EQ(v6->host, "::1");
    EXPECT_EQ(v6->port, 80);
}

TEST(ServerAddress, RefusesEverythingElseAndSaysWhatWouldBeRight) {
    for (const char* wrong : {"", "unix:", "tcp:", "tcp:host", "tcp::80", "tcp:host:", "tcp:host:0", "tcp:host:65536",
                              "tcp:host:80x", "http://x", "host:80"}) {
        const auto parsed = ServerAddress::parse(wrong);
        ASSERT_FALSE(parsed) << wrong;
        EXPECT_NE(parsed.error().find("unix:PATH"), std::string::npos);
    }
}

TEST(Exchange, CarriesMethodTargetAndBodyAndBringsTheAnswer) {
    FakeNode node;
    node.answers["PUT /v1/services/x"] = {201, "{\"a\":1}"};
    const auto reply = exchange(*ServerAddress::parse(node.address()), "PUT", "/v1/services/x", "body");
    ASSERT_TRUE(reply) << reply.error().text();
    EXPECT_EQ(reply->status, 201U);
    EXPECT_EQ(reply->body, "{\"a\":1}");
    EXPECT_EQ(node.asked.front(), "PUT /v1/services/x body");
}

TEST(Exchange, SaysWhyNobodyCouldBeReached) {
    const auto reply = exchange(*ServerAddress::parse("unix:/nonexistent/socket"), "GET", "/", "");
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().system_errno(), ENOENT);
    EXPECT_NE(reply.error().text().find("/nonexistent/socket"), std::string::npos);
}

TEST(Exchange, RefusesAPathThatNoSocketCanHave) {
    const auto reply = exchange(*ServerAddress::parse("unix:/" + std::string(200, 'x')), "GET", "/", "");
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), ErrorCode::BadInput);
}

}  // namespace
}  // namespace weft::cli
