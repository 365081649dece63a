// SPDX-License-Identifier: Apache-2.0
#include "dataplane/snapshot.hpp"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

// Counts how many of its kind live, and is wrong inside once it is dead.
struct Value {
    explicit Value(int n) : first(n), second(n) { ++alive; }
    ~Value() {
        first = -1;
        second = -2;
        --alive;
    }
    Value(const Value&) = delete;
    Value& operator=(const Value&) = delete;
    int first;
    int second;
    static inline std::atomic<int> alive{0};
};

std::shared_ptr<const Value> value(int n) {
    return std::make_shared<const Value>(n);
}

TEST(Snapshot, AReaderSeesTheNewestValue) {
    SnapshotCell<Value> cell(value(1));
    auto reader = cell.reader(0);
    reader.online();
    EXPECT_EQ(reader.read()->first, 1);
    cell.publish(value(2));
    EXPECT_EQ(reader.read()->first, 2);
    EXPECT_EQ(cell.current()->first, 2);
}

TEST(Snapshot, AReplacedValueLivesUntilItsReaderIsQuiescent) {
    SnapshotCell<Value> cell(value(1));
    auto reader = cell.reader(0);
    reader.online();
    const Value* held = reader.read();
    cell.publish(value(2));
    EXPECT_EQ(cell.reclaim(), 1U);
    EXPECT_EQ(held->first, 1) << "still whole";
    EXPECT_EQ(Value::alive, 2);
    reader.quiescent();
    EXPECT_EQ(cell.reclaim(), 0U);
    EXPECT_EQ(Value::alive, 1);
}

TEST(Snapshot, WaitsForEveryReaderThatIsOnline) {
    SnapshotCell<Value> cell(value(1));
    auto first = cell.reader(0);
    auto second = cell.reader(SnapshotCell<Value>::kMaxReaders - 1);
    first.online();
    second.online();
    cell.publish(value(2));
    first.quiescent();
    EXPECT_EQ(cell.reclaim(), 1U);
    second.quiescent();
    EXPECT_EQ(cell.reclaim(), 0U);
}

TEST(Snapshot, AnOfflineReaderHoldsNothingUp) {
    SnapshotCell<Value> cell(value(1));
    auto reader = cell.reader(0);
    cell.publish(value(2));
    EXPECT_EQ(cell.reclaim(), 0U) << "never online yet";
    reader.online();
    reader.online();
    cell.publish(value(3));
    reader.offline();
    EXPECT_EQ(cell.reclaim(), 0U) << "went offline";
    reader.online();
    EXPECT_EQ(reader.read()->first, 3);
}

TEST(Snapshot, AReaderThatIsGoneHoldsNothingUp) {
    SnapshotCell<Value> cell(value(1));
    {
        auto reader = cell.reader(0);
        reader.online();
        cell.publish(value(2));
    }
    EXPECT_EQ(cell.reclaim(), 0U);
    auto again = cell.reader(0);  // its place is free
    again.online();
    EXPECT_EQ(again.read()->first, 2);
}

TEST(Snapshot, ManyReplacementsAreFreedInOneGo) {
    SnapshotCell<Value> cell(value(0));
    auto reader = cell.reader(0);
    reader.online();
    for (int i = 1; i <= 100; ++i)
        cell.publish(value(i));
    EXPECT_EQ(cell.reclaim(), 100U);
    reader.quiescent();
    EXPECT_EQ(cell.reclaim(), 0U);
    EXPECT_EQ(Value::alive, 1);
}

TEST(Snapshot, ReadersInOtherThreadsNeverSeeADeadOrHalfValue) {
    SnapshotCell<Value> cell(value(0));
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0};
    std::atomic<int> reads{0};
    std::vector<std::thread> threads;
    for (unsigned id = 0; id < 2; ++id) {
        threads.emplace_back([&, reader = cell.reader(id)]() mutable {
            int newest = 0;
            while (!stop) {
                reader.online();
                const Value* seen = reader.read();
                if (seen->first != seen->second || seen->first < newest) ++wrong;
                newest = seen->first;
                if (seen->first != seen->second) ++wrong;
                ++reads;
                if (newest % 2 == 0) {
                    reader.quiescent();
                } else {
                    reader.offline();
                }
            }
            reader.offline();
        });
    }
    for (int i = 1; i <= 2000 || reads < 1000; ++i) {
        cell.publish(value(i));
        cell.reclaim();
        if (i % 16 == 0) std::this_thread::yield();
    }
    stop = true;
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(cell.reclaim(), 0U);
    EXPECT_EQ(Value::alive, 1);
}

}  // namespace
}  // namespace weft
