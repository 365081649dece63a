// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/net/address.hpp"
#include "dataplane/net/tcp.hpp"
#include "dataplane/packet.hpp"
#include "tests/support/test_packet.hpp"

namespace weft::test {

inline constexpr std::uint8_t kFin = net::kTcpFin;
inline constexpr std::uint8_t kSyn = net::kTcpSyn;
inline constexpr std::uint8_t kRst = net::kTcpRst;
inline constexpr std::uint8_t kPsh = net::kTcpPsh;
inline constexpr std::uint8_t kAck = net::kTcpAck;

enum class More { No, Yes };

// Packets for tests, said in one line:
//
//   PacketBuilder().ipv4("10.18.0.2", "10.30.0.10").tcp(40000, 80).flags(kSyn).mss(1460).build()
//
// Lengths and checksums are right unless told otherwise; payload is a fixed pattern unless given. Start with ipv4 or
// ipv6, then one of the L4 kinds; the rest in any order. Copies are independent, so a half-made builder serves as a
// template.
class PacketBuilder {
  public:
    PacketBuilder& ipv4(std::string_view source, std::string_view destination);
    PacketBuilder& ipv6(std::string_view source, std::string_view destination);
    PacketBuilder& ip(const net::IpAddress& source, const net::IpAddress& destination);
    PacketBuilder& ttl(unsigned ttl);
    PacketBuilder& tos(unsigned tos);
    PacketBuilder& id(std::uint32_t id);         // IPv4, or of the IPv6 fragment header
    PacketBuilder& df(bool set = true);          // IPv4; off unless said
    PacketBuilder& ipv4_options(Bytes options);  // padded to a multiple of four
    // An IPv6 extension header before L4; `body` is what follows its first two bytes, padded to a multiple of eight.
    PacketBuilder& extension(std::uint8_t kind, Bytes body = {});
    // A hand-made piece: from `offset` 1 on there is no L4 header, only payload. Honest pieces: `fragments`.
    PacketBuilder& fragment(std::uint32_t offset_bytes, More more);

    PacketBuilder& tcp(std::uint16_t source_port, std::uint16_t destination_port);
    PacketBuilder& flags(unsigned flags);  // default: ACK
    PacketBuilder& seq(std::uint32_t sequence);
    PacketBuilder& ack(std::uint32_t acknowledgement);
    PacketBuilder& window(std::uint16_t window);
    PacketBuilder& mss(std::uint16_t mss);      // appends the option
    PacketBuilder& tcp_options(Bytes options);  // appends; padded with NOP at the end

    PacketBuilder& udp(std::uint16_t source_port, std::uint16_t destination_port);
    PacketBuilder& no_udp_checksum();

    PacketBuilder& icmp_echo(std::uint16_t identifier, std::uint16_t sequence);
    PacketBuilder& icmp_echo_reply(std::uint16_t identifier, std::uint16_t sequence);
    // Any ICMP or ICMPv6 message; `rest` is the second word, the MTU in too-big errors.
    PacketBuilder& icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0);
    // About `quote`, which becomes the payload as it is given (cut it yourself).
    PacketBuilder& icmp_error(std::uint8_t type, std::uint8_t code, Bytes quote, std::uint32_t rest = 0);

    PacketBuilder& protocol(std::uint8_t number);  // no L4 header, payload only

    PacketBuilder& payload(std::size_t size);
    PacketBuilder& payload(Bytes bytes);
    PacketBuilder& payload(std::string_view text);
    PacketBuilder& partial_checksum();
    // What TestPacket makes of it: a superpacket for TCP or UDP, to be cut every `gso_size` bytes of payload.
    PacketBuilder& gso(std::uint16_t gso_size);

    [[nodiscard]] Bytes build() const;
    [[nodiscard]] TestPacket packet() const;

  private:
    enum class L4 { None, Tcp, Udp, Icmp };
    struct Extension {
        std::uint8_t kind;
        Bytes bytes;  // whole, next header left open
    };

    [[nodiscard]] std::uint8_t l4_protocol() const;
    [[nodiscard]] Bytes l4_header() const;
    [[nodiscard]] Bytes l4_with_checksum() const;
    [[nodiscard]] Bytes with_ipv4(const Bytes& l4) const;
    [[nodiscard]] Bytes with_ipv6(const Bytes& l4) const;
    [[nodiscard]] bool is_fragment() const { return fragment_offset_ != 0 || more_ == More::Yes; }

    net::IpAddress source_, destination_;
    std::uint8_t ttl_ = 64, tos_ = 0;
    std::uint32_t id_ = 0;
    bool df_ = false;
    Bytes ipv4_options_;
    std::vector<Extension> extensions_;
    std::uint32_t fragment_offset_ = 0;
    More more_ = More::No;

    L4 l4_ = L4::None;
    std::uint8_t protocol_ = 59;
    std::uint16_t source_port_ = 0, destination_port_ = 0;
    std::uint8_t flags_ = net::kTcpAck;
    std::uint32_t sequence_ = 1, acknowledgement_ = 1;
    std::uint16_t window_ = 65535;
    Bytes tcp_options_;
    bool udp_checksum_ = true;
    std::uint8_t icmp_type_ = 0, icmp_code_ = 0;
    std::uint32_t icmp_rest_ = 0;
    bool is_echo_ = false, is_reply_ = false;
    Bytes payload_;
    ChecksumState checksum_ = ChecksumState::Full;
    std::uint16_t gso_size_ = 0;
};

// Bytes from numbers: bytes_of({0x01, 0x02}).
[[nodiscard]] Bytes bytes_of(std::initializer_list<unsigned> values);
// The pattern that `payload(n)` puts in.
[[nodiscard]] Bytes pattern(std::size_t size);
// Cuts a whole packet, checksums finished, into honest fragments with at most `piece` bytes (a multiple of eight) of IP
// payload each. IPv6 pieces get a fragment header with this id.
[[nodiscard]] std::vector<Bytes> fragments(const Bytes& packet, std::size_t piece, std::uint32_t id = 7);

}  // namespace weft::test
