// SPDX-License-Identifier: Apache-2.0
#include "dataplane/train_queue.hpp"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

const net::Endpoint kAnna = *net::Endpoint::parse("10.0.0.1:1000");
const net::Endpoint kAnnasOtherPort = *net::Endpoint::parse("10.0.0.1:1001");
const net::Endpoint kBert = *net::Endpoint::parse("[fd00::2]:1000");

using Bytes = std::vector<std::byte>;

class TrainQueueTest : public testing::Test {
  protected:
    // A datagram of `size` bytes at a place of its own.
    Slice bytes(std::size_t size) {
        auto& memory = memory_.emplace_back(std::make_unique<Bytes>(size + 1));
        for (std::byte& b : *memory)
            b = static_cast<std::byte>(next_++);
        return {memory->data(), static_cast<std::uint32_t>(size)};
    }
    bool add(const net::Endpoint& to, std::size_t size, std::uint8_t tos = 0) {
        const Slice slice = bytes(size);
        return queue_.add(to, tos, {&slice, 1});
    }
    // "size x count" of each train.
    [[nodiscard]] std::vector<std::string> shape() const {
        std::vector<std::string> lines;
        for (const auto& train : queue_.trains())
            lines.push_back(std::to_string(train.count) + "x" + std::to_string(train.datagram_size) + "=" +
                            std::to_string(train.bytes));
        return lines;
    }
    using Shape = std::vector<std::string>;

    TrainQueue queue_;

  private:
    std::vector<std::unique_ptr<Bytes>> memory_;
    unsigned next_ = 0;
};

TEST_F(TrainQueueTest, EqualDatagramsToOnePeerAreOneTrain) {
    for (int i = 0; i < 44; ++i)
        ASSERT_TRUE(add(kAnna, 1400));
    EXPECT_EQ(shape(), Shape{"44x1400=61600"});
}

TEST_F(TrainQueueTest, ASmallerOneJoinsAndCloses) {
    for (const std::size_t size : {1000, 1000, 300, 300, 1000})
        ASSERT_TRUE(add(kAnna, size));
    EXPECT_EQ(shape(), (Shape{"3x1000=2300", "1x300=300", "1x1000=1000"}));
}

TEST_F(TrainQueueTest, ALargerOneOpensTheNext) {
    for (const std::size_t size : {60, 60, 1000, 1000})
        ASSERT_TRUE(add(kAnna, size));
    EXPECT_EQ(shape(), (Shape{"2x60=120", "2x1000=2000"}));
}

TEST_F(TrainQueueTest, PeersPortsAndTosGoApartAndEachStaysOpen) {
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(add(kAnna, 100));
        ASSERT_TRUE(add(kBert, 100));
        ASSERT_TRUE(add(kAnnasOtherPort, 100));
        ASSERT_TRUE(add(kAnna, 100, 2));
    }
    EXPECT_EQ(shape(), (Shape{"3x100=300", "3x100=300", "3x100=300", "3x100=300"}));
    EXPECT_EQ(queue_.trains()[1].to, kBert);
    EXPECT_EQ(queue_.trains()[3].tos, 2);
}

TEST_F(TrainQueueTest, KeepsToTheLimitsOfOneCall) {
    for (int i = 0; i < 129; ++i)
        ASSERT_TRUE(add(kAnna, 10));
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(add(kBert, 32'753));  // two are 65,506
    EXPECT_EQ(shape(), (Shape{"128x10=1280", "1x10=10", "2x32753=65506", "1x32753=32753"}));
    queue_.clear();
    queue_.limit(1);
    for (int i = 0; i < 3; ++i)
        ASSERT_TRUE(add(kAnna, 10));
    EXPECT_EQ(shape(), (Shape{"1x10=10", "1x10=10", "1x10=10"}));
}

TEST_F(TrainQueueTest, AnEmptyDatagramTravelsAlone) {
    for (const std::size_t size : {100, 0, 0, 100})
        ASSERT_TRUE(add(kAnna, size));
    EXPECT_EQ(shape(), (Shape{"1x100=100", "1x0=0", "1x0=0", "1x100=100"}));
}

TEST_F(TrainQueueTest, SaysWhenItIsFullAndStillLetsOpenTrainsGrow) {
    for (std::uint16_t port = 1; port <= TrainQueue::kMaxTrains; ++port)
        ASSERT_TRUE(add({kAnna.address, port}, 100));
    EXPECT_FALSE(add({kAnna.address, 9999}, 100));
    EXPECT_TRUE(add({kAnna.address, 5}, 100));
    queue_.clear();
    EXPECT_TRUE(add({kAnna.address, 9999}, 100));
    EXPECT_EQ(shape(), Shape{"1x100=100"});
}

TEST_F(TrainQueueTest, NeighboursInMemoryBecomeOnePart) {
    const Slice slab = bytes(3000);
    for (std::uint32_t i = 0; i < 3; ++i) {
        const Slice half[] = {{slab.data + i * 1000, 400}, {slab.data + i * 1000 + 400, 600}};
        ASSERT_TRUE(queue_.add(kAnna, 0, half));
    }
    ASSERT_EQ(queue_.trains().size(), 1U);
    EXPECT_EQ(queue_.trains()[0].part_count, 1U);
    EXPECT_EQ(queue_.trains()[0].count, 3U);
}

TEST_F(TrainQueueTest, ATrainOfManyScatteredSlicesClosesBeforeItsPartsRunOut) {
    for (int i = 0; i < 30; ++i) {
        std::vector<Slice> datagram;
        for (int k = 0; k < 65; ++k)
            datagram.push_back(bytes(3));
        ASSERT_TRUE(queue_.add(kAnna, 0, datagram));
    }
    EXPECT_EQ(queue_.trains().size(), 6U);
    for (const auto& train : queue_.trains())
        EXPECT_EQ(train.count, 5U);
}

TEST_F(TrainQueueTest, GathersAnyRangeOfDatagramsByteByByte) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Bytes all;
    for (std::uint32_t i = 0; i < 20; ++i) {
        std::uint32_t left = i == 19 ? 37 : 100;  // the last is shorter
        std::vector<Slice> datagram;
        while (left > 0) {
            const std::uint32_t size = std::min(left, 1 + static_cast<std::uint32_t>(random() % 60));
            datagram.push_back(bytes(size));
            all.insert(all.end(), datagram.back().data, datagram.back().data + size);
            left -= size;
        }
        ASSERT_TRUE(queue_.add(kAnna, 0, datagram));
    }
    ASSERT_EQ(queue_.trains().size(), 1U);
    const OutgoingTrain& train = queue_.trains()[0];
    for (std::uint32_t first = 0; first < 20; ++first) {
        for (std::uint32_t count = 1; first + count <= 20; ++count) {
            std::array<iovec, OutgoingTrain::kMaxParts> parts;
            const std::size_t used = train.gather(first, count, parts);
            Bytes got;
            for (std::size_t i = 0; i < used; ++i) {
                const auto* begin = static_cast<std::byte*>(parts[i].iov_base);
                got.insert(got.end(), begin, begin + parts[i].iov_len);
            }
            const auto begin = all.begin() + first * 100;
            const auto end = first + count == 20 ? all.end() : begin + count * 100;
            ASSERT_EQ(got, Bytes(begin, end)) << first << " + " << count;
            ASSERT_EQ(train.bytes_of(first, count), got.size());
        }
    }
}

}  // namespace
}  // namespace weft
