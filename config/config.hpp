// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/address_range.hpp"
#include "dataplane/net/address.hpp"

// weftd's configuration: plain values with the documented defaults. One section is one struct, and belongs to one
// consumer. docs/config.md describes every key; config/keys.cpp lists them.
//
// A default-constructed Config is what an empty file means before `resolve` (loader.hpp) fills in what depends on other
// keys or on the machine: `{run_dir}` in paths, the host name.
namespace weft::config {

// Where a server listens: a unix socket or a TCP address.
struct Listener {
    std::string path;   // unix; empty for TCP
    net::Endpoint tcp;  // TCP
    [[nodiscard]] bool is_unix() const { return !path.empty(); }
    [[nodiscard]] std::string to_string() const;  // "unix:/run/weft/weftd.sock", "tcp:127.0.0.1:10010"
    friend bool operator==(const Listener&, const Listener&) = default;
};

enum class Security : std::uint8_t { Auto, Aead, Clear, Bare };

struct Node {
    std::string id;                         // resolved: the host name
    std::optional<net::Prefix> subnetwork;  // registers by itself at start
    std::optional<net::Prefix> subnetwork_v6;
    friend bool operator==(const Node&, const Node&) = default;
};

struct Api {
    std::vector<Listener> listen = {{"{run_dir}/weftd.sock", {}}};
    std::string group = "weft";
    std::string token_file;
    friend bool operator==(const Api&, const Api&) = default;
};

struct Tunnel {
    std::optional<net::IpAddress> address;  // none: the address of the default route's interface
    std::uint16_t port = 50103;
    std::optional<net::Endpoint> advertise;  // none: address and port
    std::optional<std::uint16_t> mtu;        // inner MTU; none: the underlay's less the overhead
    Security security = Security::Auto;
    std::string psk_file;
    std::string key_file;
    friend bool operator==(const Tunnel&, const Tunnel&) = default;
};

struct Tun {
    std::string name = "weft-tun";
    net::IpAddress address = *net::IpAddress::parse("10.19.1.254");
    net::IpAddress address_v6 = *net::IpAddress::parse("fcef::dead:beef");
    friend bool operator==(const Tun&, const Tun&) = default;
};

struct Bridge {
    std::string name = "weft-br";
    friend bool operator==(const Bridge&, const Bridge&) = default;
};

struct Overlay {
    net::Prefix service_range = *net::Prefix::parse("10.30.0.0/16");
    net::Prefix service_range_v6 = *net::Prefix::parse("fdff::/16");
    AddressRange node_range = *AddressRange::parse("10.18.0.0-10.29.255.255");
    AddressRange node_range_v6 = *AddressRange::parse("fc00::/64");
    int node_prefix = 26;
    int node_prefix_v6 = 120;
    friend bool operator==(const Overlay&, const Overlay&) = default;
};

enum class RegistryKind : std::uint8_t { Push, Etcd, Http, Oakestra };

struct Registry {
    struct Etcd {
        std::vector<std::string> endpoints = {"127.0.0.1:2379"};
        std::string prefix = "/weft/v1/";
        std::chrono::milliseconds lease = std::chrono::seconds(10);
        std::string user;
        std::string password_file;
        std::string ca_file, cert_file, key_file;
        friend bool operator==(const Etcd&, const Etcd&) = default;
    };
    struct Http {
        std::string url = "http://$CLUSTER_MANAGER_IP:$CLUSTER_MANAGER_PORT";
        std::chrono::milliseconds timeout = std::chrono::seconds(2);
        std::chrono::milliseconds refresh = std::chrono::seconds(10);
        friend bool operator==(const Http&, const Http&) = default;
    };
    struct Oakestra {
        std::string broker = "0.0.0.0:10003";
        std::string ca_file, cert_file, key_file;
        std::chrono::milliseconds idle = std::chrono::seconds(60);
        friend bool operator==(const Oakestra&, const Oakestra&) = default;
    };

    RegistryKind kind = RegistryKind::Push;
    std::string notify;
    Etcd etcd;
    Http http;
    Oakestra oakestra;
    friend bool operator==(const Registry&, const Registry&) = default;
};

// One entry of `peers`.
struct Peer {
    std::string id;
    net::IpAddress address;
    std::uint16_t port = 50103;
    std::vector<net::Prefix> subnets;
    Security security = Security::Auto;  // Auto: tunnel.security decides
    std::string public_key;
    friend bool operator==(const Peer&, const Peer&) = default;
};

struct Mirror {
    std::vector<Listener> pcapng = {{"{run_dir}/mirror.sock", {}}};
    std::uint32_t ring = 4096;  // packets per worker
    friend bool operator==(const Mirror&, const Mirror&) = default;
};

struct Dns {
    bool enabled = true;
    std::string domain = "weft.internal";
    std::vector<net::IpAddress> upstream;  // empty: from resolv.conf
    std::chrono::milliseconds ttl = std::chrono::seconds(5);
    friend bool operator==(const Dns&, const Dns&) = default;
};

struct Metrics {
    std::vector<Listener> listen;
    friend bool operator==(const Metrics&, const Metrics&) = default;
};

enum class LogLevel : std::uint8_t { Trace, Debug, Info, Warn, Error, Off };
enum class LogFormat : std::uint8_t { Text, Json };

struct Log {
    LogLevel level = LogLevel::Info;
    LogFormat format = LogFormat::Text;
    friend bool operator==(const Log&, const Log&) = default;
};

struct Docker {
    std::string socket = "/var/run/docker.sock";
    bool plugin = false;
    friend bool operator==(const Docker&, const Docker&) = default;
};

// How an idle worker waits: never spinning, as long as it pays, always.
enum class Spin : std::uint8_t { Off, Auto, Always };

struct Flows {
    std::uint32_t max = 262144;  // connections
    friend bool operator==(const Flows&, const Flows&) = default;
};

struct Dpdk {
    std::vector<std::string> args;   // for the EAL
    std::vector<std::string> ports;  // device arguments
    friend bool operator==(const Dpdk&, const Dpdk&) = default;
};

struct Config {
    Node node;
    std::string state_dir = "/var/lib/weft";
    std::string run_dir = "/run/weft";
    Api api;
    Tunnel tunnel;
    Tun tun;
    Bridge bridge;
    Overlay overlay;
    Registry registry;
    std::vector<Peer> peers;
    Mirror mirror;
    Dns dns;
    Metrics metrics;
    Log log;
    Docker docker;
    std::uint32_t workers = 1;
    Spin spin = Spin::Auto;
    Flows flows;
    Dpdk dpdk;
    friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace weft::config
