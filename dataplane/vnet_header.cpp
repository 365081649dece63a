// SPDX-License-Identifier: Apache-2.0
#include "dataplane/vnet_header.hpp"

#include <cstring>
#include <span>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/parse.hpp"

namespace weft {

namespace {

constexpr std::uint16_t kTcpChecksum = 16;
constexpr std::uint16_t kUdpChecksum = 6;
constexpr std::uint32_t kTcpHeader = 20;
constexpr std::uint32_t kUdpHeader = 8;

// Where the TCP or UDP header begins.
struct L4 {
    std::uint32_t offset = 0;
    std::uint8_t protocol = 0;
    int version = 0;

    [[nodiscard]] bool is_tcp() const { return protocol == net::kProtocolTcp; }
    [[nodiscard]] std::uint16_t checksum_offset() const { return is_tcp() ? kTcpChecksum : kUdpChecksum; }
};

bool is_l4(std::uint8_t protocol) {
    return protocol == net::kProtocolTcp || protocol == net::kProtocolUdp;
}

std::uint8_t byte_at(std::span<const std::byte> bytes, std::size_t at) {
    return std::to_integer<std::uint8_t>(bytes[at]);
}

// The two plain forms cost two comparisons; anything else goes through the parser, whose reason is then the packet's.
std::expected<L4, Drop> find_l4(std::span<const std::byte> head, std::uint32_t size) noexcept {
    if (head.size() >= 28 && byte_at(head, 0) == 0x45 && is_l4(byte_at(head, 9)) && (byte_at(head, 6) & 0x3F) == 0 &&
        byte_at(head, 7) == 0)
        return L4{20, byte_at(head, 9), 4};
    if (head.size() >= 48 && byte_at(head, 0) >> 4 == 6 && is_l4(byte_at(head, 6))) return L4{40, byte_at(head, 6), 6};
    const auto parsed = net::parse(head, size, net::ParseAs::Superpacket);
    if (!parsed) return std::unexpected(parsed.error());
    if (!is_l4(parsed->protocol) || parsed->fragment == net::FragmentKind::Later)
        return L4{parsed->l4_offset, 0, parsed->version};
    return L4{parsed->l4_offset, parsed->protocol, parsed->version};
}

// All headers of a segment, or 0 if they do not lie in the first buffer.
std::uint32_t header_length(const L4& l4, std::span<const std::byte> head) noexcept {
    if (head.size() < l4.offset + (l4.is_tcp() ? kTcpHeader : kUdpHeader)) return 0;
    if (!l4.is_tcp()) return l4.offset + kUdpHeader;
    const std::uint32_t tcp_length = std::uint32_t{byte_at(head, l4.offset + 12)} >> 4 << 2;
    if (tcp_length < kTcpHeader || l4.offset + tcp_length > head.size()) return 0;
    return l4.offset + tcp_length;
}

bool gso_type_fits(std::uint8_t gso_type, const L4& l4) noexcept {
    switch (gso_type) {
        case VnetHeader::kGsoTcp4:
        case VnetHeader::kGsoTcp4 | VnetHeader::kGsoEcn:
            return l4.is_tcp() && l4.version == 4;
        case VnetHeader::kGsoTcp6:
        case VnetHeader::kGsoTcp6 | VnetHeader::kGsoEcn:
            return l4.is_tcp() && l4.version == 6;
        case VnetHeader::kGsoUdp:
            return l4.protocol == net::kProtocolUdp;
        default:
            return false;
    }
}

// What the kernel would do before a device without offload: sum from `start` to the end, put it at `start + offset`.
std::expected<void, Drop> finish_foreign_checksum(const VnetHeader& header, Packet& packet) noexcept {
    const std::uint32_t field = std::uint32_t{header.checksum_start} + header.checksum_offset;
    if (header.checksum_start % 2 != 0 || field + 2 > packet.head.size) return std::unexpected(Drop::BadHeader);
    std::uint64_t total = net::sum(packet.bytes().subspan(header.checksum_start));
    for (const Slice& slice : packet.tails())
        total = net::sum({slice.data, slice.size}, total);
    auto checksum = static_cast<std::uint16_t>(~net::fold(total));
    if (checksum == 0 && header.checksum_offset == kUdpChecksum) checksum = 0xFFFF;
    std::memcpy(packet.head.data + field, &checksum, sizeof checksum);
    return {};
}

}  // namespace

std::expected<void, Drop> apply_vnet_header(const VnetHeader& header, Packet& packet) noexcept {
    const bool partial = (header.flags & VnetHeader::kNeedsChecksum) != 0;
    if (header.gso_type == VnetHeader::kGsoNone && !partial) return {};

    const auto l4 = find_l4(packet.bytes(), packet.size);
    if (!l4) return std::unexpected(l4.error());
    const bool ours =
        is_l4(l4->protocol) && header.checksum_start == l4->offset && header.checksum_offset == l4->checksum_offset();
    if (header.gso_type == VnetHeader::kGsoNone) {
        if (!ours) return finish_foreign_checksum(header, packet);
        if (header_length(*l4, packet.bytes()) == 0) return std::unexpected(Drop::BadHeader);
        packet.checksum = ChecksumState::Partial;
        return {};
    }

    // The kernel always asks for the checksum of what it asks to be cut.
    const std::uint32_t headers = header_length(*l4, packet.bytes());
    if (!ours || !partial || headers == 0 || header.gso_size == 0 || !gso_type_fits(header.gso_type, *l4))
        return std::unexpected(Drop::BadHeader);
    packet.checksum = ChecksumState::Partial;
    const std::uint32_t payload = packet.size - headers;
    if (payload <= header.gso_size) return {};  // one segment: an ordinary packet
    packet.gso = l4->is_tcp() ? Gso::Tcp : Gso::Udp;
    packet.gso_size = header.gso_size;
    packet.segments = static_cast<std::uint16_t>((payload + header.gso_size - 1) / header.gso_size);
    return {};
}

std::expected<VnetHeader, Drop> make_vnet_header(const Packet& packet) noexcept {
    VnetHeader header;
    if (packet.checksum == ChecksumState::Full && packet.gso == Gso::None) return header;
    const auto l4 = find_l4(packet.bytes(), packet.size);
    if (!l4) return std::unexpected(l4.error());
    const std::uint32_t headers = header_length(*l4, packet.bytes());
    if (!is_l4(l4->protocol) || headers == 0 || packet.checksum == ChecksumState::Full)
        return std::unexpected(Drop::BadHeader);
    header.flags = VnetHeader::kNeedsChecksum;
    header.checksum_start = static_cast<std::uint16_t>(l4->offset);
    header.checksum_offset = l4->checksum_offset();
    if (packet.gso == Gso::None) return header;
    if (l4->is_tcp() != (packet.gso == Gso::Tcp) || packet.gso_size == 0) return std::unexpected(Drop::BadHeader);
    header.gso_size = packet.gso_size;
    header.header_length = static_cast<std::uint16_t>(headers);
    if (packet.gso == Gso::Udp) {
        header.gso_type = VnetHeader::kGsoUdp;
    } else {
        header.gso_type = l4->version == 4 ? VnetHeader::kGsoTcp4 : VnetHeader::kGsoTcp6;
        constexpr std::uint8_t kCwr = 0x80;  // tells a cutting device to clear it behind the first segment
        if ((byte_at(packet.bytes(), l4->offset + 13) & kCwr) != 0) header.gso_type |= VnetHeader::kGsoEcn;
    }
    return header;
}

}  // namespace weft
