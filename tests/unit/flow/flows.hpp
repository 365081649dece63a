// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "dataplane/net/parse.hpp"
#include "overlay/flow_table.hpp"

namespace weft::overlay::test {

using namespace std::chrono_literals;

inline TimePoint at(std::chrono::nanoseconds since_boot) {
    return TimePoint(since_boot);
}
constexpr auto kStart = 1h;

inline net::IpAddress ip(const std::string& text) {
    return net::IpAddress::parse(text).value();
}

// Connection `n`: a client that reaches a service IP, rewritten to an instance, and its answers. Distinct n, distinct
// keys on both sides.
struct Connection {
    Flow opener, answer;
};
inline Connection connection(std::uint32_t n, std::uint8_t protocol = net::kProtocolTcp, bool v6 = false) {
    const auto client = v6 ? ip("fc00::2").plus(n >> 14) : net::IpAddress::v4(0x0A120002U + (n >> 14));
    const auto face = v6 ? ip("fdff:1::2").plus(n >> 14) : net::IpAddress::v4(0x0A1E0002U + (n >> 14));
    const auto service = v6 ? ip("fdff::1:1") : ip("10.30.255.1");
    const auto server = v6 ? ip("fc00::1:5") : ip("10.19.0.5");
    const auto port = static_cast<std::uint16_t>(1024 + (n & 0x3FFF));
    Connection c;
    c.opener.key = {client, service, port, 80, protocol, Direction::Outbound};
    c.opener.rewrite = {face, server, port, 8080};
    c.opener.next_hop = 3;
    c.opener.instance = {.slot = 17, .generation = 5};
    c.opener.role = Role::Opener;
    c.answer.key = {server, face, 8080, port, protocol, Direction::Inbound};
    c.answer.rewrite = {service, client, 80, port};
    c.answer.next_hop = 3;
    c.answer.instance = c.opener.instance;
    c.answer.role = Role::Answer;
    return c;
}

inline FlowTable::Options options(std::uint32_t capacity, std::filesystem::path file = {}) {
    return {.file = std::move(file), .capacity = capacity, .node_id = "node-a", .boot_id = "boot-1"};
}

inline std::unique_ptr<FlowTable> open_table(const FlowTable::Options& how, TimePoint now = at(kStart)) {
    auto table = FlowTable::open(how, now);
    EXPECT_TRUE(table.has_value()) << (table ? "" : table.error().text());
    return table ? std::move(*table) : nullptr;
}

inline FlowHandle add(FlowTable& table, const Connection& c, TimePoint now = at(kStart)) {
    const auto handle = table.insert(c.opener, c.answer, now);
    EXPECT_TRUE(handle.has_value());
    return handle.value_or(kNoFlow);
}

// A directory of its own for each test, gone afterwards.
class FlowFileTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "weft-flow-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
        file_ = directory_ / "flows";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    std::filesystem::path directory_, file_;
};

}  // namespace weft::overlay::test
