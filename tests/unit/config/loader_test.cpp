// SPDX-License-Identifier: Apache-2.0
#include "config/loader.hpp"

#include <fstream>

#include <gtest/gtest.h>

namespace weft::config {
namespace {

std::string outcome(std::string_view text) {
    const auto loaded = load_text(text, "f.yaml");
    return loaded ? "ok" : loaded.error().text();
}

TEST(Loader, ReadsTheTwoHostExample) {
    const auto loaded =
        load_text("node: {id: a}\nstate_dir: /var/lib/weft-a\nrun_dir: /run/weft-a\ntunnel: {address: 192.168.77.11}\n",
                  "a.yaml");
    ASSERT_TRUE(loaded) << loaded.error().text();
    EXPECT_EQ(loaded->config.node.id, "a");
    EXPECT_EQ(loaded->config.tunnel.address->to_string(), "192.168.77.11");
    EXPECT_EQ(loaded->config.api.listen.front().path, "/run/weft-a/weftd.sock");
    EXPECT_EQ(loaded->origins.at("tunnel.address"), "a.yaml:4");
}

TEST(Loader, GivesABareSubnetTheNodePrefix) {
    EXPECT_EQ(load_text("node: {subnetwork: 10.18.0.64}", "f")->config.node.subnetwork->to_string(), "10.18.0.64/26");
    EXPECT_EQ(load_text("node: {subnetwork: 10.18.0.64}\noverlay: {node_prefix: 28}", "f")
                  ->config.node.subnetwork->to_string(),
              "10.18.0.64/28");
}

TEST(Loader, ReadsPeers) {
    const auto loaded = load_text(
        "node: {id: a}\n"
        "peers:\n"
        "  - {id: b, address: 192.168.77.12, port: 4000, subnets: [10.18.0.64/26, 'fc00::100/120'], security: clear}\n"
        "  - {id: c, address: 192.168.77.13}\n",
        "f");
    ASSERT_TRUE(loaded) << loaded.error().text();
    ASSERT_EQ(loaded->config.peers.size(), 2U);
    EXPECT_EQ(loaded->config.peers[0].subnets.size(), 2U);
    EXPECT_EQ(loaded->config.peers[0].security, Security::Clear);
    EXPECT_EQ(loaded->config.peers[1].port, 50103);
}

struct Refusal {
    std::string text;
    std::string told;  // the beginning of the error; what it says further on stands after '|'
};

class Refused : public testing::TestWithParam<Refusal> {};

TEST_P(Refused, WithPlaceKeyAndReason) {
    const std::string told = outcome(GetParam().text);
    const auto bar = GetParam().told.find('|');
    EXPECT_TRUE(told.starts_with(GetParam().told.substr(0, bar))) << told;
    if (bar != std::string::npos) {
        EXPECT_NE(told.find(GetParam().told.substr(bar + 1)), std::string::npos) << told;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Shape, Refused,
    testing::Values(Refusal{"tunnel:\n  prot: 1\n", "f.yaml:2:3: tunnel.prot: unknown key; did you mean 'port'?"},
                    Refusal{"tunel: {port: 1}\n", "f.yaml:1:1: tunel: unknown key; did you mean 'tunnel'?"},
                    Refusal{"Workers: 1\n", "f.yaml:1:1: Workers: unknown key; did you mean 'workers'?"},
                    Refusal{"tunnel:\n  service_range: 1\n",
                            "f.yaml:2:3: tunnel.service_range: unknown key here; there is 'overlay.service_range'"},
                    Refusal{"log: {frobnicate: 1}\n",
                            "f.yaml:1:7: log.frobnicate: unknown key; known here: level, format"},
                    Refusal{"peers: [{id: b, adress: 10.0.0.1}]\n",
                            "f.yaml:1:17: peers[0].adress: unknown key; did you mean 'address'?"},
                    Refusal{"peers: [{id: b}]\n", "f.yaml:1:9: peers[0]: address is missing"},
                    Refusal{"peers: [{address: 10.0.0.1}]\n", "f.yaml:1:9: peers[0]: id is missing"},
                    Refusal{"peers: [b]\n", "f.yaml:1:9: peers[0]: expected a section"},
                    Refusal{"tunnel: 4\n", "f.yaml:1:9: tunnel: expected a section of keys, found a single value"},
                    Refusal{"tunnel: [1]\n", "f.yaml:1:9: tunnel: expected a section"},
                    Refusal{"- a\n", "f.yaml:1:1: expected a section"},
                    Refusal{"text", "f.yaml:1:1: expected a section"},
                    Refusal{"workers: [1]\n", "f.yaml:1:10: workers: expected"},
                    Refusal{"workers: 1\nworkers: 1\n", "f.yaml:2:1: 'workers' stands here twice"},
                    Refusal{"tunnel: {port: 1, port: 2}\n", "f.yaml:1:19: 'port' stands here twice"},
                    Refusal{"a: b: c\n", "f.yaml:1:5: not YAML"}, Refusal{"tunnel: {port: 1\n", "f.yaml:|not YAML"},
                    Refusal{"a: 1\n---\nb: 1\n", "f.yaml:1:1: more than one document"},
                    Refusal{std::string("run_dir: /run\n\0", 15), "f.yaml:2:1: a NUL byte"},
                    Refusal{"{[1]: 2}", "f.yaml:1:2: a key must be plain text"},
                    Refusal{"peers: [[[[[[[[[[[[1]]]]]]]]]]]]\n", "f.yaml:1:|nested too deeply"}));

INSTANTIATE_TEST_SUITE_P(
    Values, Refused,
    testing::Values(
        Refusal{"tunnel: {port: 70000}", "f.yaml:1:16: tunnel.port: '70000' is not a port from 1 to 65535"},
        Refusal{"tunnel: {port: 0}", "f.yaml:1:16: tunnel.port: '0'"},
        Refusal{"tunnel: {port: -1}", "f.yaml:1:16: tunnel.port: '-1'"},
        Refusal{"tunnel: {port: 0x10}", "f.yaml:1:16: tunnel.port: '0x10'"},
        Refusal{"tunnel: {port: 010}", "f.yaml:1:16: tunnel.port: '010'"},
        Refusal{"tunnel: {port: 1e3}", "f.yaml:1:16: tunnel.port"},
        Refusal{"tunnel: {port: 5.0}", "f.yaml:1:16: tunnel.port"},
        Refusal{"tunnel: {mtu: 1279}", "f.yaml:1:15: tunnel.mtu: '1279' is not auto or a number from 1280 to 9216"},
        Refusal{"tunnel: {mtu: 9217}", "f.yaml:1:15: tunnel.mtu"},
        Refusal{"tunnel: {address: host}", "f.yaml:1:19: tunnel.address: 'host' is not an IP address"},
        Refusal{"tunnel: {advertise: 192.0.2.1}", "f.yaml:1:21: tunnel.advertise: '192.0.2.1' is not address:port"},
        Refusal{"tunnel: {security: aed}",
                "f.yaml:1:20: tunnel.security: 'aed' is not one of auto, aead, clear, bare; did you mean 'aead'?"},
        Refusal{"node: {id: '-x'}", "f.yaml:1:12: node.id: '-x' is not a node id"},
        Refusal{"node: {subnetwork: 10.18.0.1/26}", "f.yaml:1:20: node.subnetwork: '10.18.0.1/26' has host bits"},
        Refusal{"node: {subnetwork: 10.18.0.8}", "f.yaml:1:20: node.subnetwork: '10.18.0.8/26' has host bits"},
        Refusal{"node: {subnetwork: 8.8.8.0/24}", "f.yaml:1:20: node.subnetwork: '8.8.8.0/24' is not private"},
        Refusal{"run_dir: run/weft", "f.yaml:1:10: run_dir: 'run/weft' is not an absolute path"},
        Refusal{"state_dir: ''", "f.yaml:1:12: state_dir: '' is not an absolute path"},
        Refusal{"tun: {name: abcdefghijklmnop}", "f.yaml:1:13: tun.name"},
        Refusal{"tun: {name: 'a/b'}", "f.yaml:1:13: tun.name"},
        Refusal{"bridge: {name: ..}", "f.yaml:1:16: bridge.name"},
        Refusal{"tun: {address: fc00::1}", "f.yaml:1:16: tun.address: 'fc00::1' is not an IPv4 address"},
        Refusal{"overlay: {service_range: 10.30.0.1/16}", "f.yaml:1:26: overlay.service_range|without host bits"},
        Refusal{"overlay: {node_range: 10.29.0.0-10.18.0.0}", "f.yaml:1:23: overlay.node_range"},
        Refusal{"overlay: {node_prefix: 30}",
                "f.yaml:1:24: overlay.node_prefix: '30' is not a prefix length from 16 to 29"},
        Refusal{"api: {listen: [unix:rel.sock]}", "f.yaml:1:16: api.listen[0]: 'unix:rel.sock' is not unix:PATH"},
        Refusal{"api: {listen: unix:/a}", "f.yaml:1:15: api.listen: expected a list, found a single value"},
        Refusal{"log: {level: loud}", "f.yaml:1:14: log.level: 'loud' is not one of trace"},
        Refusal{"dns: {enabled: yes}", "f.yaml:1:16: dns.enabled: 'yes' is not true or false"},
        Refusal{"registry: {http: {timeout: 2}}", "f.yaml:1:28: registry.http.timeout: '2' is not a duration"},
        Refusal{"flows: {max: 100}", "f.yaml:1:14: flows.max: '100' is not a number from 1024"},
        Refusal{"spin: on", "f.yaml:1:7: spin: 'on' is not one of off, auto, always"},
        Refusal{"peers: [{id: b, address: 192.0.2.1, port: 0}]", "f.yaml:1:43: peers[0].port: '0' is not a port"},
        Refusal{"peers: [{id: b, address: 192.0.2.1, subnets: [x]}]",
                "f.yaml:1:47: peers[0].subnets[0]: 'x' is not an IP CIDR"}));

INSTANTIATE_TEST_SUITE_P(
    AcrossKeys, Refused,
    testing::Values(
        Refusal{"overlay:\n  service_range: 10.20.0.0/16\n",
                "f.yaml:1:1: overlay.node_range: 10.18.0.0-10.29.255.255 overlaps"},
        Refusal{"overlay: {node_range: 10.0.0.0/8}",
                "f.yaml:1:23: overlay.node_range: 10.0.0.0/8 overlaps overlay.service_range 10.30.0.0/16"},
        Refusal{"overlay: {node_range_v6: 'fdff::/64'}", "f.yaml:1:26: overlay.node_range_v6"},
        Refusal{"overlay: {node_range: 10.18.0.0/27}", "f.yaml:1:1: overlay.node_prefix: /26 does not fit"},
        Refusal{"node: {subnetwork: 10.30.1.0/24}",
                "f.yaml:1:20: node.subnetwork: 10.30.1.0/24 overlaps overlay.service_range"},
        Refusal{"node: {subnetwork_v6: 'fc00::/120'}", "f.yaml:1:23: node.subnetwork_v6: needs node.subnetwork"},
        Refusal{"tun: {address: 127.0.0.1}",
                "f.yaml:1:16: tun.address: 127.0.0.1 is not an address that a host can have"},
        Refusal{"tun: {address: 224.0.0.1}", "f.yaml:1:16: tun.address"},
        Refusal{"tun: {address: 0.0.0.0}", "f.yaml:1:16: tun.address"},
        Refusal{"tun: {address: 10.30.0.9}", "f.yaml:1:16: tun.address: 10.30.0.9 lies in the service range"},
        Refusal{"tun: {address: 10.18.0.1}\nnode: {subnetwork: 10.18.0.0}",
                "f.yaml:1:16: tun.address: 10.18.0.1 is the network, bridge"},
        Refusal{"tun: {name: x}\nbridge: {name: x}", "f.yaml:2:16: bridge.name"},
        Refusal{"run_dir: /a/\nstate_dir: /a", "f.yaml:1:10: run_dir"},
        Refusal{"api: {listen: []}", "f.yaml:1:15: api.listen: at least one"},
        Refusal{"api: {listen: ['tcp:192.0.2.1:80']}",
                "f.yaml:1:15: api.listen[0]: 'tcp:192.0.2.1:80' is not a loopback address: api.token_file"},
        Refusal{"api: {listen: ['tcp:0.0.0.0:80']}", "f.yaml:1:15: api.listen[0]"},
        Refusal{"metrics: {listen: ['tcp:[::]:80']}", "f.yaml:1:19: metrics.listen[0]"},
        Refusal{"api: {listen: ['unix:/a', 'unix:/a']}", "f.yaml:1:15: api.listen[1]|twice"},
        Refusal{"api: {listen: ['unix:/" + std::string(107, 'a') + "']}", "f.yaml:1:15: api.listen[0]|107"},
        Refusal{"tunnel: {security: aead}", "f.yaml:1:20: tunnel.security: 'aead' needs a key"},
        Refusal{"tunnel: {address: 10.18.0.1}", "f.yaml:1:19: tunnel.address: 10.18.0.1 lies in the overlay"},
        Refusal{"tunnel: {advertise: '10.30.0.1:5'}", "f.yaml:1:21: tunnel.advertise"},
        Refusal{"node: {id: b}\npeers: [{id: b, address: 192.0.2.1}]",
                "f.yaml:2:8: peers[0].id: 'b' is this node's own id"},
        Refusal{"peers: [{id: b, address: 192.0.2.1}, {id: b, address: 192.0.2.2}]", "f.yaml:1:8: peers[1].id"},
        Refusal{"peers: [{id: b, address: 192.0.2.1}, {id: c, address: 192.0.2.1}]", "f.yaml:1:8: peers[1].address"},
        Refusal{"peers: [{id: b, address: 10.18.0.1}]", "f.yaml:1:8: peers[0].address"},
        Refusal{"peers: [{id: b, address: 192.0.2.1, security: aead}]", "f.yaml:1:8: peers[0].security"},
        Refusal{"peers: [{id: b, address: 192.0.2.1, subnets: [10.18.0.0/26]}, {id: c, address: 192.0.2.2, subnets: "
                "[10.18.0.0/24]}]",
                "f.yaml:1:8: peers[1].subnets[0]: 10.18.0.0/24 overlaps a subnet of peer 'b'"},
        Refusal{"node: {subnetwork: 10.18.0.0}\npeers: [{id: b, address: 192.0.2.1, subnets: [10.18.0.0/26]}]",
                "f.yaml:2:8: peers[0].subnets[0]"},
        Refusal{"peers: [{id: b, address: 192.0.2.1, subnets: [10.30.0.0/24]}]", "f.yaml:1:8: peers[0].subnets[0]"}));

INSTANTIATE_TEST_SUITE_P(
    LaterVersions, Refused,
    testing::Values(
        Refusal{"registry: {kind: etcd}", "f.yaml:1:18: registry.kind: 'etcd' is not in this version; allowed: push"},
        Refusal{"registry: {etcd: {lease: 5s}}", "f.yaml:1:26: registry.etcd.lease|not in this version"},
        Refusal{"registry: {etcd: {user: 'root:pw'}}",
                "f.yaml:1:25: registry.etcd.user: '(hidden)' is not in this version"},
        Refusal{"registry: {notify: 'http://x'}", "f.yaml:1:20: registry.notify|not in this version"},
        Refusal{"policies: [{name: x}]", "f.yaml:1:11: policies: entries are not in this version"},
        Refusal{"mirrors: [{name: x}]", "f.yaml:1:10: mirrors: entries are not in this version"},
        Refusal{"mirror: {ring: 8192}", "f.yaml:1:16: mirror.ring|not in this version"},
        Refusal{"dns: {ttl: 6}", "f.yaml:1:12: dns.ttl|not in this version"},
        Refusal{"docker: {plugin: true}", "f.yaml:1:18: docker.plugin: 'true' is not in this version; allowed: false"},
        Refusal{"dpdk: {ports: [net_null0]}", "f.yaml:1:15: dpdk.ports|not in this version"},
        Refusal{"tunnel: {key_file: /etc/weft/key}", "f.yaml:1:20: tunnel.key_file|not in this version"},
        Refusal{"peers: [{id: b, address: 192.0.2.1, public_key: x}]",
                "f.yaml:1:8: peers[0].public_key|not in this version"},
        Refusal{"workers: 2", "f.yaml:1:10: workers: '2'|not in this version"}));

TEST(Loader, TakesAnEmptyValueAsTheDefault) {
    EXPECT_EQ(outcome("tunnel:\n  port:\npeers:\nlog: {}\n"), "ok");
    EXPECT_EQ(load_text("tunnel: {port: }\n", "f")->config.tunnel.port, 50103);
}

TEST(Loader, AnswersToEveryPrefixOfAFile) {
    std::ifstream stream(WEFT_SOURCE_ROOT "/config/example.yaml");
    const std::string text((std::istreambuf_iterator<char>(stream)), {});
    ASSERT_GT(text.size(), 1000U);
    for (std::size_t length = 0; length < text.size(); length += 7) {
        const std::string told = outcome(text.substr(0, length));
        EXPECT_TRUE(told == "ok" || told.starts_with("f.yaml:")) << length << " " << told;
    }
}

TEST(Loader, BoundsWhatAliasesMultiply) {
    std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
    for (char c = 'b'; c < 'i'; ++c) {
        bomb += std::string(1, c) + ": &" + c + " [";
        for (int i = 0; i < 10; ++i)
            bomb += std::string(i == 0 ? "*" : ",*") + static_cast<char>(c - 1);
        bomb += "]\n";
    }
    EXPECT_NE(outcome(bomb).find("too many values"), std::string::npos) << outcome(bomb);
}

TEST(Loader, RefusesAnOversizedFile) {
    EXPECT_NE(outcome(std::string((1 << 20) + 1, '#')).find("larger than 1 MiB"), std::string::npos);
}

TEST(Loader, SaysWhichFileIsMissing) {
    const auto loaded = load("/nonexistent/weftd.yaml");
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code(), ErrorCode::NotFound);
    EXPECT_TRUE(loaded.error().text().starts_with("/nonexistent/weftd.yaml:")) << loaded.error().text();
}

}  // namespace
}  // namespace weft::config
