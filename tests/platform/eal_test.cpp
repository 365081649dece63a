// SPDX-License-Identifier: Apache-2.0
#include "dataplane/eal.hpp"

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include "tests/platform/network.hpp"

namespace weft {
namespace {

long figure_of(const std::string& path, const std::string& name) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(name + ":")) return std::stol(line.substr(name.size() + 1));
    return -1;
}

TEST(EalTest, StaysSmall) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer's shadow counts as resident";
#endif
    // The whole of weftd may take 64 MiB; buffers are resident only as far as they are touched.
    EXPECT_LT(figure_of("/proc/self/status", "VmRSS"), 45 * 1024);
}

TEST(EalTest, LeavesTheCallingThreadOnAllItsCpus) {
    // EAL would pin it to one; the tests of a machine with one CPU cannot tell.
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "one CPU";
    cpu_set_t here;
    cpu_set_t parent;
    ASSERT_EQ(sched_getaffinity(0, sizeof here, &here), 0);
    ASSERT_EQ(sched_getaffinity(getppid(), sizeof parent, &parent), 0);
    EXPECT_EQ(CPU_COUNT(&here), CPU_COUNT(&parent));
}

TEST(EalTest, BuffersHaveTheirRoomAndHeadroomToThemselves) {
    std::vector<Buffer> buffers;
    for (int i = 0; i < 8; ++i) {
        auto packet = test::eal().take_packet();
        auto jumbo = test::eal().take_jumbo();
        ASSERT_TRUE(packet.has_value() && jumbo.has_value());
        EXPECT_EQ(packet->size(), Eal::kPacketRoom);
        EXPECT_EQ(jumbo->size(), Eal::kJumboRoom);
        EXPECT_EQ(packet->headroom(), Eal::kHeadroom);
        EXPECT_EQ(jumbo->headroom(), Eal::kHeadroom);
        buffers.push_back(std::move(*packet));
        buffers.push_back(std::move(*jumbo));
    }
    const auto fill_of = [](std::size_t i) { return static_cast<int>(i + 1); };
    for (std::size_t i = 0; i < buffers.size(); ++i)
        std::memset(buffers[i].data() - buffers[i].headroom(), fill_of(i), buffers[i].headroom() + buffers[i].size());
    for (std::size_t i = 0; i < buffers.size(); ++i) {
        EXPECT_EQ(std::to_integer<int>(*(buffers[i].data() - buffers[i].headroom())), fill_of(i));
        EXPECT_EQ(std::to_integer<int>(buffers[i].data()[buffers[i].size() - 1]), fill_of(i));
    }
}

TEST(EalTest, AnEmptyPoolIsAnErrorAndARefilledOneIsNot) {
    std::vector<Buffer> all;
    for (;;) {
        auto buffer = test::eal().take_jumbo();
        if (!buffer) {
            EXPECT_EQ(buffer.error().code(), ErrorCode::Exhausted);
            EXPECT_NE(buffer.error().text().find("jumbo"), std::string::npos);
            break;
        }
        all.push_back(std::move(*buffer));
        ASSERT_LT(all.size(), 100'000U);
    }
    EXPECT_FALSE(all.empty());
    all.clear();
    EXPECT_TRUE(test::eal().take_jumbo().has_value());
}

TEST(EalTest, AThreadMayRegisterMoreThanOnce) {
    std::thread([] {
        const EalThread outer;
        const EalThread inner;
    }).join();
    std::thread([] { const EalThread again; }).join();
}

}  // namespace
}  // namespace weft
