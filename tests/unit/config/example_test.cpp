// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "config/keys.hpp"
#include "config/loader.hpp"

namespace weft::config {
namespace {

constexpr const char* kExample = WEFT_SOURCE_ROOT "/config/example.yaml";

TEST(Example, IsExactlyTheDefaults) {
    const auto loaded = load(kExample);
    ASSERT_TRUE(loaded) << loaded.error().text();
    Config defaults;
    resolve(defaults);
    for (const auto& key : keys())
        EXPECT_EQ(key.write(loaded->config), key.write(defaults)) << key.name;
    EXPECT_EQ(loaded->config, defaults);
}

TEST(Example, NamesEveryKey) {
    const auto loaded = load(kExample);
    ASSERT_TRUE(loaded) << loaded.error().text();
    for (const auto& key : keys())
        EXPECT_TRUE(loaded->origins.contains(std::string(key.name))) << key.name;
}

TEST(Defaults, AreAnEmptyFile) {
    const auto loaded = load_text("", "empty.yaml");
    ASSERT_TRUE(loaded) << loaded.error().text();
    Config defaults;
    resolve(defaults);
    EXPECT_EQ(loaded->config, defaults);
    EXPECT_TRUE(loaded->origins.empty());
    EXPECT_EQ(defaults.api.listen.front().to_string(), "unix:/run/weft/weftd.sock");
    EXPECT_FALSE(defaults.node.id.empty());
}

TEST(Print, LoadsBackAsTheSameConfiguration) {
    const auto loaded = load_text(
        "node: {id: a, subnetwork: 10.18.0.64, subnetwork_v6: 'fc00::100/120'}\n"
        "run_dir: /run/weft-a\n"
        "tunnel: {address: 'fd12::1', advertise: '[fd12::2]:4000', mtu: 1400}\n"
        "peers:\n"
        "  - {id: b, address: 192.168.77.12, subnets: [10.18.0.128/26, 'fc00::200/120'], security: bare}\n"
        "  - {id: c, address: 'fd12::3', port: 4000}\n"
        "dpdk: {args: ['--log-level=8', \"a \\\"quoted\\\" one\"]}\n",
        "a.yaml");
    ASSERT_TRUE(loaded) << loaded.error().text();
    const std::string text = print(*loaded);
    const auto again = load_text(text, "printed.yaml");
    ASSERT_TRUE(again) << again.error().text() << "\n" << text;
    EXPECT_EQ(again->config, loaded->config) << text;
    EXPECT_NE(text.find("  mtu: 1400  # a.yaml:3\n"), std::string::npos) << text;
    EXPECT_NE(text.find("  port: 50103  # default\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace weft::config
