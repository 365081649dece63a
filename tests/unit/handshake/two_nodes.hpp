// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "overlay/handshake.hpp"
#include "overlay/handshake_frames.hpp"

namespace weft::overlay::test {

using Buffer = std::vector<std::byte>;

inline TimePoint at(std::int64_t milliseconds) {
    return TimePoint(std::chrono::milliseconds(milliseconds));
}
inline PresharedKey key_of(unsigned seed) {
    PresharedKey key{};
    for (std::size_t i = 0; i < key.size(); ++i)
        key[i] = std::byte((seed + i * 5) & 0xFF);
    return key;
}

struct Datagram {
    net::Endpoint from, to;
    Buffer bytes;
};

// One node's handshakes with what they caused. Every answer is checked: at most one, and not longer than its question.
class TestNode {
  public:
    TestNode(std::string id, const char* endpoint, std::uint64_t seed)
        : id_(std::move(id)), endpoint_(*net::Endpoint::parse(endpoint)), seed_(seed) {
        options.node_id = id_;
        options.key = key_of(1);
        options.start_number = 1;
    }

    void start(Security security, const TestNode& peer, std::string peer_id = "") {
        auto random = std::make_shared<std::mt19937_64>(seed_++);
        options.random = [random](std::span<std::byte> out) {
            for (std::byte& b : out)
                b = std::byte((*random)() & 0xFF);
        };
        shaker = Handshaker::create(options);
        shaker->set_peers(
            {{.index = kPeer, .id = std::move(peer_id), .endpoint = peer.endpoint_, .security = security}});
    }

    std::vector<Datagram> want(TimePoint now) {
        Handshaker::Actions actions;
        shaker->want(kPeer, now, actions);
        return take(actions);
    }
    std::vector<Datagram> poll(TimePoint now) {
        Handshaker::Actions actions;
        shaker->poll(now, actions);
        return take(actions);
    }
    std::vector<Datagram> receive(const Buffer& bytes, const net::Endpoint& from, TimePoint now) {
        Handshaker::Actions actions;
        shaker->receive(bytes, from, now, actions);
        EXPECT_LE(actions.send.size(), 1U);
        for (const auto& send : actions.send) {
            EXPECT_LE(send.datagram.size(), bytes.size()) << "an answer longer than its question";
            EXPECT_EQ(send.to, from);
        }
        return take(actions);
    }
    std::vector<Datagram> receive(const Datagram& datagram, TimePoint now) {
        return receive(datagram.bytes, datagram.from, now);
    }

    [[nodiscard]] const net::Endpoint& endpoint() const { return endpoint_; }
    [[nodiscard]] const Session& session() const { return *installed.back().session; }

    static constexpr PeerIndex kPeer = 3;
    Handshaker::Options options;
    std::unique_ptr<Handshaker> shaker;
    std::vector<Handshaker::Actions::Install> installed;
    std::vector<PeerIndex> gave_up;

  private:
    std::vector<Datagram> take(Handshaker::Actions& actions) {
        installed.insert(installed.end(), actions.install.begin(), actions.install.end());
        gave_up.insert(gave_up.end(), actions.gave_up.begin(), actions.gave_up.end());
        std::vector<Datagram> out;
        for (auto& send : actions.send)
            out.push_back({endpoint_, send.to, std::move(send.datagram)});
        return out;
    }

    std::string id_;
    net::Endpoint endpoint_;
    std::uint64_t seed_;
};

// A packet of one end opens at the other, and the indices meet.
inline bool are_the_same(Session& a, Session& b) {
    if (a.local_index() != b.remote_index() || a.remote_index() != b.local_index() || a.security() != b.security())
        return false;
    for (Session* from : {&a, &b}) {
        Session& to = from == &a ? b : a;
        const bool is_sealed = from->security() == Security::Aead;
        const auto type = is_sealed ? TunnelHeader::Type::SealedPacket : TunnelHeader::Type::ClearPacket;
        const auto header = TunnelHeader::make(type, 0, 0, from->remote_index(), from->next_counter().value());
        const Buffer plain(100, std::byte{0x5A});
        Buffer datagram(16 + plain.size() + (is_sealed ? 16 : 0));
        header.write(datagram.data());
        from->seal(header, plain, {}, datagram.data() + 16);
        const auto inner = to.open(datagram);
        if (!inner || !std::ranges::equal(*inner, plain)) return false;
    }
    return true;
}

}  // namespace weft::overlay::test
