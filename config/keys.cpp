// SPDX-License-Identifier: Apache-2.0
#include "config/keys.hpp"

#include <vector>

#include "config/codec.hpp"

namespace weft::config {

namespace {

using enum Key::Effect;

template <class Access, class Codec>
Key key(std::string_view name, Key::Effect effect, Access access, Codec codec) {
    Key row;
    row.name = name;
    row.effect = effect;
    row.read = [=](Config& config, const Value& value) -> std::optional<Fault> {
        auto read = codec.read(value);
        if (!read) return std::move(read.error());
        access(config) = std::move(*read);
        return std::nullopt;
    };
    row.write = [=](const Config& config) { return codec.write(access(config)); };
    row.copy = [=](Config& to, const Config& from) { access(to) = access(from); };
    return row;
}

// A key of a feature that this version does not have: it may stand in the file, with its default.
Key later(Key row) {
    row.support = Key::Support::DefaultOnly;
    return row;
}

Key secret(Key row) {
    row.secrecy = Key::Secrecy::Secret;
    return row;
}

bool is_absolute(std::string_view path) {
    return path.starts_with('/') && !path.contains("/../");
}
bool is_absolute_or_empty(std::string_view path) {
    return path.empty() || is_absolute(path);
}
bool is_empty_or_node_id(std::string_view text) {
    return text.empty() || is_node_id(text);
}

constexpr TextCodec kFile{is_absolute_or_empty, "an absolute path"};
constexpr TextCodec kFolder{is_absolute, "an absolute path"};
constexpr TextCodec kText{};
constexpr TextCodec kInterface{is_interface_name,
                               "an interface name: up to 15 of [A-Za-z0-9_.-], a letter or digit first"};
constexpr DurationCodec kDuration{};
constexpr ListCodec<ListenerCodec> kListeners{};
constexpr ListCodec<TextCodec> kTexts{};
constexpr NumberCodec<std::uint16_t> kPort{1, 65535, "a port"};
// From what IPv6 asks of every link to what jumbo frames carry.
constexpr NumberCodec<std::uint16_t> kMtu{1280, 9216, "auto or a number"};

constexpr Name<RegistryKind> kRegistryNames[] = {{"push", RegistryKind::Push},
                                                 {"etcd", RegistryKind::Etcd},
                                                 {"http", RegistryKind::Http},
                                                 {"oakestra", RegistryKind::Oakestra}};
constexpr Name<LogLevel> kLevelNames[] = {{"trace", LogLevel::Trace}, {"debug", LogLevel::Debug},
                                          {"info", LogLevel::Info},   {"warn", LogLevel::Warn},
                                          {"error", LogLevel::Error}, {"off", LogLevel::Off}};
constexpr Name<LogFormat> kFormatNames[] = {{"text", LogFormat::Text}, {"json", LogFormat::Json}};
constexpr Name<Spin> kSpinNames[] = {{"off", Spin::Off}, {"auto", Spin::Auto}, {"always", Spin::Always}};

// Sessions and rules come with later versions; until then the list has to be empty.
struct EmptyListCodec {
    struct Nothing {};
    [[nodiscard]] Read<Nothing> read(const Value& value) const {
        if (value.kind == Value::Kind::List && value.items.empty()) return Nothing{};
        if (value.kind == Value::Kind::List) {
            return std::unexpected(Fault::at(value, "entries are not in this version; allowed: []"));
        }
        return std::unexpected(Fault::at(value, std::string("expected a list, found ") + value.kind_name()));
    }
    [[nodiscard]] std::string write(Nothing) const { return "[]"; }
};

// NOLINTBEGIN(bugprone-macro-parentheses)
// The one way to name a member for reading and for writing alike.
#define WEFT_AT(member) [](auto& config) -> auto& { return config.member; }
// NOLINTEND(bugprone-macro-parentheses)

std::vector<Key> make_keys() {
    const auto nothing = [](auto&) { return EmptyListCodec::Nothing{}; };
    return {
        key("node.id", OnRestart, WEFT_AT(node.id),
            TextCodec{is_empty_or_node_id, "a node id: a letter or digit, then up to 62 of [A-Za-z0-9_.-]"}),
        key("node.subnetwork", OnRestart, WEFT_AT(node.subnetwork), OptionalCodec{SubnetCodec{4}, ""}),
        key("node.subnetwork_v6", OnRestart, WEFT_AT(node.subnetwork_v6), OptionalCodec{SubnetCodec{6}, ""}),
        key("state_dir", OnRestart, WEFT_AT(state_dir), kFolder),
        key("run_dir", OnRestart, WEFT_AT(run_dir), kFolder),
        key("api.listen", OnReload, WEFT_AT(api.listen), kListeners),
        key("api.group", OnReload, WEFT_AT(api.group), kText),
        key("api.token_file", OnReload, WEFT_AT(api.token_file), kFile),
        key("tunnel.address", OnRestart, WEFT_AT(tunnel.address), OptionalCodec{IpCodec{}, ""}),
        key("tunnel.port", OnRestart, WEFT_AT(tunnel.port), kPort),
        key("tunnel.advertise", OnReload, WEFT_AT(tunnel.advertise), OptionalCodec{EndpointCodec{}, ""}),
        key("tunnel.mtu", OnReload, WEFT_AT(tunnel.mtu), OptionalCodec{kMtu, "auto"}),
        key("tunnel.security", OnReload, WEFT_AT(tunnel.security), ChoiceCodec<Security>{kSecurityNames}),
        key("tunnel.psk_file", OnReload, WEFT_AT(tunnel.psk_file), kFile),
        later(key("tunnel.key_file", OnReload, WEFT_AT(tunnel.key_file), kFile)),
        key("tun.name", OnRestart, WEFT_AT(tun.name), kInterface),
        key("tun.address", OnRestart, WEFT_AT(tun.address), IpCodec{4}),
        key("tun.address_v6", OnRestart, WEFT_AT(tun.address_v6), IpCodec{6}),
        key("bridge.name", OnRestart, WEFT_AT(bridge.name), kInterface),
        key("overlay.service_range", OnRestart, WEFT_AT(overlay.service_range), PrefixCodec{4}),
        key("overlay.service_range_v6", OnRestart, WEFT_AT(overlay.service_range_v6), PrefixCodec{6}),
        key("overlay.node_range", OnRestart, WEFT_AT(overlay.node_range), RangeCodec{4}),
        key("overlay.node_range_v6", OnRestart, WEFT_AT(overlay.node_range_v6), RangeCodec{6}),
        key("overlay.node_prefix", OnRestart, WEFT_AT(overlay.node_prefix), PrefixLengthCodec{4}),
        key("overlay.node_prefix_v6", OnRestart, WEFT_AT(overlay.node_prefix_v6), PrefixLengthCodec{6}),
        later(key("registry.kind", OnRestart, WEFT_AT(registry.kind), ChoiceCodec<RegistryKind>{kRegistryNames})),
        later(key("registry.notify", OnReload, WEFT_AT(registry.notify), kText)),
        later(key("registry.etcd.endpoints", OnRestart, WEFT_AT(registry.etcd.endpoints), kTexts)),
        later(key("registry.etcd.prefix", OnRestart, WEFT_AT(registry.etcd.prefix), kText)),
        later(key("registry.etcd.lease", OnRestart, WEFT_AT(registry.etcd.lease), kDuration)),
        later(secret(key("registry.etcd.user", OnRestart, WEFT_AT(registry.etcd.user), kText))),
        later(key("registry.etcd.password_file", OnRestart, WEFT_AT(registry.etcd.password_file), kFile)),
        later(key("registry.etcd.ca_file", OnRestart, WEFT_AT(registry.etcd.ca_file), kFile)),
        later(key("registry.etcd.cert_file", OnRestart, WEFT_AT(registry.etcd.cert_file), kFile)),
        later(key("registry.etcd.key_file", OnRestart, WEFT_AT(registry.etcd.key_file), kFile)),
        later(key("registry.http.url", OnReload, WEFT_AT(registry.http.url), kText)),
        later(key("registry.http.timeout", OnReload, WEFT_AT(registry.http.timeout), kDuration)),
        later(key("registry.http.refresh", OnReload, WEFT_AT(registry.http.refresh), kDuration)),
        later(key("registry.oakestra.broker", OnRestart, WEFT_AT(registry.oakestra.broker), kText)),
        later(key("registry.oakestra.ca_file", OnRestart, WEFT_AT(registry.oakestra.ca_file), kFile)),
        later(key("registry.oakestra.cert_file", OnRestart, WEFT_AT(registry.oakestra.cert_file), kFile)),
        later(key("registry.oakestra.key_file", OnRestart, WEFT_AT(registry.oakestra.key_file), kFile)),
        later(key("registry.oakestra.idle", OnRestart, WEFT_AT(registry.oakestra.idle), kDuration)),
        key("peers", OnReload, WEFT_AT(peers), ListCodec<PeerCodec>{}),
        later(key("mirror.pcapng", OnReload, WEFT_AT(mirror.pcapng), kListeners)),
        later(key("mirror.ring", OnReload, WEFT_AT(mirror.ring), NumberCodec<std::uint32_t>{64, 1U << 20})),
        key("mirrors", OnReload, nothing, EmptyListCodec{}),
        key("policies", OnReload, nothing, EmptyListCodec{}),
        key("dns.enabled", OnReload, WEFT_AT(dns.enabled), SwitchCodec{}),
        later(key("dns.domain", OnReload, WEFT_AT(dns.domain), kText)),
        later(key("dns.upstream", OnReload, WEFT_AT(dns.upstream), ListCodec<IpCodec>{})),
        later(key("dns.ttl", OnReload, WEFT_AT(dns.ttl), SecondsCodec{})),
        key("metrics.listen", OnReload, WEFT_AT(metrics.listen), kListeners),
        key("log.level", OnReload, WEFT_AT(log.level), ChoiceCodec<LogLevel>{kLevelNames}),
        key("log.format", OnReload, WEFT_AT(log.format), ChoiceCodec<LogFormat>{kFormatNames}),
        key("docker.socket", OnRestart, WEFT_AT(docker.socket), kFolder),
        later(key("docker.plugin", OnRestart, WEFT_AT(docker.plugin), SwitchCodec{})),
        key("workers", OnRestart, WEFT_AT(workers),
            NumberCodec<std::uint32_t>{1, 1, "a number (more workers are not in this version)"}),
        key("spin", OnRestart, WEFT_AT(spin), ChoiceCodec<Spin>{kSpinNames}),
        key("flows.max", OnRestart, WEFT_AT(flows.max), NumberCodec<std::uint32_t>{1024, 1U << 24}),
        key("dpdk.args", OnRestart, WEFT_AT(dpdk.args), kTexts),
        later(key("dpdk.ports", OnRestart, WEFT_AT(dpdk.ports), kTexts)),
    };
}

#undef WEFT_AT

}  // namespace

std::span<const Key> keys() {
    static const std::vector<Key> kKeys = make_keys();
    return kKeys;
}

const Key* find_key(std::string_view name) {
    for (const auto& row : keys()) {
        if (row.name == name) return &row;
    }
    return nullptr;
}

}  // namespace weft::config
