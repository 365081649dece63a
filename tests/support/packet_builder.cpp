// SPDX-License-Identifier: Apache-2.0
#include "tests/support/packet_builder.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "dataplane/base/check.hpp"
#include "dataplane/net/header_at.hpp"
#include "dataplane/net/icmp.hpp"
#include "dataplane/net/ipv4.hpp"
#include "dataplane/net/ipv6.hpp"
#include "dataplane/net/udp.hpp"
#include "tests/support/reference_checksum.hpp"

namespace weft::test {

namespace {

net::IpAddress address(std::string_view text, int version) {
    const auto parsed = net::IpAddress::parse(text);
    WEFT_CHECK(parsed && parsed->version() == version, "a test wrote a malformed address");
    return *parsed;
}

template <class Header>
Bytes bytes_of_header(const Header& header) {
    Bytes bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

void append(Bytes& to, const Bytes& more) {
    to.insert(to.end(), more.begin(), more.end());
}

void pad(Bytes& bytes, std::size_t multiple, std::byte with = std::byte{0}) {
    while (bytes.size() % multiple != 0)
        bytes.push_back(with);
}

void put16(Bytes& bytes, std::size_t at, std::uint16_t value) {
    bytes[at] = std::byte(value >> 8);
    bytes[at + 1] = std::byte(value & 0xFF);
}

std::uint16_t inverted(std::uint16_t value) {
    return static_cast<std::uint16_t>(~value);
}

void finish_ipv4(Bytes& packet, std::size_t header_size) {
    put16(packet, 10, 0);
    put16(packet, 10, inverted(reference_sum(std::span(packet).first(header_size))));
}

}  // namespace

PacketBuilder& PacketBuilder::ipv4(std::string_view source, std::string_view destination) {
    return ip(address(source, 4), address(destination, 4));
}

PacketBuilder& PacketBuilder::ipv6(std::string_view source, std::string_view destination) {
    return ip(address(source, 6), address(destination, 6));
}

PacketBuilder& PacketBuilder::ip(const net::IpAddress& source, const net::IpAddress& destination) {
    WEFT_CHECK(source.version() == destination.version(), "a test mixed IPv4 and IPv6");
    source_ = source;
    destination_ = destination;
    return *this;
}

PacketBuilder& PacketBuilder::ttl(unsigned ttl) {
    ttl_ = static_cast<std::uint8_t>(ttl);
    return *this;
}

PacketBuilder& PacketBuilder::tos(unsigned tos) {
    tos_ = static_cast<std::uint8_t>(tos);
    return *this;
}

PacketBuilder& PacketBuilder::id(std::uint32_t id) {
    id_ = id;
    return *this;
}

PacketBuilder& PacketBuilder::df(bool set) {
    df_ = set;
    return *this;
}

PacketBuilder& PacketBuilder::ipv4_options(Bytes options) {
    ipv4_options_ = std::move(options);
    pad(ipv4_options_, 4);
    WEFT_CHECK(ipv4_options_.size() <= net::Ipv4Header::kMaxSize - net::Ipv4Header::kSize,
               "IPv4 options end at 40 bytes");
    return *this;
}

PacketBuilder& PacketBuilder::extension(std::uint8_t kind, Bytes body) {
    body.insert(body.begin(), 2, std::byte{0});
    pad(body, 8);
    body[1] = std::byte(body.size() / 8 - 1);
    extensions_.push_back({kind, std::move(body)});
    return *this;
}

PacketBuilder& PacketBuilder::fragment(std::uint32_t offset_bytes, More more) {
    fragment_offset_ = offset_bytes;
    more_ = more;
    return *this;
}

PacketBuilder& PacketBuilder::tcp(std::uint16_t source_port, std::uint16_t destination_port) {
    l4_ = L4::Tcp;
    source_port_ = source_port;
    destination_port_ = destination_port;
    return *this;
}

PacketBuilder& PacketBuilder::flags(unsigned flags) {
    flags_ = static_cast<std::uint8_t>(flags);
    return *this;
}

PacketBuilder& PacketBuilder::seq(std::uint32_t sequence) {
    sequence_ = sequence;
    return *this;
}

PacketBuilder& PacketBuilder::ack(std::uint32_t acknowledgement) {
    acknowledgement_ = acknowledgement;
    return *this;
}

PacketBuilder& PacketBuilder::window(std::uint16_t window) {
    window_ = window;
    return *this;
}

PacketBuilder& PacketBuilder::mss(std::uint16_t mss) {
    return tcp_options(bytes_of({net::kTcpOptionMss, net::kTcpOptionMssSize, mss / 256U, mss % 256U}));
}

PacketBuilder& PacketBuilder::tcp_options(Bytes options) {
    append(tcp_options_, options);
    WEFT_CHECK(tcp_options_.size() <= net::TcpHeader::kMaxSize - net::TcpHeader::kSize, "TCP options end at 40 bytes");
    return *this;
}

PacketBuilder& PacketBuilder::udp(std::uint16_t source_port, std::uint16_t destination_port) {
    l4_ = L4::Udp;
    source_port_ = source_port;
    destination_port_ = destination_port;
    return *this;
}

PacketBuilder& PacketBuilder::no_udp_checksum() {
    udp_checksum_ = false;
    return *this;
}

PacketBuilder& PacketBuilder::icmp_echo(std::uint16_t identifier, std::uint16_t sequence) {
    icmp(0, 0, std::uint32_t{identifier} << 16 | sequence);
    is_echo_ = true;
    is_reply_ = false;
    return *this;
}

PacketBuilder& PacketBuilder::icmp_echo_reply(std::uint16_t identifier, std::uint16_t sequence) {
    icmp_echo(identifier, sequence);
    is_reply_ = true;
    return *this;
}

PacketBuilder& PacketBuilder::icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
    l4_ = L4::Icmp;
    is_echo_ = false;
    icmp_type_ = type;
    icmp_code_ = code;
    icmp_rest_ = rest;
    return *this;
}

PacketBuilder& PacketBuilder::icmp_error(std::uint8_t type, std::uint8_t code, Bytes quote, std::uint32_t rest) {
    icmp(type, code, rest);
    return payload(std::move(quote));
}

PacketBuilder& PacketBuilder::protocol(std::uint8_t number) {
    l4_ = L4::None;
    protocol_ = number;
    return *this;
}

PacketBuilder& PacketBuilder::payload(std::size_t size) {
    return payload(pattern(size));
}

PacketBuilder& PacketBuilder::payload(Bytes bytes) {
    payload_ = std::move(bytes);
    return *this;
}

PacketBuilder& PacketBuilder::payload(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return payload(Bytes(bytes.begin(), bytes.end()));
}

PacketBuilder& PacketBuilder::partial_checksum() {
    checksum_ = ChecksumState::Partial;
    return *this;
}

PacketBuilder& PacketBuilder::gso(std::uint16_t gso_size) {
    gso_size_ = gso_size;
    return *this;
}

Bytes PacketBuilder::build() const {
    const Bytes l4 = fragment_offset_ == 0 ? l4_with_checksum() : payload_;
    return source_.is_v4() ? with_ipv4(l4) : with_ipv6(l4);
}

TestPacket PacketBuilder::packet() const {
    TestPacket made(build(), checksum_);
    if (gso_size_ != 0) made.gso(l4_ == L4::Tcp ? Gso::Tcp : Gso::Udp, gso_size_);
    return made;
}

std::uint8_t PacketBuilder::l4_protocol() const {
    switch (l4_) {
        case L4::Tcp:
            return net::kProtocolTcp;
        case L4::Udp:
            return net::kProtocolUdp;
        case L4::Icmp:
            return source_.is_v4() ? net::kProtocolIcmp : net::kProtocolIcmp6;
        case L4::None:
            break;
    }
    return protocol_;
}

Bytes PacketBuilder::l4_header() const {
    if (l4_ == L4::Tcp) {
        Bytes options = tcp_options_;
        pad(options, 4, std::byte{net::kTcpOptionNop});
        net::TcpHeader tcp{};
        tcp.source_port = source_port_;
        tcp.destination_port = destination_port_;
        tcp.sequence = sequence_;
        tcp.acknowledgement = acknowledgement_;
        tcp.set_header_size(sizeof tcp + options.size());
        tcp.flags = flags_;
        tcp.window = window_;
        Bytes bytes = bytes_of_header(tcp);
        append(bytes, options);
        return bytes;
    }
    if (l4_ == L4::Udp) {
        net::UdpHeader udp{};
        udp.source_port = source_port_;
        udp.destination_port = destination_port_;
        udp.length = static_cast<std::uint16_t>(sizeof udp + payload_.size());
        return bytes_of_header(udp);
    }
    if (l4_ == L4::Icmp) {
        net::IcmpHeader icmp{};
        icmp.type = icmp_type_;
        icmp.code = icmp_code_;
        icmp.set_mtu(icmp_rest_);
        const bool v4 = source_.is_v4();
        if (is_echo_ && is_reply_) icmp.type = v4 ? net::kIcmpEchoReply : net::kIcmp6EchoReply;
        if (is_echo_ && !is_reply_) icmp.type = v4 ? net::kIcmpEchoRequest : net::kIcmp6EchoRequest;
        return bytes_of_header(icmp);
    }
    return {};
}

Bytes PacketBuilder::l4_with_checksum() const {
    Bytes l4 = l4_header();
    append(l4, payload_);
    if (l4_ == L4::None || (l4_ == L4::Udp && !udp_checksum_)) return l4;
    const std::size_t at = l4_ == L4::Tcp   ? net::TcpHeader::kChecksumOffset
                           : l4_ == L4::Udp ? net::UdpHeader::kChecksumOffset
                                            : net::IcmpHeader::kChecksumOffset;
    const bool has_pseudo = l4_ != L4::Icmp || source_.is_v6();
    const std::uint16_t pseudo = has_pseudo ? reference_pseudo_sum(source_, destination_, l4_protocol(), l4.size()) : 0;
    if (checksum_ == ChecksumState::Partial) {
        put16(l4, at, pseudo);
        return l4;
    }
    std::uint16_t sum = inverted(reference_sum(l4, pseudo));
    if (l4_ == L4::Udp && sum == 0) sum = 0xFFFF;
    put16(l4, at, sum);
    return l4;
}

Bytes PacketBuilder::with_ipv4(const Bytes& l4) const {
    const std::size_t header_size = net::Ipv4Header::kSize + ipv4_options_.size();
    WEFT_CHECK(header_size + l4.size() <= 65535, "an IPv4 packet ends at 65,535 bytes");
    net::Ipv4Header ip{};
    ip.set_header_size(header_size);
    ip.tos = tos_;
    ip.total_length = static_cast<std::uint16_t>(header_size + l4.size());
    ip.id = static_cast<std::uint16_t>(id_);
    ip.flags_and_offset = static_cast<std::uint16_t>((df_ ? net::Ipv4Header::kDontFragment : 0) |
                                                     (more_ == More::Yes ? net::Ipv4Header::kMoreFragments : 0) |
                                                     (fragment_offset_ / 8 & net::Ipv4Header::kOffsetMask));
    ip.ttl = ttl_;
    ip.protocol = l4_protocol();
    ip.set_source(source_);
    ip.set_destination(destination_);
    Bytes packet = bytes_of_header(ip);
    append(packet, ipv4_options_);
    finish_ipv4(packet, header_size);
    append(packet, l4);
    return packet;
}

Bytes PacketBuilder::with_ipv6(const Bytes& l4) const {
    std::vector<Extension> chain = extensions_;
    if (is_fragment()) {
        net::Ipv6Fragment fragment{};
        fragment.offset_and_flags =
            static_cast<std::uint16_t>((fragment_offset_ & 0xFFF8) | (more_ == More::Yes ? 1 : 0));
        fragment.id = id_;
        chain.push_back({net::kNextFragment, bytes_of_header(fragment)});
    }
    Bytes rest;
    for (std::size_t i = 0; i < chain.size(); ++i) {
        chain[i].bytes[0] = std::byte{i + 1 < chain.size() ? chain[i + 1].kind : l4_protocol()};
        append(rest, chain[i].bytes);
    }
    append(rest, l4);
    WEFT_CHECK(rest.size() <= 65535, "an IPv6 packet carries at most 65,535 bytes");
    net::Ipv6Header ip{};
    ip.set_first_word(tos_, 0);
    ip.payload_length = static_cast<std::uint16_t>(rest.size());
    ip.next_header = chain.empty() ? l4_protocol() : chain.front().kind;
    ip.hop_limit = ttl_;
    ip.set_source(source_);
    ip.set_destination(destination_);
    Bytes packet = bytes_of_header(ip);
    append(packet, rest);
    return packet;
}

Bytes bytes_of(std::initializer_list<unsigned> values) {
    Bytes bytes;
    for (const unsigned value : values)
        bytes.push_back(std::byte(value));
    return bytes;
}

Bytes pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = std::byte((i * 7 + i / 251 + 1) & 0xFF);
    return bytes;
}

std::vector<Bytes> fragments(const Bytes& packet, std::size_t piece, std::uint32_t id) {
    WEFT_CHECK(piece != 0 && piece % 8 == 0, "fragments but the last are multiples of eight bytes");
    const bool v4 = std::to_integer<int>(packet.at(0)) >> 4 == 4;
    const std::size_t header_size = v4 ? 4 * (std::to_integer<std::size_t>(packet[0]) & 0x0F) : net::Ipv6Header::kSize;
    const std::span<const std::byte> payload = std::span(packet).subspan(header_size);
    std::vector<Bytes> pieces;
    for (std::size_t at = 0; at < payload.size(); at += piece) {
        const auto part = payload.subspan(at, std::min(piece, payload.size() - at));
        const bool more = at + part.size() < payload.size();
        Bytes made(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(header_size));
        if (v4) {
            put16(made, 2, static_cast<std::uint16_t>(header_size + part.size()));
            put16(made, 4, static_cast<std::uint16_t>(id));
            put16(made, 6, static_cast<std::uint16_t>((more ? net::Ipv4Header::kMoreFragments : 0) | at / 8));
            finish_ipv4(made, header_size);
        } else {
            net::Ipv6Fragment fragment{};
            fragment.next_header = std::to_integer<std::uint8_t>(packet[6]);
            fragment.offset_and_flags = static_cast<std::uint16_t>(at | (more ? 1U : 0U));
            fragment.id = id;
            put16(made, 4, static_cast<std::uint16_t>(sizeof fragment + part.size()));
            made[6] = std::byte{net::kNextFragment};
            append(made, bytes_of_header(fragment));
        }
        made.insert(made.end(), part.begin(), part.end());
        pieces.push_back(std::move(made));
    }
    return pieces;
}

}  // namespace weft::test
