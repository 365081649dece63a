// SPDX-License-Identifier: Apache-2.0
#include "dataplane/segment.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/reference_checksum.hpp"
#include "tests/support/train.hpp"

namespace weft {
namespace {

using test::Bytes;
using test::noise;
using test::TestPacket;
using test::TrainPacket;

constexpr std::size_t kWhole = 65536;  // a tail in one slice

constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kPsh = 0x08, kAck = 0x10, kUrg = 0x20, kEce = 0x40, kCwr = 0x80;

// Every segment as it would go to the wire.
std::vector<Bytes> cut_all(const TestPacket& whole, std::uint32_t max_payload = 0) {
    const auto parsed = whole.parse();
    if (!parsed) throw std::logic_error("the test's packet is malformed");
    const Segmenter segmenter(whole.packet(), *parsed, max_payload);
    std::vector<Bytes> all;
    for (std::uint32_t k = 0; k < segmenter.count(); ++k) {
        // Exactly the promised room, on the heap.
        const auto header = std::make_unique<std::byte[]>(segmenter.header_size());
        const auto segment = segmenter.cut(k, header.get());
        EXPECT_EQ(segment.header_size, segmenter.header_size());
        EXPECT_LE(segment.header_size, Segmenter::kMaxHeader);
        Bytes bytes(header.get(), header.get() + segment.header_size);
        for (const Slice& slice : segment.payloads())
            bytes.insert(bytes.end(), slice.data, slice.data + slice.size);
        EXPECT_EQ(bytes.size(), segment.size);
        all.push_back(std::move(bytes));
    }
    return all;
}

// What the sender's own stack would have sent instead of the superpacket `whole`.
std::vector<Bytes> expected_segments(const TrainPacket& whole, std::size_t payload_size) {
    std::vector<Bytes> all;
    for (std::size_t at = 0; at < whole.payload.size(); at += payload_size) {
        TrainPacket spec = whole;
        const bool is_last = at + payload_size >= whole.payload.size();
        const auto begin = whole.payload.begin() + static_cast<std::ptrdiff_t>(at);
        spec.payload.assign(begin, is_last ? whole.payload.end() : begin + static_cast<std::ptrdiff_t>(payload_size));
        spec.sequence = whole.sequence + static_cast<std::uint32_t>(at);
        spec.id = static_cast<std::uint16_t>(whole.id + all.size());
        if (at != 0) spec.flags &= static_cast<std::uint8_t>(~kCwr);
        if (!is_last) spec.flags &= static_cast<std::uint8_t>(~(kFin | kPsh));
        all.push_back(spec.bytes());
    }
    return all;
}

struct Shape {
    const char* name;
    std::size_t head_payload;  // payload bytes in the head
    std::size_t tail_slice;
};

struct Kind {
    const char* name;
    TrainPacket spec;
};

std::vector<Kind> kinds() {
    std::vector<Kind> all;
    for (const bool is_v6 : {false, true}) {
        for (const bool is_udp : {false, true}) {
            for (const auto state : {ChecksumState::Full, ChecksumState::Partial}) {
                TrainPacket spec{.is_v6 = is_v6, .is_udp = is_udp, .id = 0xFFFE, .tos = 0x2E, .checksum = state};
                spec.sequence = 0xFFFFF000;  // wraps on the way, like the id
                spec.flags = kAck | kPsh | kFin | kCwr | kEce;
                all.push_back({"plain", spec});
                if (!is_udp) {
                    spec.tcp_options = noise(12);
                    all.push_back({"tcp options", spec});
                }
                if (is_v6) {
                    spec.extension = Bytes(254);  // 256 with its first two bytes: as much as the parser takes
                } else {
                    spec.ipv4_options = Bytes(8, std::byte{1});
                }
                all.push_back({"ip options or extension", spec});
            }
        }
    }
    return all;
}

TEST(Segmenter, CutsWhatTheSendersOwnStackWouldHaveSent) {
    const std::vector<Shape> shapes{
        {"all in the head", 100000, kWhole},
        {"headers in the head, one tail", 0, kWhole},
        {"head ends inside segment 1", 700, kWhole},
        {"head ends inside segment 2, odd", 1801, kWhole},
        {"tail slices as long as segments", 1400, 1400},
        {"many odd tail slices", 333, 151},
    };
    for (const Kind& kind : kinds()) {
        for (const Shape& shape : shapes) {
            for (const std::size_t size : {1400U, 1401U, 5600U, 7001U, 9000U}) {
                TrainPacket spec = kind.spec;
                spec.payload = noise(size);
                SCOPED_TRACE(std::string(kind.name) + ", " + shape.name + (spec.is_v6 ? ", v6" : ", v4") +
                             (spec.is_udp ? ", udp" : ", tcp") + ", payload " + std::to_string(size) +
                             (spec.checksum == ChecksumState::Full ? ", full" : ", partial"));
                auto whole = spec.superpacket(1400);
                whole.split(spec.header_size() + shape.head_payload, shape.tail_slice);
                EXPECT_EQ(cut_all(whole), expected_segments(spec, 1400));
                EXPECT_EQ(whole.bytes(), spec.bytes()) << "the superpacket itself was changed";
            }
        }
    }
}

TEST(Segmenter, PutsManySmallTailSlicesIntoOneSegment) {
    const TrainPacket spec{.payload = noise(64), .checksum = ChecksumState::Partial};
    auto whole = spec.superpacket(1000);
    whole.split(spec.header_size(), 1);
    ASSERT_EQ(whole.packet().tail_count, Packet::kMaxTail);
    EXPECT_EQ(cut_all(whole), expected_segments(spec, 1000));
}

TEST(Segmenter, WritesTheLengthThatTheKernelLeftOut) {
    const TrainPacket spec{.payload = noise(3000), .checksum = ChecksumState::Partial};
    auto whole = spec.superpacket(1400);
    const auto head = whole.packet().bytes();
    head[2] = head[3] = head[10] = head[11] = std::byte{0};
    const unsigned sum = ~test::reference_sum(head.first(20)) & 0xFFFFU;
    head[10] = static_cast<std::byte>(sum >> 8);
    head[11] = static_cast<std::byte>(sum & 0xFF);
    EXPECT_EQ(cut_all(whole), expected_segments(spec, 1400));
}

TEST(Segmenter, GivesASuperpacketOfOneSegmentItsLengths) {
    const TrainPacket spec{.flags = kAck | kPsh | kFin, .payload = noise(900), .checksum = ChecksumState::Partial};
    EXPECT_EQ(cut_all(spec.superpacket(1400)), std::vector<Bytes>{spec.bytes()});
}

TEST(Segmenter, LeavesAPacketWithoutGsoAsItIs) {
    for (const Kind& kind : kinds()) {
        TrainPacket spec = kind.spec;
        spec.payload = noise(1201);
        auto packet = spec.packet();
        packet.split(spec.header_size() + 5, 100);
        EXPECT_EQ(cut_all(packet), std::vector<Bytes>{spec.bytes()}) << kind.name;
    }
}

TEST(Segmenter, CutsTcpFinerThanItCame) {
    for (const auto state : {ChecksumState::Full, ChecksumState::Partial}) {
        const TrainPacket spec{.flags = kAck | kPsh, .payload = noise(5000), .checksum = state};
        auto whole = spec.superpacket(1400);
        whole.split(spec.header_size() + 2000, kWhole);
        EXPECT_EQ(cut_all(whole, 1000), expected_segments(spec, 1000));
        EXPECT_EQ(cut_all(whole, 9000), expected_segments(spec, 1400)) << "never coarser";
        EXPECT_EQ(cut_all(spec.packet(), 1000), expected_segments(spec, 1000)) << "without GSO, too";
    }
}

TEST(Segmenter, DoesNotCutFinerWhatMayNotBeCut) {
    struct Case {
        const char* name;
        TrainPacket spec;
    };
    const std::vector<Case> cases{
        {"UDP", {.is_udp = true, .payload = noise(3000)}},
        {"SYN with data", {.flags = kSyn, .payload = noise(3000)}},
        {"urgent data", {.flags = kAck | kUrg, .payload = noise(3000)}},
        {"a first fragment", {.is_first_fragment = true, .payload = noise(3004)}},
    };
    for (const Case& test : cases)
        EXPECT_EQ(cut_all(test.spec.packet(), 1000), std::vector<Bytes>{test.spec.bytes()}) << test.name;

    const TrainPacket udp{.is_udp = true, .payload = noise(3000), .checksum = ChecksumState::Partial};
    EXPECT_EQ(cut_all(udp.superpacket(1400), 100), expected_segments(udp, 1400));
}

TEST(Segmenter, KeepsAWrongFullSumWrong) {
    for (const bool is_udp : {false, true}) {
        TrainPacket spec{.is_udp = is_udp, .payload = noise(4000)};
        auto whole = spec.superpacket(1400);
        whole.packet().bytes()[spec.header_size() + 1234] ^= std::byte{0x10};
        spec.payload[1234] ^= std::byte{0x10};
        const auto cut = cut_all(whole);
        const auto sound = expected_segments(spec, 1400);
        ASSERT_EQ(cut.size(), sound.size());
        for (std::size_t k = 0; k < cut.size(); ++k) {
            const auto field = [&](const Bytes& bytes) {
                return std::pair(bytes[spec.checksum_offset()], bytes[spec.checksum_offset() + 1]);
            };
            EXPECT_NE(field(cut[k]), field(sound[k])) << "segment " << k << " hides the damage";
        }
    }
}

TEST(Segmenter, LeavesUdpWithoutASumWithoutOne) {
    const TrainPacket spec{.is_udp = true, .payload = noise(4000)};
    auto whole = spec.superpacket(1400);
    whole.packet().bytes()[26] = whole.packet().bytes()[27] = std::byte{0};
    for (const Bytes& segment : cut_all(whole)) {
        EXPECT_EQ(segment[26], std::byte{0});
        EXPECT_EQ(segment[27], std::byte{0});
    }
}

TEST(FinishChecksum, MakesTheSumThatTheSenderWouldHaveSent) {
    for (const bool is_v6 : {false, true}) {
        for (const bool is_udp : {false, true}) {
            for (const std::size_t slice : {std::size_t{1}, std::size_t{7}, std::size_t{64}, kWhole}) {
                TrainPacket spec{.is_v6 = is_v6, .is_udp = is_udp, .payload = noise(slice == 1 ? 61 : 401)};
                spec.checksum = ChecksumState::Partial;
                auto packet = spec.packet();
                packet.split(spec.header_size() + 3, slice);
                const auto parsed = packet.parse();
                ASSERT_TRUE(parsed);
                spec.checksum = ChecksumState::Full;
                for (const char* time : {"once", "twice"}) {
                    finish_checksum(packet.packet(), *parsed);
                    EXPECT_EQ(packet.bytes(), spec.bytes()) << time;
                    EXPECT_EQ(packet.packet().checksum, ChecksumState::Full);
                }
            }
        }
    }
}

TEST(FinishChecksum, WritesAComputedZeroOfUdpAsFfff) {
    // The payload that brings the sum to FFFF: the finished field of the same packet with a payload of zeros.
    TrainPacket spec{.is_udp = true, .payload = Bytes(2)};
    const Bytes zeros = spec.bytes();
    spec.payload = {zeros[26], zeros[27]};
    spec.checksum = ChecksumState::Partial;
    auto packet = spec.packet();
    const auto parsed = packet.parse();
    ASSERT_TRUE(parsed);
    finish_checksum(packet.packet(), *parsed);
    EXPECT_EQ(packet.packet().head.data[26], std::byte{0xFF});
    EXPECT_EQ(packet.packet().head.data[27], std::byte{0xFF});
}

}  // namespace
}  // namespace weft
