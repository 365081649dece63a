// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>

#include "dataplane/base/clock.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/drop.hpp"
#include "dataplane/packet.hpp"
#include "overlay/tables.hpp"
#include "overlay/tunnel_crypto.hpp"
#include "overlay/tunnel_header.hpp"

namespace weft::overlay {

// RFC 6479 style window over 64-bit counters; touched only after the tag was verified.
class ReplayWindow {
  public:
    static constexpr std::uint64_t kSize = 8192;
    [[nodiscard]] bool seen(std::uint64_t counter) const noexcept;  // or too old
    void mark(std::uint64_t counter) noexcept;

  private:
    static constexpr std::size_t kWords = kSize / 64 + 1;
    std::array<std::uint64_t, kWords> bits_{};
    std::uint64_t highest_ = 0;
    bool any_ = false;
};

// Both directions' secret of a finished handshake; lanes derive their keys from it by HKDF. Wiped on destruction.
struct SessionSecrets {
    std::array<std::byte, 32> send{}, receive{};
    ~SessionSecrets();
};

// One security association with one peer. Made by control, shared through the tables, used by the worker.
//
// Nonce = lane salt, counter; a counter is never used twice because the object is never copied and the keys never
// stored. Threading: construction and the const getters: control; seal, open and everything marked so: the worker that
// owns the lane. `confirmed` may be read by both.
class Session {
  public:
    static Result<std::shared_ptr<Session>> sealed(PeerIndex peer, std::uint32_t local_index,
                                                   std::uint32_t remote_index, Cipher cipher,
                                                   const SessionSecrets& secrets, TimePoint born);
    static std::shared_ptr<Session> clear(PeerIndex peer, std::uint32_t local_index, std::uint32_t remote_index,
                                          TimePoint born);
    virtual ~Session() = default;

    [[nodiscard]] PeerIndex peer() const noexcept { return peer_; }
    [[nodiscard]] Security security() const noexcept { return security_; }
    [[nodiscard]] std::uint32_t local_index() const noexcept { return local_index_; }
    [[nodiscard]] std::uint32_t remote_index() const noexcept { return remote_index_; }
    [[nodiscard]] TimePoint born() const noexcept { return born_; }
    [[nodiscard]] std::uint64_t sent() const noexcept { return send_counter_.load(std::memory_order_relaxed); }

    // A valid packet came in under these keys: the responder may send.
    [[nodiscard]] bool confirmed() const noexcept { return confirmed_.load(std::memory_order_acquire); }
    void confirm() noexcept { confirmed_.store(true, std::memory_order_release); }

    // Worker. The next counter of lane 0; sealed sessions refuse (nullopt) past 2^32: dead, a rekey was due long ago.
    // Clear sessions count too, but their headers carry zero, so that all segments of a train have identical headers.
    [[nodiscard]] std::optional<std::uint64_t> next_counter() noexcept;
    // Worker. Encrypts header_bytes then payload slices into out (their total size, then the 16-byte tag); the tunnel
    // header is the associated data.
    virtual void seal(const TunnelHeader& header, std::span<const std::byte> inner_header,
                      std::span<const Slice> payload, std::byte* out) noexcept = 0;
    // Worker. `datagram` is header, ciphertext, tag. Decrypts in place; on success the inner bytes are
    // datagram[16 .. size-16]. TunnelAuth, TunnelReplay, in that order; the window is marked on success.
    // A clear session only checks that the counter is zero; its inner bytes are datagram[16 .. size].
    [[nodiscard]] virtual std::expected<std::span<std::byte>, Drop> open(std::span<std::byte> datagram) noexcept = 0;

  protected:
    Session(PeerIndex peer, Security security, std::uint32_t local_index, std::uint32_t remote_index, TimePoint born)
        : peer_(peer), security_(security), local_index_(local_index), remote_index_(remote_index), born_(born) {}

    PeerIndex peer_;
    Security security_;
    std::uint32_t local_index_, remote_index_;
    TimePoint born_;
    std::atomic<bool> confirmed_{false};
    std::atomic<std::uint64_t> send_counter_{0};
};

// When new keys are due, and when the old ones must no longer be used (clear sessions have none: never). Control asks,
// and only under traffic: a silent session may simply end.
inline constexpr std::chrono::seconds kRekeyAge{120};
inline constexpr std::chrono::seconds kDeadAge{180};
inline constexpr std::uint64_t kRekeyPackets = std::uint64_t{1} << 31;
inline constexpr std::uint64_t kDeadPackets = std::uint64_t{1} << 32;
[[nodiscard]] bool needs_rekey(const Session& session, TimePoint now) noexcept;
[[nodiscard]] bool is_dead(const Session& session, TimePoint now) noexcept;

}  // namespace weft::overlay
