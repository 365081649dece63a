// SPDX-License-Identifier: Apache-2.0
#include "overlay/answer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/header_at.hpp"
#include "dataplane/net/icmp.hpp"
#include "dataplane/net/ipv4.hpp"
#include "dataplane/net/ipv6.hpp"
#include "dataplane/net/tcp.hpp"

namespace weft::overlay {

namespace {

using net::Be16;
using net::IpAddress;
using net::Parsed;

constexpr std::size_t kIpv4Limit = 576;
constexpr std::size_t kIpv6Limit = kMaxIcmpError;
constexpr std::uint8_t kHopLimit = 64;
constexpr std::uint8_t kInternetControl = 0xC0;  // RFC 1812 4.3.2.5: errors travel with this precedence

std::size_t ip_header_size(const IpAddress& address) {
    return address.is_v4() ? net::Ipv4Header::kSize : net::Ipv6Header::kSize;
}

void write_ip_header(std::span<std::byte> packet, std::uint8_t protocol, std::uint8_t tos, const IpAddress& source,
                     const IpAddress& destination) {
    if (source.is_v4()) {
        auto& ip = *net::writable_header_at<net::Ipv4Header>(packet);
        ip = {};
        ip.set_header_size(sizeof ip);
        ip.tos = tos;
        ip.total_length = static_cast<std::uint16_t>(packet.size());
        ip.flags_and_offset = net::Ipv4Header::kDontFragment;
        ip.ttl = kHopLimit;
        ip.protocol = protocol;
        ip.set_source(source);
        ip.set_destination(destination);
        const std::uint16_t sum = net::fold(net::sum(packet.first(sizeof ip)));
        ip.checksum = Be16::from_raw(static_cast<std::uint16_t>(~sum));
        return;
    }
    auto& ip = *net::writable_header_at<net::Ipv6Header>(packet);
    ip.set_first_word(tos, 0);
    ip.payload_length = static_cast<std::uint16_t>(packet.size() - sizeof ip);
    ip.next_header = protocol;
    ip.hop_limit = kHopLimit;
    ip.set_source(source);
    ip.set_destination(destination);
}

Be16 finished_sum(std::span<const std::byte> l4, std::uint64_t pseudo_header) {
    return Be16::from_raw(static_cast<std::uint16_t>(~net::fold(net::sum(l4, pseudo_header))));
}

bool is_one_host(const IpAddress& address) {
    if (address.is_unspecified()) return false;
    const std::uint8_t first = address.bytes()[0];
    return address.is_v4() ? first < 224 : first != 0xFF;
}

bool is_icmp_complaint(const Parsed& parsed) {
    if (parsed.icmp == net::IcmpKind::NotIcmp) return false;
    if (parsed.icmp == net::IcmpKind::Error) return true;
    if (parsed.is_v4()) return parsed.icmp_type == net::kIcmpSourceQuench || parsed.icmp_type == net::kIcmpRedirect;
    return parsed.icmp_type < net::kIcmp6FirstInformational || parsed.icmp_type == net::kIcmp6Redirect;
}

bool may_be_answered(const Parsed& parsed) {
    return parsed.fragment != net::FragmentKind::Later && !is_icmp_complaint(parsed) && is_one_host(parsed.source) &&
           is_one_host(parsed.destination);
}

struct TypeAndCode {
    std::uint8_t type, code;
};

TypeAndCode type_and_code(bool is_v4, IcmpError kind) {
    switch (kind) {
        case IcmpError::PortUnreachable:
            return is_v4 ? TypeAndCode{net::kIcmpUnreachable, net::kIcmpCodePortUnreachable}
                         : TypeAndCode{net::kIcmp6Unreachable, net::kIcmp6CodePortUnreachable};
        case IcmpError::HostUnreachable:
            return is_v4 ? TypeAndCode{net::kIcmpUnreachable, net::kIcmpCodeHostUnreachable}
                         : TypeAndCode{net::kIcmp6Unreachable, net::kIcmp6CodeAddressUnreachable};
        case IcmpError::TooBig:
            return is_v4 ? TypeAndCode{net::kIcmpUnreachable, net::kIcmpCodeFragmentationNeeded}
                         : TypeAndCode{net::kIcmp6PacketTooBig, 0};
        case IcmpError::TimeExceeded:
            return is_v4 ? TypeAndCode{net::kIcmpTimeExceeded, 0} : TypeAndCode{net::kIcmp6TimeExceeded, 0};
    }
    std::unreachable();
}

// The first bytes of the cause, wherever they lie; `to` is not larger than the cause.
void copy_quote(std::span<std::byte> to, const Packet& cause) {
    auto take = [&to](const Slice& slice) {
        const std::size_t size = std::min<std::size_t>(to.size(), slice.size);
        if (size == 0) return;
        std::memcpy(to.data(), slice.data, size);
        to = to.subspan(size);
    };
    take(cause.head);
    for (const Slice& slice : cause.tails())
        take(slice);
}

}  // namespace

std::size_t make_icmp_error(std::span<std::byte> room, IcmpError kind, std::uint32_t mtu, const Packet& cause,
                            const Parsed& parsed, const IpAddress& from) noexcept {
    if (!may_be_answered(parsed) || from.is_unspecified() || from.version() != parsed.version) return 0;
    const std::size_t ip_size = ip_header_size(from);
    const std::size_t headers = ip_size + net::IcmpHeader::kSize;
    const std::size_t size = std::min(parsed.is_v4() ? kIpv4Limit : kIpv6Limit, headers + cause.size);
    if (room.size() < size) return 0;
    const std::span<std::byte> packet = room.first(size);
    const std::uint8_t protocol = parsed.is_v4() ? net::kProtocolIcmp : net::kProtocolIcmp6;
    write_ip_header(packet, protocol, parsed.is_v4() ? kInternetControl : 0, from, parsed.source);
    copy_quote(packet.subspan(headers), cause);

    auto& icmp = *net::writable_header_at<net::IcmpHeader>(packet, ip_size);
    const auto [type, code] = type_and_code(parsed.is_v4(), kind);
    icmp.type = type;
    icmp.code = code;
    icmp.checksum = 0;
    icmp.set_mtu(kind == IcmpError::TooBig ? (parsed.is_v4() ? std::min(mtu, 0xFFFFU) : mtu) : 0);
    const auto l4_size = static_cast<std::uint32_t>(size - ip_size);
    const std::uint64_t pseudo = parsed.is_v4() ? 0 : net::pseudo_header_sum(from, parsed.source, protocol, l4_size);
    icmp.checksum = finished_sum(packet.subspan(ip_size), pseudo);
    return size;
}

std::size_t make_tcp_reset(std::span<std::byte> room, const Packet& cause, const Parsed& parsed) noexcept {
    if (parsed.protocol != net::kProtocolTcp || parsed.fragment != net::FragmentKind::Whole) return 0;
    if ((parsed.tcp_flags & net::kTcpRst) != 0) return 0;
    if (!is_one_host(parsed.source) || !is_one_host(parsed.destination)) return 0;
    const auto* refused = net::header_at<net::TcpHeader>(cause.bytes(), parsed.l4_offset);
    const std::size_t ip_size = ip_header_size(parsed.source);
    const std::size_t size = ip_size + net::TcpHeader::kSize;
    if (refused == nullptr || room.size() < size) return 0;
    const std::span<std::byte> packet = room.first(size);
    write_ip_header(packet, net::kProtocolTcp, 0, parsed.destination, parsed.source);

    auto& tcp = *net::writable_header_at<net::TcpHeader>(packet, ip_size);
    tcp = {};
    tcp.source_port = parsed.destination_port;
    tcp.destination_port = parsed.source_port;
    tcp.set_header_size(sizeof tcp);
    if ((parsed.tcp_flags & net::kTcpAck) != 0) {
        tcp.flags = net::kTcpRst;
        tcp.sequence = refused->acknowledgement;
    } else {
        // SYN and FIN take a place in the sequence like a byte of payload.
        const std::uint32_t syn = (parsed.tcp_flags & net::kTcpSyn) != 0 ? 1 : 0;
        const std::uint32_t fin = (parsed.tcp_flags & net::kTcpFin) != 0 ? 1 : 0;
        tcp.flags = net::kTcpRst | net::kTcpAck;
        tcp.acknowledgement = refused->sequence.value() + (cause.size - parsed.payload_offset) + syn + fin;
    }
    tcp.checksum = finished_sum(packet.subspan(ip_size), net::pseudo_header_sum(parsed.destination, parsed.source,
                                                                                net::kProtocolTcp, sizeof tcp));
    return size;
}

}  // namespace weft::overlay
