// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/platform/network.hpp"

// These tests need a kernel that lets them make network namespaces and TUN devices, so root; 77 says "skipped".

namespace {

std::optional<weft::Eal> g_eal;

// The program's own network and mount namespaces: whatever a test does, the host does not see it.
bool leave_the_host() {
    return unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

}  // namespace

weft::Eal& weft::test::eal() {
    return *g_eal;
}

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) != 0 || !leave_the_host()) {
        std::fprintf(stderr, "skipped: needs root, namespaces and /dev/net/tun\n");
        return 77;
    }
    std::string directory = std::filesystem::temp_directory_path() / "weft-platform-XXXXXX";
    if (mkdtemp(directory.data()) == nullptr) return 1;
    auto started =
        weft::Eal::start({.run_dir = directory, .memory_mb = 64, .packet_buffers = 256, .jumbo_buffers = 384});
    int result = 1;
    if (started) {
        g_eal.emplace(std::move(*started));
        result = RUN_ALL_TESTS();
        g_eal.reset();
    } else {
        std::fprintf(stderr, "%s\n", started.error().text().c_str());
    }
    std::filesystem::remove_all(directory);
    return result;
}
