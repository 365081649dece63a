// SPDX-License-Identifier: Apache-2.0
#include "config/codec.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "config/nearest.hpp"
#include "config/subnet.hpp"

namespace weft::config {

namespace {

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name(std::string_view text, std::size_t longest) {
    return !text.empty() && text.size() <= longest && is_alphanumeric(text.front()) &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

struct Unit {
    std::string_view suffix;
    std::uint64_t factor;
};

// A number directly followed by one of the units; nullopt also if the product does not fit.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_integer(text.substr(0, digits));
    if (!number) return std::nullopt;
    for (const auto& unit : units) {
        if (text.substr(digits) != unit.suffix) continue;
        if (*number > std::numeric_limits<std::int64_t>::max() / unit.factor) return std::nullopt;
        return *number * unit.factor;
    }
    return std::nullopt;
}

constexpr std::array<Unit, 5> kTimeUnits = {Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"m", 60'000},
                                            Unit{"s", 1000}, Unit{"ms", 1}};
constexpr std::array<Unit, 4> kSizeUnits = {Unit{"", 1}, Unit{"KiB", 1U << 10}, Unit{"MiB", 1U << 20},
                                            Unit{"GiB", 1U << 30}};

std::string family_word(int version) {
    return version == 0 ? "IP" : "IPv" + std::to_string(version);
}

}  // namespace

std::string Listener::to_string() const {
    return is_unix() ? "unix:" + path : "tcp:" + tcp.to_string();
}

std::string shown(std::string_view raw) {
    constexpr std::size_t kLongest = 64;
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string text;
    for (const char c : raw.substr(0, kLongest)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            text += c;
        } else {
            text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
        }
    }
    return raw.size() > kLongest ? text + "..." : text;
}

std::unexpected<Fault> refuse(const Value& value, std::string_view expected) {
    return std::unexpected(Fault::at(value, "'" + shown(value.text) + "' is not " + std::string(expected)));
}

Read<std::string> read_scalar(const Value& value, std::string_view expected) {
    if (value.kind == Value::Kind::Scalar) return value.text;
    return std::unexpected(
        Fault::at(value, "expected " + std::string(expected) + ", found " + std::string(value.kind_name())));
}

std::string quoted(std::string_view text) {
    const bool plain =
        !text.empty() && (is_alphanumeric(text.front()) || text.front() == '/') && text.back() != ':' &&
        !text.contains("::") && text != "null" && text != "Null" && text != "NULL" &&
        std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || std::string_view("_./:-").contains(c); });
    if (plain) return std::string(text);
    std::string result = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            result += {'\\', c};
        } else if (byte < 0x20 || byte == 0x7f) {
            constexpr std::string_view kHex = "0123456789abcdef";
            result += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
        } else {
            result += c;
        }
    }
    return result + "\"";
}

std::optional<std::uint64_t> parse_integer(std::string_view text) {
    if (text.size() > 1 && text.front() == '0') return std::nullopt;  // octal to some, decimal to others
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    const auto count = parse_with_unit(text, kTimeUnits);
    if (!count) return std::nullopt;
    return std::chrono::milliseconds(static_cast<std::int64_t>(*count));
}

std::string to_string(std::chrono::milliseconds duration) {
    const auto count = static_cast<std::uint64_t>(duration.count());
    for (const auto& unit : kTimeUnits) {
        if (count != 0 && count % unit.factor == 0)
            return std::to_string(count / unit.factor) + std::string(unit.suffix);
    }
    return "0s";
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    return parse_with_unit(text, kSizeUnits);
}

std::optional<Listener> parse_listener(std::string_view text) {
    if (text.starts_with("unix:")) {
        const std::string path(text.substr(5));
        const bool is_absolute = path.starts_with('/') || path.starts_with("{run_dir}/");
        if (!is_absolute || path.find('\0') != std::string::npos || path.ends_with('/')) return std::nullopt;
        return Listener{path, {}};
    }
    if (!text.starts_with("tcp:")) return std::nullopt;
    const auto endpoint = net::Endpoint::parse(text.substr(4));
    if (!endpoint || endpoint->l4_port == 0) return std::nullopt;
    return Listener{{}, *endpoint};
}

bool is_node_id(std::string_view text) {
    return is_name(text, 63);
}

bool is_interface_name(std::string_view text) {
    return is_name(text, 15);
}

std::unexpected<Fault> refuse_choice(const Value& value, std::span<const std::string_view> allowed) {
    std::string expected = "one of";
    for (const auto name : allowed)
        expected += (name == allowed.front() ? " " : ", ") + std::string(name);
    const auto text = read_scalar(value, expected);
    if (!text) return std::unexpected(text.error());
    const auto meant = nearest(*text, allowed);
    if (!meant.empty()) expected += "; did you mean '" + std::string(meant) + "'?";
    return refuse(value, expected);
}

Read<std::string> TextCodec::read(const Value& value) const {
    auto text = read_scalar(value, expected);
    if (!text) return text;
    const bool has_nul = text->find('\0') != std::string::npos;
    if (has_nul || (allows != nullptr && !allows(*text))) return refuse(value, expected);
    return text;
}

Read<bool> SwitchCodec::read(const Value& value) const {
    const auto text = read_scalar(value, "true or false");
    if (!text) return std::unexpected(text.error());
    if (*text == "true") return true;
    if (*text == "false") return false;
    return refuse(value, "true or false");
}

Read<std::chrono::milliseconds> DurationCodec::read(const Value& value) const {
    const std::string expected =
        "a duration from " + to_string(min) + " to " + to_string(max) + ", e.g. 250ms, 10s or 2m";
    const auto text = read_scalar(value, expected);
    if (!text) return std::unexpected(text.error());
    const auto duration = parse_duration(*text);
    if (!duration || *duration < min || *duration > max) return refuse(value, expected);
    return *duration;
}

Read<std::chrono::milliseconds> SecondsCodec::read(const Value& value) const {
    const auto seconds = NumberCodec<std::uint32_t>{0, 86'400, "a number of seconds"}.read(value);
    if (!seconds) return std::unexpected(seconds.error());
    return std::chrono::seconds(*seconds);
}

Read<int> PrefixLengthCodec::read(const Value& value) const {
    const auto [shortest, longest] = version == 4 ? std::pair(kShortestNodePrefix, kLongestNodePrefix)
                                                  : std::pair(kShortestNodePrefixV6, kLongestNodePrefixV6);
    const NumberCodec<unsigned> number{static_cast<unsigned>(shortest), static_cast<unsigned>(longest),
                                       "a prefix length"};
    const auto length = number.read(value);
    if (!length) return std::unexpected(length.error());
    return static_cast<int>(*length);
}

Read<net::IpAddress> IpCodec::read(const Value& value) const {
    const std::string expected = "an " + family_word(version) + " address";
    const auto text = read_scalar(value, expected);
    if (!text) return std::unexpected(text.error());
    const auto address = net::IpAddress::parse(*text);
    if (!address || (version != 0 && address->version() != version)) return refuse(value, expected);
    return *address;
}

Read<net::Prefix> PrefixCodec::read(const Value& value) const {
    const std::string expected = "an " + family_word(version) + " CIDR block without host bits, e.g. " +
                                 (version == 6 ? "fdff::/16" : "10.30.0.0/16");
    const auto text = read_scalar(value, expected);
    if (!text) return std::unexpected(text.error());
    const auto prefix = net::Prefix::parse(*text);
    if (!prefix || (version != 0 && prefix->address.version() != version)) return refuse(value, expected);
    return *prefix;
}

Read<net::Prefix> SubnetCodec::read(const Value& value) const {
    const auto text = read_scalar(value, "the node's subnet");
    if (!text) return std::unexpected(text.error());
    const bool is_bare = text->find('/') == std::string::npos;
    // A bare address is checked here as the smallest subnet, and again by `resolve` with its real length.
    auto subnet =
        version == 4 ? parse_node_subnet(*text, kLongestNodePrefix) : parse_node_subnet_v6(*text, kLongestNodePrefixV6);
    if (!subnet) return std::unexpected(Fault::at(value, subnet.error()));
    if (is_bare) subnet->length = 0;
    return *subnet;
}

Read<AddressRange> RangeCodec::read(const Value& value) const {
    const std::string expected =
        "an " + family_word(version) + " range, " +
        (version == 6 ? "e.g. fc00::/64 or fc00::-fc00::ffff" : "e.g. 10.18.0.0/16 or 10.18.0.0-10.29.255.255");
    const auto text = read_scalar(value, expected);
    if (!text) return std::unexpected(text.error());
    const auto range = AddressRange::parse(*text);
    if (!range || range->first.version() != version) return refuse(value, expected);
    return *range;
}

Read<net::Endpoint> EndpointCodec::read(const Value& value) const {
    constexpr std::string_view kExpected = "address:port, e.g. 192.168.77.11:50103";
    const auto text = read_scalar(value, kExpected);
    if (!text) return std::unexpected(text.error());
    const auto endpoint = net::Endpoint::parse(*text);
    if (!endpoint || endpoint->l4_port == 0) return refuse(value, kExpected);
    return *endpoint;
}

Read<Listener> ListenerCodec::read(const Value& value) const {
    constexpr std::string_view kExpected = "unix:PATH (absolute, or {run_dir}/...) or tcp:ADDRESS:PORT";
    const auto text = read_scalar(value, kExpected);
    if (!text) return std::unexpected(text.error());
    const auto listener = parse_listener(*text);
    if (!listener) return refuse(value, kExpected);
    return *listener;
}

}  // namespace weft::config
