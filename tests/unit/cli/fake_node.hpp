// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace weft::cli {

// A weftd of paper: answers what it was told to, one connection at a time, on a unix socket in a folder of its own.
// Unknown targets get 404. What was asked is kept.
class FakeNode {
  public:
    struct Canned {
        unsigned status = 200;
        std::string body;
    };

    FakeNode() {
        std::string name = (std::filesystem::temp_directory_path() / "weft-cli-XXXXXX").string();
        directory_ = ::mkdtemp(name.data());
        acceptor_ = Acceptor(context_, Endpoint(path()));
        thread_ = std::thread([this] { serve(); });
    }
    ~FakeNode() {
        stopping_ = true;
        boost::asio::io_context other;
        boost::system::error_code ignored;
        boost::asio::local::stream_protocol::socket(other).connect(Endpoint(path()), ignored);
        thread_.join();
        std::filesystem::remove_all(directory_);
    }
    FakeNode(const FakeNode&) = delete;
    FakeNode& operator=(const FakeNode&) = delete;

    [[nodiscard]] std::string path() const { return directory_ + "/s"; }
    [[nodiscard]] std::string address() const { return "unix:" + path(); }

    // Filled before the first call, read after the last: no lock.
    std::map<std::string, Canned> answers;  // by "METHOD target"
    std::vector<std::string> asked;         // "METHOD target body"

  private:
    using Acceptor = boost::asio::local::stream_protocol::acceptor;
    using Endpoint = boost::asio::local::stream_protocol::endpoint;

    void serve() {
        namespace http = boost::beast::http;
        while (true) {
            auto socket = acceptor_.accept();
            if (stopping_) return;
            boost::beast::flat_buffer buffer;
            http::request<http::string_body> request;
            boost::system::error_code code;
            http::read(socket, buffer, request, code);
            if (code) continue;
            const std::string line = std::string(request.method_string()) + " " + std::string(request.target());
            asked.push_back(line + (request.body().empty() ? "" : " " + request.body()));
            const auto found = answers.find(line);
            const Canned canned = found != answers.end()
                                      ? found->second
                                      : Canned{404, R"({"error":"not_found","detail":"no such thing"})"};
            http::response<http::string_body> response(static_cast<http::status>(canned.status), 11);
            response.body() = canned.body;
            response.prepare_payload();
            http::write(socket, response, code);
        }
    }

    std::string directory_;
    boost::asio::io_context context_;
    Acceptor acceptor_{context_};
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace weft::cli
