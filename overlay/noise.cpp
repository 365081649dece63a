// SPDX-License-Identifier: Apache-2.0
//
// The names of the steps (mix_hash, mix_key, encrypt_and_hash, split) are those of the Noise specification, section 5;
// read the two side by side.
#include "overlay/noise.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include <openssl/evp.h>

#include "dataplane/base/check.hpp"
#include "dataplane/net/byte_order.hpp"
#include "overlay/tunnel_crypto.hpp"

namespace weft::overlay {

namespace {

enum class Token : std::uint8_t { E, Ee, Psk };

// NNpsk0:  -> psk, e    <- e, ee
constexpr Token kFirstMessage[] = {Token::Psk, Token::E};
constexpr Token kSecondMessage[] = {Token::E, Token::Ee};
constexpr std::array<std::span<const Token>, 2> kPattern = {kFirstMessage, kSecondMessage};

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

const unsigned char* raw(const void* bytes) {
    return static_cast<const unsigned char*>(bytes);
}
unsigned char* raw(void* bytes) {
    return static_cast<unsigned char*>(bytes);
}

Key private_key(const CurveKey& secret) {
    Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, raw(secret.data()), secret.size()), &EVP_PKEY_free);
    WEFT_CHECK(key, "OpenSSL knows X25519");
    return key;
}

}  // namespace

CurveKey curve_public(const CurveKey& secret) {
    CurveKey result{};
    std::size_t size = result.size();
    WEFT_CHECK(EVP_PKEY_get_raw_public_key(private_key(secret).get(), raw(result.data()), &size) == 1,
               "X25519 has a public key");
    return result;
}

std::optional<CurveKey> curve_shared(const CurveKey& secret, const CurveKey& their_public) {
    const Key mine = private_key(secret);
    const Key theirs(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, raw(their_public.data()), their_public.size()),
        &EVP_PKEY_free);
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new(mine.get(), nullptr),
                                                                              &EVP_PKEY_CTX_free);
    CurveKey shared{};
    std::size_t size = shared.size();
    // OpenSSL itself refuses an all-zero result; it is checked once more, for this must never slip.
    if (!theirs || !context || EVP_PKEY_derive_init(context.get()) != 1 ||
        EVP_PKEY_derive_set_peer(context.get(), theirs.get()) != 1 ||
        EVP_PKEY_derive(context.get(), raw(shared.data()), &size) != 1 || equal_in_constant_time(shared, CurveKey{}))
        return std::nullopt;
    return shared;
}

NoiseHandshake::NoiseHandshake(Role role, Bytes prologue, const std::array<std::byte, 32>& preshared_key,
                               const CurveKey& ephemeral)
    : role_(role), preshared_key_(preshared_key), ephemeral_(ephemeral) {
    // A protocol name of up to 32 bytes is its own hash, padded with zeros.
    static_assert(kProtocolName.size() <= sizeof(Hash));
    std::ranges::copy(bytes_of(kProtocolName), hash_.begin());
    chaining_key_ = hash_;
    mix_hash(prologue);
}

NoiseHandshake::~NoiseHandshake() {
    for (auto* secret : {&chaining_key_, &cipher_key_, &preshared_key_, &ephemeral_})
        wipe(*secret);
}

std::optional<std::vector<std::byte>> NoiseHandshake::write(Bytes payload) {
    if (finished() || !is_my_turn()) return std::nullopt;
    std::vector<std::byte> message;
    for (const Token token : kPattern[next_message_]) {
        switch (token) {
            case Token::Psk:
                mix_key_and_hash(preshared_key_);
                break;
            case Token::E: {
                const CurveKey mine = curve_public(ephemeral_);
                message.insert(message.end(), mine.begin(), mine.end());
                mix_hash(mine);
                mix_key(mine);  // only in patterns with a pre-shared key (section 9.2)
                break;
            }
            case Token::Ee:
                if (!mix_shared()) return std::nullopt;
                break;
        }
    }
    const auto sealed = encrypt_and_hash(payload);
    message.insert(message.end(), sealed.begin(), sealed.end());
    ++next_message_;
    return message;
}

std::optional<std::vector<std::byte>> NoiseHandshake::read(Bytes message) {
    NoiseHandshake attempt = *this;
    auto payload = attempt.read_here(message);
    if (payload) *this = attempt;
    return payload;
}

std::optional<std::vector<std::byte>> NoiseHandshake::read_here(Bytes message) {
    if (finished() || is_my_turn()) return std::nullopt;
    for (const Token token : kPattern[next_message_]) {
        switch (token) {
            case Token::Psk:
                mix_key_and_hash(preshared_key_);
                break;
            case Token::E:
                if (message.size() < their_ephemeral_.size()) return std::nullopt;
                std::ranges::copy(message.first(their_ephemeral_.size()), their_ephemeral_.begin());
                message = message.subspan(their_ephemeral_.size());
                mix_hash(their_ephemeral_);
                mix_key(their_ephemeral_);
                break;
            case Token::Ee:
                if (!mix_shared()) return std::nullopt;
                break;
        }
    }
    ++next_message_;
    return decrypt_and_hash(message);
}

SessionSecrets NoiseHandshake::split() const {
    WEFT_CHECK(finished(), "secrets exist only after both messages");
    std::array<std::byte, 64> both{};
    hkdf_sha256(chaining_key_, {}, {}, both);
    SessionSecrets secrets;
    auto& from_initiator = role_ == Role::Initiator ? secrets.send : secrets.receive;
    auto& from_responder = role_ == Role::Initiator ? secrets.receive : secrets.send;
    std::ranges::copy(std::span(both).first(32), from_initiator.begin());
    std::ranges::copy(std::span(both).last(32), from_responder.begin());
    wipe(both);
    return secrets;
}

void NoiseHandshake::mix_hash(Bytes data) {
    hash_ = sha256({hash_, data});
}

void NoiseHandshake::mix_key(Bytes key_material) {
    std::array<std::byte, 64> out{};
    hkdf_sha256(chaining_key_, key_material, {}, out);
    std::ranges::copy(std::span(out).first(32), chaining_key_.begin());
    std::ranges::copy(std::span(out).last(32), cipher_key_.begin());
    nonce_ = 0;
    wipe(out);
}

void NoiseHandshake::mix_key_and_hash(Bytes key_material) {
    std::array<std::byte, 96> out{};
    hkdf_sha256(chaining_key_, key_material, {}, out);
    std::ranges::copy(std::span(out).first(32), chaining_key_.begin());
    mix_hash(std::span(out).subspan(32, 32));
    std::ranges::copy(std::span(out).last(32), cipher_key_.begin());
    nonce_ = 0;
    wipe(out);
}

bool NoiseHandshake::mix_shared() {
    auto shared = curve_shared(ephemeral_, their_ephemeral_);
    if (!shared) return false;
    mix_key(*shared);
    wipe(*shared);
    return true;
}

AeadKey::Nonce NoiseHandshake::next_nonce() {
    AeadKey::Nonce nonce{};
    const net::Be64 counter(nonce_++);
    std::memcpy(nonce.data() + 4, &counter, sizeof counter);
    return nonce;
}

std::vector<std::byte> NoiseHandshake::encrypt_and_hash(Bytes plain) {
    const auto key = AeadKey::create(Cipher::Aes256Gcm, cipher_key_, CryptoBackend::Portable);
    WEFT_CHECK(key, "OpenSSL knows AES-256-GCM");
    std::vector<std::byte> sealed(plain.size() + AeadKey::kTagSize);
    (*key)->seal(next_nonce(), hash_, plain, {}, sealed.data());
    mix_hash(sealed);
    return sealed;
}

std::optional<std::vector<std::byte>> NoiseHandshake::decrypt_and_hash(Bytes sealed) {
    const auto key = AeadKey::create(Cipher::Aes256Gcm, cipher_key_, CryptoBackend::Portable);
    WEFT_CHECK(key, "OpenSSL knows AES-256-GCM");
    std::vector<std::byte> text(sealed.begin(), sealed.end());
    if (!(*key)->open(next_nonce(), hash_, text)) return std::nullopt;
    mix_hash(sealed);
    text.erase(text.end() - AeadKey::kTagSize, text.end());
    return text;
}

}  // namespace weft::overlay
