// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <expected>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/value.hpp"

// How each type of value is read from a document and written back. A codec is a small value with
// `read(Value) -> expected<T, Fault>` and `write(T) -> YAML text`; the list of keys (keys.cpp) puts them together.
// A refusal names the value and says what is allowed.
namespace weft::config {

template <class T>
using Read = std::expected<T, Fault>;

// The text of a scalar; a list or section is refused with what was expected instead.
Read<std::string> read_scalar(const Value& value, std::string_view expected);
// "'70000' is not a port (1 to 65535)"; control characters escaped, long text cut.
std::unexpected<Fault> refuse(const Value& value, std::string_view expected);
// YAML text that reads back as this string.
std::string quoted(std::string_view text);
// Raw input made fit for a message: control and non-ASCII bytes as \xNN, at most 64 characters.
std::string shown(std::string_view raw);

std::optional<std::uint64_t> parse_integer(std::string_view text);
// "250ms", "10s", "2m", "1h", "7d"; a bare number is refused.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::string to_string(std::chrono::milliseconds duration);
// "4096", "64KiB", "512MiB", "2GiB".
std::optional<std::uint64_t> parse_size(std::string_view text);
// "unix:/run/weft/weftd.sock", "tcp:127.0.0.1:10010", "tcp:[::1]:10010".
std::optional<Listener> parse_listener(std::string_view text);
bool is_node_id(std::string_view text);         // [A-Za-z0-9][A-Za-z0-9_.-]{0,62}
bool is_interface_name(std::string_view text);  // what the kernel takes, and no surprises

// Any text that `allows`, described by `expected`.
struct TextCodec {
    bool (*allows)(std::string_view) = nullptr;
    std::string_view expected = "text";
    [[nodiscard]] Read<std::string> read(const Value& value) const;
    [[nodiscard]] std::string write(const std::string& text) const { return quoted(text); }
};

template <std::unsigned_integral T>
struct NumberCodec {
    T min = 0;
    T max = std::numeric_limits<T>::max();
    std::string_view noun = "a number";
    [[nodiscard]] Read<T> read(const Value& value) const {
        const std::string expected = std::string(noun) + " from " + std::to_string(min) + " to " + std::to_string(max);
        const auto text = read_scalar(value, expected);
        if (!text) return std::unexpected(text.error());
        const auto number = parse_integer(*text);
        if (!number || *number < min || *number > max) return refuse(value, expected);
        return static_cast<T>(*number);
    }
    [[nodiscard]] std::string write(T number) const { return std::to_string(number); }
};

template <class E>
struct Name {
    std::string_view name;
    E value;
};

std::unexpected<Fault> refuse_choice(const Value& value, std::span<const std::string_view> allowed);

template <class E>
struct ChoiceCodec {
    std::span<const Name<E>> names;
    [[nodiscard]] Read<E> read(const Value& value) const {
        for (const auto& name : names) {
            if (value.kind == Value::Kind::Scalar && value.text == name.name) return name.value;
        }
        std::vector<std::string_view> allowed;
        for (const auto& name : names)
            allowed.push_back(name.name);
        return refuse_choice(value, allowed);
    }
    [[nodiscard]] std::string write(E chosen) const {
        for (const auto& name : names) {
            if (name.value == chosen) return std::string(name.name);
        }
        return {};
    }
};

struct SwitchCodec {
    [[nodiscard]] Read<bool> read(const Value& value) const;
    [[nodiscard]] std::string write(bool on) const { return on ? "true" : "false"; }
};

struct DurationCodec {
    std::chrono::milliseconds min = std::chrono::milliseconds(1);
    std::chrono::milliseconds max = std::chrono::hours(24);
    [[nodiscard]] Read<std::chrono::milliseconds> read(const Value& value) const;
    [[nodiscard]] std::string write(std::chrono::milliseconds duration) const { return to_string(duration); }
};

// Whole seconds; a bare number is taken as seconds.
struct SecondsCodec {
    [[nodiscard]] Read<std::chrono::milliseconds> read(const Value& value) const;
    [[nodiscard]] std::string write(std::chrono::milliseconds time) const {
        return std::to_string(time.count() / 1000);
    }
};

// The length of a node's subnet, of that IP version.
struct PrefixLengthCodec {
    int version = 4;
    [[nodiscard]] Read<int> read(const Value& value) const;
    [[nodiscard]] std::string write(int length) const { return std::to_string(length); }
};

// `version`: 4, 6, or 0 for either.
struct IpCodec {
    int version = 0;
    [[nodiscard]] Read<net::IpAddress> read(const Value& value) const;
    [[nodiscard]] std::string write(const net::IpAddress& address) const { return quoted(address.to_string()); }
};

struct PrefixCodec {
    int version = 0;
    [[nodiscard]] Read<net::Prefix> read(const Value& value) const;
    [[nodiscard]] std::string write(const net::Prefix& prefix) const { return quoted(prefix.to_string()); }
};

// A node's subnet, as config/subnet.hpp reads it; a bare address has length 0 until `resolve` knows the prefix.
struct SubnetCodec {
    int version = 4;
    [[nodiscard]] Read<net::Prefix> read(const Value& value) const;
    [[nodiscard]] std::string write(const net::Prefix& prefix) const { return quoted(prefix.to_string()); }
};

struct RangeCodec {
    int version = 4;
    [[nodiscard]] Read<AddressRange> read(const Value& value) const;
    [[nodiscard]] std::string write(const AddressRange& range) const { return quoted(range.to_string()); }
};

struct EndpointCodec {
    [[nodiscard]] Read<net::Endpoint> read(const Value& value) const;
    [[nodiscard]] std::string write(const net::Endpoint& endpoint) const { return quoted(endpoint.to_string()); }
};

struct ListenerCodec {
    [[nodiscard]] Read<Listener> read(const Value& value) const;
    [[nodiscard]] std::string write(const Listener& listener) const { return quoted(listener.to_string()); }
};

struct PeerCodec {
    [[nodiscard]] Read<Peer> read(const Value& value) const;
    [[nodiscard]] std::string write(const Peer& peer) const;
};

// Nothing there, or the word for "nothing set", is nullopt.
template <class Codec>
struct OptionalCodec {
    Codec codec;
    std::string_view none;  // "" or "auto"
    using T = decltype(codec.read(std::declval<Value>()))::value_type;
    [[nodiscard]] Read<std::optional<T>> read(const Value& value) const {
        if (value.kind == Value::Kind::Scalar && value.text == none) return std::optional<T>();
        auto read = codec.read(value);
        if (!read) return std::unexpected(std::move(read.error()));
        return std::optional<T>(std::move(*read));
    }
    [[nodiscard]] std::string write(const std::optional<T>& held) const {
        return held ? codec.write(*held) : quoted(none);
    }
};

template <class Codec>
struct ListCodec {
    Codec codec;
    using T = decltype(codec.read(std::declval<Value>()))::value_type;
    [[nodiscard]] Read<std::vector<T>> read(const Value& value) const {
        if (value.kind != Value::Kind::List) {
            return std::unexpected(Fault::at(value, std::string("expected a list, found ") + value.kind_name()));
        }
        std::vector<T> list;
        for (std::size_t i = 0; i < value.items.size(); ++i) {
            auto read = codec.read(value.items[i]);
            if (!read) {
                read.error().key.insert(0, "[" + std::to_string(i) + "]");
                return std::unexpected(std::move(read.error()));
            }
            list.push_back(std::move(*read));
        }
        return list;
    }
    [[nodiscard]] std::string write(const std::vector<T>& list) const {
        std::string text = "[";
        for (const auto& item : list)
            text += (text.size() > 1 ? ", " : "") + codec.write(item);
        return text + "]";
    }
};

inline constexpr Name<Security> kSecurityNames[] = {
    {"auto", Security::Auto}, {"aead", Security::Aead}, {"clear", Security::Clear}, {"bare", Security::Bare}};

}  // namespace weft::config
