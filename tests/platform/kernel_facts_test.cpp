// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/parse.hpp"
#include "dataplane/port_tun.hpp"
#include "dataplane/segment.hpp"
#include "dataplane/socket_address.hpp"
#include "tests/platform/network.hpp"

// What the ports take for granted about the kernel. When one of these fails on a new kernel, the code that relies on it
// is wrong there too.

namespace weft {
namespace {

constexpr int kUdpSegment = 103;

class TunFacts : public testing::Test {
  protected:
    void SetUp() override {
        space_.in([this] {
            auto made = TunPort::create({.name = "weft-tun"}, test::eal(), counters_);
            ASSERT_TRUE(made.has_value()) << made.error().text();
            tun_ = std::move(*made);
            test::set_address("weft-tun", "10.77.0.1");
            test::set_up("weft-tun");
        });
    }
    // A socket whose datagrams leave by the TUN.
    UniqueFd sender() const {
        UniqueFd fd;
        space_.in([&fd] {
            fd = UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
            sockaddr_storage to{};
            to_socket_address(*net::Endpoint::parse("10.77.0.2:7000"), AF_INET, to);
            ASSERT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(sockaddr_in)), 0);
        });
        return fd;
    }
    std::vector<Packet> read() {
        std::vector<Packet> packets(TunPort::kBurst);
        packets.resize(tun_->rx_burst(packets));
        return packets;
    }

    test::NetworkNamespace space_;
    Counters counters_;
    std::unique_ptr<TunPort> tun_;
};

TEST_F(TunFacts, ThePseudoHeaderSumOfASuperpacketCoversTheWhole) {
    if (!tun_->offloads().uso4) GTEST_SKIP() << "this kernel grants no USO";
    const UniqueFd fd = sender();
    constexpr int kSize = 1000;
    ASSERT_EQ(setsockopt(fd.get(), IPPROTO_UDP, kUdpSegment, &kSize, sizeof kSize), 0);
    const std::vector<std::byte> bytes(5500, std::byte{0x55});
    ASSERT_EQ(send(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    const auto packets = read();
    ASSERT_EQ(packets.size(), 1U);
    const Packet& packet = packets[0];
    EXPECT_EQ(packet.gso, Gso::Udp);
    EXPECT_EQ(packet.gso_size, kSize);
    EXPECT_EQ(packet.segments, 6U);
    EXPECT_EQ(counters_.tun.rx.value(), 6U) << "counted in wire packets";
    ASSERT_EQ(packet.checksum, ChecksumState::Partial);
    const auto parsed = net::parse(packet.bytes(), packet.size, net::ParseAs::Superpacket);
    ASSERT_TRUE(parsed.has_value());
    std::uint16_t field = 0;
    std::memcpy(&field, packet.head.data + parsed->l4_offset + 6, sizeof field);
    EXPECT_EQ(field, net::fold(net::pseudo_header_sum(parsed->source, parsed->destination, net::kProtocolUdp, 5508)));
}

TEST_F(TunFacts, HeadersLieInTheFirstBufferAndTheRestInTheTail) {
    if (!tun_->offloads().uso4) GTEST_SKIP() << "this kernel grants no USO";
    const UniqueFd fd = sender();
    constexpr int kSize = 1400;
    ASSERT_EQ(setsockopt(fd.get(), IPPROTO_UDP, kUdpSegment, &kSize, sizeof kSize), 0);
    std::vector<std::byte> bytes(44 * kSize);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::byte>(i * 31 + i / 256);
    ASSERT_EQ(send(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    const auto packets = read();
    ASSERT_EQ(packets.size(), 1U);
    const Packet& packet = packets[0];
    EXPECT_EQ(packet.head.size, Eal::kPacketRoom);
    EXPECT_EQ(packet.headroom, Eal::kHeadroom);
    ASSERT_EQ(packet.tail_count, 1U);
    std::vector<std::byte> got(packet.head.data + 28, packet.head.data + packet.head.size);
    got.insert(got.end(), packet.tail[0].data, packet.tail[0].data + packet.tail[0].size);
    EXPECT_EQ(got, bytes);
}

TEST_F(TunFacts, ABurstEndsAtSixtyFourPacketsOrHalfAMegabyte) {
    const UniqueFd fd = sender();
    for (int i = 0; i < 100; ++i)
        ASSERT_EQ(send(fd.get(), "x", 1, 0), 1);
    EXPECT_EQ(read().size(), 64U);
    EXPECT_EQ(read().size(), 36U);
    EXPECT_EQ(read().size(), 0U);
    if (!tun_->offloads().uso4) return;
    constexpr int kSize = 1400;
    ASSERT_EQ(setsockopt(fd.get(), IPPROTO_UDP, kUdpSegment, &kSize, sizeof kSize), 0);
    const std::vector<std::byte> bytes(44 * kSize);
    const int buffer = 8 * 1024 * 1024;
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    for (int i = 0; i < 12; ++i)
        ASSERT_EQ(send(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(read().size(), 9U);
    EXPECT_EQ(read().size(), 3U);
}

TEST_F(TunFacts, ADeletedDeviceReadsEbadfdAndPollsError) {
    space_.in([] { test::delete_device("weft-tun"); });
    std::byte byte{};
    EXPECT_EQ(::read(tun_->fd(), &byte, 1), -1);
    EXPECT_EQ(errno, EBADFD);
    const UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN, .data = {}};
    ASSERT_EQ(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, tun_->fd(), &event), 0);
    ASSERT_EQ(epoll_wait(epoll.get(), &event, 1, 0), 1);
    EXPECT_NE(event.events & EPOLLERR, 0U);
    EXPECT_EQ(tun_->rx_burst({}), 0U);
    EXPECT_EQ(read().size(), 0U);
    EXPECT_TRUE(tun_->is_lost());
}

TEST_F(TunFacts, WhatADeviceRefusesIsADropByName) {
    std::array<std::byte, 40> bytes{};
    bytes[0] = std::byte{0x45};
    Packet packet;
    packet.reset(bytes.data(), bytes.size(), 0);
    tun_->tx(packet);
    EXPECT_EQ(counters_.tun.tx.value(), 1U);

    bytes[0] = std::byte{0x15};  // neither IPv4 nor IPv6
    tun_->tx(packet);
    EXPECT_EQ(counters_.dropped(Drop::DeviceError), 1U);

    bytes[0] = std::byte{0x45};
    space_.in([] { test::delete_device("weft-tun"); });
    packet.segments = 3;
    tun_->tx(packet);
    EXPECT_EQ(counters_.dropped(Drop::DeviceError), 4U) << "in wire packets";
    EXPECT_TRUE(tun_->is_lost());
}

TEST_F(TunFacts, APersistentDeviceIsFoundAgainWithTheSameOffloads) {
    const TunOffloads before = tun_->offloads();
    EXPECT_TRUE(before.checksum && before.tso4 && before.tso6) << before.to_string();
    tun_.reset();
    space_.in([this, &before] {
        auto made = TunPort::create({.name = "weft-tun"}, test::eal(), counters_);
        ASSERT_TRUE(made.has_value()) << made.error().text();
        EXPECT_EQ((*made)->offloads(), before) << (*made)->offloads().to_string();
        const auto second = TunPort::create({.name = "weft-tun"}, test::eal(), counters_);
        ASSERT_FALSE(second.has_value()) << "one queue, one owner";
        EXPECT_EQ(second.error().system_errno(), EBUSY);
        EXPECT_NE(second.error().text().find("weft-tun"), std::string::npos);
    });
}

class UdpFacts : public testing::Test {
  protected:
    // errno of sending `size` bytes to ourselves as a train of `datagram` bytes each.
    int send_train(std::size_t size, std::uint16_t datagram) const {
        const std::vector<std::byte> bytes(size);
        iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
        alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof datagram)> control{};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = kUdpSegment;
        header->cmsg_len = CMSG_LEN(sizeof datagram);
        std::memcpy(CMSG_DATA(header), &datagram, sizeof datagram);
        return sendmsg(fd_.get(), &message, 0) < 0 ? errno : 0;
    }
    void SetUp() override {
        space_.in([this] {
            fd_ = UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
            sockaddr_storage address{};
            const socklen_t length = to_socket_address(*net::Endpoint::parse("127.0.0.1:0"), AF_INET, address);
            ASSERT_EQ(bind_socket(fd_.get(), address, length), 0);
            to_socket_address(*local_endpoint(fd_.get()), AF_INET, address);
            ASSERT_EQ(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
        });
    }

    test::NetworkNamespace space_;
    UniqueFd fd_;
};

TEST_F(UdpFacts, ATrainTakes65507BytesAndNotOneMore) {
    EXPECT_EQ(send_train(65'507, 1400), 0);
    EXPECT_EQ(send_train(65'508, 1400), EMSGSIZE);
}

TEST_F(UdpFacts, ATrainOfTooManyDatagramsIsEinval) {
    EXPECT_EQ(send_train(64, 1), 0);
    EXPECT_EQ(send_train(129, 1), EINVAL);
}

TEST_F(UdpFacts, TrainsNeedTheUdpChecksum) {
    const int yes = 1;
    ASSERT_EQ(setsockopt(fd_.get(), SOL_SOCKET, SO_NO_CHECK, &yes, sizeof yes), 0);
    EXPECT_EQ(send_train(3000, 1000), EINVAL);
}

TEST_F(UdpFacts, ATrainWhoseDatagramsExceedTheDeviceIsRefused) {
    space_.in([] { test::set_mtu("lo", 1500); });
    EXPECT_EQ(send_train(4 * 1472, 1472), 0);
    const int error = send_train(4 * 1473, 1473);
    EXPECT_TRUE(error == EMSGSIZE || error == EINVAL) << error;
}

}  // namespace
}  // namespace weft
