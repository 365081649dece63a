// SPDX-License-Identifier: Apache-2.0
#include "overlay/tunnel.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "overlay/tunnel_frames.hpp"
#include "tests/unit/tunnel/fixtures.hpp"

namespace weft::overlay {
namespace {

using testing::Buffer;
using testing::PacketSpec;
using testing::RecordingPort;

constexpr PeerIndex kNear = 0, kFar = 1;
const net::Endpoint kNearEndpoint = testing::endpoint("192.168.77.11:50103");
const net::Endpoint kFarEndpoint = testing::endpoint("192.168.77.12:50103");

// The near node's view of the far one, and the far node's tables.
class Tunnel : public ::testing::Test {
  protected:
    void use(Security security) {
        to_far_.index = kFar;
        to_far_.endpoint = kFarEndpoint;
        to_far_.security = security;
        to_far_.state = std::make_shared<PeerState>();
        auto from_near = std::make_shared<Peer>();
        from_near->index = kNear;
        from_near->endpoint = kNearEndpoint;
        from_near->security = security;
        from_near->state = std::make_shared<PeerState>();
        far_.peers = {from_near};
        far_.peer_by_address.put(kNearEndpoint.address, kNear);
        if (security == Security::Bare) return;
        ends_ = security == Security::Aead ? testing::sealed_ends(kFar, kNear) : testing::clear_ends(kFar, kNear);
        to_far_.session = ends_.near;
        from_near->session = ends_.far;
        far_.sessions.put(ends_.far->local_index(), ends_.far);
    }

    // Keeps the bytes until the end of the test, as a port would until flush.
    Packet packet_of(Buffer bytes, Gso gso = Gso::None, std::uint16_t gso_size = 0, bool partial = false) {
        Buffer& kept = memory_.emplace_back(std::move(bytes));
        Packet packet;
        const std::size_t head = std::min<std::size_t>(kept.size(), 200);
        packet.reset(kept.data(), static_cast<std::uint32_t>(head), 0);
        if (kept.size() > head) packet.append({kept.data() + head, static_cast<std::uint32_t>(kept.size() - head)});
        packet.gso = gso;
        packet.gso_size = gso_size;
        packet.checksum = partial ? ChecksumState::Partial : ChecksumState::Full;
        return packet;
    }

    std::optional<Drop> send(Packet packet) {
        auto parsed = net::parse(packet.bytes(), packet.size,
                                 packet.gso == Gso::None ? net::ParseAs::Packet : net::ParseAs::Superpacket);
        EXPECT_TRUE(parsed) << drop_name(parsed.error());
        return encapsulate(to_far_, packet, *parsed, out_);
    }
    std::optional<Drop> send(const PacketSpec& spec) {
        return send(packet_of(testing::make_packet(spec), Gso::None, 0, spec.partial));
    }
    std::optional<Drop> send_superpacket(std::size_t payload, std::uint16_t gso_size, const PacketSpec& base = {}) {
        PacketSpec spec = base;
        spec.payload = payload;
        spec.partial = true;
        return send(packet_of(testing::make_packet(spec), spec.protocol == 17 ? Gso::Udp : Gso::Tcp, gso_size, true));
    }

    std::expected<Opened, Drop> arrive(Buffer& datagram, const net::Endpoint& from = kNearEndpoint) {
        return open(far_, datagram, from, testing::at(77));
    }
    std::expected<Opened, Drop> arrive_copy(const Buffer& datagram) {
        Buffer& kept = memory_.emplace_back(datagram);
        return arrive(kept);
    }
    PeerState& far_state() { return *far_.peers[kNear]->state; }

    Peer to_far_;
    Tables far_;
    testing::Ends ends_;
    RecordingPort out_;
    std::deque<Buffer> memory_;
};

class ClearTunnel : public Tunnel {
  protected:
    ClearTunnel() { use(Security::Clear); }
};
class SealedTunnel : public Tunnel {
  protected:
    SealedTunnel() { use(Security::Aead); }
};
class BareTunnel : public Tunnel {
  protected:
    BareTunnel() { use(Security::Bare); }
};

// ---- The header

TEST(TunnelHeader, LiesAsDrawn) {
    const auto header = TunnelHeader::make(TunnelHeader::Type::SealedPacket, 3, 1, 0xA1B2C3D4, 0x0102030405060708);
    const unsigned expected[] = {0xF7, 0x14, 3, 1, 0xA1, 0xB2, 0xC3, 0xD4, 1, 2, 3, 4, 5, 6, 7, 8};
    for (std::size_t i = 0; i < 16; ++i)
        EXPECT_EQ(std::to_integer<unsigned>(header.bytes()[i]), expected[i]) << "byte " << i;
}

TEST(TunnelHeader, IsTakenOnlyWhenEveryFixedFieldIsRight) {
    const auto good = TunnelHeader::make(TunnelHeader::Type::ClearPacket, 0, 3, 7, 0);
    Buffer bytes(16);
    good.write(bytes.data());
    ASSERT_TRUE(TunnelHeader::at(bytes));
    EXPECT_EQ(TunnelHeader::at(bytes)->receiver_index.value(), 7U);
    for (std::size_t size = 0; size < 16; ++size)
        EXPECT_FALSE(TunnelHeader::at(std::span(bytes).first(size))) << size;

    struct Case {
        const char* name;
        std::size_t at;
        unsigned value;
        bool taken;
    };
    const Case cases[] = {{"another magic", 0, 0xF6, false}, {"version 0", 1, 0x06, false},
                          {"version 2", 1, 0x26, false},     {"type 0", 1, 0x10, false},
                          {"type 1", 1, 0x11, true},         {"type 7", 1, 0x17, true},
                          {"type 8", 1, 0x18, false},        {"type 15", 1, 0x1F, false},
                          {"a reserved flag", 3, 4, false},  {"the highest flag", 3, 0x80, false}};
    for (const Case& c : cases) {
        Buffer bent = bytes;
        bent[c.at] = std::byte(c.value);
        EXPECT_EQ(TunnelHeader::at(bent).has_value(), c.taken) << c.name;
    }
}

// ---- Clear

TEST_F(ClearTunnel, CarriesAPacketWithItsPayloadByReference) {
    Buffer bytes = testing::make_packet({.payload = 900, .partial = true});
    Packet packet = packet_of(bytes, Gso::None, 0, true);
    ASSERT_EQ(send(packet), std::nullopt);
    ASSERT_EQ(out_.sent.size(), 1U);
    EXPECT_EQ(out_.sent[0].to, kFarEndpoint);
    ASSERT_EQ(out_.sent[0].slices.size(), 3U);
    EXPECT_EQ(out_.sent[0].slices[1].data, packet.head.data);
    EXPECT_EQ(out_.sent[0].slices[2].data, packet.tail[0].data);

    Buffer datagram = out_.sent[0].bytes;
    const auto opened = arrive(datagram);
    ASSERT_TRUE(opened) << drop_name(opened.error());
    EXPECT_EQ(opened->kind, Opened::Kind::Packet);
    EXPECT_EQ(opened->peer, kNear);
    EXPECT_EQ(opened->checksum, ChecksumState::Partial);
    EXPECT_FALSE(opened->redirected);
    EXPECT_TRUE(std::ranges::equal(opened->inner, bytes));
    EXPECT_EQ(opened->inner.data(), datagram.data() + 16);
    EXPECT_TRUE(ends_.far->confirmed());
    EXPECT_EQ(far_state().last_seen_ns.load(), 77'000'000);
    EXPECT_EQ(far_state().rx_packets.value(), 1U);
    EXPECT_EQ(far_state().rx_bytes.value(), bytes.size());
    EXPECT_EQ(to_far_.state->tx_packets.value(), 1U);
    EXPECT_EQ(to_far_.state->tx_bytes.value(), bytes.size());
}

TEST_F(ClearTunnel, GivesAllSegmentsOfASuperpacketTheSameHeaderAndSize) {
    ASSERT_EQ(send_superpacket(10 * 1300 + 77, 1300), std::nullopt);
    ASSERT_EQ(out_.sent.size(), 11U);
    for (std::size_t k = 0; k < 10; ++k) {
        EXPECT_TRUE(std::equal(out_.sent[k].bytes.begin(), out_.sent[k].bytes.begin() + 16, out_.sent[0].bytes.begin()))
            << k;
        EXPECT_EQ(out_.sent[k].bytes.size(), 16U + 40 + 1300) << k;
    }
    EXPECT_EQ(out_.sent[10].bytes.size(), 16U + 40 + 77);
    EXPECT_EQ(to_far_.state->tx_packets.value(), 11U);

    Buffer payload;
    for (const auto& one : out_.sent) {
        const auto opened = arrive_copy(one.bytes);
        ASSERT_TRUE(opened);
        EXPECT_TRUE(net::parse(opened->inner, static_cast<std::uint32_t>(opened->inner.size())));
        payload.insert(payload.end(), opened->inner.begin() + 40, opened->inner.end());
    }
    EXPECT_EQ(payload, testing::pattern(10 * 1300 + 77));
}

TEST_F(ClearTunnel, CutsTcpFinerWhenThePathIsNarrower) {
    to_far_.inner_mtu = 1000;
    ASSERT_EQ(send_superpacket(4000, 1300), std::nullopt);
    ASSERT_EQ(out_.sent.size(), 5U);  // 960 bytes each
    for (const auto& one : out_.sent)
        EXPECT_LE(one.bytes.size(), 16U + 1000);
}

TEST_F(ClearTunnel, CopiesTheWholeTosByteToTheOuterHeader) {
    for (const unsigned tos : {0U, 0x01U, 0x02U, 0x03U, 0xB8U, 0xB9U, 0xFFU}) {
        ASSERT_EQ(send(PacketSpec{.tos = static_cast<std::uint8_t>(tos)}), std::nullopt);
        EXPECT_EQ(out_.sent.back().tos, tos);
    }
}

TEST_F(ClearTunnel, DropsByNameWhatIsNotWellFormed) {
    ASSERT_EQ(send(PacketSpec{}), std::nullopt);
    const Buffer good = out_.sent[0].bytes;
    struct Case {
        const char* name;
        std::size_t at;
        unsigned value;
        Drop drop;
    };
    const Case cases[] = {
        {"magic", 0, 0xF6, Drop::TunnelFormat},
        {"version", 1, 0x26, Drop::TunnelFormat},
        {"unknown type", 1, 0x18, Drop::TunnelFormat},
        {"unknown lane", 2, 1, Drop::TunnelFormat},
        {"reserved flag", 3, 4, Drop::TunnelFormat},
        {"unknown index", 4, 0xEE, Drop::PeerUnknown},
        {"counter", 15, 1, Drop::TunnelFormat},
        {"sealed frame for a clear session", 1, 0x14, Drop::TunnelFormat},
        {"control of the wrong size", 1, 0x17, Drop::TunnelFormat},
    };
    for (const Case& c : cases) {
        Buffer bent = good;
        bent[c.at] = std::byte(c.value);
        const auto opened = arrive(bent);
        ASSERT_FALSE(opened) << c.name;
        EXPECT_EQ(opened.error(), c.drop) << c.name;
    }
    for (std::size_t size = 0; size < 16; ++size) {
        Buffer cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_EQ(arrive(cut).error(), Drop::TunnelFormat) << size;
    }
    EXPECT_EQ(far_state().last_seen_ns.load(), 0);
    EXPECT_FALSE(ends_.far->confirmed());
}

TEST_F(ClearTunnel, IsTooWeakForAPeerSetToAead) {
    ASSERT_EQ(send(PacketSpec{}), std::nullopt);
    auto stricter = std::make_shared<Peer>(*far_.peers[kNear]);
    stricter->security = Security::Aead;
    far_.peers[kNear] = stricter;
    EXPECT_EQ(arrive_copy(out_.sent[0].bytes).error(), Drop::TunnelFormat);
}

TEST_F(ClearTunnel, DropsAsPeerDownWithoutASession) {
    to_far_.session = nullptr;
    EXPECT_EQ(send(PacketSpec{}), Drop::PeerDown);
    send_control(to_far_, {ControlKind::Probe, 1}, out_);
    EXPECT_TRUE(out_.sent.empty());
}

// ---- Sealed

TEST_F(SealedTunnel, CarriesAPacketInOneSliceAndHidesIt) {
    const Buffer bytes = testing::make_packet({.payload = 1000});
    ASSERT_EQ(send(packet_of(bytes)), std::nullopt);
    ASSERT_EQ(out_.sent.size(), 1U);
    ASSERT_EQ(out_.sent[0].slices.size(), 1U);
    ASSERT_EQ(out_.sent[0].bytes.size(), bytes.size() + 32);
    EXPECT_EQ(
        std::search(out_.sent[0].bytes.begin(), out_.sent[0].bytes.end(), bytes.begin() + 500, bytes.begin() + 516),
        out_.sent[0].bytes.end());

    const auto opened = arrive_copy(out_.sent[0].bytes);
    ASSERT_TRUE(opened) << drop_name(opened.error());
    EXPECT_TRUE(std::ranges::equal(opened->inner, bytes));
    EXPECT_EQ(opened->checksum, ChecksumState::Full);
    EXPECT_TRUE(ends_.far->confirmed());
    EXPECT_EQ(arrive_copy(out_.sent[0].bytes).error(), Drop::TunnelReplay);
}

TEST_F(SealedTunnel, SealsEachSegmentForItself) {
    ASSERT_EQ(send_superpacket(20 * 1400, 1400), std::nullopt);
    ASSERT_EQ(out_.sent.size(), 20U);
    Buffer payload(20 * 1400);
    for (const std::size_t k :
         {19U, 3U, 0U, 1U, 2U, 4U, 5U, 6U, 7U, 8U, 9U, 10U, 11U, 12U, 13U, 14U, 15U, 16U, 17U, 18U}) {
        EXPECT_EQ(out_.sent[k].bytes.size(), 16U + 40 + 1400 + 16);
        const auto opened = arrive_copy(out_.sent[k].bytes);
        ASSERT_TRUE(opened) << k << ": " << drop_name(opened.error());
        std::copy(opened->inner.begin() + 40, opened->inner.end(),
                  payload.begin() + static_cast<std::ptrdiff_t>(k * 1400));
    }
    EXPECT_EQ(payload, testing::pattern(20 * 1400));
}

TEST_F(SealedTunnel, RefusesEveryFlippedBitAndEveryTruncation) {
    ASSERT_EQ(send(PacketSpec{.payload = 12}), std::nullopt);
    const Buffer good = out_.sent[0].bytes;
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        Buffer bent = good;
        bent[bit / 8] ^= std::byte{1} << (bit % 8);
        const auto opened = arrive(bent);
        // A bent type may make it a handshake frame, which is control's to refuse.
        ASSERT_TRUE(!opened || opened->kind == Opened::Kind::Handshake) << "bit " << bit;
    }
    for (std::size_t size = 0; size < good.size(); ++size) {
        Buffer cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        ASSERT_FALSE(arrive(cut)) << size;
    }
    Buffer longer = good;
    longer.push_back(std::byte{0});
    EXPECT_EQ(arrive(longer).error(), Drop::TunnelAuth);
    EXPECT_FALSE(ends_.far->confirmed());
    EXPECT_EQ(far_state().last_seen_ns.load(), 0);
    EXPECT_TRUE(arrive_copy(good));
}

TEST_F(SealedTunnel, IsNotTakenInByClearOrBareFrames) {
    const auto header = TunnelHeader::make(TunnelHeader::Type::ClearPacket, 0, 0, ends_.far->local_index(), 0);
    Buffer clear = testing::make_packet({});
    const Buffer bare = clear;
    clear.insert(clear.begin(), header.bytes().begin(), header.bytes().end());
    EXPECT_EQ(arrive_copy(clear).error(), Drop::TunnelFormat);
    EXPECT_EQ(arrive_copy(bare).error(), Drop::TunnelFormat);
}

TEST_F(SealedTunnel, SendsByTheNextSessionOnceItIsConfirmed) {
    SessionSecrets other{testing::secret(5), testing::secret(6)};
    to_far_.next = *Session::sealed(kFar, 0x3333, 0x4444, Cipher::Aes128Gcm, other, {});
    EXPECT_EQ(sending_session(to_far_), to_far_.session.get());
    to_far_.next->confirm();
    EXPECT_EQ(sending_session(to_far_), to_far_.next.get());
    to_far_.session = nullptr;
    EXPECT_EQ(sending_session(to_far_), to_far_.next.get());
}

// ---- Control records

TEST_F(Tunnel, CarriesControlRecordsInBothModes) {
    for (const Security security : {Security::Clear, Security::Aead}) {
        use(security);
        for (const ControlKind kind : {ControlKind::Probe, ControlKind::Answer, ControlKind::Close}) {
            send_control(to_far_, {kind, 0x1122334455667788}, out_);
            ASSERT_FALSE(out_.sent.empty());
            const auto opened = arrive_copy(out_.sent.back().bytes);
            ASSERT_TRUE(opened) << drop_name(opened.error());
            EXPECT_EQ(opened->kind, Opened::Kind::Control);
            EXPECT_EQ(opened->peer, kNear);
            EXPECT_EQ(opened->control.kind, kind);
            EXPECT_EQ(opened->control.time_ns, 0x1122334455667788U);
        }
        EXPECT_TRUE(ends_.far->confirmed());
    }
}

TEST_F(ClearTunnel, RefusesAnUnknownControlKind) {
    send_control(to_far_, {ControlKind::Probe, 1}, out_);
    Buffer bent = out_.sent[0].bytes;
    for (const unsigned kind : {0U, 4U, 16U, 17U, 255U}) {
        bent[16] = std::byte(kind);
        EXPECT_EQ(arrive(bent).error(), Drop::TunnelFormat) << kind;
    }
}

TEST_F(Tunnel, HandsHandshakesFromAnyoneToControlUntouched) {
    use(Security::Aead);
    for (const auto type : {TunnelHeader::Type::Initiation, TunnelHeader::Type::Response, TunnelHeader::Type::Cookie}) {
        const auto header = TunnelHeader::make(type, 0, 0, 99, 5);
        Buffer frame(40, std::byte{7});
        header.write(frame.data());
        const Buffer before = frame;
        const auto opened = arrive(frame, testing::endpoint("203.0.113.9:1"));
        ASSERT_TRUE(opened);
        EXPECT_EQ(opened->kind, Opened::Kind::Handshake);
        EXPECT_TRUE(std::ranges::equal(opened->inner, before));
    }
    Buffer hello(16 + sizeof(HelloFrame));
    TunnelHeader::make(TunnelHeader::Type::ClearControl, 0, 0, 0, 0).write(hello.data());
    hello[16] = std::byte{HelloFrame::kQuestion};
    EXPECT_EQ(arrive(hello)->kind, Opened::Kind::Handshake);
    EXPECT_EQ(far_state().last_seen_ns.load(), 0);
}

// ---- Bare

TEST_F(BareTunnel, SendsTheInnerPacketAloneWithItsChecksumFinished) {
    for (const std::uint8_t protocol : {std::uint8_t{6}, std::uint8_t{17}}) {
        for (const bool partial : {false, true}) {
            ASSERT_EQ(send(PacketSpec{.protocol = protocol, .payload = 333, .partial = partial}), std::nullopt);
            const Buffer& sent = out_.sent.back().bytes;
            EXPECT_EQ(sent, testing::make_packet({.protocol = protocol, .payload = 333})) << int{protocol} << partial;
            EXPECT_EQ(testing::l4_remainder(sent), 0);
        }
    }
    EXPECT_EQ(out_.sent.back().to, kFarEndpoint);
}

TEST_F(BareTunnel, CutsASuperpacketIntoWholeFinishedPackets) {
    for (const std::uint8_t protocol : {std::uint8_t{6}, std::uint8_t{17}}) {
        out_.sent.clear();
        ASSERT_EQ(send_superpacket(5 * 1300 + 99, 1300, {.protocol = protocol}), std::nullopt);
        ASSERT_EQ(out_.sent.size(), 6U);
        for (const auto& one : out_.sent) {
            EXPECT_TRUE(net::parse(one.bytes, static_cast<std::uint32_t>(one.bytes.size())));
            EXPECT_EQ(testing::l4_remainder(one.bytes), 0);
        }
    }
}

TEST_F(BareTunnel, CutsTcpToWhatABarePeerTakes) {
    to_far_.inner_mtu = 1472;
    ASSERT_EQ(send_superpacket(5000, 1432), std::nullopt);
    ASSERT_EQ(out_.sent.size(), 4U);  // 1410 bytes each
    for (const auto& one : out_.sent) {
        EXPECT_LE(one.bytes.size(), 1450U);
        EXPECT_EQ(testing::l4_remainder(one.bytes), 0);
    }
}

TEST_F(BareTunnel, NeverSendsWhatWouldHarmTheOtherNode) {
    struct Case {
        const char* name;
        PacketSpec spec;
        std::optional<Drop> drop;
    };
    const Case cases[] = {
        {"tcp", {}, std::nullopt},
        {"icmp echo", {.protocol = 1}, std::nullopt},
        {"source port 65535", {.source_port = 65535}, Drop::BareUnsafe},
        {"destination port 65535", {.destination_port = 65535}, Drop::BareUnsafe},
        {"udp port 65535", {.protocol = 17, .destination_port = 65535}, Drop::BareUnsafe},
        {"the largest", {.payload = 1410}, std::nullopt},
        {"one byte too many", {.payload = 1411}, Drop::BareUnsafe},
        {"a first fragment", {.protocol = 17, .payload = 104, .fragment = 0x2000}, Drop::BareUnsafe},
        {"a later fragment", {.protocol = 17, .payload = 104, .fragment = 0x0010}, Drop::BareUnsafe},
        {"another protocol", {.protocol = 47}, Drop::BareUnsafe},
    };
    to_far_.inner_mtu = 1472;
    for (const Case& c : cases) {
        PacketSpec spec = c.spec;
        Packet packet = packet_of(testing::make_packet(spec));
        if (spec.fragment != 0) {
            // A fragment's own L4 length is not its packet's.
            packet.head.data[24] = std::byte{0x10};
        }
        EXPECT_EQ(send(packet), c.drop) << c.name;
    }
    to_far_.inner_mtu = 1300;
    EXPECT_EQ(send(PacketSpec{.payload = 1261}), Drop::BareUnsafe);
    EXPECT_EQ(send_superpacket(4000, 1300, {.protocol = 17}), Drop::BareUnsafe);
}

TEST_F(BareTunnel, IsKnownByItsOuterAddressAlone) {
    Buffer datagram = testing::make_packet({});
    const Buffer before = datagram;
    const auto opened = arrive(datagram, testing::endpoint("192.168.77.11:9"));
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->peer, kNear);
    EXPECT_EQ(opened->checksum, ChecksumState::Full);
    EXPECT_TRUE(std::ranges::equal(opened->inner, before));
    EXPECT_EQ(arrive(datagram, testing::endpoint("192.168.77.99:50103")).error(), Drop::PeerUnknown);
    Buffer empty;
    EXPECT_EQ(arrive(empty).error(), Drop::TunnelFormat);
    send_control(to_far_, {ControlKind::Probe, 1}, out_);
    EXPECT_TRUE(out_.sent.empty());
}

// ---- ECN at decapsulation (RFC 6040, figure 4)

TEST(Ecn, CombinesAsRfc6040Says) {
    constexpr int kDrop = -1, kNot = 0, kEct1 = 1, kEct0 = 2, kCe = 3;
    struct Row {
        int inner;
        int by_outer[4];  // Not-ECT, ECT(1), ECT(0), CE
    };
    const Row rows[] = {{kNot, {kNot, kNot, kNot, kDrop}},
                        {kEct1, {kEct1, kEct1, kEct1, kCe}},
                        {kEct0, {kEct0, kEct1, kEct0, kCe}},
                        {kCe, {kCe, kCe, kCe, kCe}}};
    for (const Row& row : rows) {
        for (int outer = 0; outer < 4; ++outer) {
            // DSCP: the inner one stays, the outer one is ignored.
            const auto combined =
                combine_ecn(static_cast<std::uint8_t>(0x68 | outer), static_cast<std::uint8_t>(0xB8 | row.inner));
            const int expected = row.by_outer[outer];
            if (expected == kDrop) {
                EXPECT_EQ(combined, std::nullopt) << "inner " << row.inner << " outer " << outer;
            } else {
                EXPECT_EQ(combined, 0xB8 | expected) << "inner " << row.inner << " outer " << outer;
            }
        }
    }
}

// 100,000 datagrams of anybody's making: each has a fate, none is delivered.
TEST_F(SealedTunnel, DropsRandomDatagramsByName) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (int i = 0; i < 100'000; ++i) {
        Buffer datagram(random() % 200);
        std::ranges::generate(datagram, [&] { return std::byte(random() & 0xFF); });
        if (datagram.size() >= 16 && i % 2 == 0) {
            const auto type = static_cast<TunnelHeader::Type>(random() % 8);
            TunnelHeader::make(type, 0, random() & 3, 0x2222, random()).write(datagram.data());
        }
        const auto opened = arrive(datagram);
        ASSERT_TRUE(!opened || opened->kind == Opened::Kind::Handshake);
    }
    EXPECT_EQ(far_state().rx_packets.value(), 0U);
}

}  // namespace
}  // namespace weft::overlay
