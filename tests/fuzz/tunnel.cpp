// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a datagram at the tunnel port of a node with three peers: clear, sealed, bare. Nothing is delivered that
// the agreed mode did not let through: sealed needs a right tag and a fresh counter, bare its outer address.
// Byte 0: who sends (0 clear peer, 1 bare peer, 2 sealed peer, our own seal, 3 a stranger).
#include "overlay/tunnel.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "dataplane/base/check.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace weft;
using namespace weft::overlay;

constexpr std::uint32_t kClearIndex = 1, kSealedIndex = 2;
const net::Endpoint kEnds[] = {{net::IpAddress::v4(0xC0A80001), 50103},
                               {net::IpAddress::v4(0xC0A80002), 50103},
                               {net::IpAddress::v4(0xC0A80003), 50103},
                               {net::IpAddress::v4(0xC0A80009), 50103}};

struct World {
    Tables tables;
    std::shared_ptr<Session> clear, sealed, remote;  // remote: the sealed peer's end
    World() {
        SessionSecrets ours, theirs;
        for (std::size_t i = 0; i < 32; ++i) {
            ours.send[i] = theirs.receive[i] = std::byte(i);
            ours.receive[i] = theirs.send[i] = std::byte(i + 100);
        }
        clear = Session::clear(0, kClearIndex, 11, {});
        sealed = *Session::sealed(2, kSealedIndex, 12, Cipher::Aes128Gcm, ours, {});
        remote = *Session::sealed(0, 12, kSealedIndex, Cipher::Aes128Gcm, theirs, {});
        const Security modes[] = {Security::Clear, Security::Bare, Security::Aead};
        for (PeerIndex i = 0; i < 3; ++i) {
            auto peer = std::make_shared<Peer>();
            peer->id = "peer";
            peer->index = i;
            peer->endpoint = kEnds[i];
            peer->security = modes[i];
            peer->state = std::make_shared<PeerState>();
            if (i != 1) peer->session = i == 0 ? clear : sealed;
            tables.peers.push_back(peer);
            tables.peer_by_address.put(kEnds[i].address, i);
        }
        tables.sessions.put(kClearIndex, clear);
        tables.sessions.put(kSealedIndex, sealed);
    }
};

void check_header(std::span<const std::byte> datagram) {
    const auto header = TunnelHeader::at(datagram);
    if (!header) return;
    const auto made = TunnelHeader::make(header->type(), header->lane, header->flags, header->receiver_index.value(),
                                         header->counter.value());
    WEFT_CHECK(std::ranges::equal(std::as_bytes(std::span(&made, 1)), datagram.first(TunnelHeader::kSize)),
               "a header that was taken is not the one that is made of it");
}

void check_opened(const Opened& opened, std::span<std::byte> datagram, unsigned sender) {
    if (opened.kind == Opened::Kind::Handshake) {
        WEFT_CHECK(opened.inner.data() == datagram.data() && opened.inner.size() == datagram.size(), "not all of it");
        return;
    }
    WEFT_CHECK(opened.peer != 2, "something unsealed was delivered as from the sealed peer");
    WEFT_CHECK(opened.peer != 1 || sender == 1, "a bare packet from an address that is not the bare peer's");
    if (opened.kind == Opened::Kind::Control) return;
    WEFT_CHECK(opened.inner.data() >= datagram.data() &&
                   opened.inner.data() + opened.inner.size() <= datagram.data() + datagram.size(),
               "an inner packet outside its datagram");
}

// A datagram that the peer really sealed, one byte of it perhaps changed: delivered once and whole, or not at all.
void check_sealed(World& world, fuzz::Input input) {
    const std::size_t spot = input.byte();
    const std::uint8_t change = input.byte();
    const std::vector<std::byte> plain = [&] {
        const auto rest = input.rest();
        return std::vector<std::byte>(rest.begin(), rest.end());
    }();
    const auto counter = world.remote->next_counter();
    WEFT_CHECK(counter.has_value(), "the session is used up");
    const auto header = TunnelHeader::make(TunnelHeader::Type::SealedPacket, 0, 0, kSealedIndex, *counter);
    std::vector<std::byte> datagram(TunnelHeader::kSize + plain.size() + TunnelHeader::kTagSize);
    std::ranges::copy(std::as_bytes(std::span(&header, 1)), datagram.begin());
    world.remote->seal(header, plain, {}, datagram.data() + TunnelHeader::kSize);
    datagram[spot % datagram.size()] ^= std::byte{change};

    const fuzz::HeapBytes first(datagram), second(datagram);
    const auto opened = open(world.tables, first.span(), kEnds[2], {});
    if (change != 0) {
        WEFT_CHECK(!opened || opened->kind == Opened::Kind::Handshake, "a damaged datagram was delivered");
        return;
    }
    WEFT_CHECK(opened && opened->peer == 2 && std::ranges::equal(opened->inner, plain),
               "a sound one was not delivered");
    const auto replayed = open(world.tables, second.span(), kEnds[2], {});
    WEFT_CHECK(!replayed && replayed.error() == Drop::TunnelReplay, "a replay was delivered");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static World world;
    fuzz::Input input(data, size);
    const unsigned sender = input.byte() % 4;
    if (sender == 2) return check_sealed(world, input), 0;
    const fuzz::HeapBytes datagram(input.rest());
    check_header(datagram.span());
    const auto opened = open(world.tables, datagram.span(), kEnds[sender], {});
    if (opened) check_opened(*opened, datagram.span(), sender);
    return 0;
}
