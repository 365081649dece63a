// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace weft::net {

// An IPv4 or IPv6 address. Bytes are in network order; an IPv4 address fills the first four, the rest are zero.
// The default value is 0.0.0.0, which weft uses for "none" (`is_unspecified`).
class IpAddress {
  public:
    constexpr IpAddress() = default;
    static constexpr IpAddress v4(std::uint32_t host_order) {
        IpAddress a;
        for (int i = 0; i < 4; ++i)
            a.bytes_[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
        return a;
    }
    // Takes the bytes as they lie in a packet.
    static IpAddress v4_from(const void* bytes) {
        IpAddress a;
        std::memcpy(a.bytes_.data(), bytes, 4);
        return a;
    }
    static IpAddress v6_from(const void* bytes) {
        IpAddress a;
        std::memcpy(a.bytes_.data(), bytes, 16);
        a.version_ = 6;
        return a;
    }
    // Dotted quad or RFC 4291 text, nothing else (no zone, no prefix, no leading zeros); nullopt for anything else.
    static std::optional<IpAddress> parse(std::string_view text);

    [[nodiscard]] constexpr int version() const { return version_; }
    [[nodiscard]] constexpr bool is_v4() const { return version_ == 4; }
    [[nodiscard]] constexpr bool is_v6() const { return version_ == 6; }
    [[nodiscard]] constexpr int bits() const { return is_v4() ? 32 : 128; }
    [[nodiscard]] bool is_unspecified() const { return bytes_ == std::array<std::uint8_t, 16>{}; }
    [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
    [[nodiscard]] std::size_t size() const { return is_v4() ? 4 : 16; }
    [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
    // Host order; IPv4 only.
    [[nodiscard]] constexpr std::uint32_t v4_value() const {
        return std::uint32_t{bytes_[0]} << 24 | std::uint32_t{bytes_[1]} << 16 | std::uint32_t{bytes_[2]} << 8 |
               bytes_[3];
    }
    // The address `offset` further on (wraps within the family).
    [[nodiscard]] IpAddress plus(std::uint64_t offset) const;
    // The first `length` bits kept, the rest zero.
    [[nodiscard]] IpAddress masked(int length) const;
    [[nodiscard]] std::string to_string() const;

    friend bool operator==(const IpAddress&, const IpAddress&) = default;
    friend auto operator<=>(const IpAddress& a, const IpAddress& b) {
        if (a.version_ != b.version_) return a.version_ <=> b.version_;
        return a.bytes_ <=> b.bytes_;
    }

  private:
    std::array<std::uint8_t, 16> bytes_{};
    std::uint8_t version_ = 4;
};

// A CIDR block. The address has no host bits once it went through `parse` or `of`.
struct Prefix {
    IpAddress address;
    int length = 0;

    // "10.18.0.0/26"; nullopt if malformed or if host bits are set.
    static std::optional<Prefix> parse(std::string_view text);
    static Prefix of(const IpAddress& any_inside, int length) { return {any_inside.masked(length), length}; }
    [[nodiscard]] bool contains(const IpAddress& a) const {
        return a.version() == address.version() && a.masked(length) == address;
    }
    [[nodiscard]] bool overlaps(const Prefix& other) const {
        return contains(other.address) || other.contains(address);
    }
    [[nodiscard]] IpAddress last() const;
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const Prefix&, const Prefix&) = default;
    friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

// A UDP or TCP end: address and l4 port (host order).
struct Endpoint {
    IpAddress address;
    std::uint16_t l4_port = 0;

    // "192.168.77.11:50103" or "[fd00::1]:50103".
    static std::optional<Endpoint> parse(std::string_view text);
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

}  // namespace weft::net

template <>
struct std::hash<weft::net::IpAddress> {
    std::size_t operator()(const weft::net::IpAddress& a) const noexcept {
        std::uint64_t low = 0;
        std::uint64_t high = 0;
        std::memcpy(&low, a.data(), 8);
        std::memcpy(&high, a.data() + 8, 8);
        std::uint64_t h =
            low * 0x9E3779B97F4A7C15ULL ^ (high + static_cast<std::uint64_t>(a.version())) * 0xC2B2AE3D27D4EB4FULL;
        h ^= h >> 29;
        h *= 0xBF58476D1CE4E5B9ULL;
        return h ^ (h >> 32);
    }
};
