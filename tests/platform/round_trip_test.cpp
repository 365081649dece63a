// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "dataplane/port_tun.hpp"
#include "dataplane/port_udp.hpp"
#include "dataplane/socket_address.hpp"
#include "dataplane/worker.hpp"
#include "tests/platform/network.hpp"
#include "tests/platform/pass_through.hpp"

// Kernel TCP and UDP between two namespaces through two TUN ports, two workers and a tunnel, with every combination of
// offloads, the way each kernel generation would have it.
//
//   namespace a              namespace wire              namespace b
//   tun 10.77.0.1/24 -- [worker] 127.0.0.1 == lo == 127.0.0.1 [worker] -- tun 10.77.0.2/24

namespace weft {
namespace {

using test::NetworkNamespace;

constexpr std::uint16_t kService = 7000;

std::uint64_t hash_of(std::span<const std::byte> bytes, std::uint64_t hash) {
    for (const std::byte b : bytes)
        hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x100000001B3ULL;
    return hash;
}

struct Node {
    NetworkNamespace space;
    Counters counters;
    std::unique_ptr<TunPort> tun;
    std::unique_ptr<UdpPort> udp;
    std::unique_ptr<test::PassThrough> engine;
    std::unique_ptr<Worker> worker;
    std::string address;

    void open(const NetworkNamespace& wire, const std::string& own_address, const TunOffloads& offloads,
              bool udp_offloads) {
        address = own_address;
        space.in([&] {
            auto made = TunPort::create({.name = "weft-tun", .wanted = offloads}, test::eal(), counters);
            ASSERT_TRUE(made.has_value()) << made.error().text();
            tun = std::move(*made);
        });
        ASSERT_NE(tun, nullptr);
        configure();
        wire.in([&] {
            auto made = UdpPort::create(
                {.bind = *net::Endpoint::parse("127.0.0.1:0"), .wants_gso = udp_offloads, .wants_gro = udp_offloads},
                test::eal(), counters);
            ASSERT_TRUE(made.has_value()) << made.error().text();
            udp = std::move(*made);
        });
        ASSERT_NE(udp, nullptr);
        engine = std::make_unique<test::PassThrough>(*tun, *udp);
        worker = std::make_unique<Worker>(*engine, *tun, *udp);
    }
    void configure() const {
        space.in([&] {
            test::set_mtu("weft-tun", 1440);
            test::set_address("weft-tun", address);
            test::set_up("weft-tun");
        });
    }
};

int socket_of(int type) {
    const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    const timeval limit{20, 0};  // a lost packet must not hang the test
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

sockaddr_storage address_of(const std::string& address) {
    sockaddr_storage out{};
    to_socket_address({*net::IpAddress::parse(address), kService}, AF_INET, out);
    return out;
}

int connect_to(int fd, const std::string& address) {
    const auto where = address_of(address);
    return connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof(sockaddr_in));
}

struct Case {
    const char* name;
    TunOffloads tun;
    bool udp_offloads;
    bool expects_tcp_superpackets;
    bool expects_udp_superpackets;
};

class RoundTrip : public testing::TestWithParam<Case> {
  protected:
    void SetUp() override {
        a_.open(wire_, "10.77.0.1", GetParam().tun, GetParam().udp_offloads);
        b_.open(wire_, "10.77.0.2", GetParam().tun, GetParam().udp_offloads);
        ASSERT_FALSE(HasFatalFailure());
        a_.engine->to(b_.udp->endpoint());
        b_.engine->to(a_.udp->endpoint());
        for (Node* node : {&a_, &b_})
            ASSERT_TRUE(node->worker->start().has_value());
    }
    void TearDown() override {
        for (Node* node : {&a_, &b_}) {
            if (node->worker == nullptr) continue;
            node->worker->stop();
            EXPECT_EQ(test::missing(node->counters), static_cast<long>(node->engine->unparsable))
                << "every packet has one fate";
            EXPECT_EQ(node->counters.dropped(Drop::DeviceError), 0U) << "the kernel refused what we wrote";
            node->space.in([] {
                EXPECT_EQ(test::kernel_counter("Tcp", "InCsumErrors"), 0);
                EXPECT_EQ(test::kernel_counter("Udp", "InCsumErrors"), 0);
            });
        }
    }
    void transfer(Node& from, Node& to, std::size_t size);

    NetworkNamespace wire_;
    Node a_, b_;
};

void RoundTrip::transfer(Node& from, Node& to, std::size_t size) {
    std::promise<void> listening;
    std::uint64_t sent_hash = 1, got_hash = 1;
    std::size_t got = 0;
    std::thread server([&] {
        to.space.in([&] {
            const UniqueFd listener(socket_of(SOCK_STREAM));
            const int yes = 1;
            setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
            EXPECT_EQ(bind_socket(listener.get(), address_of(to.address), sizeof(sockaddr_in)), 0);
            EXPECT_EQ(listen(listener.get(), 1), 0);
            listening.set_value();
            const UniqueFd connection(accept(listener.get(), nullptr, nullptr));
            std::vector<std::byte> buffer(256 * 1024);
            for (ssize_t n = 0; (n = recv(connection.get(), buffer.data(), buffer.size(), 0)) > 0;) {
                got_hash = hash_of(std::span(buffer).first(static_cast<std::size_t>(n)), got_hash);
                got += static_cast<std::size_t>(n);
            }
        });
    });
    listening.get_future().wait();
    from.space.in([&] {
        const UniqueFd connection(socket_of(SOCK_STREAM));
        EXPECT_EQ(connect_to(connection.get(), to.address), 0) << std::strerror(errno);
        std::vector<std::byte> buffer(64 * 1024);
        std::uint64_t state = 88172645463325252ULL;
        for (std::size_t done = 0; done < size; done += buffer.size()) {
            for (std::size_t i = 0; i < buffer.size(); i += sizeof state) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                std::memcpy(&buffer[i], &state, sizeof state);
            }
            sent_hash = hash_of(buffer, sent_hash);
            for (std::size_t at = 0; at < buffer.size();) {
                const ssize_t n = send(connection.get(), buffer.data() + at, buffer.size() - at, MSG_NOSIGNAL);
                if (n <= 0) {
                    ADD_FAILURE() << "send: " << std::strerror(errno);
                    return;
                }
                at += static_cast<std::size_t>(n);
            }
        }
    });
    server.join();
    EXPECT_EQ(got, size);
    EXPECT_EQ(got_hash, sent_hash);
}

TEST_P(RoundTrip, TcpBytesArriveAsTheyWereSent) {
    constexpr std::size_t kSize = 32 * 1024 * 1024;
    transfer(a_, b_, kSize);
    transfer(b_, a_, kSize / 4);
    EXPECT_EQ(a_.engine->tcp_superpackets > 0, GetParam().expects_tcp_superpackets);
    EXPECT_EQ(b_.engine->trains_of_many > 0, GetParam().udp_offloads);
    const auto& counters = a_.counters;
    const double per_call =
        static_cast<double>(counters.tunnel.tx.value()) / static_cast<double>(counters.tunnel_tx_calls.value());
    if (GetParam().udp_offloads && GetParam().expects_tcp_superpackets) {
        EXPECT_GT(per_call, 4.0);
    }
    RecordProperty("datagrams_per_call", std::to_string(per_call));
}

TEST_P(RoundTrip, UdpDatagramsOfEverySizeArriveWhole) {
    std::promise<void> bound;
    std::vector<std::vector<std::byte>> got;
    constexpr std::size_t kSizes[] = {0, 1, 7, 100, 1411, 1412, 1413, 4000, 20'000};
    std::thread server([&] {
        b_.space.in([&] {
            const UniqueFd fd(socket_of(SOCK_DGRAM));
            EXPECT_EQ(bind_socket(fd.get(), address_of(b_.address), sizeof(sockaddr_in)), 0);
            bound.set_value();
            std::vector<std::byte> buffer(65'536);
            while (got.size() < std::size(kSizes)) {
                const ssize_t n = recv(fd.get(), buffer.data(), buffer.size(), 0);
                if (n < 0) return;
                got.emplace_back(buffer.begin(), buffer.begin() + n);
            }
        });
    });
    bound.get_future().wait();
    a_.space.in([&] {
        const UniqueFd fd(socket_of(SOCK_DGRAM));
        EXPECT_EQ(connect_to(fd.get(), b_.address), 0);
        for (const std::size_t size : kSizes) {
            const std::vector<std::byte> bytes(size, static_cast<std::byte>(size));
            EXPECT_EQ(send(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(size));
        }
    });
    server.join();
    ASSERT_EQ(got.size(), std::size(kSizes));
    for (std::size_t i = 0; i < got.size(); ++i)
        EXPECT_EQ(got[i], std::vector<std::byte>(kSizes[i], static_cast<std::byte>(kSizes[i]))) << kSizes[i];
}

TEST_P(RoundTrip, UdpSegmentedByTheApplicationArrivesDatagramByDatagram) {
    constexpr std::size_t kDatagrams = 40;
    constexpr int kSize = 1200;
    std::promise<void> bound;
    std::size_t right = 0;
    std::thread server([&] {
        b_.space.in([&] {
            const UniqueFd fd(socket_of(SOCK_DGRAM));
            EXPECT_EQ(bind_socket(fd.get(), address_of(b_.address), sizeof(sockaddr_in)), 0);
            bound.set_value();
            std::array<std::byte, 2000> buffer;
            for (std::size_t i = 0; i < kDatagrams; ++i) {
                const std::size_t size = i + 1 == kDatagrams ? 77 : kSize;
                if (recv(fd.get(), buffer.data(), buffer.size(), 0) != static_cast<ssize_t>(size)) return;
                right += buffer[0] == static_cast<std::byte>(i) && buffer[size - 1] == static_cast<std::byte>(i);
            }
        });
    });
    bound.get_future().wait();
    a_.space.in([&] {
        const UniqueFd fd(socket_of(SOCK_DGRAM));
        EXPECT_EQ(connect_to(fd.get(), b_.address), 0);
        setsockopt(fd.get(), IPPROTO_UDP, 103 /* UDP_SEGMENT */, &kSize, sizeof kSize);
        std::vector<std::byte> bytes;
        for (std::size_t i = 0; i < kDatagrams; ++i)
            bytes.resize(bytes.size() + (i + 1 == kDatagrams ? 77 : kSize), static_cast<std::byte>(i));
        EXPECT_EQ(send(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    });
    server.join();
    EXPECT_EQ(right, kDatagrams);
    EXPECT_EQ(a_.engine->udp_superpackets > 0, GetParam().expects_udp_superpackets);
}

TEST_P(RoundTrip, ADeletedTunIsReportedDoesNotSpinAndComesBack) {
    b_.space.in([] { test::delete_device("weft-tun"); });
    ASSERT_TRUE(test::eventually([this] { return b_.worker->is_tun_lost(); }));

    // The socket is still served: a turn or two for each datagram, and not a turn more.
    const UniqueFd sender = [this] {
        UniqueFd fd;
        wire_.in([&fd] { fd = UniqueFd(socket_of(SOCK_DGRAM)); });
        return fd;
    }();
    sockaddr_storage port{};
    to_socket_address(b_.udp->endpoint(), AF_INET, port);
    const std::uint64_t turns_before = b_.engine->turns;
    constexpr std::uint64_t kDatagrams = 200;
    for (std::uint64_t i = 1; i <= kDatagrams; ++i) {
        ASSERT_EQ(send_to(sender.get(), std::array{std::byte{1}}, port, sizeof(sockaddr_in)), 1);
        ASSERT_TRUE(test::eventually([&] { return b_.engine->unparsable >= i; }));
    }
    EXPECT_LE(b_.engine->turns - turns_before, 3 * kDatagrams + 10);
    EXPECT_EQ(b_.counters.tunnel.rx.value(),
              b_.engine->unparsable + b_.counters.tun.tx.value() + b_.counters.dropped(Drop::DeviceError));

    b_.worker->stop();
    b_.space.in([this] {
        const auto reopened = b_.tun->reopen();
        ASSERT_TRUE(reopened.has_value()) << reopened.error().text();
    });
    b_.configure();
    ASSERT_TRUE(b_.worker->start().has_value());
    EXPECT_FALSE(b_.worker->is_tun_lost());
    transfer(a_, b_, 1024 * 1024);
}

const TunOffloads kAll{true, true, true, true, true, true, true};
INSTANTIATE_TEST_SUITE_P(
    Kernels, RoundTrip,
    testing::Values(Case{"Everything", kAll, true, true, true},
                    Case{"WithoutUso", {true, true, true, true, true, false, false}, true, true, false},
                    Case{"WithoutTso", {true, true, false, false, false, false, false}, true, false, false},
                    Case{"WithoutAny", {true, false, false, false, false, false, false}, true, false, false},
                    Case{"WithoutVnetHeader", {}, true, false, false},
                    Case{"WithoutUdpOffloads", kAll, false, true, true}),
    [](const testing::TestParamInfo<Case>& one) { return std::string(one.param.name); });

TEST(WorkerAtRest, SleepsUntilItIsWoken) {
    NetworkNamespace wire;
    Node node;
    node.open(wire, "10.77.0.1", kAll, true);
    ASSERT_TRUE(node.worker->start().has_value());
    ASSERT_TRUE(test::eventually([&] { return node.worker->activity().sleeps.value() > 0; }));
    const std::uint64_t before = node.engine->turns;
    constexpr std::uint64_t kWakes = 100;
    for (std::uint64_t i = 1; i <= kWakes; ++i) {
        const std::uint64_t sleeps = node.worker->activity().sleeps.value();
        node.worker->wake();
        ASSERT_TRUE(test::eventually([&] { return node.worker->activity().sleeps.value() > sleeps; }));
    }
    EXPECT_LE(node.engine->turns - before, kWakes + 10) << "turns that nothing asked for";
    EXPECT_GE(node.engine->turns - before, kWakes);
    node.worker->stop();
    node.worker->stop();
    EXPECT_FALSE(node.worker->is_running());
}

}  // namespace
}  // namespace weft
