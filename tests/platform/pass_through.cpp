// SPDX-License-Identifier: Apache-2.0
#include "tests/platform/pass_through.hpp"

#include <array>

#include "dataplane/net/parse.hpp"
#include "dataplane/segment.hpp"

namespace weft::test {

namespace {

constexpr std::uint32_t kPrefix = 2;
constexpr std::byte kMark{0xF7};

}  // namespace

void PassThrough::outbound(std::span<Packet> packets) {
    for (const Packet& packet : packets) {
        ++packets_seen;
        if (packet.gso == Gso::Tcp) ++tcp_superpackets;
        if (packet.gso == Gso::Udp) ++udp_superpackets;
        const auto as = packet.gso == Gso::None ? net::ParseAs::Packet : net::ParseAs::Superpacket;
        const auto parsed = net::parse(packet.bytes(), packet.size, as);
        if (!parsed) {
            ++unparsable;
            continue;
        }
        const Segmenter segmenter(packet, *parsed);
        for (std::uint32_t k = 0; k < segmenter.count(); ++k) {
            std::byte* const header = outside_.scratch(kPrefix + Segmenter::kMaxHeader);
            header[0] = kMark;
            header[1] = packet.checksum == ChecksumState::Partial ? std::byte{1} : std::byte{0};
            const auto segment = segmenter.cut(k, header + kPrefix);
            std::array<Slice, 4> datagram{Slice{header, kPrefix + segment.header_size}};
            for (std::uint32_t i = 0; i < segment.payload_count; ++i)
                datagram[i + 1] = segment.payload[i];
            outside_.append(peer_, parsed->tos, std::span(datagram).first(1 + segment.payload_count));
        }
    }
}

void PassThrough::inbound(std::span<const Train> trains) {
    for (const Train& train : trains) {
        if (train.stride < train.bytes.size()) ++trains_of_many;
        for (std::size_t at = 0; at < train.bytes.size(); at += train.stride) {
            const auto datagram = train.bytes.subspan(at, std::min<std::size_t>(train.stride, train.bytes.size() - at));
            if (datagram.size() < kPrefix || datagram[0] != kMark) {
                ++unparsable;
                continue;
            }
            if (coalescer_.full()) drain();
            coalescer_.add({datagram.data() + kPrefix, static_cast<std::uint32_t>(datagram.size()) - kPrefix}, kPrefix,
                           datagram[1] == std::byte{1} ? ChecksumState::Partial : ChecksumState::Full, 0);
        }
    }
    drain();
}

void PassThrough::drain() {
    for (const Packet& packet : coalescer_.finish())
        inside_.tx(packet);
    coalescer_.clear();
}

}  // namespace weft::test
