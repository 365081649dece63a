// SPDX-License-Identifier: Apache-2.0
#include "dataplane/segment.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <span>

#include "dataplane/base/check.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/header_at.hpp"
#include "dataplane/net/ipv4.hpp"
#include "dataplane/net/ipv6.hpp"
#include "dataplane/net/tcp.hpp"
#include "dataplane/net/udp.hpp"

namespace weft {

namespace {

// The sum of consecutive slices as if they were one run of bytes; a slice that starts at an odd place counts its bytes
// swapped (RFC 1071, 2.B).
class RunningSum {
  public:
    explicit RunningSum(std::uint64_t initial) : sum_(net::fold(initial)) {}

    void add(std::span<const std::byte> bytes) noexcept {
        std::uint16_t part = net::fold(net::sum(bytes));
        if (is_odd_) part = std::byteswap(part);
        sum_ += part;
        is_odd_ ^= bytes.size() % 2 != 0;
    }
    [[nodiscard]] std::uint16_t folded() const noexcept { return net::fold(sum_); }

  private:
    std::uint64_t sum_;
    bool is_odd_ = false;
};

bool has_checksum(const net::Parsed& parsed) {
    return (parsed.protocol == net::kProtocolTcp || parsed.protocol == net::kProtocolUdp) &&
           parsed.fragment == net::FragmentKind::Whole;
}

// The L4 checksum field; the parser found the whole L4 header in `head`.
net::Be16* checksum_field(std::span<std::byte> head, const net::Parsed& parsed) {
    const bool is_tcp = parsed.protocol == net::kProtocolTcp;
    const std::size_t offset = is_tcp ? net::TcpHeader::kChecksumOffset : net::UdpHeader::kChecksumOffset;
    net::Be16* const field = net::writable_header_at<net::Be16>(head, parsed.l4_offset + offset);
    WEFT_CHECK(field != nullptr, "a parsed packet whose L4 header is not in its head");
    return field;
}

// Zero in a full UDP field: the sender wants none.
bool has_no_sum(net::Be16 field, const net::Parsed& parsed) {
    return parsed.protocol == net::kProtocolUdp && field.raw() == 0;
}

// A finished field from the sum over pseudo header and segment; UDP has no zero, it means "none" there.
std::uint16_t finished(std::uint16_t folded, const net::Parsed& parsed) {
    const auto field = static_cast<std::uint16_t>(~folded);
    return field == 0 && parsed.protocol == net::kProtocolUdp ? std::uint16_t{0xFFFF} : field;
}

}  // namespace

Segmenter::Segmenter(const Packet& packet, const net::Parsed& parsed, std::uint32_t max_payload) noexcept
    : packet_(packet), parsed_(parsed) {
    header_size_ = std::min<std::uint32_t>({parsed.payload_offset, packet.head.size, kMaxHeader});
    total_payload_ = packet.size - header_size_;
    payload_size_ = total_payload_;
    if (!is_cuttable(max_payload)) return;

    if (packet.gso != Gso::None) payload_size_ = packet.gso_size;
    if (max_payload != 0 && parsed.protocol == net::kProtocolTcp) payload_size_ = std::min(payload_size_, max_payload);
    count_ = std::max<std::uint32_t>(1, (total_payload_ + payload_size_ - 1) / payload_size_);
    rewrite_ = true;
    if (packet.checksum == ChecksumState::Full) sum_error_ = full_sum_error();
}

// Whether the packet is one that may be cut, and asks for it.
bool Segmenter::is_cuttable(std::uint32_t max_payload) const noexcept {
    const bool is_tcp = parsed_.protocol == net::kProtocolTcp;
    if (!has_checksum(parsed_) || header_size_ != parsed_.payload_offset) return false;
    switch (packet_.gso) {
        case Gso::Tcp:
            return is_tcp && packet_.gso_size != 0;
        case Gso::Udp:
            return !is_tcp && packet_.gso_size != 0;
        case Gso::None:
            // SYN and URG give places in the sequence space a meaning that a cut would move.
            return is_tcp && max_payload != 0 && total_payload_ > max_payload &&
                   (parsed_.tcp_flags & (net::kTcpSyn | net::kTcpRst | net::kTcpUrg)) == 0;
    }
    return false;
}

Segmenter::Segment Segmenter::cut(std::uint32_t k, std::byte* header) const noexcept {
    WEFT_CHECK(k < count_, "a segment beyond the packet's end");
    std::memcpy(header, packet_.head.data, header_size_);

    Segment segment;
    segment.header_size = header_size_;
    const std::uint32_t begin = k * payload_size_;
    const std::uint32_t payload_bytes = std::min(payload_size_, total_payload_ - begin);
    segment.size = header_size_ + payload_bytes;
    collect_payload(begin, payload_bytes, segment);
    if (!rewrite_) return segment;

    const std::span<std::byte> room(header, header_size_);
    write_lengths(k, segment.size, room);
    if (parsed_.protocol == net::kProtocolTcp) write_tcp(k, room);
    write_checksum(segment, room);
    return segment;
}

// The payload's bytes [begin, begin + size), as slices of head and tail.
void Segmenter::collect_payload(std::uint32_t begin, std::uint32_t size, Segment& segment) const noexcept {
    const auto take = [&](Slice slice) {
        if (begin >= slice.size) {
            begin -= slice.size;
            return;
        }
        const std::uint32_t taken = std::min(size, slice.size - begin);
        if (taken != 0) std::construct_at(&segment.payload[segment.payload_count++], slice.data + begin, taken);
        begin = 0;
        size -= taken;
    };
    take({packet_.head.data + header_size_, packet_.head.size - header_size_});
    for (const Slice& slice : packet_.tails()) {
        if (size == 0) break;
        take(slice);
    }
    WEFT_CHECK(size == 0, "head and tail are shorter than the packet's size");
}

void Segmenter::write_lengths(std::uint32_t k, std::uint32_t segment_size, std::span<std::byte> header) const noexcept {
    if (auto* ip = parsed_.is_v4() ? net::writable_header_at<net::Ipv4Header>(header) : nullptr) {
        ip->total_length = static_cast<std::uint16_t>(segment_size);
        ip->id = static_cast<std::uint16_t>(ip->id.value() + k);
        ip->checksum = 0;
        const std::uint16_t folded = net::fold(net::sum(header.first(ip->header_size())));
        ip->checksum = net::Be16::from_raw(static_cast<std::uint16_t>(~folded));
    }
    if (auto* ip = parsed_.is_v4() ? nullptr : net::writable_header_at<net::Ipv6Header>(header))
        ip->payload_length = static_cast<std::uint16_t>(segment_size - net::Ipv6Header::kSize);
    if (parsed_.protocol != net::kProtocolUdp) return;
    if (auto* udp = net::writable_header_at<net::UdpHeader>(header, parsed_.l4_offset))
        udp->length = static_cast<std::uint16_t>(segment_size - parsed_.l4_offset);
}

void Segmenter::write_tcp(std::uint32_t k, std::span<std::byte> header) const noexcept {
    auto* tcp = net::writable_header_at<net::TcpHeader>(header, parsed_.l4_offset);
    if (tcp == nullptr) return;
    tcp->sequence = tcp->sequence.value() + k * payload_size_;
    std::uint8_t cleared = 0;
    if (k != 0) cleared |= net::kTcpCwr;
    if (k + 1 != count_) cleared |= net::kTcpFin | net::kTcpPsh;
    tcp->flags = static_cast<std::uint8_t>(tcp->flags & ~cleared);
}

void Segmenter::write_checksum(const Segment& segment, std::span<std::byte> header) const noexcept {
    net::Be16& field = *checksum_field(header, parsed_);
    const std::uint32_t l4_length = segment.size - parsed_.l4_offset;
    if (packet_.checksum == ChecksumState::Partial) {
        const net::Be16 whole(static_cast<std::uint16_t>(packet_.size - parsed_.l4_offset));
        const net::Be16 own(static_cast<std::uint16_t>(l4_length));
        field = net::Be16::from_raw(net::adjust_partial(field.raw(), net::delta16(whole.raw(), own.raw())));
        return;
    }
    if (has_no_sum(field, parsed_)) return;

    field = 0;
    RunningSum sum(net::pseudo_header_sum(parsed_.source, parsed_.destination, parsed_.protocol, l4_length));
    sum.add(header.subspan(parsed_.l4_offset));
    for (const Slice& slice : segment.payloads())
        sum.add({slice.data, slice.size});
    field = net::Be16::from_raw(finished(net::combine(sum.folded(), sum_error_), parsed_));
}

// 0 if the packet's full sum is right. Otherwise how far it is off, so that damage done before us is not hidden by sums
// made anew.
std::uint16_t Segmenter::full_sum_error() const noexcept {
    if (has_no_sum(*checksum_field(packet_.bytes(), parsed_), parsed_)) return 0;
    RunningSum sum(net::pseudo_header_sum(parsed_.source, parsed_.destination, parsed_.protocol,
                                          packet_.size - parsed_.l4_offset));
    sum.add(packet_.bytes().subspan(parsed_.l4_offset));
    for (const Slice& slice : packet_.tails())
        sum.add({slice.data, slice.size});
    return sum.folded() == 0xFFFF ? std::uint16_t{0} : sum.folded();
}

void finish_checksum(Packet& packet, const net::Parsed& parsed) noexcept {
    if (packet.checksum == ChecksumState::Full) return;
    WEFT_CHECK(packet.gso == Gso::None, "a superpacket has no finished checksum");
    packet.checksum = ChecksumState::Full;
    if (!has_checksum(parsed)) return;

    // The field holds the pseudo header's sum and so takes part in the sum as it is.
    RunningSum sum(0);
    sum.add(packet.bytes().subspan(parsed.l4_offset));
    for (const Slice& slice : packet.tails())
        sum.add({slice.data, slice.size});
    *checksum_field(packet.bytes(), parsed) = net::Be16::from_raw(finished(sum.folded(), parsed));
}

}  // namespace weft
