// SPDX-License-Identifier: Apache-2.0
#include "control/api.hpp"

#include <gtest/gtest.h>

#include "tests/unit/api/api_fixture.hpp"

namespace weft::control {
namespace {

class OwnApi : public ApiFixture {
  protected:
    void SetUp() override {
        ApiFixture::SetUp();
        start();
    }
};

TEST_F(OwnApi, AnswersEveryView) {
    for (const char* path : {"/v1/status", "/v1/node", "/v1/services", "/v1/instances", "/v1/instances/i1", "/v1/flows",
                             "/v1/peers", "/v1/port-forwards", "/v1/counters", "/v1/drops", "/healthz"}) {
        const auto reply = call("GET", path);
        EXPECT_EQ(reply.status, 200U) << path << reply.body;
        EXPECT_TRUE(reply.body.starts_with("{")) << path;
    }
}

TEST_F(OwnApi, TellsHealthByStatus) {
    with_node([](FakeNode& node) { node.healthy = false; });
    EXPECT_EQ(call("GET", "/healthz").status, 503U);
}

TEST_F(OwnApi, CreatesReplacesAndDeletesServices) {
    const char* path = "/v1/services/a.b.c.d";
    EXPECT_EQ(call("GET", path).status, 404U);
    const auto made = call("PUT", path, R"({"service_ips":[{"type":"RR","address":"10.30.0.10"}]})");
    EXPECT_EQ(made.status, 201U) << made.body;
    EXPECT_EQ(made.field("name"), "a.b.c.d");
    EXPECT_EQ(call("PUT", path, "{}").status, 200U);
    EXPECT_EQ(call("GET", path).status, 200U);
    const auto gone = call("DELETE", path);
    EXPECT_EQ(gone.status, 204U);
    EXPECT_EQ(gone.body, "");
    EXPECT_EQ(call("DELETE", path).status, 204U);
}

TEST_F(OwnApi, RefusesUnknownKeysAndNamesTheNearest) {
    const auto reply = call("PUT", "/v1/services/a.b.c.d", R"({"serviceips":[]})");
    EXPECT_EQ(reply.status, 400U);
    EXPECT_EQ(reply.field("field"), "serviceips");
    EXPECT_NE(reply.field("detail").find("service_ips"), std::string::npos);
    EXPECT_EQ(changes(), 0U);
}

TEST_F(OwnApi, RefusesBadNamesInPaths) {
    for (const char* name :
         {"%2e%2e%2f", "a.b.c", "a.b.c.d%00", "a.b.c.d%0a", "%24%28id%29", "%e2%80%ae", "-a.b.c.d"}) {
        EXPECT_EQ(call("PUT", std::string("/v1/services/") + name, "{}").status, 400U) << name;
        EXPECT_EQ(call("PUT", std::string("/v1/peers/") + name, R"({"address":"192.0.2.1"})").status,
                  std::string_view(name) == "a.b.c" ? 201U : 400U)
            << name;
    }
    EXPECT_EQ(call("PUT", "/v1/services/a%2", "{}").status, 404U);
    EXPECT_EQ(call("GET", "/v1/services/../../etc").status, 404U);
}

TEST_F(OwnApi, DeploysAndUndeploys) {
    const auto reply = post("/v1/instances", R"({"container":"netns:a","service":"a.b.c.d"})");
    EXPECT_EQ(reply.status, 200U) << reply.body;
    EXPECT_EQ(reply.field("id"), "i1");
    EXPECT_EQ(call("DELETE", "/v1/instances/i1").status, 204U);
    EXPECT_EQ(call("GET", "/v1/instances/i2").status, 404U);
}

TEST_F(OwnApi, HandsOverPeersForwardsFlowsAndTraces) {
    EXPECT_EQ(call("PUT", "/v1/peers/b", R"({"address":"192.0.2.1"})").status, 201U);
    EXPECT_EQ(post("/v1/port-forwards", R"({"host_port":8080,"protocol":"tcp","instance":"i1","port":80})").status,
              201U);
    EXPECT_EQ(call("DELETE", "/v1/port-forwards/f1").status, 204U);
    EXPECT_EQ(call("GET", "/v1/flows?service=a.b.c.d&limit=7").status, 200U);
    EXPECT_EQ(call("GET", "/v1/flows?limit=0").status, 400U);
    EXPECT_EQ(call("DELETE", "/v1/flows/9c1e44").status, 204U);
    EXPECT_EQ(post("/v1/trace", R"({"source":"i1","destination":"10.30.0.1","destination_port":80})").field("verdict"),
              "forward");
    EXPECT_EQ(call("DELETE", "/v1/node/registration").status, 204U);
    with_node([](FakeNode& node) {
        ASSERT_EQ(node.flow_queries.size(), 1U);
        EXPECT_EQ(node.flow_queries[0].limit, 7U);
        EXPECT_EQ(node.forwards.size(), 1U);
        EXPECT_EQ(node.traces.size(), 1U);
        EXPECT_EQ(node.unregistered, 1);
        node.problem = Problem::conflict("id", "b is a peer of the configuration file");
    });
    EXPECT_EQ(call("DELETE", "/v1/peers/b").status, 409U);
    EXPECT_EQ(call("DELETE", "/v1/node/registration").status, 409U);
}

TEST_F(OwnApi, SaysWhatIsNotInThisVersion) {
    for (const auto& [method, path] :
         {std::pair("GET", "/v1/mirrors"), std::pair("PUT", "/v1/mirrors/web"), std::pair("GET", "/v1/policies"),
          std::pair("PUT", "/v1/policies"), std::pair("DELETE", "/v1/policies/x"), std::pair("GET", "/v1/redirects"),
          std::pair("POST", "/v1/redirects"), std::pair("DELETE", "/v1/redirects/r")}) {
        EXPECT_EQ(call(method, path, "{}").status, 501U) << method << path;
    }
}

TEST_F(OwnApi, TakesBodiesUpTo1MiB) {
    EXPECT_EQ(call("PUT", "/v1/services/a.b.c.d", "{}" + std::string(1024 * 1024 - 2, ' ')).status, 201U);
    EXPECT_EQ(call("PUT", "/v1/services/a.b.c.d", "{}" + std::string(1024 * 1024 - 1, ' ')).status, 413U);
}

TEST_F(OwnApi, ServesItsDescription) {
    auto reply = call("GET", "/v1/openapi.yaml");
    EXPECT_EQ(reply.status, 200U);
    EXPECT_EQ(reply.headers["content-type"], "application/yaml");
    EXPECT_EQ(reply.body, openapi_text());
    // Every path that is served stands in it.
    for (const char* path : {"/register",
                             "/docker/deploy",
                             "/docker/undeploy",
                             "/container/deploy",
                             "/container/undeploy",
                             "/unikernel/deploy",
                             "/healthz",
                             "/metrics",
                             "/v1/status",
                             "/v1/node",
                             "/v1/node/registration",
                             "/v1/services",
                             "/v1/services/{name}",
                             "/v1/instances",
                             "/v1/instances/{id}",
                             "/v1/flows",
                             "/v1/flows/{id}",
                             "/v1/peers",
                             "/v1/peers/{id}",
                             "/v1/port-forwards",
                             "/v1/port-forwards/{id}",
                             "/v1/counters",
                             "/v1/drops",
                             "/v1/trace",
                             "/v1/events",
                             "/v1/mirrors",
                             "/v1/policies",
                             "/v1/redirects",
                             "/v1/openapi.yaml"}) {
        EXPECT_NE(reply.body.find("\n  " + std::string(path) + ":\n"), std::string::npos) << path;
    }
}

TEST_F(OwnApi, CountsItsAnswersInTheMetrics) {
    call("GET", "/v1/services/a.b.c.d");
    call("GET", "/v1/services/a.b.c.e");
    call("GET", "/nowhere");
    const auto reply = call("GET", "/metrics");
    EXPECT_EQ(reply.status, 200U);
    EXPECT_TRUE(reply.body.starts_with("weft_build_info")) << reply.body;
    EXPECT_NE(reply.body.find("weft_api_requests_total{path=\"/v1/services/{name}\",code=\"404\"} 2\n"),
              std::string::npos)
        << reply.body;
    EXPECT_NE(reply.body.find("weft_api_requests_total{path=\"\",code=\"404\"} 1\n"), std::string::npos) << reply.body;
}

TEST_F(OwnApi, StreamsEventsFromNowOn) {
    with_node([](FakeNode& node) { node.publish({1, "instance.deployed", "{}"}); });
    Client client = connect();
    client.send("GET /v1/events HTTP/1.1\r\nHost: w\r\n\r\n");
    ASSERT_TRUE(client.receive_until("text/event-stream"));
    ASSERT_TRUE(client.receive_until(": weft events"));
    with_node([](FakeNode& node) { node.publish({2, "service.changed", R"({"name":"a.b.c.d"})"}); });
    EXPECT_TRUE(client.receive_until("id: 2\nevent: service.changed\ndata: {\"name\":\"a.b.c.d\"}\n\n"));
    with_node([](FakeNode& node) { node.publish({3, "peer.up", "{}"}); });
    EXPECT_TRUE(client.receive_until("id: 3\n"));
}

TEST_F(OwnApi, ResumesEventsAfterTheLastSeen) {
    with_node([](FakeNode& node) {
        for (std::uint64_t id = 1; id <= 3; ++id)
            node.publish({id, "peer.up", "{}"});
    });
    Client client = connect();
    client.send("GET /v1/events HTTP/1.1\r\nHost: w\r\nLast-Event-ID: 1\r\n\r\n");
    ASSERT_TRUE(client.receive_until("id: 2\n"));
    ASSERT_TRUE(client.receive_until("id: 3\n"));
    Client wrong = connect();
    wrong.send("GET /v1/events HTTP/1.1\r\nHost: w\r\nLast-Event-ID: x\r\n\r\n");
    EXPECT_EQ(wrong.receive().status, 400U);
}

}  // namespace
}  // namespace weft::control
