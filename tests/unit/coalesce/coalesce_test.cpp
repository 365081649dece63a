// SPDX-License-Identifier: Apache-2.0
#include "dataplane/coalesce.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/segment.hpp"
#include "tests/support/packet_builder.hpp"
#include "tests/support/train.hpp"

namespace weft {
namespace {

using test::Bytes;
using test::noise;
using test::TestPacket;
using test::TrainPacket;

constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20, kEce = 0x40,
                       kCwr = 0x80;
constexpr std::uint32_t kTag = 5;

// A turn's packets and the coalescer that joins them.
class Turn {
  public:
    void add(const Bytes& bytes, ChecksumState checksum, std::uint32_t tag = kTag) {
        const TestPacket& held = held_.emplace_back(bytes, checksum);
        coalescer_.add(held.packet().head, TestPacket::kHeadroom, checksum, tag);
    }
    void add(const TrainPacket& spec) { add(spec.bytes(), spec.checksum); }
    std::span<Packet> finish() { return coalescer_.finish(); }
    [[nodiscard]] std::uint32_t tag(std::size_t index) const { return coalescer_.tag(index); }

    // How many segments each packet got.
    std::vector<int> shape() {
        std::vector<int> all;
        for (const Packet& packet : finish())
            all.push_back(packet.segments);
        return all;
    }

  private:
    std::vector<TestPacket> held_;
    Coalescer coalescer_;
};

TrainPacket after(const TrainPacket& before, unsigned seed = 2) {
    TrainPacket next = before;
    next.sequence += static_cast<std::uint32_t>(before.payload.size());
    ++next.id;
    next.payload = noise(before.payload.size(), seed);
    return next;
}

std::vector<TrainPacket> train(TrainPacket first, std::size_t count, std::size_t payload) {
    first.payload = noise(payload);
    std::vector<TrainPacket> all{first};
    while (all.size() < count)
        all.push_back(after(all.back(), static_cast<unsigned>(all.size())));
    return all;
}

// The superpacket that the sender's stack would have handed over: what joining has to make of these segments.
TrainPacket merged(std::span<const TrainPacket> segments) {
    TrainPacket whole = segments.front();
    whole.checksum = ChecksumState::Partial;
    for (const TrainPacket& more : segments.subspan(1)) {
        whole.payload.insert(whole.payload.end(), more.payload.begin(), more.payload.end());
        whole.flags |= more.flags & kPsh;
    }
    return whole;
}

std::vector<TrainPacket> base_kinds() {
    std::vector<TrainPacket> all;
    for (const bool is_v6 : {false, true})
        for (const bool is_udp : {false, true})
            for (const auto state : {ChecksumState::Full, ChecksumState::Partial})
                all.push_back({.is_v6 = is_v6, .is_udp = is_udp, .tos = 0x2E, .checksum = state});
    return all;
}

std::string describe(const TrainPacket& spec) {
    return std::string(spec.is_v6 ? "v6 " : "v4 ") + (spec.is_udp ? "udp " : "tcp ") +
           (spec.checksum == ChecksumState::Full ? "full" : "partial");
}

TEST(Coalescer, MakesTheSuperpacketThatTheSenderHad) {
    for (TrainPacket first : base_kinds()) {
        for (const bool has_options : {false, true}) {
            SCOPED_TRACE(describe(first));
            if (has_options) first.tcp_options = noise(12);
            first.sequence = 0xFFFFFB00;  // wraps on the way
            first.id = 0xFFFE;
            auto segments = train(first, 5, 1388);
            segments.back().payload.resize(501);
            segments.back().flags |= kPsh;
            Turn turn;
            for (const TrainPacket& segment : segments)
                turn.add(segment);

            const auto packets = turn.finish();
            ASSERT_EQ(packets.size(), 1U);
            TrainPacket whole = merged(segments);
            if (whole.is_udp) whole.flags = segments.front().flags;
            EXPECT_EQ(test::bytes_of(packets[0]), whole.bytes());
            EXPECT_EQ(packets[0].size, whole.bytes().size());
            EXPECT_EQ(packets[0].segments, 5);
            EXPECT_EQ(packets[0].gso, first.is_udp ? Gso::Udp : Gso::Tcp);
            EXPECT_EQ(packets[0].gso_size, 1388);
            EXPECT_EQ(packets[0].checksum, ChecksumState::Partial);
            EXPECT_EQ(packets[0].headroom, TestPacket::kHeadroom);
            EXPECT_EQ(turn.tag(0), kTag);
        }
    }
}

TEST(Coalescer, UndoesTheSegmenter) {
    for (TrainPacket whole : base_kinds()) {
        SCOPED_TRACE(describe(whole));
        whole.checksum = ChecksumState::Partial;
        whole.flags |= kPsh;
        whole.payload = noise(40001);
        auto superpacket = whole.superpacket(1388);
        superpacket.split(whole.header_size() + 999, 65536);
        const auto parsed = superpacket.parse();
        ASSERT_TRUE(parsed);
        const Segmenter segmenter(superpacket.packet(), *parsed);
        Turn turn;
        for (std::uint32_t k = 0; k < segmenter.count(); ++k) {
            Bytes bytes(segmenter.header_size());
            const auto segment = segmenter.cut(k, bytes.data());
            for (const Slice& slice : segment.payloads())
                bytes.insert(bytes.end(), slice.data, slice.data + slice.size);
            turn.add(bytes, ChecksumState::Partial);
        }
        const auto packets = turn.finish();
        ASSERT_EQ(packets.size(), 1U);
        EXPECT_EQ(test::bytes_of(packets[0]), whole.bytes());
        EXPECT_EQ(packets[0].segments, segmenter.count());
    }
}

TEST(Coalescer, LeavesALonePacketAsItCame) {
    for (TrainPacket spec : base_kinds()) {
        spec.payload = noise(1000);
        Turn turn;
        turn.add(spec);
        const auto packets = turn.finish();
        ASSERT_EQ(packets.size(), 1U);
        EXPECT_EQ(test::bytes_of(packets[0]), spec.bytes()) << describe(spec);
        EXPECT_EQ(packets[0].gso, Gso::None);
        EXPECT_EQ(packets[0].gso_size, 0);
        EXPECT_EQ(packets[0].segments, 1);
        EXPECT_EQ(packets[0].checksum, spec.checksum);
    }
}

// Three packets of one flow that would join; the change is done to the second. What the third does then shows whether
// the first superpacket was sealed, left open, or replaced.
struct JoinCase {
    const char* name;
    TrainPacket first;
    std::function<void(TrainPacket&)> change;
    std::vector<int> expected;
};

void PrintTo(const JoinCase& test, std::ostream* out) {
    *out << test.name;
}

class Joining : public testing::TestWithParam<JoinCase> {};

TEST_P(Joining, HappensOnlyIfAllConditionsHold) {
    for (const auto state : {ChecksumState::Full, ChecksumState::Partial}) {
        TrainPacket first = GetParam().first;
        first.checksum = state;
        auto segments = train(first, 3, 1000);
        GetParam().change(segments[1]);
        Turn turn;
        for (const TrainPacket& segment : segments)
            turn.add(segment);
        EXPECT_EQ(turn.shape(), GetParam().expected) << describe(first);
    }
}

const TrainPacket kTcp4{}, kTcp6{.is_v6 = true};
const TrainPacket kUdp4{.is_udp = true}, kUdp6{.is_v6 = true, .is_udp = true};
const TrainPacket kTcp4NoDf{.df = false}, kTcp4Options{.tcp_options = noise(12, 8)};

INSTANTIATE_TEST_SUITE_P(
    Tcp, Joining,
    testing::Values(
        JoinCase{"nothing differs", kTcp4, [](TrainPacket&) {}, {3}},
        JoinCase{"nothing differs, v6", kTcp6, [](TrainPacket&) {}, {3}},
        JoinCase{"another TTL", kTcp4, [](TrainPacket& p) { p.ttl = 63; }, {1, 1, 1}},
        JoinCase{"another hop limit", kTcp6, [](TrainPacket& p) { p.ttl = 63; }, {1, 1, 1}},
        JoinCase{"another DSCP", kTcp4, [](TrainPacket& p) { p.tos = 0x20; }, {1, 1, 1}},
        JoinCase{"another ECN mark", kTcp4, [](TrainPacket& p) { p.tos = 3; }, {1, 1, 1}},
        JoinCase{"another traffic class", kTcp6, [](TrainPacket& p) { p.tos = 3; }, {1, 1, 1}},
        JoinCase{"another DF", kTcp4, [](TrainPacket& p) { p.df = false; }, {1, 1, 1}},
        JoinCase{"any id with DF", kTcp4, [](TrainPacket& p) { p.id = 4711; }, {3}},
        JoinCase{"consecutive ids without DF", kTcp4NoDf, [](TrainPacket&) {}, {3}},
        JoinCase{"id jumps without DF", kTcp4NoDf, [](TrainPacket& p) { p.id = 4711; }, {1, 1, 1}},
        JoinCase{"IPv4 options", kTcp4, [](TrainPacket& p) { p.ipv4_options = Bytes(4, std::byte{1}); }, {1, 1, 1}},
        JoinCase{"IPv6 extension", kTcp6, [](TrainPacket& p) { p.extension = Bytes(6); }, {1, 1, 1}},
        JoinCase{"a fragment",
                 kTcp4,
                 [](TrainPacket& p) {
                     p.is_first_fragment = true;
                     p.payload.resize(996);
                 },
                 {1, 1, 1}},
        JoinCase{"a retransmission", kTcp4, [](TrainPacket& p) { p.sequence -= 1000; }, {1, 1, 1}},
        JoinCase{"a gap", kTcp4, [](TrainPacket& p) { p.sequence += 1; }, {1, 1, 1}},
        JoinCase{"another acknowledgement", kTcp4, [](TrainPacket& p) { p.acknowledgement++; }, {1, 1, 1}},
        JoinCase{"another window", kTcp4, [](TrainPacket& p) { p.window++; }, {1, 1, 1}},
        JoinCase{"options appear", kTcp4, [](TrainPacket& p) { p.tcp_options = noise(12); }, {1, 1, 1}},
        JoinCase{"SYN", kTcp4, [](TrainPacket& p) { p.flags |= kSyn; }, {1, 1, 1}},
        JoinCase{"FIN", kTcp4, [](TrainPacket& p) { p.flags |= kFin; }, {1, 1, 1}},
        JoinCase{"RST", kTcp4, [](TrainPacket& p) { p.flags |= kRst; }, {1, 1, 1}},
        JoinCase{"URG", kTcp4, [](TrainPacket& p) { p.flags |= kUrg; }, {1, 1, 1}},
        JoinCase{"CWR", kTcp4, [](TrainPacket& p) { p.flags |= kCwr; }, {1, 1, 1}},
        JoinCase{"no ACK", kTcp4, [](TrainPacket& p) { p.flags = 0; }, {1, 1, 1}},
        JoinCase{"another ECE", kTcp4, [](TrainPacket& p) { p.flags |= kEce; }, {1, 1, 1}},
        JoinCase{"PSH joins and seals", kTcp4, [](TrainPacket& p) { p.flags |= kPsh; }, {2, 1}},
        JoinCase{"a shorter one joins and seals", kTcp4, [](TrainPacket& p) { p.payload.resize(999); }, {2, 1}},
        JoinCase{"the same options", kTcp4Options, [](TrainPacket&) {}, {3}},
        JoinCase{"other option bytes", kTcp4Options, [](TrainPacket& p) { p.tcp_options = noise(12, 9); }, {1, 1, 1}},
        JoinCase{"a longer one opens anew", kTcp4, [](TrainPacket& p) { p.payload = noise(1001); }, {1, 1, 1}}));

INSTANTIATE_TEST_SUITE_P(
    Udp, Joining,
    testing::Values(
        JoinCase{"nothing differs", kUdp4, [](TrainPacket&) {}, {3}},
        JoinCase{"nothing differs, v6", kUdp6, [](TrainPacket&) {}, {3}},
        JoinCase{"another TTL", kUdp4, [](TrainPacket& p) { p.ttl = 63; }, {1, 1, 1}},
        JoinCase{"another TOS", kUdp6, [](TrainPacket& p) { p.tos = 3; }, {1, 1, 1}},
        JoinCase{"another DF", kUdp4, [](TrainPacket& p) { p.df = false; }, {1, 1, 1}},
        JoinCase{"IPv4 options", kUdp4, [](TrainPacket& p) { p.ipv4_options = Bytes(4, std::byte{1}); }, {1, 1, 1}},
        JoinCase{"IPv6 extension", kUdp6, [](TrainPacket& p) { p.extension = Bytes(6); }, {1, 1, 1}},
        JoinCase{"a fragment", kUdp4, [](TrainPacket& p) { p.is_first_fragment = true; }, {1, 1, 1}},
        JoinCase{"an empty datagram", kUdp4, [](TrainPacket& p) { p.payload.clear(); }, {1, 1, 1}},
        JoinCase{"a shorter one joins and seals", kUdp4, [](TrainPacket& p) { p.payload.resize(1); }, {2, 1}},
        JoinCase{"a longer one opens anew", kUdp4, [](TrainPacket& p) { p.payload = noise(1001); }, {1, 2}}));

// Fields that no builder writes; none of them is under the partial sum of a carried packet.
TEST(Coalescer, TakesNoOtherFlowLabelReservedBitOrUrgentPointer) {
    struct Case {
        const char* name;
        TrainPacket first;
        std::size_t offset;
    };
    for (const Case& test : {Case{"flow label", kTcp6, 3}, Case{"flow label", kUdp6, 3},
                             Case{"reserved bits", kTcp4, 20 + 12}, Case{"urgent pointer", kTcp4, 20 + 19}}) {
        TrainPacket first = test.first;
        first.checksum = ChecksumState::Partial;
        const auto segments = train(first, 2, 1000);
        Turn turn;
        turn.add(segments[0]);
        Bytes changed = segments[1].bytes();
        changed[test.offset] ^= std::byte{1};
        turn.add(changed, ChecksumState::Partial);
        EXPECT_EQ(turn.shape(), (std::vector{1, 1})) << test.name;
    }
}

TEST(Coalescer, LetsPureAcknowledgementsPassWithoutSealing) {
    for (const std::uint8_t flags : {kAck, static_cast<std::uint8_t>(kAck | kEce)}) {
        const auto segments = train({.flags = flags}, 3, 1000);
        TrainPacket ack = segments[1];
        ack.payload.clear();
        ack.acknowledgement += 9;
        Turn turn;
        turn.add(segments[0]);
        turn.add(ack);
        turn.add(segments[1]);
        turn.add(ack);
        turn.add(segments[2]);
        EXPECT_EQ(turn.shape(), (std::vector{3, 1, 1}));
        EXPECT_EQ(test::bytes_of(turn.finish()[1]), ack.bytes());
    }
}

// Behind what seals, the flow begins anew even where its sequence numbers would fit.
TEST(Coalescer, JoinsNothingAcrossASealingPacket) {
    for (const std::uint8_t flag : {kSyn, kFin, kRst, kUrg, kCwr}) {
        const auto segments = train(kTcp4, 3, 1000);
        TrainPacket sealing = segments[1];
        sealing.payload.clear();
        sealing.flags |= flag;
        Turn turn;
        turn.add(segments[0]);
        turn.add(sealing);
        turn.add(segments[1]);
        turn.add(segments[2]);
        EXPECT_EQ(turn.shape(), (std::vector{1, 1, 2})) << int{flag};
    }
}

TEST(Coalescer, StopsAtSixtyFourSegments) {
    for (const TrainPacket& first : base_kinds()) {
        Turn turn;
        for (const TrainPacket& segment : train(first, 150, 100))
            turn.add(segment);
        EXPECT_EQ(turn.shape(), (std::vector{64, 64, 22})) << describe(first);
    }
}

TEST(Coalescer, StopsAt65535Bytes) {
    for (const TrainPacket& first : base_kinds()) {
        const auto segments = train(first, 50, 1388);
        Turn turn;
        for (const TrainPacket& segment : segments)
            turn.add(segment);
        EXPECT_EQ(turn.shape(), (std::vector{47, 3})) << describe(first);
    }
    // To the byte: 20 + 8 + 3 * 21835 + 2 = 65535.
    auto exact = train(kUdp4, 4, 21835);
    exact[3].payload.resize(2);
    for (const std::size_t last : {2U, 3U}) {
        exact[3].payload.resize(last);
        Turn turn;
        for (const TrainPacket& segment : exact)
            turn.add(segment);
        EXPECT_EQ(turn.shape(), last == 2 ? std::vector{4} : (std::vector{3, 1}));
    }
}

TEST(Coalescer, KeepsFlowsApart) {
    const auto segments = train(kTcp4, 2, 500);
    const std::vector<std::pair<const char*, std::function<void(TrainPacket&)>>> changes{
        {"source address", [](TrainPacket& p) { p.host = 2; }},
        {"source port", [](TrainPacket& p) { p.source_port++; }},
        {"protocol", [](TrainPacket& p) { p.is_udp = true; }},
        {"IP version", [](TrainPacket& p) { p.is_v6 = true; }},
    };
    for (const auto& [name, change] : changes) {
        TrainPacket other = segments[1];
        change(other);
        Turn turn;
        turn.add(segments[0]);
        turn.add(other);
        turn.add(segments[1]);
        EXPECT_EQ(turn.shape(), (std::vector{2, 1})) << name;
    }
    Turn turn;
    turn.add(segments[0].bytes(), ChecksumState::Full, 1);
    turn.add(segments[1].bytes(), ChecksumState::Full, 2);
    EXPECT_EQ(turn.shape(), (std::vector{1, 1})) << "tags";
    EXPECT_EQ(turn.tag(0), 1U);
    EXPECT_EQ(turn.tag(1), 2U);
}

TEST(Coalescer, KeepsChecksumStatesApart) {
    auto segments = train(kTcp4, 2, 500);
    segments[1].checksum = ChecksumState::Partial;
    Turn turn;
    for (const TrainPacket& segment : segments)
        turn.add(segment);
    EXPECT_EQ(turn.shape(), (std::vector{1, 1}));
}

// A partial sum would be trusted by everyone behind us: damage has to stay visible.
TEST(Coalescer, NeverJoinsAPacketWhoseSumIsWrong) {
    for (const TrainPacket& first : base_kinds()) {
        const auto segments = train(first, 5, 1000);
        // Full: a bit of the payload. Partial: the field itself, all it says.
        const std::size_t spot =
            first.checksum == ChecksumState::Full ? first.header_size() + 77 : first.checksum_offset();
        for (const std::size_t broken : {0U, 1U, 2U}) {
            Turn turn;
            std::vector<Bytes> sent;
            for (std::size_t i = 0; i < segments.size(); ++i) {
                sent.push_back(segments[i].bytes());
                if (i == broken) sent[i][spot] ^= std::byte{0x40};
                turn.add(sent[i], first.checksum);
            }
            const std::vector<std::vector<int>> expected{{1, 4}, {1, 1, 3}, {2, 1, 2}};
            EXPECT_EQ(turn.shape(), expected[broken]) << describe(first) << " broken " << broken;
            const std::size_t place = broken == 0 ? 0 : 1;
            EXPECT_EQ(test::bytes_of(turn.finish()[place]), sent[broken]) << "it was changed";
        }
    }
}

TEST(Coalescer, DoesNotGiveASumToDatagramsWithoutOne) {
    Turn turn;
    for (TrainPacket segment : train(kUdp4, 3, 100)) {
        Bytes bytes = segment.bytes();
        bytes[26] = bytes[27] = std::byte{0};
        turn.add(bytes, ChecksumState::Full);
    }
    EXPECT_EQ(turn.shape(), (std::vector{1, 1, 1}));
}

// Cut at every length, and each kind of nonsense: passes alone, as it is, and the flow goes on.
TEST(Coalescer, PassesMalformedPacketsUntouched) {
    for (const TrainPacket& first : base_kinds()) {
        const auto segments = train(first, 2, 40);
        std::vector<Bytes> odd;
        const Bytes whole = segments[1].bytes();
        for (std::size_t size = 0; size < whole.size(); ++size)
            odd.emplace_back(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        odd.push_back(whole);
        odd.back().push_back(std::byte{0});  // a byte behind the IP length
        if (!first.is_v6) {
            odd.push_back(whole);
            odd.back()[10] ^= std::byte{1};  // the header sum
            odd.push_back(whole);
            odd.back()[0] = std::byte{0x44};  // a header of 16 bytes
        }
        if (!first.is_udp) {
            odd.push_back(whole);
            odd.back()[first.l4_offset() + 12] = std::byte{0x40};  // a TCP header of 16 bytes
            odd.push_back(whole);
            odd.back()[first.l4_offset() + 12] = std::byte{0xF0};  // ... of more than there is
            odd.back().resize(whole.size());
        }
        for (const Bytes& bytes : odd) {
            Turn turn;
            turn.add(segments[0]);
            turn.add(bytes, first.checksum);
            const auto packets = turn.finish();
            ASSERT_EQ(packets.size(), 2U) << describe(first) << ", " << bytes.size() << " bytes";
            EXPECT_EQ(test::bytes_of(packets[0]), segments[0].bytes());
            EXPECT_EQ(test::bytes_of(packets[1]), bytes);
        }
    }
}

TEST(Coalescer, StartsAnewAfterClear) {
    const auto segments = train(kTcp4, 2, 100);
    std::vector<TestPacket> held;
    for (const TrainPacket& segment : segments)
        held.push_back(segment.packet());
    Coalescer coalescer;
    coalescer.add(held[0].packet().head, 0, ChecksumState::Full, 1);
    coalescer.clear();
    EXPECT_EQ(coalescer.size(), 0U);
    coalescer.add(held[1].packet().head, 0, ChecksumState::Full, 1);
    ASSERT_EQ(coalescer.finish().size(), 1U);
    EXPECT_EQ(coalescer.finish()[0].segments, 1);
    EXPECT_EQ(test::bytes_of(coalescer.finish()[0]), segments[1].bytes());
}

TEST(Coalescer, SaysWhenItIsFull) {
    std::vector<TestPacket> held;
    Coalescer coalescer;
    for (std::size_t i = 0; i < Coalescer::kMaxPackets; ++i) {
        ASSERT_FALSE(coalescer.full());
        TrainPacket spec{.source_port = static_cast<std::uint16_t>(i), .payload = noise(10)};
        held.push_back(spec.packet());
        coalescer.add(held.back().packet().head, 0, ChecksumState::Full, 1);
    }
    EXPECT_TRUE(coalescer.full());
    EXPECT_EQ(coalescer.finish().size(), Coalescer::kMaxPackets);
}

}  // namespace
}  // namespace weft
