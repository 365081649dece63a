// SPDX-License-Identifier: Apache-2.0
//
// A session seals what goes to one peer and opens what comes from it. The two directions have secrets of their own,
// from the handshake; lane i of a direction has the key and the salt that HKDF makes of the secret and "lane", i. Only
// lane 0 is used so far: one sending worker, one counter, one window.
#include "overlay/session.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "dataplane/base/check.hpp"
#include "overlay/key_derivation.hpp"

namespace weft::overlay {

// ---- Replay window --------------------------------------------------------------------------------------------------
//
// A ring of words, one bit per counter. Moving on clears whole words, which is why there is one word more than the
// window needs: the newest word is never also the oldest that still counts.

bool ReplayWindow::seen(std::uint64_t counter) const noexcept {
    if (!any_ || counter > highest_) return false;
    if (highest_ - counter >= kSize) return true;
    return (bits_[counter / 64 % kWords] >> (counter % 64) & 1) != 0;
}

void ReplayWindow::mark(std::uint64_t counter) noexcept {
    if (any_ && counter <= highest_ && highest_ - counter >= kSize) return;
    if (!any_ || counter > highest_) {
        const std::uint64_t newest = counter / 64;
        const std::uint64_t previous = any_ ? highest_ / 64 : newest;
        const std::uint64_t steps = std::min<std::uint64_t>(newest - previous, kWords);
        for (std::uint64_t i = 0; i < steps; ++i)
            bits_[(newest - i) % kWords] = 0;
        highest_ = counter;
        any_ = true;
    }
    bits_[counter / 64 % kWords] |= std::uint64_t{1} << (counter % 64);
}

// ---- Sessions -------------------------------------------------------------------------------------------------------

namespace {

// One direction of one lane.
struct Lane {
    std::unique_ptr<AeadKey> key;
    std::array<std::byte, 4> salt{};

    static Result<Lane> derive(Cipher cipher, std::span<const std::byte> direction_secret, std::uint8_t number) {
        std::array<std::byte, 32 + 4> material{};
        const std::size_t size = key_size(cipher);
        const auto used = std::span(material).first(size + 4);
        constexpr std::string_view kLabel = "lane";
        std::array<std::byte, kLabel.size() + 1> info{};
        std::ranges::copy(bytes_of(kLabel), info.begin());
        info.back() = std::byte{number};
        hkdf_sha256({}, direction_secret, info, used);

        Lane lane;
        std::ranges::copy(used.last(4), lane.salt.begin());
        auto key = AeadKey::create(cipher, used.first(size));
        wipe(material);
        if (!key) return std::unexpected(key.error());
        lane.key = std::move(*key);
        return lane;
    }

    [[nodiscard]] AeadKey::Nonce nonce(net::Be64 counter) const noexcept {
        AeadKey::Nonce nonce;
        std::memcpy(nonce.data(), salt.data(), salt.size());
        std::memcpy(nonce.data() + salt.size(), &counter, sizeof counter);
        return nonce;
    }
};

class SealedSession final : public Session {
  public:
    SealedSession(PeerIndex peer, std::uint32_t local_index, std::uint32_t remote_index, TimePoint born, Lane send,
                  Lane receive)
        : Session(peer, Security::Aead, local_index, remote_index, born),
          send_(std::move(send)),
          receive_(std::move(receive)) {}

    void seal(const TunnelHeader& header, std::span<const std::byte> inner_header, std::span<const Slice> payload,
              std::byte* out) noexcept override {
        send_.key->seal(send_.nonce(header.counter), header.bytes(), inner_header, payload, out);
    }

    std::expected<std::span<std::byte>, Drop> open(std::span<std::byte> datagram) noexcept override {
        constexpr std::size_t kOverhead = TunnelHeader::kSize + TunnelHeader::kTagSize;
        if (datagram.size() < kOverhead) return std::unexpected(Drop::TunnelFormat);
        const auto header = TunnelHeader::at(datagram);
        if (!header) return std::unexpected(header.error());
        const auto body = datagram.subspan(TunnelHeader::kSize);
        if (!receive_.key->open(receive_.nonce(header->counter), header->bytes(), body))
            return std::unexpected(Drop::TunnelAuth);
        const std::uint64_t counter = header->counter.value();
        if (window_.seen(counter)) return std::unexpected(Drop::TunnelReplay);
        window_.mark(counter);
        return datagram.subspan(TunnelHeader::kSize, datagram.size() - kOverhead);
    }

  private:
    Lane send_, receive_;
    ReplayWindow window_;
};

class ClearSession final : public Session {
  public:
    ClearSession(PeerIndex peer, std::uint32_t local_index, std::uint32_t remote_index, TimePoint born)
        : Session(peer, Security::Clear, local_index, remote_index, born) {}

    void seal(const TunnelHeader&, std::span<const std::byte> inner_header, std::span<const Slice> payload,
              std::byte* out) noexcept override {
        out = std::ranges::copy(inner_header, out).out;
        for (const Slice& slice : payload)
            out = std::copy_n(slice.data, slice.size, out);
    }

    std::expected<std::span<std::byte>, Drop> open(std::span<std::byte> datagram) noexcept override {
        const auto header = TunnelHeader::at(datagram);
        if (!header) return std::unexpected(header.error());
        if (header->counter.value() != 0) return std::unexpected(Drop::TunnelFormat);
        return datagram.subspan(TunnelHeader::kSize);
    }
};

}  // namespace

SessionSecrets::~SessionSecrets() {
    wipe(send);
    wipe(receive);
}

Result<std::shared_ptr<Session>> Session::sealed(PeerIndex peer, std::uint32_t local_index, std::uint32_t remote_index,
                                                 Cipher cipher, const SessionSecrets& secrets, TimePoint born) {
    auto send = Lane::derive(cipher, secrets.send, 0);
    if (!send) return std::unexpected(send.error().during("make a session's sending key"));
    auto receive = Lane::derive(cipher, secrets.receive, 0);
    if (!receive) return std::unexpected(receive.error().during("make a session's receiving key"));
    return std::make_shared<SealedSession>(peer, local_index, remote_index, born, std::move(*send),
                                           std::move(*receive));
}

std::shared_ptr<Session> Session::clear(PeerIndex peer, std::uint32_t local_index, std::uint32_t remote_index,
                                        TimePoint born) {
    return std::make_shared<ClearSession>(peer, local_index, remote_index, born);
}

std::optional<std::uint64_t> Session::next_counter() noexcept {
    // An atomic addition, although one worker owns the lane: should two ever share it, the nonces still differ.
    const std::uint64_t counter = send_counter_.fetch_add(1, std::memory_order_relaxed);
    if (security_ != Security::Aead) return 0;
    if (counter < kDeadPackets) return counter;
    send_counter_.fetch_sub(1, std::memory_order_relaxed);
    return std::nullopt;
}

bool needs_rekey(const Session& session, TimePoint now) noexcept {
    return session.security() == Security::Aead &&
           (now - session.born() >= kRekeyAge || session.sent() >= kRekeyPackets);
}

bool is_dead(const Session& session, TimePoint now) noexcept {
    return session.security() == Security::Aead && (now - session.born() >= kDeadAge || session.sent() >= kDeadPackets);
}

}  // namespace weft::overlay
