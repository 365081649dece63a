// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/api/api_fixture.hpp"

#include <filesystem>

#include <arpa/inet.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

namespace weft::control {

namespace {

UniqueFd connect_to(int family, const void* address, socklen_t size) {
    UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{10, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (::connect(fd.get(), static_cast<const sockaddr*>(address), size) != 0)
        ADD_FAILURE() << "connect: " << std::strerror(errno);
    return fd;
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return result;
}

}  // namespace

std::string Reply::field(std::string_view name) const {
    boost::system::error_code error;
    const auto value = boost::json::parse(body, error);
    if (error || !value.is_object()) return {};
    const auto* found = value.get_object().if_contains({name.data(), name.size()});
    if (found == nullptr) return {};
    return found->is_string() ? std::string(found->get_string()) : boost::json::serialize(*found);
}

Client::Client(const std::string& unix_path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    unix_path.copy(static_cast<char*>(address.sun_path), sizeof(address.sun_path) - 1);
    fd_ = connect_to(AF_UNIX, &address, sizeof(address));
}

Client::Client(const net::Endpoint& tcp) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(tcp.l4_port);
    address.sin_addr.s_addr = htonl(tcp.address.v4_value());
    fd_ = connect_to(AF_INET, &address, sizeof(address));
}

bool Client::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

void Client::stop_sending() {
    shutdown(fd_.get(), SHUT_WR);
}

bool Client::fill() {
    std::array<char, 65536> chunk{};
    const ssize_t got = recv(fd_.get(), chunk.data(), chunk.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) ADD_FAILURE() << "the server neither answered nor closed";
    if (got <= 0) return false;
    buffer_.append(chunk.data(), static_cast<std::size_t>(got));
    return true;
}

Reply Client::receive() {
    Reply reply;
    std::size_t end = 0;
    for (;;) {
        while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
            if (!fill()) return reply;
        }
        reply.status = static_cast<unsigned>(std::stoul(buffer_.substr(9, 3)));
        if (reply.status != 100) break;
        buffer_.erase(0, end + 4);
    }
    std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    for (std::size_t line = head.find("\r\n") + 2; line < head.size();) {
        const auto line_end = head.find("\r\n", line);
        const auto colon = head.find(": ", line);
        reply.headers[lower(head.substr(line, colon - line))] = head.substr(colon + 2, line_end - colon - 2);
        line = line_end + 2;
    }
    const std::size_t length =
        reply.headers.contains("content-length") ? std::stoul(reply.headers["content-length"]) : 0;
    while (buffer_.size() < length) {
        if (!fill()) break;
    }
    reply.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return reply;
}

std::string Client::receive_all() {
    while (fill()) {
    }
    return std::exchange(buffer_, {});
}

bool Client::receive_until(std::string_view text) {
    while (!buffer_.contains(text)) {
        if (!fill()) return false;
    }
    return true;
}

void ApiFixture::SetUp() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-api-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    socket_path_ = folder_ + "/weftd.sock";
    config_.api.group = "";
    config_.api.listen = {{socket_path_, {}}, {{}, *net::Endpoint::parse("127.0.0.1:0")}};
}

void ApiFixture::start() {
    auto server = ApiServer::start(io_, config_, node_, limits_);
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
    for (const auto& listener : server_->listeners()) {
        if (!listener.is_unix()) tcp_ = listener.tcp;
    }
    thread_ = std::thread([this] {
        const auto work = boost::asio::make_work_guard(io_);
        io_.run();
    });
}

void ApiFixture::TearDown() {
    if (thread_.joinable()) {
        on_server([this] { server_->stop(); });
        io_.stop();
        thread_.join();
    }
    server_.reset();
    EXPECT_FALSE(std::filesystem::exists(socket_path_));
    std::filesystem::remove_all(folder_);
}

Reply ApiFixture::call(std::string_view method, std::string_view target, std::string_view body) {
    Client client = connect();
    std::string request =
        std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: w\r\nConnection: close\r\n";
    if (!body.empty() || method == "POST" || method == "PUT")
        request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    client.send(request + "\r\n" + std::string(body));
    return client.receive();
}

Reply ApiFixture::call_tcp(std::string_view method, std::string_view target, std::string_view headers,
                           std::string_view body) {
    Client client = connect_tcp();
    client.send(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nConnection: close\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n" + std::string(headers) + "\r\n" + std::string(body));
    return client.receive();
}

}  // namespace weft::control
