// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <future>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include "control/api_server.hpp"
#include "dataplane/base/unique_fd.hpp"
#include "tests/unit/api/fake_node.hpp"

namespace weft::control {

// What came back: 0 if the connection ended without an answer.
struct Reply {
    unsigned status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;

    // A field of a JSON body, as text; "" if there is none.
    [[nodiscard]] std::string field(std::string_view name) const;
};

// A client's end of a connection, blocking, with a limit of 10 s so that a hung server fails a test instead of hanging
// it.
class Client {
  public:
    explicit Client(const std::string& unix_path);
    explicit Client(const net::Endpoint& tcp);

    // Sends all it can; false once the server has closed.
    bool send(std::string_view bytes);
    // The next answer; bytes after it stay for the one after.
    Reply receive();
    // Everything up to the end of the connection.
    std::string receive_all();
    // Reads until `text` has come; false at the end of the connection.
    bool receive_until(std::string_view text);
    void stop_sending();
    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    bool fill();
    UniqueFd fd_;
    std::string buffer_;
};

// A server of the real API over a fake node, on a unix socket in a folder of its own and an ephemeral TCP port, run by
// a thread. Calls to the fake from the test go through `with_node`.
class ApiFixture : public testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;
    // Before the first call, to change limits or the configuration.
    void start();

    Client connect() { return Client(socket_path_); }
    Client connect_tcp() { return Client(tcp_); }
    Reply call(std::string_view method, std::string_view target, std::string_view body = "");
    Reply post(std::string_view target, std::string_view body) { return call("POST", target, body); }
    // One request over TCP with these header lines.
    Reply call_tcp(std::string_view method, std::string_view target, std::string_view headers,
                   std::string_view body = "");

    // Runs on the server's thread and waits for it.
    template <class Function>
    auto with_node(Function function) {
        return on_server([&] { return function(node_); });
    }
    template <class Function>
    auto on_server(Function function) {
        std::packaged_task<decltype(function())()> task(function);
        auto result = task.get_future();
        boost::asio::post(io_, [&] { task(); });
        return result.get();
    }
    std::size_t changes() {
        return with_node([](FakeNode& node) { return node.changes(); });
    }

    std::string folder_, socket_path_;
    net::Endpoint tcp_;
    config::Config config_;
    http::Limits limits_;
    boost::asio::io_context io_{1};
    FakeNode node_;
    std::unique_ptr<ApiServer> server_;
    std::thread thread_;
};

}  // namespace weft::control
