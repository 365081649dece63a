// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test_packet.hpp"

#include <algorithm>
#include <span>

#include "dataplane/base/check.hpp"

namespace weft::test {

TestPacket::TestPacket(const Bytes& bytes, ChecksumState checksum)
    : head_(block(bytes, kHeadroom)), packet_(std::make_unique<Packet>()) {
    packet_->reset(head_.slice.data, head_.slice.size, kHeadroom);
    packet_->checksum = checksum;
}

TestPacket& TestPacket::split(std::size_t head_size, std::size_t slice_size) {
    const Bytes all = bytes();
    const std::span<const std::byte> rest = std::span(all).subspan(std::min(head_size, all.size()));
    WEFT_CHECK(rest.size() <= slice_size * Packet::kMaxTail, "a packet view has 64 tail slices");
    const Packet before = *packet_;
    head_ = block(std::span(all).first(all.size() - rest.size()), kHeadroom);
    tails_.clear();
    packet_->reset(head_.slice.data, head_.slice.size, kHeadroom);
    for (std::size_t at = 0; at < rest.size(); at += slice_size) {
        tails_.push_back(block(rest.subspan(at, std::min(slice_size, rest.size() - at)), 0));
        packet_->append(tails_.back().slice);
    }
    packet_->checksum = before.checksum;
    packet_->gso = before.gso;
    packet_->gso_size = before.gso_size;
    packet_->segments = before.segments;
    return *this;
}

TestPacket& TestPacket::gso(Gso kind, std::uint16_t gso_size) {
    packet_->gso = kind;
    packet_->gso_size = gso_size;
    const auto parsed = parse();
    WEFT_CHECK(parsed && gso_size != 0, "only a sound TCP or UDP packet can be a superpacket");
    const std::uint32_t payload = packet_->size - parsed->payload_offset;
    packet_->segments = static_cast<std::uint16_t>(std::max(1U, (payload + gso_size - 1) / gso_size));
    return *this;
}

std::expected<net::Parsed, Drop> TestPacket::parse() const {
    return net::parse(packet_->bytes(), packet_->size,
                      packet_->gso == Gso::None ? net::ParseAs::Packet : net::ParseAs::Superpacket);
}

Bytes TestPacket::bytes() const {
    return bytes_of(*packet_);
}

TestPacket::Block TestPacket::block(std::span<const std::byte> bytes, std::size_t headroom) {
    Block made{std::make_unique<std::byte[]>(headroom + bytes.size()), {}};
    std::copy(bytes.begin(), bytes.end(), made.memory.get() + headroom);
    made.slice = {made.memory.get() + headroom, static_cast<std::uint32_t>(bytes.size())};
    return made;
}

Bytes bytes_of(const Packet& packet) {
    const auto head = packet.bytes();
    Bytes all(head.begin(), head.end());
    for (const Slice& slice : packet.tails())
        all.insert(all.end(), slice.data, slice.data + slice.size);
    return all;
}

}  // namespace weft::test
