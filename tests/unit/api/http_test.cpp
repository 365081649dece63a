// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/unit/api/api_fixture.hpp"

// The transport, against the real server: what is well-formed, what is not, and clients that take their time.
namespace weft::control {
namespace {

using namespace std::chrono_literals;

class Http : public ApiFixture {
  protected:
    // Until the node says so; at most 10 s.
    void await(bool (*condition)(FakeNode&)) {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (!with_node(condition)) {
            if (std::chrono::steady_clock::now() > deadline) FAIL() << "did not happen within 10 s";
            std::this_thread::yield();
        }
    }
};

constexpr std::string_view kGet = "GET /healthz HTTP/1.1\r\nHost: w\r\n\r\n";
constexpr std::string_view kRegister =
    "POST /register HTTP/1.1\r\nHost: w\r\nContent-Length: 26\r\n\r\n{\"subnetwork\":\"10.18.0.0\"}";

std::size_t resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
    }
    return 0;
}

TEST_F(Http, KeepsAConnectionForMoreRequests) {
    start();
    Client client = connect();
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(client.send(kGet));
        EXPECT_EQ(client.receive().status, 200U);
    }
    client.send("GET /healthz HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(client.receive().headers["connection"], "close");
    EXPECT_EQ(client.receive_all(), "");
}

TEST_F(Http, ServesHttp10AndClosesAfterIt) {
    start();
    Client client = connect();
    client.send("GET /healthz HTTP/1.0\r\n\r\n");
    EXPECT_EQ(client.receive().status, 200U);
    EXPECT_EQ(client.receive_all(), "");
}

TEST_F(Http, AnswersPipelinedRequestsInOrder) {
    start();
    Client client = connect();
    constexpr int kRequests = 10'000;
    std::thread sender([&] {
        std::string batch;
        for (int i = 0; i < kRequests; ++i) {
            batch += i % 2 == 0 ? std::string(kGet) : "GET /nowhere HTTP/1.1\r\nHost: w\r\n\r\n";
        }
        client.send(batch);
    });
    for (int i = 0; i < kRequests; ++i)
        ASSERT_EQ(client.receive().status, i % 2 == 0 ? 200U : 404U) << i;
    sender.join();
}

TEST_F(Http, TakesARequestInPieces) {
    start();
    Client client = connect();
    for (const char byte : kRegister)
        ASSERT_TRUE(client.send({&byte, 1}));
    EXPECT_EQ(client.receive().status, 200U);
}

TEST_F(Http, TakesChunkedBodies) {
    start();
    Client client = connect();
    client.send(
        "POST /register HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: "
        "chunked\r\n\r\n10\r\n{\"subnetwork\":\"1\r\na\r\n0.18.0.0\"}\r\n0\r\n\r\n");
    EXPECT_EQ(client.receive().status, 200U);
    client.send(kGet);
    EXPECT_EQ(client.receive().status, 200U);
}

TEST_F(Http, SaysContinueToWhoAsks) {
    start();
    Client client = connect();
    client.send("POST /register HTTP/1.1\r\nHost: w\r\nContent-Length: 26\r\nExpect: 100-continue\r\n\r\n");
    ASSERT_TRUE(client.receive_until("100 Continue\r\n\r\n"));
    client.send("{\"subnetwork\":\"10.18.0.0\"}");
    EXPECT_EQ(client.receive().status, 200U);
    client.send("POST /nowhere HTTP/1.1\r\nHost: w\r\nContent-Length: 26\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(client.receive().status, 404U);
}

TEST_F(Http, TellsUnknownPathsFromWrongMethods) {
    start();
    for (const char* path : {"/", "/nowhere", "/v1", "/v1/", "/v2/status", "//register", "/register/x", "/REGISTER",
                             "/register%2f", "/v1//status"}) {
        const auto reply = call("POST", path, "{}");
        EXPECT_EQ(reply.status, 404U) << path;
        EXPECT_EQ(reply.field("error"), "not_found");
    }
    auto reply = call("GET", "/register");
    EXPECT_EQ(reply.status, 405U);
    EXPECT_EQ(reply.headers["allow"], "POST");
    EXPECT_EQ(reply.field("error"), "method_not_allowed");
    EXPECT_EQ(call("PATCH", "/v1/services/a.b.c.d", "{}").headers["allow"], "GET, PUT, DELETE");
    EXPECT_EQ(call("BREW", "/register", "{}").status, 405U);
    EXPECT_EQ(call("GET", "/healthz/").status, 200U);
    EXPECT_EQ(call("GET", "/healthz?x=1").status, 200U);
}

TEST_F(Http, AnswersHeadWithoutABody) {
    start();
    Client client = connect();
    client.send("HEAD /healthz HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
    const std::string all = client.receive_all();
    EXPECT_TRUE(all.starts_with("HTTP/1.1 405")) << all;
    EXPECT_TRUE(all.ends_with("\r\n\r\n")) << all;
}

struct Malformed {
    const char* what;
    std::string request;
    unsigned status;  // 0: closed without an answer is as good
};

TEST_F(Http, RefusesWhatIsNotHttp) {
    limits_.header = 300ms;
    limits_.request = 400ms;
    start();
    std::string many_headers = "GET /healthz HTTP/1.1\r\nHost: w\r\n";
    for (int i = 0; i < 10'000; ++i)
        many_headers += "X-" + std::to_string(i) + ": y\r\n";
    const std::string post = "POST /register HTTP/1.1\r\nHost: w\r\n";
    const std::vector<Malformed> cases = {
        {"HTTP/0.9", "GET /healthz\r\n", 400},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", 400},
        {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15), 400},
        {"HTTP/3.1", "GET /healthz HTTP/3.1\r\nHost: w\r\n\r\n", 400},
        {"no spaces", "GET/healthzHTTP/1.1\r\n\r\n", 400},
        {"NUL in the path", std::string("GET /a\0b HTTP/1.1\r\nHost: w\r\n\r\n", 30), 400},
        {"NUL in a header", std::string("GET /healthz HTTP/1.1\r\nHost: w\0\r\n\r\n", 35), 400},
        {"header without colon", "GET /healthz HTTP/1.1\r\nHost\r\n\r\n", 400},
        {"space before the colon", "GET /healthz HTTP/1.1\r\nHost : w\r\n\r\n", 400},
        {"two lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
        {"length and chunked", post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"chunked and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400},
        {"negative length", post + "Content-Length: -1\r\n\r\n", 400},
        {"a length that is no number", post + "Content-Length: 2x\r\n\r\n{}", 400},
        {"a length beyond 64 bits", post + "Content-Length: 99999999999999999999\r\n\r\n{}", 400},
        {"a bad chunk size", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400},
        {"100 MiB declared", post + "Content-Length: 104857600\r\n\r\n{", 413},
        {"64 KiB and one", post + "Content-Length: 65537\r\n\r\n" + std::string(65537, ' '), 413},
        {"a chunk of 100 MiB", post + "Transfer-Encoding: chunked\r\n\r\n6400000\r\n{", 413},
        {"10,000 headers", many_headers + "\r\n", 431},
        {"a long header", "GET /healthz HTTP/1.1\r\nHost: w\r\nX: " + std::string(9000, 'y') + "\r\n\r\n", 431},
        {"a long path", "GET /" + std::string(9000, 'y') + " HTTP/1.1\r\nHost: w\r\n\r\n", 431},
        {"no newline ever", std::string(1 << 20, 'G'), 0},
        {"nothing but newlines", std::string(20'000, '\n'), 0},
    };
    for (const auto& bad : cases) {
        Client client = connect();
        client.send(bad.request);
        const auto reply = client.receive();
        if (bad.status != 0) {
            EXPECT_EQ(reply.status, bad.status) << bad.what;
        } else {
            EXPECT_TRUE(reply.status == 0 || (reply.status >= 400 && reply.status < 500))
                << bad.what << " " << reply.status;
        }
        if (reply.status != 0) {
            EXPECT_NE(reply.field("error"), "") << bad.what << reply.body;
        }
        client.receive_all();  // and the connection ends
    }
    EXPECT_EQ(changes(), 0U);
    EXPECT_EQ(call("GET", "/healthz").status, 200U);
}

TEST_F(Http, HoldsLittleOfWhatNeverEnds) {
    start();
    const std::size_t before = resident_kib();
    Client client = connect();
    client.send("POST /register HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "1000\r\n" + std::string(0x1000, ' ') + "\r\n";
    for (int i = 0; i < 25'000 && client.send(chunk); ++i) {
    }
    EXPECT_LT(resident_kib(), before + 8 * 1024);
    EXPECT_EQ(call("GET", "/healthz").status, 200U);
    EXPECT_EQ(changes(), 0U);
}

TEST_F(Http, CutsSlowClients) {
    limits_.header = 100ms;
    limits_.request = 200ms;
    limits_.idle = 100ms;
    start();
    Client silent = connect();
    Client in_header = connect();
    in_header.send("GET /healthz HT");
    Client in_body = connect();
    in_body.send("POST /register HTTP/1.1\r\nHost: w\r\nContent-Length: 26\r\n\r\n{\"subnetwork\"");
    Client dripping = connect();
    std::thread drip([&] {
        // Blocks on the socket, not on the clock: a byte goes out whenever the server might have read the one before.
        for (int i = 0; i < 100'000 && dripping.send("G"); ++i)
            std::this_thread::yield();
    });
    EXPECT_EQ(silent.receive_all(), "");
    EXPECT_EQ(in_header.receive().status, 408U);
    auto reply = in_body.receive();
    EXPECT_EQ(reply.status, 408U);
    EXPECT_EQ(reply.field("error"), "timeout");
    EXPECT_EQ(reply.headers["connection"], "close");
    in_header.receive_all();
    in_body.receive_all();
    dripping.receive_all();
    drip.join();

    Client idle = connect();
    idle.send(kGet);
    EXPECT_EQ(idle.receive().status, 200U);
    EXPECT_EQ(idle.receive_all(), "");
    EXPECT_EQ(changes(), 0U);
}

TEST_F(Http, ServesAGoodClientAmongSlowOnes) {
    start();
    std::vector<Client> slow;
    for (int i = 0; i < 400; ++i) {
        slow.push_back(connect());
        slow.back().send("GET /healthz HTTP/1.1\r\nHos");
    }
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i)
        EXPECT_EQ(call("GET", "/healthz").status, 200U);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);  // the slow ones are cut at 5 s
}

TEST_F(Http, TurnsAwayConnectionsBeyondTheLimitAndKeepsSomeForTheSocket) {
    limits_.connections = 6;
    limits_.reserved = 2;
    start();
    std::vector<Client> held;
    for (int i = 0; i < 4; ++i) {
        held.push_back(connect_tcp());
        held.back().send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        EXPECT_EQ(held.back().receive().status, 200U);
    }
    Client too_many = connect_tcp();
    auto reply = too_many.receive();
    EXPECT_EQ(reply.status, 503U);
    EXPECT_EQ(reply.field("error"), "busy");
    EXPECT_TRUE(reply.headers.contains("retry-after"));
    Client operator_client = connect();
    operator_client.send(kGet);
    EXPECT_EQ(operator_client.receive().status, 200U);
}

constexpr std::string_view kDeploy =
    "POST /docker/deploy HTTP/1.1\r\nHost: w\r\nContent-Length: "
    "64\r\n\r\n{\"containerId\":\"netns:a\",\"appName\":\"a.b.c.d\",\"instanceNumber\":0}";

TEST_F(Http, AnswersInTimeAndFinishesTheWork) {
    limits_.answer = 50ms;
    start();
    with_node([](FakeNode& node) { node.holds = true; });
    Client client = connect();
    client.send(kDeploy);
    auto reply = client.receive();
    EXPECT_EQ(reply.status, 503U);
    EXPECT_EQ(reply.field("error"), "busy");
    EXPECT_TRUE(reply.headers.contains("retry-after"));
    await([](FakeNode& node) { return node.held.size() == 1; });
    with_node([](FakeNode& node) { node.release(); });
    await([](FakeNode& node) { return node.changes() == 1; });
}

TEST_F(Http, FinishesTheWorkOfAClientThatHangsUp) {
    start();
    with_node([](FakeNode& node) { node.holds = true; });
    {
        Client client = connect();
        client.send(kDeploy);
        client.stop_sending();
    }
    await([](FakeNode& node) { return node.held.size() == 1; });
    with_node([](FakeNode& node) { node.release(); });
    await([](FakeNode& node) { return node.changes() == 1; });
}

TEST_F(Http, DoesNothingForARequestThatBreaksOff) {
    start();
    for (std::size_t length = 1; length < kDeploy.size(); ++length) {
        Client client = connect();
        client.send(kDeploy.substr(0, length));
        client.stop_sending();
        const auto all = client.receive_all();
        EXPECT_FALSE(all.contains(" 200 ")) << length;
    }
    EXPECT_EQ(changes(), 0U);
}

TEST_F(Http, RefusesMoreCallsThanItCanCarry) {
    limits_.calls = 2;
    start();
    with_node([](FakeNode& node) { node.holds = true; });
    Client first = connect();
    Client second = connect();
    first.send(kDeploy);
    second.send(kDeploy);
    await([](FakeNode& node) { return node.held.size() == 2; });
    EXPECT_EQ(call("GET", "/healthz").field("error"), "busy");
    with_node([](FakeNode& node) { node.release(); });
    EXPECT_EQ(first.receive().status, 200U);
    EXPECT_EQ(second.receive().status, 200U);
    EXPECT_EQ(call("GET", "/healthz").status, 200U);
}

}  // namespace
}  // namespace weft::control
