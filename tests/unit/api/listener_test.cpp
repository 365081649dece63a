// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "control/http/socket_file.hpp"
#include "tests/unit/api/api_fixture.hpp"

namespace weft::control {
namespace {

using http::SocketFile;

class Listeners : public ApiFixture {
  protected:
    static mode_t mode_of(const std::string& path) {
        struct stat about{};
        EXPECT_EQ(stat(path.c_str(), &about), 0);
        return about.st_mode & 07777;
    }
    Result<void> reload() {
        return on_server([&] { return server_->reload(config_); });
    }
    std::string put_token(const std::string& token) {
        const std::string file = folder_ + "/token";
        std::filesystem::remove(file);
        std::ofstream(file) << token;
        chmod(file.c_str(), 0600);
        return file;
    }
};

TEST_F(Listeners, GiveTheSocketToTheGroupOrToNobody) {
    config_.api.group = "no-such-group-here";
    start();
    EXPECT_EQ(mode_of(socket_path_), 0600U);
    const auto grouped = SocketFile::create(folder_ + "/grouped.sock", "root");
    ASSERT_TRUE(grouped) << grouped.error().text();
    if (geteuid() == 0) {
        EXPECT_EQ(mode_of(folder_ + "/grouped.sock"), 0660U);
    }
}

TEST_F(Listeners, ReplaceAStaleSocket) {
    {
        auto stale = SocketFile::create(socket_path_, "");
        ASSERT_TRUE(stale);
        std::filesystem::rename(socket_path_, socket_path_ + ".kept");
    }
    std::filesystem::rename(socket_path_ + ".kept", socket_path_);
    start();
    EXPECT_EQ(call("GET", "/healthz").status, 200U);
}

TEST_F(Listeners, LeaveALiveSocketAndOtherFilesAlone) {
    start();
    const auto second = SocketFile::create(socket_path_, "");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), ErrorCode::Conflict);
    EXPECT_EQ(call("GET", "/healthz").status, 200U);
    const std::string file = folder_ + "/file";
    std::ofstream(file) << "precious";
    EXPECT_FALSE(SocketFile::create(file, ""));
    EXPECT_EQ(std::filesystem::file_size(file), 8U);
    EXPECT_FALSE(SocketFile::create(folder_ + "/" + std::string(120, 'x'), ""));
}

TEST_F(Listeners, MakeTheFoldersTheyNeed) {
    config_.api.listen.push_back({folder_ + "/a/b/c.sock", {}});
    start();
    EXPECT_TRUE(std::filesystem::is_socket(folder_ + "/a/b/c.sock"));
}

TEST_F(Listeners, AreRefusedTogetherIfOneIsTaken) {
    start();
    config_.api.listen = {{folder_ + "/new.sock", {}},
                          {{}, tcp_}};  // that port is held by the running listener of port 0
    const auto done = reload();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), ErrorCode::Conflict);
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/new.sock"));
    EXPECT_EQ(call("GET", "/healthz").status, 200U);
}

TEST_F(Listeners, ChangeOnReloadWithoutEndingConnections) {
    start();
    Client client = connect();
    client.send("GET /healthz HTTP/1.1\r\nHost: w\r\n\r\n");
    EXPECT_EQ(client.receive().status, 200U);
    config_.api.listen = {{folder_ + "/new.sock", {}}};
    ASSERT_TRUE(reload());
    EXPECT_FALSE(std::filesystem::exists(socket_path_));
    client.send("GET /healthz HTTP/1.1\r\nHost: w\r\n\r\n");
    EXPECT_EQ(client.receive().status, 200U);
    Client fresh(folder_ + "/new.sock");
    fresh.send("GET /healthz HTTP/1.1\r\nHost: w\r\n\r\n");
    EXPECT_EQ(fresh.receive().status, 200U);
}

TEST_F(Listeners, OverTcpCheckTheHost) {
    start();
    const std::string own = "127.0.0.1:" + std::to_string(tcp_.l4_port);
    for (const std::string& host :
         {own, std::string("127.0.0.1"), "localhost:" + std::to_string(tcp_.l4_port), std::string("LOCALHOST")}) {
        EXPECT_EQ(call_tcp("GET", "/healthz", "Host: " + host + "\r\n").status, 200U) << host;
    }
    for (const std::string host :
         {"evil.example", "127.0.0.1:1", "127.0.0.2", "[::1]", "", "localhost.evil.example", "127.0.0.1:"}) {
        const auto reply = call_tcp("GET", "/healthz", "Host: " + host + "\r\n");
        EXPECT_EQ(reply.status, 403U) << host;
        EXPECT_EQ(reply.field("error"), "forbidden");
    }
    EXPECT_EQ(call_tcp("GET", "/healthz", "").status, 400U);
    EXPECT_EQ(call_tcp("GET", "/healthz", "Host: " + own + "\r\nHost: evil\r\n").status, 400U);
    EXPECT_EQ(call_tcp("GET", "http://evil.example/healthz", "Host: " + own + "\r\n").status, 403U);
    EXPECT_EQ(call_tcp("GET", "http://" + own + "/healthz", "Host: " + own + "\r\n").status, 200U);
    EXPECT_EQ(call_tcp("POST", "/register", "Host: evil.example\r\n", R"({"subnetwork":"10.18.0.0"})").status, 403U);
    EXPECT_EQ(changes(), 0U);
}

TEST_F(Listeners, RefuseForeignOriginsEverywhere) {
    start();
    const std::string own = "127.0.0.1:" + std::to_string(tcp_.l4_port);
    const std::string host = "Host: " + own + "\r\n";
    EXPECT_EQ(call_tcp("GET", "/healthz", host + "Origin: http://" + own + "\r\n").status, 200U);
    for (const std::string& origin : {std::string("http://evil.example"), std::string("null"), "https://" + own,
                                      std::string(""), std::string("http://127.0.0.1:1")}) {
        EXPECT_EQ(call_tcp("GET", "/healthz", host + "Origin: " + origin + "\r\n").status, 403U) << origin;
    }
    Client client = connect();
    client.send(
        "POST /register HTTP/1.1\r\nHost: w\r\nOrigin: http://w\r\nContent-Length: "
        "26\r\n\r\n{\"subnetwork\":\"10.18.0.0\"}");
    EXPECT_EQ(client.receive().status, 403U);
    EXPECT_EQ(changes(), 0U);
}

TEST_F(Listeners, OverTcpAskForTheToken) {
    config_.api.token_file = put_token("0123456789abcdef");
    start();
    const std::string host = "Host: localhost\r\n";
    EXPECT_EQ(call_tcp("GET", "/healthz", host + "Authorization: Bearer 0123456789abcdef\r\n").status, 200U);
    EXPECT_EQ(call_tcp("GET", "/healthz", host + "Authorization: bearer 0123456789abcdef\r\n").status, 200U);
    for (const std::string wrong :
         {"", "Authorization: Bearer\r\n", "Authorization: Bearer 0123456789abcdeF\r\n",
          "Authorization: Bearer 0123456789abcdef0\r\n", "Authorization: Basic 0123456789abcdef\r\n",
          "Authorization: 0123456789abcdef\r\n"}) {
        auto reply = call_tcp("GET", "/healthz", host + wrong);
        EXPECT_EQ(reply.status, 401U) << wrong;
        EXPECT_EQ(reply.headers["www-authenticate"], "Bearer");
    }
    EXPECT_EQ(call_tcp("GET", "/healthz?token=0123456789abcdef", host).status, 401U);
    EXPECT_EQ(call("GET", "/healthz").status, 200U);  // the unix socket's mode is its key

    config_.api.token_file = put_token("fedcba9876543210");
    ASSERT_TRUE(reload());
    EXPECT_EQ(call_tcp("GET", "/healthz", host + "Authorization: Bearer 0123456789abcdef\r\n").status, 401U);
    EXPECT_EQ(call_tcp("GET", "/healthz", host + "Authorization: Bearer fedcba9876543210\r\n").status, 200U);
}

TEST_F(Listeners, OfTheMetricsServeNothingElse) {
    const std::string path = folder_ + "/metrics.sock";
    config_.metrics.listen = {{path, {}}};
    start();
    for (const auto& [target, status] :
         {std::pair("/metrics", 200U), std::pair("/register", 404U), std::pair("/v1/status", 404U)}) {
        Client client(path);
        client.send("GET " + std::string(target) + " HTTP/1.1\r\nHost: w\r\n\r\n");
        EXPECT_EQ(client.receive().status, status) << target;
    }
}

}  // namespace
}  // namespace weft::control
