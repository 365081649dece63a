// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "config/codec.hpp"
#include "config/nearest.hpp"

// One entry of `peers`, a section within a list.
namespace weft::config {

namespace {

constexpr TextCodec kId{is_node_id, "a node id: a letter or digit, then up to 62 of [A-Za-z0-9_.-]"};
constexpr IpCodec kAddress{};
constexpr NumberCodec<std::uint16_t> kPort{1, 65535, "a port"};
constexpr ListCodec<PrefixCodec> kSubnets{};
constexpr ChoiceCodec<Security> kSecurity{kSecurityNames};
constexpr TextCodec kPublicKey{};

constexpr std::array<std::string_view, 6> kNames = {"id", "address", "port", "subnets", "security", "public_key"};

template <class T, class Codec>
std::optional<Fault> assign(T& field, const Codec& codec, const Value& value) {
    if (value.kind == Value::Kind::Null) return std::nullopt;
    auto read = codec.read(value);
    if (!read) return std::move(read.error());
    field = std::move(*read);
    return std::nullopt;
}

std::optional<Fault> assign_field(Peer& peer, std::string_view name, const Value& value) {
    if (name == "id") return assign(peer.id, kId, value);
    if (name == "address") return assign(peer.address, kAddress, value);
    if (name == "port") return assign(peer.port, kPort, value);
    if (name == "subnets") return assign(peer.subnets, kSubnets, value);
    if (name == "security") return assign(peer.security, kSecurity, value);
    return assign(peer.public_key, kPublicKey, value);
}

}  // namespace

Read<Peer> PeerCodec::read(const Value& value) const {
    if (value.kind != Value::Kind::Map) {
        return std::unexpected(
            Fault::at(value, std::string("expected a section with id and address, found ") + value.kind_name()));
    }
    Peer peer;
    for (std::size_t i = 0; i < value.names.size(); ++i) {
        const Value& name = value.names[i];
        if (std::ranges::find(kNames, name.text) == kNames.end()) {
            const auto meant = nearest(name.text, kNames);
            Fault fault = Fault::at(
                name, "unknown key" + (meant.empty() ? "; known: id, address, port, subnets, security, public_key"
                                                     : "; did you mean '" + std::string(meant) + "'?"));
            fault.key = "." + shown(name.text);
            return std::unexpected(std::move(fault));
        }
        if (auto fault = assign_field(peer, name.text, value.items[i])) {
            fault->key.insert(0, "." + name.text);
            return std::unexpected(std::move(*fault));
        }
    }
    if (peer.id.empty()) return std::unexpected(Fault::at(value, "id is missing"));
    if (peer.address.is_unspecified()) return std::unexpected(Fault::at(value, "address is missing"));
    return peer;
}

std::string PeerCodec::write(const Peer& peer) const {
    return "{id: " + kId.write(peer.id) + ", address: " + quoted(peer.address.to_string()) +
           ", port: " + kPort.write(peer.port) + ", subnets: " + kSubnets.write(peer.subnets) +
           ", security: " + kSecurity.write(peer.security) + ", public_key: " + kPublicKey.write(peer.public_key) + "}";
}

}  // namespace weft::config
