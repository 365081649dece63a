// SPDX-License-Identifier: Apache-2.0
//
// Cutting superpackets and joining packets: no payload byte is lost, doubled or moved, every piece is a valid packet,
// and what was joined can be cut again into what came in.
#include <algorithm>
#include <vector>

#include "dataplane/base/check.hpp"
#include "dataplane/coalesce.hpp"
#include "dataplane/segment.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/mend.hpp"

namespace {

using namespace weft;
using Bytes = std::vector<std::byte>;

// Head and tail of a packet, each in a block of its own.
struct Held {
    std::vector<fuzz::HeapBytes> blocks;
    Packet packet;

    Held(std::span<const std::byte> bytes, std::size_t head_size, std::size_t slice_size) {
        head_size = std::min(head_size, bytes.size());
        slice_size = std::max(slice_size, (bytes.size() - head_size) / Packet::kMaxTail + 1);
        const auto hold = [&](std::span<const std::byte> part) {
            const auto block = blocks.emplace_back(part).span();
            return Slice{block.data(), static_cast<std::uint32_t>(block.size())};
        };
        const Slice head = hold(bytes.first(head_size));
        packet.reset(head.data, head.size, 0);
        for (std::size_t at = head_size; at < bytes.size(); at += slice_size)
            packet.append(hold(bytes.subspan(at, std::min(slice_size, bytes.size() - at))));
    }
};

Bytes flat(const Packet& packet) {
    Bytes all(packet.bytes().begin(), packet.bytes().end());
    for (const Slice& slice : packet.tails())
        all.insert(all.end(), slice.data, slice.data + slice.size);
    return all;
}

std::vector<Bytes> cut_all(const Packet& packet, const net::Parsed& parsed, std::uint32_t max_payload) {
    const Segmenter segmenter(packet, parsed, max_payload);
    std::vector<Bytes> all;
    for (std::uint32_t k = 0; k < segmenter.count(); ++k) {
        const fuzz::HeapBytes header(Bytes(segmenter.header_size()));
        const auto segment = segmenter.cut(k, header.span().data());
        Bytes bytes(header.span().begin(), header.span().end());
        for (const Slice& slice : segment.payloads())
            bytes.insert(bytes.end(), slice.data, slice.data + slice.size);
        WEFT_CHECK(bytes.size() == segment.size, "a segment of another size than it says");
        all.push_back(std::move(bytes));
    }
    return all;
}

bool sum_is_right(const Bytes& segment, const net::Parsed& parsed, fuzz::Sum sum) {
    if (sum == fuzz::Sum::Full) return fuzz::l4_residue(segment) == 0;
    Bytes right = segment;
    fuzz::mend_l4_sum(right, sum);
    const std::size_t field = parsed.l4_offset + (parsed.protocol == net::kProtocolTcp ? 16U : 6U);
    const auto value = [&](const Bytes& bytes) {
        return (std::to_integer<unsigned>(bytes[field]) << 8 | std::to_integer<unsigned>(bytes[field + 1])) % 0xFFFFU;
    };
    return value(segment) == value(right);
}

// Every piece is a valid packet with a right sum; one after the other they hold the payload.
Bytes checked_payload(const std::vector<Bytes>& segments, fuzz::Sum sum) {
    Bytes payload;
    for (const Bytes& segment : segments) {
        const auto parsed = net::parse(segment, static_cast<std::uint32_t>(segment.size()));
        WEFT_CHECK(parsed.has_value(), "a segment that is no valid packet");
        WEFT_CHECK(sum_is_right(segment, *parsed, sum), "a segment with a wrong sum");
        payload.insert(payload.end(), segment.begin() + parsed->payload_offset, segment.end());
    }
    return payload;
}

// One superpacket, cut.
void cut(fuzz::Input input, bool is_partial) {
    const std::uint16_t gso_size = input.word();
    const std::uint32_t max_payload = input.word();
    const std::size_t head_size = input.word();
    const std::size_t slice_size = input.word();
    const unsigned repeat = input.byte();
    const auto seed = input.rest();
    Bytes bytes(seed.begin(), seed.end());
    for (unsigned i = 0; i < repeat % 32; ++i)
        bytes.insert(bytes.end(), seed.begin(), seed.end());
    if (bytes.size() > 65535) bytes.resize(65535);
    fuzz::mend(bytes);
    const auto sum = is_partial ? fuzz::Sum::Partial : fuzz::Sum::Full;
    fuzz::mend_l4_sum(bytes, sum);

    Held held(bytes, std::max<std::size_t>(head_size, 400), slice_size);
    Packet& packet = held.packet;
    const auto parsed = net::parse(packet.bytes(), packet.size, net::ParseAs::Superpacket);
    if (!parsed || packet.size - parsed->payload_offset > 64U * 1024) return;
    packet.gso = parsed->protocol == net::kProtocolTcp ? Gso::Tcp : Gso::Udp;
    packet.gso_size = gso_size;
    packet.checksum = is_partial ? ChecksumState::Partial : ChecksumState::Full;
    if (gso_size != 0 && (packet.size - parsed->payload_offset) / gso_size > 128) return;  // only slow
    const bool finer = parsed->protocol == net::kProtocolTcp && max_payload != 0;
    if (finer && (packet.size - parsed->payload_offset) / max_payload > 128) return;
    const auto segments = cut_all(packet, *parsed, max_payload);
    const Bytes payload = checked_payload(segments, sum);
    WEFT_CHECK(std::ranges::equal(payload, std::span(bytes).subspan(parsed->payload_offset)),
               "payload lost or changed");
    WEFT_CHECK(flat(packet) == bytes, "the superpacket itself was changed");
}

// A turn of packets, joined. Inputs are pieces with their length before them.
void join(fuzz::Input input, bool is_partial) {
    const auto state = is_partial ? ChecksumState::Partial : ChecksumState::Full;
    std::vector<Bytes> sent;
    std::vector<fuzz::HeapBytes> held;
    Coalescer coalescer;
    while (!input.empty() && !coalescer.full()) {
        const unsigned choice = input.byte();
        const std::size_t size = input.byte() * (1 + choice % 4);
        const auto piece = input.take(size);
        Bytes bytes(piece.begin(), piece.end());
        if ((choice & 0x40) != 0 && !sent.empty()) bytes = sent.back();  // a likely follower
        if ((choice & 0x80) == 0) {
            fuzz::mend(bytes);
            fuzz::mend_l4_sum(bytes, is_partial ? fuzz::Sum::Partial : fuzz::Sum::Full);
        }
        sent.push_back(bytes);
        const auto span = held.emplace_back(bytes).span();
        coalescer.add({span.data(), static_cast<std::uint32_t>(span.size())}, 0, state, choice >> 4 & 1);
    }
    std::size_t segments_out = 0;
    for (const Packet& packet : coalescer.finish()) {
        segments_out += packet.segments;
        if (packet.segments == 1) {
            WEFT_CHECK(std::ranges::find(sent, flat(packet)) != sent.end(), "a packet that nobody sent");
            WEFT_CHECK(packet.checksum == state && packet.gso == Gso::None, "a lone packet was changed");
            continue;
        }
        const auto parsed = net::parse(packet.bytes(), packet.size, net::ParseAs::Superpacket);
        if (!parsed) {
            WEFT_CHECK(parsed.error() == Drop::SourceSpoofed, "a superpacket that is no valid packet");
            continue;
        }
        const auto cut = cut_all(packet, *parsed, 0);
        (void)checked_payload(cut, fuzz::Sum::Partial);
        WEFT_CHECK(cut.size() == packet.segments, "it falls into another number of segments");
        for (const Bytes& segment : cut) {
            const auto is_same = [&](const Bytes& other) {
                const auto more = net::parse(other, static_cast<std::uint32_t>(other.size()));
                return more && more->payload_offset == parsed->payload_offset && other.size() == segment.size() &&
                       std::equal(other.begin() + parsed->payload_offset, other.end(),
                                  segment.begin() + parsed->payload_offset);
            };
            WEFT_CHECK(std::ranges::any_of(sent, is_same), "a segment that nobody sent");
        }
    }
    WEFT_CHECK(segments_out == sent.size(), "packets lost or made");
}

}  // namespace

// Byte 0: bit 0 join instead of cut, bit 1 partial sums.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const unsigned choice = input.byte();
    if ((choice & 1) != 0) {
        join(input, (choice & 2) != 0);
    } else {
        cut(input, (choice & 2) != 0);
    }
    return 0;
}
