// SPDX-License-Identifier: Apache-2.0
#include "control/requests.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

#include "config/codec.hpp"

namespace weft::control {

namespace {

std::optional<std::uint16_t> parse_l4_port(std::string_view text) {
    const auto number = config::parse_integer(text);
    if (!number || *number == 0 || *number > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(*number);
}

// host [ ":" container ] [ "/tcp" | "/udp" ]
std::optional<PortMapping> parse_one(std::string_view text) {
    PortMapping mapping;
    if (text.ends_with("/tcp") || text.ends_with("/udp")) {
        mapping.protocol = text.ends_with("/udp") ? L4::Udp : L4::Tcp;
        text.remove_suffix(4);
    }
    const auto colon = text.find(':');
    const auto host = parse_l4_port(text.substr(0, colon));
    const auto container = colon == std::string_view::npos ? host : parse_l4_port(text.substr(colon + 1));
    if (!host || !container) return std::nullopt;
    mapping.host_port = *host;
    mapping.container_port = *container;
    return mapping;
}

}  // namespace

std::expected<std::vector<PortMapping>, std::string> parse_port_mappings(const std::string& text) {
    std::vector<PortMapping> mappings;
    if (text.empty()) return mappings;
    std::string_view rest = text;
    for (;;) {
        const auto semicolon = rest.find(';');
        const auto part = rest.substr(0, semicolon);
        const auto mapping = parse_one(part);
        if (!mapping) {
            return std::unexpected(
                "'" + config::shown(part) +
                "' is not a port mapping; expected HOST[:CONTAINER][/tcp|/udp], ports from 1 to 65535, several "
                "separated by ';', e.g. 8080:80/tcp;53/udp");
        }
        const bool is_taken = std::ranges::any_of(mappings, [&](const PortMapping& other) {
            return other.host_port == mapping->host_port && other.protocol == mapping->protocol;
        });
        if (is_taken) return std::unexpected("host port " + std::to_string(mapping->host_port) + " is mapped twice");
        mappings.push_back(*mapping);
        if (semicolon == std::string_view::npos) return mappings;
        rest.remove_prefix(semicolon + 1);
    }
}

std::string to_string(const std::vector<PortMapping>& mappings) {
    std::string text;
    for (const auto& mapping : mappings) {
        if (!text.empty()) text += ';';
        text += std::to_string(mapping.host_port) + ":" + std::to_string(mapping.container_port) +
                (mapping.protocol == L4::Udp ? "/udp" : "/tcp");
    }
    return text;
}

std::string ContainerRef::to_string() const {
    switch (kind) {
        case Kind::Docker:
            return "docker:" + name;
        case Kind::Netns:
            return "netns:" + name;
        case Kind::Pid:
            return "pid:" + std::to_string(pid);
    }
    return {};
}

}  // namespace weft::control
