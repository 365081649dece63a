// SPDX-License-Identifier: Apache-2.0
//
// The tunnel's two ends on the packet path.
//
//   Going out                                       Coming in
//   1 which session, or bare?                       1 bare or ours, by the first byte
//   2 cut the superpacket                           2 header: length, magic, version, type, flags, lane
//   3 header before each segment                    3 handshakes go to control as they are
//   4 clear: payload by reference;                  4 session by receiver index; not weaker than agreed
//     sealed: encrypted out of the superpacket;     5 open: tag, replay window
//     bare: checksum finished                       6 packet or control record
//   5 append to the port
//
// Functions stand in this order. The worker only; nothing here allocates, logs or waits.
#include "overlay/tunnel.hpp"

#include <algorithm>
#include <cstring>

#include "dataplane/net/byte_order.hpp"
#include "dataplane/segment.hpp"
#include "overlay/tunnel_frames.hpp"

namespace weft::overlay {

namespace {

// Inner packets that a bare peer is given (contracts: a reference node's TUN takes no more).
constexpr std::uint32_t kBareMaxSize = 1450;
// Such a port ends a reference node's process.
constexpr std::uint16_t kBareDeadlyPort = 65535;

// What every step of going out needs.
struct Outgoing {
    const Peer& peer;
    const Packet& packet;
    const net::Parsed& parsed;
    OutsidePort& out;

    void append(std::span<const Slice> datagram) const { out.append(peer.endpoint, parsed.tos, datagram); }
    [[nodiscard]] std::uint8_t flags() const {
        return packet.checksum == ChecksumState::Partial ? TunnelHeader::kFlagPartialChecksum : std::uint8_t{0};
    }
};

void count_sent(const Peer& peer, std::uint64_t packets, std::uint64_t bytes) noexcept {
    if (!peer.state) return;
    peer.state->tx_packets.add(packets);
    peer.state->tx_bytes.add(bytes);
}

// What is cut finer than the sender cut it, because the path to this peer is narrower; 0: not needed.
std::uint32_t finer_payload(const Packet& packet, const net::Parsed& parsed, std::uint32_t max_size) noexcept {
    const bool fits = parsed.payload_offset + std::uint32_t{packet.gso_size} <= max_size;
    return packet.gso != Gso::Tcp || fits ? 0 : max_size - parsed.payload_offset;
}

// ---- Going out: clear -----------------------------------------------------------------------------------------------

void append_clear(const Outgoing& outgoing, const TunnelHeader& header, std::span<const std::byte> inner_header,
                  std::span<const Slice> payload) noexcept {
    std::byte* const made = outgoing.out.scratch(TunnelHeader::kSize + inner_header.size());
    header.write(made);
    std::ranges::copy(inner_header, made + TunnelHeader::kSize);
    std::array<Slice, 2 + Packet::kMaxTail> datagram;
    datagram[0] = {made, static_cast<std::uint32_t>(TunnelHeader::kSize + inner_header.size())};
    std::ranges::copy(payload, datagram.begin() + 1);
    outgoing.append({datagram.data(), 1 + payload.size()});
}

// ---- Going out: sealed ----------------------------------------------------------------------------------------------

void append_sealed(const Outgoing& outgoing, Session& session, const TunnelHeader& header,
                   std::span<const std::byte> inner_header, std::span<const Slice> payload) noexcept {
    std::size_t inner_size = inner_header.size();
    for (const Slice& slice : payload)
        inner_size += slice.size;
    const std::size_t size = TunnelHeader::kSize + inner_size + TunnelHeader::kTagSize;
    std::byte* const made = outgoing.out.scratch(size);
    header.write(made);
    session.seal(header, inner_header, payload, made + TunnelHeader::kSize);
    const Slice datagram{made, static_cast<std::uint32_t>(size)};
    outgoing.append({&datagram, 1});
}

// One inner packet, given as its headers and its payload's slices. False: the session's counter is used up.
bool wrap(const Outgoing& outgoing, Session& session, std::span<const std::byte> inner_header,
          std::span<const Slice> payload) noexcept {
    const auto counter = session.next_counter();
    if (!counter) return false;
    const bool is_sealed = session.security() == Security::Aead;
    const auto type = is_sealed ? TunnelHeader::Type::SealedPacket : TunnelHeader::Type::ClearPacket;
    const auto header = TunnelHeader::make(type, 0, outgoing.flags(), session.remote_index(), *counter);
    if (is_sealed) {
        append_sealed(outgoing, session, header, inner_header, payload);
    } else {
        append_clear(outgoing, header, inner_header, payload);
    }
    return true;
}

std::optional<Drop> wrap_all(const Outgoing& outgoing, Session& session) noexcept {
    const Packet& packet = outgoing.packet;
    if (packet.gso == Gso::None) {
        // Not cut, so the head goes by reference too.
        std::array<Slice, 1 + Packet::kMaxTail> whole;
        whole[0] = packet.head;
        std::ranges::copy(packet.tails(), whole.begin() + 1);
        if (!wrap(outgoing, session, {}, {whole.data(), 1 + packet.tails().size()})) return Drop::PeerDown;
        count_sent(outgoing.peer, 1, packet.size);
        return std::nullopt;
    }
    if (outgoing.parsed.payload_offset > Segmenter::kMaxHeader) return Drop::BadHeader;
    const Segmenter segmenter(packet, outgoing.parsed, finer_payload(packet, outgoing.parsed, outgoing.peer.inner_mtu));
    std::array<std::byte, Segmenter::kMaxHeader> inner_header;
    std::uint64_t bytes = 0;
    for (std::uint32_t k = 0; k < segmenter.count(); ++k) {
        const auto segment = segmenter.cut(k, inner_header.data());
        if (!wrap(outgoing, session, std::span(inner_header).first(segment.header_size),
                  {segment.payload, segment.payload_count}))
            return Drop::PeerDown;
        bytes += segment.size;
    }
    count_sent(outgoing.peer, segmenter.count(), bytes);
    return std::nullopt;
}

// ---- Going out: bare ------------------------------------------------------------------------------------------------

bool is_safe_for_bare(const Packet& packet, const net::Parsed& parsed, std::uint32_t max_size) noexcept {
    const bool is_icmp = parsed.protocol == net::kProtocolIcmp || parsed.protocol == net::kProtocolIcmp6;
    const bool has_ports = parsed.protocol == net::kProtocolTcp || parsed.protocol == net::kProtocolUdp;
    if (!is_icmp && !has_ports) return false;
    if (parsed.fragment != net::FragmentKind::Whole) return false;
    if (has_ports && (parsed.source_port == kBareDeadlyPort || parsed.destination_port == kBareDeadlyPort))
        return false;
    switch (packet.gso) {
        case Gso::None:
            return packet.size <= max_size;
        case Gso::Tcp:
            return parsed.payload_offset < max_size && parsed.payload_offset <= Segmenter::kMaxHeader;
        case Gso::Udp:
            return parsed.payload_offset + std::uint32_t{packet.gso_size} <= max_size;
    }
    return false;
}

// A segment as a packet of its own, with its headers in memory that stays until the port is flushed.
Packet segment_packet(const Segmenter::Segment& segment, std::byte* header, ChecksumState checksum) noexcept {
    Packet single;
    single.reset(header, segment.header_size, 0);
    for (const Slice& slice : std::span(segment.payload, segment.payload_count))
        single.append(slice);
    single.checksum = checksum;
    return single;
}

void append_bare(const Outgoing& outgoing, const Packet& single) noexcept {
    std::array<Slice, 1 + Packet::kMaxTail> datagram;
    datagram[0] = single.head;
    std::ranges::copy(single.tails(), datagram.begin() + 1);
    outgoing.append({datagram.data(), 1 + single.tails().size()});
}

std::optional<Drop> send_bare(const Outgoing& outgoing, Packet& packet) noexcept {
    const std::uint32_t max_size = std::min<std::uint32_t>(kBareMaxSize, outgoing.peer.inner_mtu);
    if (!is_safe_for_bare(packet, outgoing.parsed, max_size)) return Drop::BareUnsafe;
    if (packet.gso == Gso::None) {
        if (packet.checksum == ChecksumState::Partial) finish_checksum(packet, outgoing.parsed);
        packet.checksum = ChecksumState::Full;
        append_bare(outgoing, packet);
        count_sent(outgoing.peer, 1, packet.size);
        return std::nullopt;
    }
    const Segmenter segmenter(packet, outgoing.parsed, finer_payload(packet, outgoing.parsed, max_size));
    std::uint64_t bytes = 0;
    for (std::uint32_t k = 0; k < segmenter.count(); ++k) {
        std::byte* const header = outgoing.out.scratch(Segmenter::kMaxHeader);
        Packet single = segment_packet(segmenter.cut(k, header), header, packet.checksum);
        net::Parsed parsed = outgoing.parsed;
        parsed.total_length = single.size;
        if (single.checksum == ChecksumState::Partial) finish_checksum(single, parsed);
        append_bare(outgoing, single);
        bytes += single.size;
    }
    count_sent(outgoing.peer, segmenter.count(), bytes);
    return std::nullopt;
}

}  // namespace

Session* sending_session(const Peer& peer) noexcept {
    return peer.next && peer.next->confirmed() ? peer.next.get() : peer.session.get();
}

std::optional<Drop> encapsulate(const Peer& peer, Packet& packet, net::Parsed& parsed, OutsidePort& out) noexcept {
    const Outgoing outgoing{peer, packet, parsed, out};
    if (peer.security == Security::Bare) return send_bare(outgoing, packet);
    Session* const session = sending_session(peer);
    if (session == nullptr) return Drop::PeerDown;
    return wrap_all(outgoing, *session);
}

void send_control(const Peer& peer, const ControlRecord& record, OutsidePort& out) noexcept {
    Session* const session = peer.security == Security::Bare ? nullptr : sending_session(peer);
    if (session == nullptr) return;
    const auto counter = session->next_counter();
    if (!counter) return;
    const bool is_sealed = session->security() == Security::Aead;
    const auto type = is_sealed ? TunnelHeader::Type::SealedControl : TunnelHeader::Type::ClearControl;
    const auto header = TunnelHeader::make(type, 0, 0, session->remote_index(), *counter);
    const ControlFrame frame{
        .kind = static_cast<std::uint8_t>(record.kind), .reserved = {}, .time_ns = net::Be64(record.time_ns)};

    const std::size_t size = TunnelHeader::kSize + sizeof frame + (is_sealed ? TunnelHeader::kTagSize : 0);
    std::byte* const made = out.scratch(size);
    header.write(made);
    session->seal(header, std::as_bytes(std::span(&frame, 1)), {}, made + TunnelHeader::kSize);
    const Slice datagram{made, static_cast<std::uint32_t>(size)};
    out.append(peer.endpoint, 0, {&datagram, 1});
}

// ---- Coming in ------------------------------------------------------------------------------------------------------

std::optional<std::uint8_t> combine_ecn(std::uint8_t outer_tos, std::uint8_t inner_tos) noexcept {
    constexpr unsigned kMask = 3, kNotCapable = 0, kCapable1 = 1, kCapable0 = 2, kCongestion = 3;
    const unsigned outer = outer_tos & kMask, inner = inner_tos & kMask;
    const auto with = [inner_tos](unsigned ecn) { return static_cast<std::uint8_t>((inner_tos & ~kMask) | ecn); };
    if (outer == kCongestion) return inner == kNotCapable ? std::nullopt : std::optional(with(kCongestion));
    if (outer == kCapable1 && inner == kCapable0) return with(kCapable1);
    return inner_tos;
}

namespace {

void note_arrival(const Peer& peer, TimePoint now) noexcept {
    if (peer.state) peer.state->last_seen_ns.store(now.time_since_epoch().count(), std::memory_order_relaxed);
}

Opened packet_from(const Peer& peer, std::span<std::byte> inner) noexcept {
    if (peer.state) {
        peer.state->rx_packets.add();
        peer.state->rx_bytes.add(inner.size());
    }
    Opened opened;
    opened.peer = peer.index;
    opened.inner = inner;
    return opened;
}

std::expected<Opened, Drop> open_bare(const Tables& tables, std::span<std::byte> datagram, const net::Endpoint& from,
                                      TimePoint now) noexcept {
    const PeerIndex* const index = tables.peer_by_address.find(from.address);
    const Peer* const peer = index ? tables.peer(*index) : nullptr;
    if (peer == nullptr) return std::unexpected(Drop::PeerUnknown);
    if (peer->security != Security::Bare) return std::unexpected(Drop::TunnelFormat);
    note_arrival(*peer, now);
    return packet_from(*peer, datagram);
}

std::expected<ControlRecord, Drop> read_control(std::span<const std::byte> inner) noexcept {
    ControlFrame frame;
    if (inner.size() != sizeof frame) return std::unexpected(Drop::TunnelFormat);
    std::memcpy(&frame, inner.data(), sizeof frame);
    const auto kind = static_cast<ControlKind>(frame.kind);
    if (kind != ControlKind::Probe && kind != ControlKind::Answer && kind != ControlKind::Close)
        return std::unexpected(Drop::TunnelFormat);
    return ControlRecord{.kind = kind, .time_ns = frame.time_ns.value()};
}

// The mode a frame of this type belongs to.
Security security_of(TunnelHeader::Type type) noexcept {
    const bool is_sealed = type == TunnelHeader::Type::SealedPacket || type == TunnelHeader::Type::SealedControl;
    return is_sealed ? Security::Aead : Security::Clear;
}

}  // namespace

std::expected<Opened, Drop> open(const Tables& tables, std::span<std::byte> datagram, const net::Endpoint& from,
                                 TimePoint now) noexcept {
    if (datagram.empty()) return std::unexpected(Drop::TunnelFormat);
    const auto nibble = std::to_integer<unsigned>(datagram.front()) >> 4;
    if (nibble == 4 || nibble == 6) return open_bare(tables, datagram, from, now);

    const auto header = TunnelHeader::at(datagram);
    if (!header) return std::unexpected(header.error());
    const auto type = header->type();
    if (type <= TunnelHeader::Type::Cookie || is_hello(*header, datagram.subspan(TunnelHeader::kSize))) {
        Opened opened;
        opened.kind = Opened::Kind::Handshake;
        opened.inner = datagram;
        return opened;
    }
    if (header->lane != 0) return std::unexpected(Drop::TunnelFormat);

    const auto* const session = tables.sessions.find(header->receiver_index.value());
    const Peer* const peer = session ? tables.peer((*session)->peer()) : nullptr;
    if (peer == nullptr) return std::unexpected(Drop::PeerUnknown);
    if (security_of(type) != (*session)->security() || (*session)->security() < peer->security)
        return std::unexpected(Drop::TunnelFormat);
    const auto inner = (*session)->open(datagram);
    if (!inner) return std::unexpected(inner.error());

    if (type == TunnelHeader::Type::SealedControl || type == TunnelHeader::Type::ClearControl) {
        const auto record = read_control(*inner);
        if (!record) return std::unexpected(record.error());
        (*session)->confirm();
        note_arrival(*peer, now);
        Opened opened;
        opened.kind = Opened::Kind::Control;
        opened.peer = peer->index;
        opened.control = *record;
        return opened;
    }
    (*session)->confirm();
    note_arrival(*peer, now);
    Opened opened = packet_from(*peer, *inner);
    if ((header->flags & TunnelHeader::kFlagPartialChecksum) != 0) opened.checksum = ChecksumState::Partial;
    opened.redirected = (header->flags & TunnelHeader::kFlagRedirected) != 0;
    return opened;
}

}  // namespace weft::overlay
