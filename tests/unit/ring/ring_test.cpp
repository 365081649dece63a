// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ring.hpp"

#include <array>
#include <cstdint>
#include <thread>

#include <gtest/gtest.h>

namespace weft {
namespace {

struct Small {
    std::uint32_t value;
};
struct Wide {
    std::array<std::uint32_t, 9> words;
};

template <class T>
class RingOf : public testing::Test {};
struct Word {
    using Element = std::uint32_t;
    static Element make(std::uint32_t n) { return n; }
    static std::uint32_t number(Element e) { return e; }
};
struct Eight {
    using Element = std::uint64_t;
    static Element make(std::uint32_t n) { return std::uint64_t{n} << 32 | n; }
    static std::uint32_t number(Element e) { return e >> 32 == (e & 0xFFFFFFFF) ? static_cast<std::uint32_t>(e) : ~0U; }
};
struct Sixteen {
    using Element = std::array<std::uint32_t, 4>;
    static Element make(std::uint32_t n) { return {n, n, n, n}; }
    static std::uint32_t number(Element e) { return e == make(e[0]) ? e[0] : ~0U; }
};
struct Odd {
    using Element = Wide;
    static Element make(std::uint32_t n) {
        Wide wide{};
        wide.words.fill(n);
        return wide;
    }
    static std::uint32_t number(Element e) { return e.words == make(e.words[0]).words ? e.words[0] : ~0U; }
};
using Elements = testing::Types<Word, Eight, Sixteen, Odd>;
TYPED_TEST_SUITE(RingOf, Elements);

TYPED_TEST(RingOf, GivesBackWhatWasPushedInOrder) {
    Ring<typename TypeParam::Element> ring(4);
    for (std::uint32_t round = 0; round < 10; ++round) {  // around the end of its memory more than once
        for (std::uint32_t i = 0; i < 3; ++i)
            ASSERT_TRUE(ring.push(TypeParam::make(round * 3 + i)));
        for (std::uint32_t i = 0; i < 3; ++i) {
            const auto element = ring.pop();
            ASSERT_TRUE(element.has_value());
            EXPECT_EQ(TypeParam::number(*element), round * 3 + i);
        }
        EXPECT_FALSE(ring.pop().has_value());
    }
}

TYPED_TEST(RingOf, CarriesEveryElementFromOneThreadToAnother) {
    constexpr std::uint32_t kElements = 20'000;
    Ring<typename TypeParam::Element> ring(64);
    std::thread producer([&ring] {
        for (std::uint32_t i = 0; i < kElements;) {
            if (ring.push(TypeParam::make(i))) {
                ++i;
            } else {
                std::this_thread::yield();
            }
        }
    });
    std::uint32_t wrong = 0;
    for (std::uint32_t i = 0; i < kElements;) {
        if (const auto element = ring.pop()) {
            wrong += TypeParam::number(*element) != i;
            ++i;
        } else {
            std::this_thread::yield();
        }
    }
    producer.join();
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(ring.size(), 0U);
}

TEST(Ring, HoldsExactlyItsCapacityAndRefusesMore) {
    for (const unsigned capacity : {1U, 2U, 3U, 4U, 63U, 64U, 100U}) {
        SCOPED_TRACE(capacity);
        Ring<Small> ring(capacity);
        EXPECT_EQ(ring.capacity(), capacity);
        for (unsigned i = 0; i < capacity; ++i)
            EXPECT_TRUE(ring.push({i}));
        EXPECT_FALSE(ring.push({99})) << "it never waits and never overwrites";
        EXPECT_EQ(ring.size(), capacity);
        EXPECT_EQ(ring.pop()->value, 0U);
        EXPECT_TRUE(ring.push({99})) << "one left, one may come";
    }
}

}  // namespace
}  // namespace weft
