// SPDX-License-Identifier: Apache-2.0
#include "overlay/answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/net/header_at.hpp"
#include "dataplane/net/icmp.hpp"
#include "dataplane/net/tcp.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/packet_check.hpp"

namespace weft::overlay {
namespace {

using net::IpAddress;
using test::Bytes;
using test::bytes_of;
using test::From;
using test::HasIcmp;
using test::kAck;
using test::kFin;
using test::kRst;
using test::kSyn;
using test::PacketBuilder;
using test::QuotesFromTo;
using test::TestPacket;
using test::To;
using testing::AllOf;

const IpAddress kBridge4 = *IpAddress::parse("10.18.0.1");
const IpAddress kBridge6 = *IpAddress::parse("fc00::1");

PacketBuilder v4() {
    return PacketBuilder().ipv4("10.18.0.2", "10.30.0.10");
}
PacketBuilder v6() {
    return PacketBuilder().ipv6("fc00::2", "fdff::10");
}

// Into a room of exactly `room` bytes; empty if there is no answer.
Bytes icmp_error(const TestPacket& cause, IcmpError kind, std::uint32_t mtu = 0, std::size_t room = kMaxIcmpError) {
    const auto parsed = cause.parse();
    EXPECT_TRUE(parsed);
    Bytes answer(room);
    answer.resize(make_icmp_error(answer, kind, mtu, cause.packet(), *parsed, parsed->is_v4() ? kBridge4 : kBridge6));
    return answer;
}

Bytes reset(const PacketBuilder& cause) {
    const TestPacket packet = cause.packet();
    Bytes answer(60);
    answer.resize(make_tcp_reset(answer, packet.packet(), *packet.parse()));
    return answer;
}

const net::IcmpHeader& icmp_of(const Bytes& packet) {
    return *net::header_at<net::IcmpHeader>(packet, packet[0] >> 4 == std::byte{4} ? 20 : 40);
}

TEST(IcmpErrorAnswer, TellsTheSenderWhy) {
    struct Case {
        IcmpError kind;
        unsigned v4_type, v4_code, v6_type, v6_code;
    };
    const Case cases[] = {
        {IcmpError::PortUnreachable, 3, 3, 1, 4},
        {IcmpError::HostUnreachable, 3, 1, 1, 3},
        {IcmpError::TooBig, 3, 4, 2, 0},
        {IcmpError::TimeExceeded, 11, 0, 3, 0},
    };
    for (const auto& c : cases) {
        EXPECT_THAT(icmp_error(v4().udp(4000, 53).payload(30).packet(), c.kind, 1400),
                    AllOf(HasIcmp(c.v4_type, c.v4_code), From("10.18.0.1"), To("10.18.0.2"), test::HasTtl(64),
                          QuotesFromTo("10.18.0.2:4000", "10.30.0.10:53")));
        EXPECT_THAT(icmp_error(v6().udp(4000, 53).payload(30).packet(), c.kind, 1400),
                    AllOf(HasIcmp(c.v6_type, c.v6_code), From("fc00::1"), To("fc00::2"),
                          QuotesFromTo("[fc00::2]:4000", "[fdff::10]:53")));
    }
}

TEST(IcmpErrorAnswer, CarriesTheMtuOnlyWhenTooBig) {
    EXPECT_EQ(icmp_of(icmp_error(v4().tcp(1, 2).payload(1460).df().packet(), IcmpError::TooBig, 1400)).mtu(), 1400U);
    EXPECT_EQ(icmp_of(icmp_error(v4().tcp(1, 2).payload(1460).df().packet(), IcmpError::TooBig, 70000)).mtu(), 65535U);
    EXPECT_EQ(icmp_of(icmp_error(v6().tcp(1, 2).payload(1460).packet(), IcmpError::TooBig, 70000)).mtu(), 70000U);
    EXPECT_EQ(icmp_of(icmp_error(v4().tcp(1, 2).packet(), IcmpError::HostUnreachable, 1400)).mtu(), 0U);
}

TEST(IcmpErrorAnswer, QuotesAsMuchAsIsAllowed) {
    struct Case {
        std::size_t payload, v4_size, v6_size;
    };
    for (const auto& c : {Case{0, 28 + 28, 48 + 48}, Case{100, 28 + 128, 48 + 148}, Case{520, 576, 48 + 568},
                          Case{521, 576, 48 + 569}, Case{3000, 576, 1280}}) {
        for (const std::size_t head : {std::size_t{48}, std::size_t{100}, std::size_t{4000}}) {
            TestPacket cause4 = v4().udp(1, 2).payload(c.payload).packet();
            TestPacket cause6 = v6().udp(1, 2).payload(c.payload).packet();
            const Bytes answer4 = icmp_error(cause4.split(head, 100), IcmpError::PortUnreachable);
            const Bytes answer6 = icmp_error(cause6.split(head, 100), IcmpError::PortUnreachable);
            EXPECT_EQ(answer4.size(), c.v4_size);
            EXPECT_EQ(answer6.size(), c.v6_size);
            EXPECT_THAT(answer4, test::IsSound());
            EXPECT_THAT(answer6, test::IsSound());
            const Bytes whole = cause6.bytes();
            EXPECT_TRUE(std::equal(answer6.begin() + 48, answer6.end(), whole.begin()))
                << "payload " << c.payload << " head " << head;
        }
    }
}

TEST(IcmpErrorAnswer, IsSilentWhereTheRfcsSaySo) {
    const Bytes quote4 = v4().udp(1, 2).build(), quote6 = v6().udp(1, 2).build();
    auto to = [](const char* address) {
        return address[0] == 'f' ? PacketBuilder().ipv6("fc00::2", address).udp(1, 2)
                                 : PacketBuilder().ipv4("10.18.0.2", address).udp(1, 2);
    };
    const PacketBuilder silent[] = {
        v4().icmp_error(3, 1, quote4),
        v4().icmp_error(11, 0, quote4),
        v4().icmp_error(12, 0, quote4),
        v4().icmp_error(4, 0, quote4),
        v4().icmp_error(5, 0, quote4),
        v6().icmp_error(1, 0, quote6),
        v6().icmp_error(2, 0, quote6),
        v6().icmp_error(4, 0, quote6),
        v6().icmp_error(100, 0, quote6),
        v6().icmp_error(137, 0, quote6),
        to("224.0.0.1"),
        to("255.255.255.255"),
        to("0.0.0.0"),
        to("ff02::1"),
        v4().fragment(64, test::More::No).udp(1, 2).payload(8),
    };
    for (const auto& cause : silent)
        EXPECT_TRUE(icmp_error(cause.packet(), IcmpError::HostUnreachable).empty()) << test::describe(cause.build());

    // The twin: neighbours of those cases are answered.
    const PacketBuilder answered[] = {
        v4().icmp_echo(1, 2),          v6().icmp_echo(1, 2), v4().icmp_echo_reply(1, 2),
        to("223.255.255.255"),         to("fe00::1"),        v4().fragment(0, test::More::Yes).udp(1, 2).payload(8),
        v4().protocol(132).payload(8),
    };
    for (const auto& cause : answered)
        EXPECT_THAT(icmp_error(cause.packet(), IcmpError::HostUnreachable), test::IsSound());
}

TEST(IcmpErrorAnswer, NeedsAnAddressOfTheFamilyToSpeakFrom) {
    const TestPacket cause = v4().udp(1, 2).packet();
    Bytes room(kMaxIcmpError);
    EXPECT_EQ(make_icmp_error(room, IcmpError::TimeExceeded, 0, cause.packet(), *cause.parse(), kBridge6), 0U);
    EXPECT_EQ(make_icmp_error(room, IcmpError::TimeExceeded, 0, cause.packet(), *cause.parse(), IpAddress{}), 0U);
}

TEST(IcmpErrorAnswer, NeverWritesBeyondItsRoom) {
    const TestPacket cause = v4().udp(1, 2).payload(100).packet();
    for (std::size_t room = 0; room < 156; ++room)
        EXPECT_TRUE(icmp_error(cause, IcmpError::TimeExceeded, 0, room).empty()) << room;
    EXPECT_EQ(icmp_error(cause, IcmpError::TimeExceeded, 0, 156).size(), 156U);
}

// RFC 9293 3.10.7.1.
TEST(TcpReset, AnswersInTheSendersSequenceSpace) {
    struct Case {
        const char* what;
        PacketBuilder cause;
        unsigned flags;
        std::uint32_t sequence, acknowledgement;
    };
    const Case cases[] = {
        {"an ACK", v4().tcp(40000, 80).flags(kAck).seq(100).ack(777).payload(50), kRst, 777, 0},
        {"a SYN-ACK", v4().tcp(40000, 80).flags(kSyn | kAck).seq(100).ack(777), kRst, 777, 0},
        {"a SYN", v4().tcp(40000, 80).flags(kSyn).seq(100).ack(0).mss(1460), kRst | kAck, 0, 101},
        {"a SYN with data, wrapping", v4().tcp(40000, 80).flags(kSyn).seq(0xFFFFFFFF).ack(0).payload(10), kRst | kAck,
         0, 10},
        {"a FIN with data", v4().tcp(40000, 80).flags(kFin).seq(100).ack(0).payload(10), kRst | kAck, 0, 111},
        {"a superpacket", v4().tcp(40000, 80).flags(0).seq(100).ack(0).payload(5000).partial_checksum().gso(1000),
         kRst | kAck, 0, 5100},
    };
    for (const auto& c : cases) {
        const Bytes answer = reset(c.cause);
        EXPECT_THAT(answer, AllOf(From("10.30.0.10:80"), To("10.18.0.2:40000"), test::HasTcpFlags(c.flags),
                                  test::HasPayload({})))
            << c.what;
        ASSERT_EQ(answer.size(), 40U);
        const auto& tcp = *net::header_at<net::TcpHeader>(answer, 20);
        EXPECT_EQ(tcp.sequence.value(), c.sequence) << c.what;
        EXPECT_EQ(tcp.acknowledgement.value(), c.acknowledgement) << c.what;
    }
    EXPECT_THAT(reset(v6().tcp(40000, 80).flags(kSyn)),
                AllOf(From("[fdff::10]:80"), To("[fc00::2]:40000"), test::HasTcpFlags(kRst | kAck)));
}

TEST(TcpReset, AnswersNothingElse) {
    EXPECT_TRUE(reset(v4().tcp(1, 2).flags(kRst)).empty());
    EXPECT_TRUE(reset(v4().tcp(1, 2).flags(kRst | kAck)).empty());
    EXPECT_TRUE(reset(v4().udp(1, 2)).empty());
    EXPECT_TRUE(reset(v4().icmp_echo(1, 2)).empty());
    EXPECT_TRUE(reset(v4().fragment(0, test::More::Yes).tcp(1, 2).payload(12)).empty());
    EXPECT_TRUE(reset(PacketBuilder().ipv4("10.18.0.2", "224.0.0.1").tcp(1, 2)).empty());

    const TestPacket cause = v4().tcp(1, 2).packet();
    Bytes small(39);
    EXPECT_EQ(make_tcp_reset(small, cause.packet(), *cause.parse()), 0U);
}

}  // namespace
}  // namespace weft::overlay
