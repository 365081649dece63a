// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "dataplane/net/checksum.hpp"
#include "dataplane/port.hpp"
#include "overlay/session.hpp"

namespace weft::overlay::testing {

using Buffer = std::vector<std::byte>;

inline Buffer pattern(std::size_t size, unsigned seed = 1) {
    Buffer bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = std::byte((i * 131 + seed * 17 + (i >> 8)) & 0xFF);
    return bytes;
}

inline std::array<std::byte, 32> secret(unsigned seed) {
    std::array<std::byte, 32> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = std::byte((seed * 29 + i * 7 + 3) & 0xFF);
    return bytes;
}

inline TimePoint at(std::int64_t milliseconds) {
    return TimePoint(std::chrono::milliseconds(milliseconds));
}

inline net::Endpoint endpoint(const char* text) {
    return *net::Endpoint::parse(text);
}

// The tunnel socket as a list of the datagrams that would be sent.
class RecordingPort final : public OutsidePort {
  public:
    struct Sent {
        net::Endpoint to;
        std::uint8_t tos = 0;
        std::vector<Slice> slices;
        Buffer bytes;
    };

    std::size_t rx_burst(std::span<Train>) override { return 0; }
    void append(const net::Endpoint& to, std::uint8_t tos, std::span<const Slice> datagram) override {
        Sent one{to, tos, {datagram.begin(), datagram.end()}, {}};
        for (const Slice& slice : datagram)
            one.bytes.insert(one.bytes.end(), slice.data, slice.data + slice.size);
        sent.push_back(std::move(one));
    }
    std::byte* scratch(std::size_t size) override { return memory_.emplace_back(size).data(); }
    void flush() override {}

    std::vector<Sent> sent;

  private:
    std::deque<Buffer> memory_;
};

// An IPv4 packet with a partial or a full L4 checksum.
struct PacketSpec {
    std::uint8_t protocol = 6;
    std::uint16_t source_port = 40000, destination_port = 80;
    std::uint8_t tos = 0;
    std::size_t payload = 100;
    bool partial = false;
    std::uint16_t fragment = 0;  // the raw field
};

inline void put16(Buffer& bytes, std::size_t at, unsigned value) {
    bytes[at] = std::byte(value >> 8);
    bytes[at + 1] = std::byte(value & 0xFF);
}

inline Buffer make_packet(const PacketSpec& spec) {
    const std::size_t l4 = spec.protocol == 6 ? 20 : 8;
    Buffer bytes(20 + l4 + spec.payload);
    bytes[0] = std::byte{0x45};
    bytes[1] = std::byte{spec.tos};
    put16(bytes, 2, static_cast<unsigned>(bytes.size()));
    put16(bytes, 4, 0x1234);
    put16(bytes, 6, spec.fragment == 0 ? 0x4000 : spec.fragment);
    bytes[8] = std::byte{63};
    bytes[9] = std::byte{spec.protocol};
    const auto source = net::IpAddress::v4(0x0A1E0002), destination = net::IpAddress::v4(0x0A120042);
    std::memcpy(&bytes[12], source.data(), 4);
    std::memcpy(&bytes[16], destination.data(), 4);
    const auto header_sum = static_cast<std::uint16_t>(~net::fold(net::sum(std::span(bytes).first(20))));
    std::memcpy(&bytes[10], &header_sum, 2);

    const auto payload = pattern(spec.payload);
    std::copy(payload.begin(), payload.end(), bytes.begin() + static_cast<std::ptrdiff_t>(20 + l4));
    if (spec.protocol == 1) {
        bytes[20] = std::byte{8};
    } else {
        put16(bytes, 20, spec.source_port);
        put16(bytes, 22, spec.destination_port);
    }
    std::size_t field = 0;
    if (spec.protocol == 6) {
        bytes[32] = std::byte{0x50};
        bytes[33] = std::byte{0x18};
        field = 36;
    } else if (spec.protocol == 17) {
        put16(bytes, 24, static_cast<unsigned>(8 + spec.payload));
        field = 26;
    }
    if (field == 0) return bytes;
    const auto pseudo =
        net::pseudo_header_sum(source, destination, spec.protocol, static_cast<std::uint32_t>(bytes.size() - 20));
    auto value = net::fold(pseudo);
    if (!spec.partial) value = static_cast<std::uint16_t>(~net::fold(net::sum(std::span(bytes).subspan(20), pseudo)));
    std::memcpy(&bytes[field], &value, 2);
    return bytes;
}

// The L4 checksum of a whole IPv4 packet, over everything including its field: zero if it is right.
inline std::uint16_t l4_remainder(std::span<const std::byte> packet) {
    const auto source = net::IpAddress::v4_from(&packet[12]), destination = net::IpAddress::v4_from(&packet[16]);
    const auto pseudo = net::pseudo_header_sum(source, destination, std::to_integer<std::uint8_t>(packet[9]),
                                               static_cast<std::uint32_t>(packet.size() - 20));
    return static_cast<std::uint16_t>(~net::fold(net::sum(packet.subspan(20), pseudo)));
}

// The same session as its two ends hold it.
struct Ends {
    std::shared_ptr<Session> near, far;
};

inline Ends sealed_ends(PeerIndex near_peer = 1, PeerIndex far_peer = 0, Cipher cipher = Cipher::Aes128Gcm,
                        TimePoint born = {}) {
    SessionSecrets near{secret(1), secret(2)}, far{secret(2), secret(1)};
    return {*Session::sealed(near_peer, 0x1111, 0x2222, cipher, near, born),
            *Session::sealed(far_peer, 0x2222, 0x1111, cipher, far, born)};
}

inline Ends clear_ends(PeerIndex near_peer = 1, PeerIndex far_peer = 0) {
    return {Session::clear(near_peer, 0x1111, 0x2222, {}), Session::clear(far_peer, 0x2222, 0x1111, {})};
}

}  // namespace weft::overlay::testing
