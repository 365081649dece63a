// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/keys.hpp"
#include "config/loader.hpp"

namespace weft::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Reload, TellsWhatTakesEffectFromWhatWaitsForARestart) {
    const Config before = load_text("", "before")->config;
    const auto loaded = load_text(
        "tunnel: {port: 4000, mtu: 1400}\nlog: {level: debug}\nflows: {max: 4096}\npeers: [{id: b, address: "
        "192.0.2.1}]\n",
        "after");
    ASSERT_TRUE(loaded) << loaded.error().text();
    const Changes found = changes(before, loaded->config);
    EXPECT_THAT(found.effective, ElementsAre("tunnel.mtu", "peers", "log.level"));
    EXPECT_THAT(found.need_restart, ElementsAre("tunnel.port", "flows.max"));

    const Config running = reloaded(before, loaded->config);
    EXPECT_EQ(running.tunnel.mtu, 1400);
    EXPECT_EQ(running.peers.size(), 1U);
    EXPECT_EQ(running.log.level, LogLevel::Debug);
    EXPECT_EQ(running.tunnel.port, 50103);
    EXPECT_EQ(running.flows.max, 262144U);
}

TEST(Reload, OfTheSameFileChangesNothing) {
    const Config config = load_text("tunnel: {port: 4000}\n", "same")->config;
    EXPECT_THAT(changes(config, config).effective, IsEmpty());
    EXPECT_THAT(changes(config, config).need_restart, IsEmpty());
    EXPECT_EQ(reloaded(config, config), config);
}

// The R column of docs/config.md.
TEST(Reload, KnowsTheDocumentedKeys) {
    for (const char* name :
         {"api.listen", "api.group", "api.token_file", "tunnel.advertise", "tunnel.mtu", "tunnel.security",
          "tunnel.psk_file", "peers", "policies", "mirrors", "metrics.listen", "log.level", "log.format"}) {
        ASSERT_NE(find_key(name), nullptr) << name;
        EXPECT_EQ(find_key(name)->effect, Key::Effect::OnReload) << name;
    }
    for (const char* name :
         {"node.id", "node.subnetwork", "state_dir", "run_dir", "tunnel.address", "tunnel.port", "tun.name",
          "bridge.name", "overlay.service_range", "registry.kind", "docker.socket", "workers", "flows.max"}) {
        ASSERT_NE(find_key(name), nullptr) << name;
        EXPECT_EQ(find_key(name)->effect, Key::Effect::OnRestart) << name;
    }
}

}  // namespace
}  // namespace weft::config
