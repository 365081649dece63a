// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>

#include "dataplane/port_udp.hpp"
#include "tests/platform/network.hpp"

// Two tunnel sockets on the loopback of a namespace of their own, which carries UDP_SEGMENT trains whole.
//
//   left 127.0.0.1:* ---- lo ---- right 127.0.0.1:*

namespace weft {
namespace {

using test::NetworkNamespace;

std::vector<std::byte> pattern(std::size_t size, unsigned seed = 1) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>(i * 7 + i / 256 + seed);
    return bytes;
}

struct Received {
    std::vector<std::byte> bytes;
    std::uint32_t stride;
    net::Endpoint from;
    unsigned tos;
};

struct Side {
    Counters counters;
    std::unique_ptr<UdpPort> port;

    void open(const NetworkNamespace& where, UdpOptions options) {
        where.in([&] {
            auto made = UdpPort::create(options, test::eal(), counters);
            ASSERT_TRUE(made.has_value()) << made.error().text();
            port = std::move(*made);
        });
    }
    void append(const net::Endpoint& to, std::span<const std::byte> bytes, std::uint8_t tos = 0) {
        std::byte* const memory = port->scratch(bytes.size());
        std::memcpy(memory, bytes.data(), bytes.size());
        const Slice slice{memory, static_cast<std::uint32_t>(bytes.size())};
        port->append(to, tos, {&slice, 1});
    }
    // Trains until `datagrams` came or nothing more is there.
    std::vector<Received> receive() {
        std::vector<Received> all;
        std::array<Train, UdpPort::kSlots> trains;
        for (;;) {
            pollfd readable{port->fd(), POLLIN, 0};
            if (::poll(&readable, 1, 0) != 1) return all;
            const std::size_t count = port->rx_burst(trains);
            for (std::size_t i = 0; i < count; ++i)
                all.push_back({{trains[i].bytes.begin(), trains[i].bytes.end()},
                               trains[i].stride,
                               trains[i].from,
                               trains[i].tos});
        }
    }
};

class UdpPortTest : public testing::Test {
  protected:
    void open(UdpOptions left = {}, UdpOptions right = {}) {
        left.bind = right.bind = *net::Endpoint::parse(address());
        left_.open(namespace_, left);
        right_.open(namespace_, right);
        to_right_ = right_.port->endpoint();
        to_left_ = left_.port->endpoint();
    }
    [[nodiscard]] virtual const char* address() const { return "127.0.0.1:0"; }

    NetworkNamespace namespace_;
    Side left_, right_;
    net::Endpoint to_left_, to_right_;
};

class UdpPortOverBoth : public UdpPortTest, public testing::WithParamInterface<const char*> {
    [[nodiscard]] const char* address() const override { return GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Families, UdpPortOverBoth, testing::Values("127.0.0.1:0", "[::1]:0"));

TEST_P(UdpPortOverBoth, ATrainIsOneCallAndArrivesWhole) {
    open();
    ASSERT_TRUE(left_.port->has_gso());
    ASSERT_TRUE(right_.port->has_gro());
    const auto bytes = pattern(10 * 1000 + 500);
    for (std::size_t at = 0; at < bytes.size(); at += 1000)
        left_.append(to_right_, std::span(bytes).subspan(at, std::min<std::size_t>(1000, bytes.size() - at)), 0xB9);
    left_.port->flush();
    EXPECT_EQ(left_.counters.tunnel.tx.value(), 11U);
    EXPECT_EQ(left_.counters.tunnel_tx_calls.value(), 1U);
    const auto got = right_.receive();
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].bytes, bytes);
    EXPECT_EQ(got[0].stride, 1000U);
    EXPECT_EQ(got[0].from, to_left_);
    EXPECT_EQ(got[0].tos, 0xB9U) << "DSCP and ECN";
    EXPECT_EQ(right_.counters.tunnel.rx.value(), 11U);
    EXPECT_EQ(right_.counters.tunnel.rx_bytes.value(), bytes.size());
}

TEST_P(UdpPortOverBoth, AnEmptyDatagramIsCountedAndNotHandedOut) {
    open();
    ASSERT_TRUE(left_.port->send_now(to_right_, {}).has_value());
    EXPECT_TRUE(right_.receive().empty());
    EXPECT_EQ(right_.counters.tunnel.rx.value(), 1U);
    EXPECT_EQ(right_.counters.dropped(Drop::TunnelFormat), 1U);
}

TEST_P(UdpPortOverBoth, OneByteIsATrainOfOneByte) {
    open();
    ASSERT_TRUE(left_.port->send_now(to_right_, pattern(1)).has_value());
    const auto got = right_.receive();
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].bytes, pattern(1));
    EXPECT_EQ(got[0].stride, 1U);
    EXPECT_EQ(got[0].tos, 0U);
    EXPECT_EQ(left_.counters.tunnel.tx.value(), 0U) << "control's datagrams are not the worker's to count";
}

TEST_F(UdpPortTest, WithoutGsoOrGroTheSameDatagramsArrive) {
    for (const bool gso : {false, true}) {
        for (const bool gro : {false, true}) {
            SCOPED_TRACE(testing::Message() << "gso " << gso << " gro " << gro);
            open({.wants_gso = gso}, {.wants_gro = gro});
            for (unsigned i = 0; i < 100; ++i)
                left_.append(to_right_, pattern(300, i));
            left_.port->flush();
            std::vector<std::vector<std::byte>> datagrams;
            for (const Received& train : right_.receive()) {
                EXPECT_TRUE(gso && gro ? train.bytes.size() > train.stride : train.bytes.size() == train.stride);
                for (std::size_t at = 0; at < train.bytes.size(); at += train.stride)
                    datagrams.emplace_back(train.bytes.begin() + static_cast<long>(at),
                                           train.bytes.begin() + static_cast<long>(at + train.stride));
            }
            ASSERT_EQ(datagrams.size(), 100U);
            for (unsigned i = 0; i < 100; ++i)
                EXPECT_EQ(datagrams[i], pattern(300, i)) << i;
            EXPECT_EQ(left_.counters.tunnel.tx.value(), right_.counters.tunnel.rx.value());
            left_.port.reset();
            right_.port.reset();
        }
    }
}

TEST_F(UdpPortTest, MixedSizesKeepTheirOrder) {
    open();
    const std::size_t sizes[] = {1400, 1400, 60, 60, 1400, 900, 900, 1, 1400};
    for (unsigned i = 0; i < std::size(sizes); ++i)
        left_.append(to_right_, pattern(sizes[i], i));
    left_.port->flush();
    std::vector<std::byte> expected, got;
    for (unsigned i = 0; i < std::size(sizes); ++i) {
        const auto bytes = pattern(sizes[i], i);
        expected.insert(expected.end(), bytes.begin(), bytes.end());
    }
    for (const Received& train : right_.receive())
        got.insert(got.end(), train.bytes.begin(), train.bytes.end());
    EXPECT_EQ(got, expected);
    EXPECT_EQ(right_.counters.tunnel.rx.value(), std::size(sizes));
}

TEST_F(UdpPortTest, MorePeersThanTrainsAreAllServed) {
    open();
    for (std::uint8_t round = 0; round < 2; ++round)
        for (unsigned tos = 0; tos < 200; tos += 2)
            left_.append(to_right_, pattern(100, tos), static_cast<std::uint8_t>(tos));
    left_.port->flush();
    EXPECT_EQ(left_.counters.tunnel.tx.value(), 200U);
    std::size_t bytes = 0;
    for (const Received& train : right_.receive()) {
        bytes += train.bytes.size();
        EXPECT_EQ(train.bytes[0], pattern(1, train.tos)[0]) << "not overwritten before it was sent";
    }
    EXPECT_EQ(bytes, 200U * 100U);
}

TEST_F(UdpPortTest, ScratchFlushesByItselfWhenItIsFull) {
    open();
    std::size_t got = 0;
    for (unsigned i = 0; i < 3000; ++i) {  // 3 MB through 1 MB
        left_.append(to_right_, pattern(1000, i));
        if (i % 64 == 0)
            for (const Received& train : right_.receive())
                got += train.bytes.size();
    }
    left_.port->flush();
    for (const Received& train : right_.receive())
        got += train.bytes.size();
    EXPECT_EQ(left_.counters.tunnel.tx.value(), 3000U);
    EXPECT_EQ(got, 3000U * 1000U);
}

TEST_F(UdpPortTest, WhatIsLargerThanTheDeviceIsTooBigAndReported) {
    open();
    namespace_.in([] { test::set_mtu("lo", 1500); });
    left_.append(to_right_, pattern(1472));
    left_.port->flush();
    EXPECT_EQ(left_.counters.tunnel.tx.value(), 1U);
    for (int i = 0; i < 5; ++i)
        left_.append(to_right_, pattern(1473));  // a train
    left_.append(to_right_, pattern(1472));      // and its last, which fits
    left_.port->flush();
    EXPECT_EQ(left_.counters.dropped(Drop::TooBig), 5U);
    EXPECT_EQ(left_.counters.tunnel.tx.value(), 2U);
    ASSERT_EQ(left_.port->too_big().size(), 1U);
    EXPECT_EQ(left_.port->too_big()[0].to, to_right_);
    EXPECT_EQ(left_.port->too_big()[0].size, 1473U);
    left_.port->clear_too_big();
    EXPECT_TRUE(left_.port->too_big().empty());
}

TEST_F(UdpPortTest, ADatagramBeyondUdpIsTooBig) {
    open();
    left_.append(to_right_, pattern(65'508));
    left_.port->flush();
    EXPECT_EQ(left_.counters.dropped(Drop::TooBig), 1U);
}

TEST_F(UdpPortTest, OnePeersTroubleIsNotAnothers) {
    open();
    const auto nowhere = *net::Endpoint::parse("192.0.2.1:9");
    const auto other_family = *net::Endpoint::parse("[fd00::1]:9");
    for (int i = 0; i < 3; ++i) {
        left_.append(nowhere, pattern(100));
        left_.append(to_right_, pattern(100));
        left_.append(other_family, pattern(100));
    }
    left_.port->flush();
    EXPECT_EQ(left_.counters.dropped(Drop::PeerDown), 3U);
    EXPECT_EQ(left_.counters.dropped(Drop::DeviceError), 3U);
    EXPECT_EQ(left_.counters.tunnel.tx.value(), 3U);
    EXPECT_EQ(right_.receive().size(), 1U);
}

TEST_F(UdpPortTest, AnAddressThatIsNotOursIsRefusedWithItsName) {
    namespace_.in([&] {
        const auto made =
            UdpPort::create({.bind = *net::Endpoint::parse("192.0.2.7:50103")}, test::eal(), left_.counters);
        ASSERT_FALSE(made.has_value());
        EXPECT_NE(made.error().text().find("192.0.2.7:50103"), std::string::npos);
        EXPECT_EQ(made.error().system_errno(), EADDRNOTAVAIL);
    });
}

TEST_F(UdpPortTest, TheUnspecifiedIpv6AddressServesBothFamilies) {
    left_.open(namespace_, {.bind = *net::Endpoint::parse("[::]:0")});
    right_.open(namespace_, {.bind = *net::Endpoint::parse("127.0.0.1:0")});
    left_.append(right_.port->endpoint(), pattern(100), 0x02);
    left_.port->flush();
    const auto got = right_.receive();
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].tos, 2U);
    right_.append({*net::IpAddress::parse("127.0.0.1"), left_.port->endpoint().l4_port}, pattern(100), 0x02);
    right_.port->flush();
    const auto back = left_.receive();
    ASSERT_EQ(back.size(), 1U);
    EXPECT_EQ(back[0].from, right_.port->endpoint()) << "as IPv4";
    EXPECT_EQ(back[0].tos, 2U);
}

}  // namespace
}  // namespace weft
