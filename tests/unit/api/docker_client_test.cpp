// SPDX-License-Identifier: Apache-2.0
#include "control/docker_client.hpp"

#include <filesystem>
#include <future>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

namespace weft::control {
namespace {

namespace asio = boost::asio;
using Unix = asio::local::stream_protocol;

// Answers every connection with the same text and remembers what was asked. "" : never answers.
class FakeDocker {
  public:
    FakeDocker(const std::string& path, std::string answer)
        : answer_(std::move(answer)), acceptor_(io_, Unix::endpoint(path)) {
        accept();
        thread_ = std::thread([this] { io_.run(); });
    }
    ~FakeDocker() {
        io_.stop();
        thread_.join();
    }
    // After the thread has taken in everything that was sent: the client has its answer by then.
    std::vector<std::string> requests() {
        std::promise<std::vector<std::string>> promise;
        asio::post(io_, [&] { promise.set_value(requests_); });
        return promise.get_future().get();
    }

  private:
    void accept() {
        acceptor_.async_accept([this](boost::system::error_code error, Unix::socket socket) {
            if (error) return;
            sockets_.push_back(std::make_unique<Unix::socket>(std::move(socket)));
            read(*sockets_.back());
            accept();
        });
    }
    void read(Unix::socket& socket) {
        asio::async_read_until(
            socket, buffer_, "\r\n\r\n", [this, &socket](boost::system::error_code error, std::size_t size) {
                if (error) return;
                requests_.emplace_back(static_cast<const char*>(buffer_.data().data()), size);
                buffer_.consume(size);
                if (answer_.empty()) return;
                asio::async_write(socket, asio::buffer(answer_),
                                  [&socket](boost::system::error_code, std::size_t) { socket.close(); });
            });
    }

    std::string answer_;
    asio::io_context io_{1};
    Unix::acceptor acceptor_;
    std::vector<std::unique_ptr<Unix::socket>> sockets_;
    asio::streambuf buffer_;
    std::vector<std::string> requests_;
    std::thread thread_;
};

std::string http_answer(int status, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) +
           " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string inspect_body(const std::string& state, const std::string& mode = "bridge") {
    return R"({"Id":"3f2a9c","Name":"/web","State":)" + state + R"(,"HostConfig":{"NetworkMode":")" + mode +
           R"("},"Unknown":{"x":[1,2]}})";
}

class Docker : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "weft-docker-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string socket() { return folder_ + "/docker.sock"; }
    Answer<DockerContainer> inspect(const std::string& id, std::chrono::milliseconds limit = std::chrono::seconds(5)) {
        asio::io_context io(1);
        DockerClient client(io, socket(), limit);
        std::optional<Answer<DockerContainer>> result;
        asio::co_spawn(io, [&]() -> asio::awaitable<void> { result = co_await client.inspect(id); }, asio::detached);
        io.run();
        return *result;
    }
    // One question to an engine that answers with this.
    Answer<DockerContainer> inspect_with(const std::string& answer) {
        FakeDocker docker(socket(), answer);
        auto result = inspect("web");
        EXPECT_EQ(docker.requests().size(), 1U);
        std::filesystem::remove(socket());
        return result;
    }

    std::string folder_;
};

TEST_F(Docker, TellsTheProcessOfARunningContainer) {
    FakeDocker docker(socket(), http_answer(200, inspect_body(R"({"Running":true,"Pid":4711})")));
    const auto container = inspect("web_1.x-y");
    ASSERT_TRUE(container) << container.error().detail;
    EXPECT_EQ(container->id, "3f2a9c");
    EXPECT_EQ(container->pid, 4711);
    ASSERT_EQ(docker.requests().size(), 1U);
    EXPECT_TRUE(docker.requests()[0].starts_with("GET /containers/web_1.x-y/json HTTP/1.1\r\n"))
        << docker.requests()[0];
}

TEST_F(Docker, IsNeverAskedAboutWhatIsNoId) {
    FakeDocker docker(socket(), http_answer(200, inspect_body(R"({"Running":true,"Pid":4711})")));
    for (const std::string id : {"", "/", ".", "..", "../../etc", "%2e%2e%2f", "a?b", "a#b", "a%00", "a b", "a/json",
                                 "-a", "a\r\nX: y", ";reboot", "$(id)", "\xe2\x80\xae"}) {
        const auto container = inspect(id);
        ASSERT_FALSE(container) << id;
        EXPECT_EQ(container.error().status, 400U) << id;
    }
    EXPECT_FALSE(inspect(std::string(129, 'a')));
    EXPECT_FALSE(inspect(std::string("a\0b", 3)));
    EXPECT_TRUE(docker.requests().empty());
}

TEST_F(Docker, IsTranslatedIntoOurRefusals) {
    const auto status = [&](const std::string& answer) {
        const auto container = inspect_with(answer);
        return container ? 200U : container.error().status;
    };
    EXPECT_EQ(status(http_answer(404, R"({"message":"No such container: web"})")), 404U);
    EXPECT_EQ(status(http_answer(400, "{}")), 404U);
    EXPECT_EQ(status(http_answer(500, "{}")), 503U);
    EXPECT_EQ(status(http_answer(200, inspect_body(R"({"Running":false,"Pid":0})"))), 409U);
    EXPECT_EQ(status(http_answer(200, inspect_body(R"({"Running":true,"Pid":0})"))), 409U);
    EXPECT_EQ(status(http_answer(200, inspect_body(R"({"Running":true,"Pid":4711})", "host"))), 409U);
}

TEST_F(Docker, IsNotTrustedWithTheFormOfItsAnswers) {
    for (const std::string body :
         {"", "null", "[]", "{", "{}", R"({"Id":"x"})", R"({"Id":1,"State":{"Running":true,"Pid":1}})",
          R"({"Id":"../x","State":{"Running":true,"Pid":1}})", R"({"Id":"x","State":{"Running":"yes","Pid":1}})",
          R"({"Id":"x","State":{"Running":true,"Pid":"1"}})", R"({"Id":"x","State":{"Running":true,"Pid":1.5}})",
          R"({"Id":"x","State":[]})", R"({"Id":"x","State":{"Running":true,"Pid":99999999999}})"}) {
        const auto container = inspect_with(http_answer(200, body));
        ASSERT_FALSE(container) << body;
        EXPECT_EQ(container.error().status, 503U) << body;
        EXPECT_EQ(container.error().error, "runtime_unavailable");
    }
    for (const std::string answer : {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", "rubbish\r\n\r\n",
                                     "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}"}) {
        EXPECT_FALSE(inspect_with(answer)) << answer;
    }
}

TEST_F(Docker, ThatIsAwayOrHangsIsUnavailable) {
    EXPECT_EQ(inspect("web").error().status, 503U);
    FakeDocker docker(socket(), "");
    const auto container = inspect("web", std::chrono::milliseconds(50));
    ASSERT_FALSE(container);
    EXPECT_EQ(container.error().status, 503U);
    EXPECT_NE(container.error().detail.find("no answer within 50ms"), std::string::npos) << container.error().detail;
}

}  // namespace
}  // namespace weft::control
