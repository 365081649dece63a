// SPDX-License-Identifier: Apache-2.0
#include "dataplane/net/address.hpp"

#include <charconv>

#include <arpa/inet.h>

namespace weft::net {

namespace {

// Decimal without sign, spaces or leading zeros.
std::optional<unsigned> parse_number(std::string_view text, unsigned max) {
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
    return value;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    if (text.size() > INET6_ADDRSTRLEN) return std::nullopt;
    const std::string terminated(text);
    if (terminated.size() != std::strlen(terminated.c_str())) return std::nullopt;
    std::array<std::uint8_t, 16> raw{};
    if (inet_pton(AF_INET, terminated.c_str(), raw.data()) == 1) return v4_from(raw.data());
    if (inet_pton(AF_INET6, terminated.c_str(), raw.data()) == 1) return v6_from(raw.data());
    return std::nullopt;
}

IpAddress IpAddress::plus(std::uint64_t offset) const {
    IpAddress sum = *this;
    for (std::size_t i = size(); i-- > 0 && offset != 0;) {
        offset += sum.bytes_[i];
        sum.bytes_[i] = static_cast<std::uint8_t>(offset & 0xff);
        offset >>= 8;
    }
    return sum;
}

IpAddress IpAddress::masked(int length) const {
    IpAddress kept = *this;
    for (std::size_t i = 0; i < size(); ++i) {
        const int bits_before = static_cast<int>(i) * 8;
        if (length <= bits_before) {
            kept.bytes_[i] = 0;
        } else if (length < bits_before + 8) {
            kept.bytes_[i] = static_cast<std::uint8_t>(kept.bytes_[i] & (0xff << (bits_before + 8 - length)));
        }
    }
    return kept;
}

std::string IpAddress::to_string() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text.data(), text.size());
    return text.data();
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    const auto length = parse_number(text.substr(slash + 1), static_cast<unsigned>(address->bits()));
    if (!length || address->masked(static_cast<int>(*length)) != *address) return std::nullopt;
    return Prefix{*address, static_cast<int>(*length)};
}

IpAddress Prefix::last() const {
    std::array<std::uint8_t, 16> bytes = address.bytes();
    for (int bit = length; bit < address.bits(); ++bit)
        bytes[static_cast<std::size_t>(bit / 8)] |= static_cast<std::uint8_t>(0x80 >> (bit % 8));
    return address.is_v4() ? IpAddress::v4_from(bytes.data()) : IpAddress::v6_from(bytes.data());
}

std::string Prefix::to_string() const {
    return address.to_string() + "/" + std::to_string(length);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    const auto address = IpAddress::parse(host);
    const auto l4_port = parse_number(text.substr(colon + 1), 65535);
    if (!address || !l4_port || address->is_v6() != bracketed) return std::nullopt;
    return Endpoint{*address, static_cast<std::uint16_t>(*l4_port)};
}

std::string Endpoint::to_string() const {
    const std::string host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
    return host + ":" + std::to_string(l4_port);
}

}  // namespace weft::net
