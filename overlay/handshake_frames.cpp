// SPDX-License-Identifier: Apache-2.0
#include "overlay/handshake_frames.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "dataplane/base/check.hpp"
#include "overlay/tunnel_crypto.hpp"

namespace weft::overlay {

namespace {

constexpr std::size_t kMac1At = TunnelHeader::kSize + offsetof(HandshakeBody, mac1);
constexpr std::size_t kMac2At = TunnelHeader::kSize + offsetof(HandshakeBody, mac2);
constexpr std::chrono::seconds kSecretAge{120};

// The leftmost 128 bits, as both macs and cookies are.
Mac cut(const Hash& hash) {
    Mac mac;
    std::copy_n(hash.begin(), mac.size(), mac.begin());
    return mac;
}

template <class T>
Bytes bytes_of_object(const T& object) {
    return std::as_bytes(std::span(&object, 1));
}

std::uint32_t sender_index_of(const TunnelHeader& header) {
    return static_cast<std::uint32_t>(header.counter.value() >> 32);
}
bool has_zero_rest(const TunnelHeader& header) {
    return header.lane == 0 && header.flags == 0 && static_cast<std::uint32_t>(header.counter.value()) == 0;
}

}  // namespace

// ---- Keys and names -------------------------------------------------------------------------------------------------

ClusterKey::ClusterKey(const std::array<std::byte, 32>& preshared_key) : preshared(preshared_key) {
    hkdf_sha256({}, preshared, bytes_of("weft mac1"), mac_key);
    hkdf_sha256({}, preshared, bytes_of("weft cookie"), cookie_key);
}

ClusterKey::~ClusterKey() {
    for (auto* secret : {&preshared, &mac_key, &cookie_key})
        wipe(*secret);
}

NodeName name_of(std::string_view node_id) {
    WEFT_CHECK(!node_id.empty() && node_id.size() <= NodeName::kMaxSize, "a node id has 1 to 64 bytes");
    NodeName name{.size = static_cast<std::uint8_t>(node_id.size()), .text = {}};
    std::ranges::copy(node_id, name.text.begin());
    return name;
}

std::optional<std::string> id_of(const NodeName& name) {
    if (name.size == 0 || name.size > NodeName::kMaxSize) return std::nullopt;
    if (std::any_of(name.text.begin() + name.size, name.text.end(), [](char c) { return c != 0; })) return std::nullopt;
    return std::string(name.text.data(), name.size);
}

// ---- Types 1 and 2 --------------------------------------------------------------------------------------------------

std::vector<std::byte> HandshakeFrames::write(TunnelHeader::Type type, std::uint32_t receiver_index,
                                              std::uint32_t sender_index, Bytes noise_message, const ClusterKey& key,
                                              const std::optional<Mac>& cookie) {
    std::vector<std::byte> frame(kSize);
    TunnelHeader::make(type, 0, 0, receiver_index, std::uint64_t{sender_index} << 32).write(frame.data());
    WEFT_CHECK(TunnelHeader::kSize + noise_message.size() == kMac1At, "the Noise message has its fixed size");
    std::ranges::copy(noise_message, frame.begin() + TunnelHeader::kSize);
    const auto put = [&frame](const Mac& mac, std::size_t at) {
        std::ranges::copy(mac, frame.begin() + static_cast<std::ptrdiff_t>(at));
    };
    put(cut(hmac_sha256(key.mac_key, {Bytes(frame).first(kMac1At)})), kMac1At);
    if (cookie) put(cut(hmac_sha256(*cookie, {Bytes(frame).first(kMac2At)})), kMac2At);
    return frame;
}

std::optional<HandshakeFrames::Parts> HandshakeFrames::read(Bytes datagram) {
    const auto header = TunnelHeader::at(datagram);
    if (!header || datagram.size() != kSize || !has_zero_rest(*header) || sender_index_of(*header) == 0)
        return std::nullopt;
    const bool is_initiation = header->type() == TunnelHeader::Type::Initiation;
    if (is_initiation != (header->receiver_index.value() == 0)) return std::nullopt;
    // Only an initiation can owe its mac2 to a cookie.
    const auto mac2 = datagram.subspan(kMac2At);
    if (!is_initiation && std::ranges::any_of(mac2, [](std::byte b) { return b != std::byte{0}; })) return std::nullopt;
    return Parts{.receiver_index = header->receiver_index.value(),
                 .sender_index = sender_index_of(*header),
                 .noise_message = datagram.subspan(TunnelHeader::kSize, kMac1At - TunnelHeader::kSize)};
}

Mac HandshakeFrames::mac1_of(Bytes frame) {
    Mac mac;
    std::ranges::copy(frame.subspan(kMac1At, mac.size()), mac.begin());
    return mac;
}

bool HandshakeFrames::has_mac1(Bytes datagram, const ClusterKey& key) {
    return equal_in_constant_time(cut(hmac_sha256(key.mac_key, {datagram.first(kMac1At)})), mac1_of(datagram));
}

bool HandshakeFrames::has_mac2(Bytes datagram, const Mac& cookie) {
    return equal_in_constant_time(cut(hmac_sha256(cookie, {datagram.first(kMac2At)})),
                                  datagram.subspan(kMac2At, sizeof(Mac)));
}

// ---- Type 3 ---------------------------------------------------------------------------------------------------------

CookieJar::~CookieJar() {
    wipe(secret_);
    wipe(previous_secret_);
}

void CookieJar::turn(TimePoint now) {
    if (turned_ && now - *turned_ < kSecretAge) return;
    const bool previous_is_too_old = !turned_ || now - *turned_ >= 2 * kSecretAge;
    previous_secret_ = secret_;
    random_(secret_);
    if (previous_is_too_old) random_(previous_secret_);
    turned_ = now;
}

Mac CookieJar::cookie_for(const net::Endpoint& from, const Hash& secret) {
    const net::Be16 l4_port(from.l4_port);
    const auto version = static_cast<std::uint8_t>(from.address.version());
    return cut(hmac_sha256(
        secret, {bytes_of_object(version), std::as_bytes(std::span(from.address.bytes())), bytes_of_object(l4_port)}));
}

bool CookieJar::proves(Bytes initiation, const net::Endpoint& from, TimePoint now) {
    turn(now);
    return HandshakeFrames::has_mac2(initiation, cookie_for(from, secret_)) ||
           HandshakeFrames::has_mac2(initiation, cookie_for(from, previous_secret_));
}

std::vector<std::byte> CookieJar::answer(Bytes initiation, std::uint32_t receiver_index, const net::Endpoint& from,
                                         const ClusterKey& key, TimePoint now) {
    turn(now);
    CookieBody body{};
    AeadKey::Nonce nonce{};
    random_(nonce);
    body.nonce = nonce;
    const Mac cookie = cookie_for(from, secret_);
    const auto sealing = AeadKey::create(Cipher::Aes256Gcm, key.cookie_key, CryptoBackend::Portable);
    WEFT_CHECK(sealing, "OpenSSL knows AES-256-GCM");
    (*sealing)->seal(nonce, HandshakeFrames::mac1_of(initiation), cookie, {}, body.sealed.data());

    std::vector<std::byte> frame(TunnelHeader::kSize + sizeof body);
    TunnelHeader::make(TunnelHeader::Type::Cookie, 0, 0, receiver_index, 0).write(frame.data());
    std::memcpy(frame.data() + TunnelHeader::kSize, &body, sizeof body);
    return frame;
}

std::optional<Mac> CookieJar::open(Bytes datagram, const Mac& mac1, const ClusterKey& key) {
    CookieBody body;
    const auto header = TunnelHeader::at(datagram);
    if (!header || datagram.size() != TunnelHeader::kSize + sizeof body || !has_zero_rest(*header) ||
        sender_index_of(*header) != 0)
        return std::nullopt;
    std::memcpy(&body, datagram.data() + TunnelHeader::kSize, sizeof body);
    const auto opening = AeadKey::create(Cipher::Aes256Gcm, key.cookie_key, CryptoBackend::Portable);
    WEFT_CHECK(opening, "OpenSSL knows AES-256-GCM");
    if (!(*opening)->open(body.nonce, mac1, body.sealed)) return std::nullopt;
    Mac cookie;
    std::copy_n(body.sealed.begin(), cookie.size(), cookie.begin());
    return cookie;
}

}  // namespace weft::overlay
