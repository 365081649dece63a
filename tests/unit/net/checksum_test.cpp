// SPDX-License-Identifier: Apache-2.0
#include "dataplane/net/checksum.hpp"

#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace weft::net {
namespace {

// RFC 1071 by the letter: 16-bit words, one at a time. Returns what `fold(sum())` must, in packet order.
std::uint16_t naive_sum(std::span<const std::byte> bytes, std::uint16_t initial_raw = 0) {
    std::uint32_t total = initial_raw;
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        std::byte pair[2]{bytes[i], i + 1 < bytes.size() ? bytes[i + 1] : std::byte{0}};
        std::uint16_t word = 0;
        std::memcpy(&word, pair, 2);
        total += word;
        total = (total & 0xFFFF) + (total >> 16);
    }
    return static_cast<std::uint16_t>(total);
}

std::uint16_t inverted(std::uint16_t value) {
    return static_cast<std::uint16_t>(~value);
}

class Checksum : public testing::Test {
  protected:
    void SetUp() override {
        const auto seed = std::random_device{}();
        RecordProperty("seed", static_cast<int>(seed));
        trace_.emplace(__FILE__, __LINE__, "seed " + std::to_string(seed));
        random_.seed(seed);
    }
    std::vector<std::byte> random_bytes(std::size_t size) {
        std::vector<std::byte> bytes(size);
        // Rows of ones and zeros are where carries go wrong.
        const auto kind = random_() % 4;
        for (auto& byte : bytes)
            byte = kind == 0 ? std::byte{0xFF} : kind == 1 ? std::byte{0} : std::byte(random_() & 0xFF);
        return bytes;
    }
    std::size_t below(std::size_t bound) { return random_() % bound; }
    std::uint16_t random16() { return static_cast<std::uint16_t>(random_()); }

    std::mt19937_64 random_;
    std::optional<testing::ScopedTrace> trace_;
};

TEST_F(Checksum, OfTheExampleInRfc1071) {
    const std::vector<std::byte> bytes{std::byte{0x00}, std::byte{0x01}, std::byte{0xF2}, std::byte{0x03},
                                       std::byte{0xF4}, std::byte{0xF5}, std::byte{0xF6}, std::byte{0xF7}};
    const std::uint16_t raw = fold(sum(bytes));
    std::uint8_t in_packet[2];
    std::memcpy(in_packet, &raw, 2);
    EXPECT_EQ(in_packet[0], 0xDD);
    EXPECT_EQ(in_packet[1], 0xF2);
}

TEST_F(Checksum, EqualsTheNaiveSumAtEverySizeAndAlignment) {
    for (std::size_t size = 0; size <= 200; ++size) {
        for (std::size_t shift = 0; shift < 9; ++shift) {
            auto bytes = random_bytes(size + shift);
            const std::vector<std::byte> exact(bytes.begin() + static_cast<std::ptrdiff_t>(shift), bytes.end());
            const std::span<const std::byte> shifted = std::span(bytes).subspan(shift);
            ASSERT_EQ(fold(sum(shifted)), naive_sum(shifted)) << "size " << size << " shift " << shift;
            ASSERT_EQ(fold(sum(exact)), naive_sum(exact)) << "size " << size;
        }
    }
}

TEST_F(Checksum, OfSixtyFourKilobytesOfOnesKeepsEveryCarry) {
    const std::vector<std::byte> ones(65536, std::byte{0xFF});
    EXPECT_EQ(fold(sum(ones)), 0xFFFF);
    EXPECT_EQ(fold(sum(ones, ~std::uint64_t{0})), 0xFFFF);
    EXPECT_EQ(fold(sum(ones, sum(ones, sum(ones)))), 0xFFFF);
    std::vector<std::byte> one_more = ones;
    one_more[1] = std::byte{0};
    EXPECT_EQ(fold(sum(one_more)), naive_sum(one_more));
}

TEST_F(Checksum, GoesOnOverEvenSlices) {
    for (int round = 0; round < 2000; ++round) {
        const auto bytes = random_bytes(1 + below(3000));
        const std::size_t first = below(bytes.size()) & ~std::size_t{1};
        const std::size_t second = first + (below(bytes.size() - first) & ~std::size_t{1});
        const std::span<const std::byte> all = bytes;
        std::uint64_t running = sum(all.first(first));
        running = sum(all.subspan(first, second - first), running);
        running = sum(all.subspan(second), running);
        ASSERT_EQ(fold(running), naive_sum(all)) << "cut at " << first << " and " << second << " of " << bytes.size();
    }
}

TEST_F(Checksum, OfThePseudoHeaderIsTheSumOfItsBytes) {
    for (const bool v4 : {true, false}) {
        const auto addresses = random_bytes(32);
        const auto source = v4 ? IpAddress::v4_from(addresses.data()) : IpAddress::v6_from(addresses.data());
        const auto destination =
            v4 ? IpAddress::v4_from(addresses.data() + 16) : IpAddress::v6_from(addresses.data() + 16);
        std::vector<std::byte> written;
        for (const auto& address : {source, destination}) {
            for (std::size_t i = 0; i < address.size(); ++i)
                written.push_back(std::byte{address.data()[i]});
        }
        const std::uint32_t length = v4 ? 0xABCD : 0x1ABCD;
        for (const int shift : {24, 16, 8, 0})
            written.push_back(std::byte(length >> shift & 0xFF));
        for (const int value : {0, 0, 0, 17})
            written.push_back(std::byte(value));
        EXPECT_EQ(fold(pseudo_header_sum(source, destination, 17, length)), naive_sum(written));
    }
}

// Finished sums, RFC 1624: change words anywhere, compare with summing anew.
TEST_F(Checksum, AdjustedEqualsRecomputed) {
    for (int round = 0; round < 200000; ++round) {
        std::vector<std::byte> bytes = random_bytes(2 + 2 * below(40));
        bytes[0] = std::byte{0x45};  // as in every real packet, some word is not zero
        const std::uint16_t before = inverted(naive_sum(bytes));

        std::vector<std::byte> changed = bytes;
        const std::size_t at = 2 * below(bytes.size() / 2);
        const std::size_t size = 2 + 2 * below((bytes.size() - at) / 2);
        const auto patch = random_bytes(size);
        std::memcpy(changed.data() + at, patch.data(), size);
        changed[0] = std::byte{0x45};

        const std::uint16_t change = delta(std::span(bytes).subspan(at, size), std::span(changed).subspan(at, size));
        ASSERT_EQ(adjust_full(before, change), inverted(naive_sum(changed))) << "round " << round;
    }
}

TEST_F(Checksum, AdjustedPartialSumStaysThePseudoHeaderSum) {
    for (int round = 0; round < 100000; ++round) {
        const auto old_bytes = random_bytes(32), new_bytes = random_bytes(32);
        const auto old_source = IpAddress::v4_from(old_bytes.data()), new_source = IpAddress::v4_from(new_bytes.data());
        const auto to = IpAddress::v6_from(old_bytes.data() + 16);
        const std::uint16_t change =
            delta(std::as_bytes(std::span(old_source.data(), 4)), std::as_bytes(std::span(new_source.data(), 4)));
        const std::uint16_t before = fold(pseudo_header_sum(old_source, to, 6, 1400));
        ASSERT_EQ(adjust_partial(before, change), fold(pseudo_header_sum(new_source, to, 6, 1400)))
            << "round " << round;
    }
}

TEST_F(Checksum, DeltasCombineAndUndoEachOther) {
    for (int round = 0; round < 100000; ++round) {
        const std::uint16_t a = random16(), b = random16(), c = random16(), d = random16();
        const std::uint16_t both = combine(delta16(a, b), delta16(c, d));
        const std::uint16_t checksum = random16();
        ASSERT_EQ(adjust_full(checksum, both), adjust_full(adjust_full(checksum, delta16(a, b)), delta16(c, d)));
        if (checksum == 0xFFFF) continue;  // the other zero: comes back as 0
        ASSERT_EQ(adjust_full(adjust_full(checksum, delta16(a, b)), delta16(b, a)), checksum);
    }
}

// The case that RFC 1141's formula got wrong and RFC 1624 section 4 works out.
TEST_F(Checksum, OfTheExampleInRfc1624) {
    EXPECT_EQ(adjust_full(0xDD2F, delta16(0x5555, 0x3285)), 0x0000);
}

}  // namespace
}  // namespace weft::net
