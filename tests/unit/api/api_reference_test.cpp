// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/api/api_fixture.hpp"

namespace weft::control {
namespace {

class ReferenceApi : public ApiFixture {
  protected:
    void SetUp() override {
        ApiFixture::SetUp();
        start();
    }
};

constexpr const char* kDeploy =
    R"({"containerId":"netns:cli","appName":"shop.default.cli.default","instanceNumber":0,"nodeIp":"192.168.77.11","nodePort":50103,
        "serviceIp":[{"IpType":"InstanceNumber","Address":"10.30.0.2"}]})";

TEST_F(ReferenceApi, RegistersWithAnEmptyAnswer) {
    for (const char* body :
         {R"({"subnetwork":"10.18.0.0"})", R"({"client_id":"65f000000000000000000002","cluster_address":"c"})"}) {
        const auto reply = post("/register", body);
        EXPECT_EQ(reply.status, 200U) << reply.body;
        EXPECT_EQ(reply.body, "");
    }
    with_node([](FakeNode& node) { EXPECT_EQ(node.registered.size(), 2U); });
}

TEST_F(ReferenceApi, AnswersBothDeploysInTheSameForm) {
    const std::string expected =
        R"({"serviceName":"shop.default.cli.default","nsAddress":"10.18.0.2","nsAddressv6":"fc00::2"})";
    auto reply = post("/docker/deploy", kDeploy);
    EXPECT_EQ(reply.status, 200U);
    EXPECT_EQ(reply.body, expected);
    EXPECT_EQ(reply.headers["content-type"], "application/json");
    reply = post("/container/deploy/",
                 R"({"pid":12,"serviceName":"shop.default.cli.default","instanceNumber":0,"portMappings":""})");
    EXPECT_EQ(reply.status, 200U);
    EXPECT_EQ(reply.body, expected);
    with_node([](FakeNode& node) {
        ASSERT_EQ(node.deployed.size(), 2U);
        EXPECT_TRUE(node.deployed[0].number_may_move);
        EXPECT_FALSE(node.deployed[1].number_may_move);
        EXPECT_EQ(node.deployed[1].container.pid, 12);
    });
}

TEST_F(ReferenceApi, UndeploysWithAnEmptyAnswer) {
    EXPECT_EQ(post("/docker/undeploy", R"({"serviceName":"netns:cli"})").status, 200U);
    EXPECT_EQ(
        post("/container/undeploy", R"({"serviceName":"a.b.c.d","instanceNumber":2,"pid":-1,"portMappings":""})").body,
        "");
    with_node([](FakeNode& node) {
        ASSERT_EQ(node.undeployed.size(), 2U);
        EXPECT_EQ(node.undeployed[0].number, std::nullopt);
        EXPECT_EQ(node.undeployed[1].number, 2U);
    });
}

TEST_F(ReferenceApi, SaysThatUnikernelsAreNotThere) {
    EXPECT_EQ(post("/unikernel/deploy", "{}").status, 501U);
    EXPECT_EQ(post("/unikernel/undeploy", "{}").field("error"), "not_implemented");
}

TEST_F(ReferenceApi, PassesTheNodesRefusalOn) {
    with_node([](FakeNode& node) { node.problem = Problem{400, "not_registered", "", "call POST /register first"}; });
    for (const char* path : {"/docker/deploy", "/container/deploy"}) {
        const auto reply = post(path, kDeploy);
        EXPECT_EQ(reply.status, 400U);
        EXPECT_EQ(reply.field("error"), "not_registered");
        EXPECT_EQ(reply.field("field"), "");
    }
    with_node([](FakeNode& node) { node.problem = Problem{503, "no_addresses", "", "61 of 61 in use"}; });
    auto reply = post("/docker/deploy", kDeploy);
    EXPECT_EQ(reply.status, 503U);
    EXPECT_TRUE(reply.headers.contains("retry-after"));
}

// A value of every field of every call that no client may send, given over the wire: 400 with a field, and the node
// heard nothing.
TEST_F(ReferenceApi, RefusesBadInputBeforeTheNodeHearsOfIt) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"/register", R"({"subnetwork":"10.18.0.1/26"})"},
        {"/register", R"({"subnetwork":7})"},
        {"/register", R"({"subnetwork":"10.0.0.0","Subnetwork":"10.0.0.0"})"},
        {"/docker/deploy", "{}"},
        {"/docker/deploy", R"({"containerId":"../../etc","appName":"a.b.c.d","instanceNumber":0})"},
        {"/docker/deploy", R"({"containerId":"a\u0000","appName":"a.b.c.d","instanceNumber":0})"},
        {"/docker/deploy", R"({"containerId":"a","appName":"a.b.c.d","instanceNumber":"0"})"},
        {"/docker/deploy", R"({"containerId":"a","appName":"a.b.c.d","AppName":"a.b.c.d","instanceNumber":0})"},
        {"/container/deploy", R"({"pid":-1,"serviceName":"a.b.c.d","instanceNumber":0})"},
        {"/container/deploy", R"({"pid":1,"serviceName":"a.b.c.d","instanceNumber":0,"portMappings":"hello"})"},
        {"/docker/undeploy", R"({"serviceName":";reboot"})"},
        {"/container/undeploy", R"({"serviceName":"a.b.c.d","instanceNumber":1e2})"}};
    for (const auto& [path, body] : cases) {
        const auto reply = post(path, body);
        EXPECT_EQ(reply.status, 400U) << path << body;
        EXPECT_NE(reply.field("field"), "") << path << body << reply.body;
    }
    for (const std::string body : {"", "null", "[]", "\"\"", "{", "{}{}", "\xef\xbb\xbf{}", "\xff"}) {
        for (const char* path :
             {"/register", "/docker/deploy", "/container/deploy", "/docker/undeploy", "/container/undeploy"}) {
            const auto reply = post(path, body);
            EXPECT_EQ(reply.status, 400U) << path << body;
            EXPECT_EQ(reply.field("error"), "bad_json") << path << body << reply.body;
        }
    }
    EXPECT_EQ(changes(), 0U);
}

TEST_F(ReferenceApi, LimitsBodiesTo64KiB) {
    const std::string filler(64 * 1024 - 40, ' ');
    const auto fits = post("/register", R"({"subnetwork":"10.18.0.0"})" + filler);
    EXPECT_EQ(fits.status, 200U) << fits.body;
    const auto reply = post("/register", std::string(64 * 1024 + 1, ' '));
    EXPECT_EQ(reply.status, 413U);
    EXPECT_EQ(reply.field("error"), "too_large");
}

TEST_F(ReferenceApi, IgnoresTheContentType) {
    Client client = connect();
    client.send(
        "POST /register HTTP/1.1\r\nHost: w\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        "26\r\n\r\n{\"subnetwork\":\"10.18.0.0\"}");
    EXPECT_EQ(client.receive().status, 200U);
}

}  // namespace
}  // namespace weft::control
