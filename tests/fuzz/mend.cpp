// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/mend.hpp"

#include <cstdint>

#include "dataplane/net/header_at.hpp"
#include "dataplane/net/icmp.hpp"
#include "dataplane/net/ipv4.hpp"
#include "dataplane/net/ipv6.hpp"
#include "dataplane/net/parse.hpp"
#include "dataplane/net/tcp.hpp"
#include "dataplane/net/udp.hpp"
#include "tests/support/reference_checksum.hpp"

namespace weft::fuzz {

void mend(std::span<std::byte> packet) {
    if (packet.empty()) return;
    const auto version = std::to_integer<unsigned>(packet[0]) >> 4;
    std::size_t l4_offset = 0;
    unsigned protocol = 0;
    if (auto* ip = version == 4 ? net::writable_header_at<net::Ipv4Header>(packet) : nullptr) {
        if (ip->header_size() < net::Ipv4Header::kSize || ip->header_size() > packet.size()) return;
        ip->total_length = static_cast<std::uint16_t>(packet.size());
        ip->checksum = 0;
        ip->checksum = static_cast<std::uint16_t>(~test::reference_sum(packet.first(ip->header_size())));
        if (ip->more_fragments() || ip->fragment_offset() != 0) return;
        l4_offset = ip->header_size();
        protocol = ip->protocol;
    } else if (auto* ip6 = version == 6 ? net::writable_header_at<net::Ipv6Header>(packet) : nullptr) {
        ip6->payload_length = static_cast<std::uint16_t>(packet.size() - net::Ipv6Header::kSize);
        l4_offset = net::Ipv6Header::kSize;
        protocol = ip6->next_header;
    }
    if (protocol != net::kProtocolUdp) return;
    if (auto* udp = net::writable_header_at<net::UdpHeader>(packet, l4_offset))
        udp->length = static_cast<std::uint16_t>(packet.size() - l4_offset);
}

namespace {

// Where the sum covers a pseudo header: TCP, UDP, ICMPv6.
std::uint16_t pseudo(const net::Parsed& parsed, std::size_t l4_length) {
    if (parsed.is_v4() && parsed.protocol == net::kProtocolIcmp) return 0;
    return test::reference_pseudo_sum(parsed.source, parsed.destination, parsed.protocol, l4_length);
}

}  // namespace

void mend_l4_sum(std::span<std::byte> packet, Sum sum) {
    const auto parsed = net::parse(packet, static_cast<std::uint32_t>(packet.size()), net::ParseAs::Superpacket);
    if (!parsed || parsed->fragment != net::FragmentKind::Whole) return;
    const bool is_tcp = parsed->protocol == net::kProtocolTcp;
    if (!is_tcp && parsed->protocol != net::kProtocolUdp) return;
    const std::size_t offset = is_tcp ? net::TcpHeader::kChecksumOffset : net::UdpHeader::kChecksumOffset;
    auto* field = net::writable_header_at<net::Be16>(packet, parsed->l4_offset + offset);
    if (field == nullptr) return;
    const auto l4 = packet.subspan(parsed->l4_offset);
    const std::uint16_t partial = pseudo(*parsed, l4.size());
    *field = 0;
    const auto full = static_cast<std::uint16_t>(~test::reference_sum(l4, partial));
    *field = sum == Sum::Partial ? partial : full == 0 && !is_tcp ? std::uint16_t{0xFFFF} : full;
}

unsigned l4_residue(std::span<const std::byte> packet) {
    const auto parsed = net::parse(packet, static_cast<std::uint32_t>(packet.size()));
    if (!parsed) return 0;
    const auto l4 = packet.subspan(parsed->l4_offset);
    return test::reference_sum(l4, pseudo(*parsed, l4.size())) % 0xFFFFU;
}

}  // namespace weft::fuzz
