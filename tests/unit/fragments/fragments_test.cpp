// SPDX-License-Identifier: Apache-2.0
#include "overlay/fragments.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/packet_builder.hpp"

namespace weft::overlay::test {
namespace {

using namespace std::chrono_literals;
using weft::test::Bytes;
using weft::test::More;
using weft::test::PacketBuilder;
using weft::test::TestPacket;
using Fate = FragmentTable::Fate;

constexpr TimePoint kNow(1h);

// One fragment on its way, parsed.
struct Fragment {
    TestPacket packet;
    net::Parsed parsed;
    explicit Fragment(const Bytes& bytes) : packet(bytes), parsed(packet.parse().value()) {}
};

// A datagram of `size` bytes of UDP payload from 5000 to 53, in pieces.
std::vector<Bytes> datagram(bool v6, std::size_t size, std::uint32_t id = 7, std::size_t piece = 1400) {
    PacketBuilder builder;
    v6 ? builder.ipv6("fc00::2", "fc00::1:5") : builder.ipv4("10.18.0.2", "10.19.0.5");
    return weft::test::fragments(builder.id(id).udp(5000, 53).payload(size).build(), piece, id);
}

class Fragments : public ::testing::TestWithParam<bool> {
  protected:
    std::vector<Bytes> datagram(std::size_t size, std::uint32_t id = 7, std::size_t piece = 1400) const {
        return test::datagram(GetParam(), size, id, piece);
    }
    // Places a fragment; whatever is released is placed as well.
    Fate place(const Bytes& bytes, TimePoint now = kNow, std::uint32_t tag = 0) {
        Fragment fragment(bytes);
        const Fate fate = table_.place(fragment.packet.packet(), fragment.parsed, Direction::Outbound, tag, now);
        note(fate, bytes, fragment.parsed);
        table_.release([&](Packet& packet, Direction direction, std::uint32_t released_tag) {
            auto parsed = net::parse(packet.bytes(), packet.size).value();
            EXPECT_EQ(released_tag, tag);
            note(table_.place(packet, parsed, direction, released_tag, now), weft::test::bytes_of(packet), parsed);
        });
        table_.recycle();
        return fate;
    }
    std::uint32_t lost(TimePoint now) {
        std::uint32_t count = 0;
        table_.expire(now, [&](std::uint32_t packets) { count += packets; });
        return count;
    }

    FragmentTable table_;
    std::vector<Bytes> passed_;
    std::uint32_t dropped_ = 0;

  private:
    void note(Fate fate, const Bytes& bytes, const net::Parsed& parsed) {
        dropped_ += fate == Fate::Drop;
        if (fate != Fate::Pass) return;
        passed_.push_back(bytes);
        EXPECT_EQ(parsed.source_port, 5000);
        EXPECT_EQ(parsed.destination_port, 53);
        EXPECT_EQ(parsed.protocol, net::kProtocolUdp);
    }
};
INSTANTIATE_TEST_SUITE_P(Family, Fragments, ::testing::Bool(),
                         [](const auto& family) { return family.param ? "IPv6" : "IPv4"; });

TEST_P(Fragments, FollowTheFirstAndItsPorts) {
    const auto pieces = datagram(4000);
    ASSERT_EQ(pieces.size(), 3U);
    for (const Bytes& piece : pieces)
        EXPECT_EQ(place(piece), Fate::Pass);
    EXPECT_EQ(table_.size(), 0U);  // complete: nothing is kept
}

TEST_P(Fragments, WaitForTheFirstInEveryOrder) {
    auto pieces = datagram(5000);
    ASSERT_EQ(pieces.size(), 4U);
    std::ranges::sort(pieces);
    std::uint32_t orders = 0;
    do {
        passed_.clear();
        for (const Bytes& piece : pieces)
            EXPECT_NE(place(piece), Fate::Drop);
        EXPECT_THAT(passed_, ::testing::UnorderedElementsAreArray(pieces));
        EXPECT_EQ(table_.size(), 0U);
        ++orders;
    } while (std::ranges::next_permutation(pieces).found);
    EXPECT_EQ(orders, 24U);
}

TEST_P(Fragments, KeepTheirTagWhileTheyWait) {
    const auto pieces = datagram(2000);
    EXPECT_EQ(place(pieces[1], kNow, 77), Fate::Hold);
    EXPECT_EQ(place(pieces[0], kNow, 77), Fate::Pass);
    EXPECT_EQ(passed_.size(), 2U);
}

TEST_P(Fragments, OfDifferentPacketsDoNotMix) {
    const auto one = datagram(2000, 1), other = datagram(2000, 2);
    EXPECT_EQ(place(one[0]), Fate::Pass);
    EXPECT_EQ(place(other[1]), Fate::Hold);
    Fragment back(one[1]);
    EXPECT_EQ(table_.place(back.packet.packet(), back.parsed, Direction::Inbound, 0, kNow), Fate::Hold);
}

TEST_P(Fragments, AreForgottenAfterFifteenSeconds) {
    const auto pieces = datagram(2000);
    EXPECT_EQ(place(pieces[1]), Fate::Hold);
    EXPECT_EQ(lost(kNow + 14s), 0U);
    EXPECT_EQ(table_.size(), 1U);
    EXPECT_EQ(lost(kNow + 15s), 1U);
    EXPECT_EQ(table_.size(), 0U);
    EXPECT_EQ(lost(kNow + 15s), 0U);
}

TEST_P(Fragments, DoNotJoinWhatIsOverAgeBeforeItIsSwept) {
    const auto pieces = datagram(2000);
    EXPECT_EQ(place(pieces[0]), Fate::Pass);
    EXPECT_EQ(place(pieces[1], kNow + 15s), Fate::Hold);
}

TEST_P(Fragments, WaitInBoundedNumbers) {
    const auto pieces = datagram(20'000, 7, 1000);
    std::uint32_t held = 0;
    for (std::size_t i = 1; i < pieces.size(); ++i)
        held += place(pieces[i]) == Fate::Hold;
    EXPECT_EQ(held, FragmentTable::kWaitingPerQueue);
    EXPECT_EQ(place(pieces[0]), Fate::Pass);
    EXPECT_EQ(passed_.size(), held + 1);
}

TEST_P(Fragments, AreBoundedForOneSourceWhoseOldestGoesFirst) {
    for (std::uint32_t id = 0; id < 100'000; ++id)
        place(datagram(1500, id)[1]);
    EXPECT_EQ(lost(kNow), 100'000U - FragmentTable::kPerSource);
    EXPECT_EQ(table_.size(), FragmentTable::kPerSource);
    EXPECT_EQ(place(datagram(1500, 99'999)[0]), Fate::Pass);
    EXPECT_EQ(passed_.size(), 2U);
    EXPECT_EQ(place(datagram(1500, 0)[0]), Fate::Pass);  // its second piece is long gone
    EXPECT_EQ(passed_.size(), 3U);
}

TEST_P(Fragments, OfOthersPassDuringAFlood) {
    std::uint32_t good = 0;
    for (std::uint32_t round = 0; round < 1000; ++round) {
        for (std::uint32_t id = 0; id < 100; ++id)
            place(datagram(1500, round * 100 + id)[1]);
        PacketBuilder builder;
        GetParam() ? builder.ipv6("fc00::9", "fc00::1:5") : builder.ipv4("10.18.0.9", "10.19.0.5");
        const auto pieces = weft::test::fragments(builder.id(round).udp(5000, 53).payload(4000).build(), 1400, round);
        passed_.clear();
        place(pieces[1]);
        place(pieces[0]);
        place(pieces[2]);
        good += passed_.size() == 3;
    }
    EXPECT_GE(good, 950U);
}

TEST_P(Fragments, AreBoundedForAllSourcesTogether) {
    for (std::uint32_t n = 0; n < 3000; ++n) {
        PacketBuilder builder;
        const auto source =
            GetParam() ? net::IpAddress::parse("fc00::1:0").value() : net::IpAddress::parse("10.18.0.0").value();
        builder.ip(source.plus(n + 1),
                   GetParam() ? net::IpAddress::parse("fc00::5").value() : net::IpAddress::v4(0x0A130005));
        place(weft::test::fragments(builder.id(1).udp(5000, 53).payload(2000).build(), 1400, 1)[0]);
    }
    EXPECT_EQ(table_.size(), FragmentTable::kQueues);
}

TEST_P(Fragments, ThatOverlapByASingleByteAreDropped) {
    const auto whole = datagram(4000, 7, 1400), shifted = datagram(4000, 7, 1392);
    EXPECT_EQ(place(whole[0]), Fate::Pass);
    EXPECT_EQ(place(shifted[1]), Fate::Drop);  // begins 8 bytes too early
    // IPv6 gives up the packet, IPv4 the piece.
    EXPECT_EQ(place(whole[1]), GetParam() ? Fate::Drop : Fate::Pass);
    EXPECT_EQ(place(whole[2]), GetParam() ? Fate::Drop : Fate::Pass);
}

TEST_P(Fragments, ThatComeTwiceAreDropped) {
    const auto pieces = datagram(4000);
    place(pieces[0]);
    place(pieces[1]);
    EXPECT_EQ(place(pieces[1]), Fate::Drop);
    EXPECT_EQ(place(pieces[0]), Fate::Drop);
}

TEST_P(Fragments, BeyondTheLastAreDropped) {
    const auto small = datagram(2000), large = datagram(6000);
    for (const bool last_first : {true, false}) {
        FragmentTable table;
        const auto put = [&](const Bytes& bytes) {
            Fragment fragment(bytes);
            return table.place(fragment.packet.packet(), fragment.parsed, Direction::Outbound, 0, kNow);
        };
        EXPECT_EQ(put(large[0]), Fate::Pass);
        if (last_first) {
            EXPECT_EQ(put(large[4]), Fate::Pass);
            EXPECT_EQ(put(small[1]), Fate::Drop);  // a second last one
        } else {
            EXPECT_EQ(put(large[3]), Fate::Pass);
            EXPECT_EQ(put(small[1]), Fate::Drop);  // an end before what is there
        }
    }
}

// The parser refuses these as well; here it is asked to do without.
TEST(TinyFragments, ThatCouldHideTcpFlagsAreDropped) {
    const auto pieces =
        weft::test::fragments(PacketBuilder().ipv4("10.18.0.2", "10.19.0.5").tcp(1, 2).payload(400).build(), 160);
    for (const auto& [offset, fate] : {std::pair{8U, Fate::Drop}, {16U, Fate::Drop}, {24U, Fate::Hold}}) {
        FragmentTable table;
        Fragment fragment(pieces[1]);
        fragment.parsed.fragment_offset = offset;
        EXPECT_EQ(table.place(fragment.packet.packet(), fragment.parsed, Direction::Outbound, 0, kNow), fate) << offset;
    }
    FragmentTable table;
    Fragment first(pieces[0]);
    first.parsed.total_length = 20U + 16U;
    EXPECT_EQ(table.place(first.packet.packet(), first.parsed, Direction::Outbound, 0, kNow), Fate::Drop);
}

// How many separate pieces there are once [begin, end) is taken too.
std::size_t separate_pieces_with(std::vector<bool> taken, std::size_t begin, std::size_t end) {
    std::fill(taken.begin() + static_cast<std::ptrdiff_t>(begin), taken.begin() + static_cast<std::ptrdiff_t>(end),
              true);
    std::size_t count = taken[0];
    for (std::size_t i = 1; i < taken.size(); ++i)
        count += taken[i] && !taken[i - 1];
    return count;
}

TEST_P(Fragments, InMoreThanSixteenSeparatePiecesAreGivenUp) {
    const auto pieces = datagram(8000, 7, 80);
    std::uint32_t passed = 0;
    for (std::size_t i = 0; i < 40; i += 2)
        passed += place(pieces[i]) == Fate::Pass;
    EXPECT_EQ(passed, 16U);
}

// Against the naive way: keep every byte's owner, let a fragment through if all its bytes are new.
TEST_P(Fragments, AgreeWithANaiveModel) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    for (std::uint32_t round = 0; round < 500; ++round) {
        FragmentTable table;
        std::vector<bool> taken(4096);
        std::size_t end = 0, highest = 0;  // end: once the last was there
        bool has_first = false, poisoned = false, done = false;
        for (int step = 0; step < 30 && !done; ++step) {
            const std::size_t size = std::uniform_int_distribution<std::size_t>(200, 3000)(random);
            const auto pieces = datagram(size, 7, 8 * std::uniform_int_distribution<std::size_t>(2, 60)(random));
            if (pieces.size() < 2) continue;
            const auto which = has_first ? std::uniform_int_distribution<std::size_t>(0, pieces.size() - 1)(random) : 0;
            Fragment fragment(pieces[which]);
            const net::Parsed& p = fragment.parsed;
            const std::size_t begin = p.fragment_offset;
            const std::size_t stop = begin + p.total_length - (p.is_v4() ? p.l4_offset : p.fragment_header + 8U);
            bool fits =
                !poisoned && (end == 0 || (stop <= end && p.more_fragments)) && (p.more_fragments || highest <= stop);
            for (std::size_t i = begin; i < stop; ++i)
                fits = fits && !taken[i];
            fits = fits && separate_pieces_with(taken, begin, stop) <= 16;

            const Fate fate = table.place(fragment.packet.packet(), fragment.parsed, Direction::Outbound, 0, kNow);
            ASSERT_EQ(fate, fits ? Fate::Pass : Fate::Drop) << "round " << round << " step " << step;
            if (!fits) {
                poisoned = poisoned || GetParam();
                continue;
            }
            has_first = true;
            highest = std::max(highest, stop);
            if (!p.more_fragments) end = stop;
            std::fill(taken.begin() + static_cast<std::ptrdiff_t>(begin),
                      taken.begin() + static_cast<std::ptrdiff_t>(stop), true);
            done = end != 0 && std::count(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(end), true) ==
                                   static_cast<std::ptrdiff_t>(end);
        }
    }
}

}  // namespace
}  // namespace weft::overlay::test
