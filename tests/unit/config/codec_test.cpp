// SPDX-License-Identifier: Apache-2.0
#include "config/codec.hpp"

#include <array>

#include <gtest/gtest.h>

#include "config/nearest.hpp"
#include "config/subnet.hpp"

namespace weft::config {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsANumberWithItsUnit) {
    EXPECT_EQ(parse_duration("250ms"), 250ms);
    EXPECT_EQ(parse_duration("10s"), 10s);
    EXPECT_EQ(parse_duration("2m"), 2min);
    EXPECT_EQ(parse_duration("1h"), 1h);
    EXPECT_EQ(parse_duration("7d"), 168h);
    EXPECT_EQ(parse_duration("0s"), 0s);
    for (const char* text :
         {"", "10", "s", "-1s", "1.5s", "10 s", "10S", "1h30m", "99999999999999999999s", "9223372036854775807d"}) {
        EXPECT_FALSE(parse_duration(text)) << text;
    }
}

TEST(Duration, IsWrittenInTheLargestUnitThatFits) {
    for (const char* text : {"1ms", "1500ms", "10s", "90s", "2m", "3h", "7d"})
        EXPECT_EQ(to_string(*parse_duration(text)), text);
    EXPECT_EQ(to_string(120s), "2m");
}

TEST(Size, ReadsBytesAndBinaryUnits) {
    EXPECT_EQ(parse_size("4096"), 4096U);
    EXPECT_EQ(parse_size("64KiB"), 65536U);
    EXPECT_EQ(parse_size("2GiB"), 2147483648U);
    for (const char* text : {"", "KiB", "1KB", "1 KiB", "-1", "99999999999GiB"})
        EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Listener, IsAUnixPathOrATcpAddress) {
    EXPECT_EQ(parse_listener("unix:/run/x.sock")->path, "/run/x.sock");
    EXPECT_EQ(parse_listener("tcp:127.0.0.1:10010")->tcp.to_string(), "127.0.0.1:10010");
    EXPECT_EQ(parse_listener("tcp:[::1]:80")->to_string(), "tcp:[::1]:80");
    for (const char* text : {"", "unix:", "unix:x.sock", "unix:/run/", "/run/x.sock", "tcp:127.0.0.1",
                             "tcp:127.0.0.1:0", "tcp:localhost:80", "udp:127.0.0.1:80", "tcp:::1:80"}) {
        EXPECT_FALSE(parse_listener(text)) << text;
    }
}

TEST(Shown, MakesRawInputFitForAMessage) {
    EXPECT_EQ(shown("plain"), "plain");
    EXPECT_EQ(shown("a\nb\x1b[31m"), "a\\x0ab\\x1b[31m");
    EXPECT_EQ(shown("\xe2\x80\xae"), "\\xe2\\x80\\xae");
    EXPECT_EQ(shown(std::string(100, 'x')), std::string(64, 'x') + "...");
}

TEST(Nearest, FindsWhatWasMeantAndNothingElse) {
    constexpr std::array<std::string_view, 4> kNames = {"listen", "group", "token_file", "advertise"};
    EXPECT_EQ(nearest("lisen", kNames), "listen");
    EXPECT_EQ(nearest("listne", kNames), "listen");
    EXPECT_EQ(nearest("Group", kNames), "group");
    EXPECT_EQ(nearest("tokenfile", kNames), "token_file");
    EXPECT_EQ(nearest("colour", kNames), "");
    EXPECT_EQ(nearest("", kNames), "");
    EXPECT_EQ(nearest(std::string(100, 'l'), kNames), "");
}

struct SubnetCase {
    const char* text;
    const char* result;  // the prefix, or a part of the refusal
};

class NodeSubnet : public testing::TestWithParam<SubnetCase> {};

TEST_P(NodeSubnet, IsReadOrRefusedWithTheReason) {
    const auto subnet = parse_node_subnet(GetParam().text, 26);
    const std::string told = subnet ? subnet->to_string() : subnet.error();
    EXPECT_NE(told.find(GetParam().result), std::string::npos) << told;
    EXPECT_EQ(subnet.has_value(), std::string_view(GetParam().result).contains('/')) << told;
}

INSTANTIATE_TEST_SUITE_P(
    Table, NodeSubnet,
    testing::Values(SubnetCase{"10.18.0.0", "10.18.0.0/26"}, SubnetCase{"10.18.0.64", "10.18.0.64/26"},
                    SubnetCase{"10.18.0.0/16", "10.18.0.0/16"}, SubnetCase{"172.18.0.0/29", "172.18.0.0/29"},
                    SubnetCase{"192.168.3.0/24", "192.168.3.0/24"}, SubnetCase{"10.18.0.1", "host bits"},
                    SubnetCase{"10.18.0.1/26", "the subnet is 10.18.0.0"}, SubnetCase{"10.0.0.0/15", "out of range"},
                    SubnetCase{"10.0.0.0/30", "out of range"}, SubnetCase{"0.0.0.0/0", "out of range"},
                    SubnetCase{"10.0.0.0/31", "out of range"}, SubnetCase{"10.0.0.0/32", "out of range"},
                    SubnetCase{"10.0.0.0/33", "out of range"}, SubnetCase{"10.0.0.0/026", "prefix length"},
                    SubnetCase{"10.0.0.0/", "prefix length"}, SubnetCase{"10.0.0.0/-1", "prefix length"},
                    SubnetCase{"fc00::", "not IPv4"}, SubnetCase{"127.0.0.0/26", "not private"},
                    SubnetCase{"224.0.0.0/26", "not private"}, SubnetCase{"8.8.8.0/24", "not private"},
                    SubnetCase{"172.16.0.0/11", "out of range"}, SubnetCase{"", "not an address"},
                    SubnetCase{"10.18.0", "not an address"}, SubnetCase{"host", "not an address"}));

TEST(NodeSubnetV6, TakesUniqueLocalBlocks) {
    EXPECT_EQ(parse_node_subnet_v6("fc00::100", 120)->to_string(), "fc00::100/120");
    EXPECT_EQ(parse_node_subnet_v6("fd00::/64", 120)->to_string(), "fd00::/64");
    for (const char* text : {"fc00::1", "fc00::/126", "fc00::/63", "2001:db8::", "fe80::", "10.18.0.0", "::"}) {
        EXPECT_FALSE(parse_node_subnet_v6(text, 120)) << text;
    }
}

}  // namespace
}  // namespace weft::config
