// SPDX-License-Identifier: Apache-2.0
#include "dataplane/net/checksum.hpp"

#include <cstring>

#include "dataplane/net/byte_order.hpp"

namespace weft::net {

namespace {

std::uint64_t load64(const std::byte* at) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    return word;
}

std::uint64_t load32(const std::byte* at) {
    std::uint32_t word = 0;
    std::memcpy(&word, at, sizeof word);
    return word;
}

// With the carry out of the top coming in at the bottom: 2^64 is 1 modulo 65535 as well.
std::uint64_t add(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t total = a + b;
    return total + (total < a ? 1 : 0);
}

std::uint16_t add16(std::uint16_t a, std::uint16_t b) {
    const std::uint32_t total = std::uint32_t{a} + b;
    return static_cast<std::uint16_t>((total & 0xFFFF) + (total >> 16));
}

std::uint16_t invert(std::uint16_t value) {
    return static_cast<std::uint16_t>(~value);
}

}  // namespace

// A machine word is a row of 16-bit words in packet order, whatever the machine's byte order, so words are added as
// they come. Halves of 32 bits in accumulators of 64 leave the carries where they fall: no chain of dependent
// additions.
std::uint64_t sum(std::span<const std::byte> bytes, std::uint64_t initial) noexcept {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    std::uint64_t even_low = 0, even_high = 0, odd_low = 0, odd_high = 0;
    for (; left >= 32; at += 32, left -= 32) {
        const std::uint64_t a = load64(at), b = load64(at + 8), c = load64(at + 16), d = load64(at + 24);
        even_low += (a & 0xFFFFFFFF) + (b & 0xFFFFFFFF);
        even_high += (a >> 32) + (b >> 32);
        odd_low += (c & 0xFFFFFFFF) + (d & 0xFFFFFFFF);
        odd_high += (c >> 32) + (d >> 32);
    }
    std::uint64_t total = even_low + even_high + odd_low + odd_high;
    for (; left >= 4; at += 4, left -= 4)
        total += load32(at);
    if (left != 0) {
        std::uint32_t word = 0;  // what is missing counts as zero
        std::memcpy(&word, at, left);
        total += word;
    }
    return add(total, initial);
}

std::uint16_t fold(std::uint64_t sum) noexcept {
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = (sum & 0xFFFF) + (sum >> 16);
    return static_cast<std::uint16_t>(sum);
}

std::uint64_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol,
                                std::uint32_t l4_length) noexcept {
    const Be32 length(l4_length);
    const Be32 last(protocol);
    std::uint64_t total = std::uint64_t{length.raw()} + last.raw();
    total = sum(std::as_bytes(std::span(source.data(), source.size())), total);
    return sum(std::as_bytes(std::span(destination.data(), destination.size())), total);
}

std::uint16_t delta(std::span<const std::byte> old_bytes, std::span<const std::byte> new_bytes) noexcept {
    return delta16(fold(sum(old_bytes)), fold(sum(new_bytes)));
}

std::uint16_t delta16(std::uint16_t old_raw, std::uint16_t new_raw) noexcept {
    return add16(new_raw, invert(old_raw));
}

std::uint16_t combine(std::uint16_t delta_a, std::uint16_t delta_b) noexcept {
    return add16(delta_a, delta_b);
}

std::uint16_t adjust_full(std::uint16_t checksum_raw, std::uint16_t delta) noexcept {
    return invert(add16(invert(checksum_raw), delta));
}

std::uint16_t adjust_partial(std::uint16_t sum_raw, std::uint16_t delta) noexcept {
    return add16(sum_raw, delta);
}

}  // namespace weft::net
