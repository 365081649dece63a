// SPDX-License-Identifier: Apache-2.0
//
// The ciphers behind the tunnel. AES-GCM goes straight to libipsec-mb's direct calls, which vectorise inside one packet
// (no jobs, no queues, so no delay); where that library finds no AES instructions, and for ChaCha20-Poly1305, OpenSSL
// serves. A datagram is sealed from the slices it lies in, so that encrypting is the only copy made.
#include "overlay/tunnel_crypto.hpp"

#include <algorithm>
#include <string>

#include <intel-ipsec-mb.h>
#include <openssl/evp.h>

#include "dataplane/base/check.hpp"
#include "overlay/key_derivation.hpp"

namespace weft::overlay {

namespace {

// Through void, so that no cast between byte types is needed.
const unsigned char* raw(const void* bytes) {
    return static_cast<const unsigned char*>(bytes);
}
unsigned char* raw(void* bytes) {
    return static_cast<unsigned char*>(bytes);
}

// libipsec-mb's table of functions for this CPU. Filled once and only read afterwards: the direct GCM calls keep all
// their state in the key and context handed in, so one table serves every thread. Null: this CPU has no AES for it.
const IMB_MGR* vector_functions() noexcept {
    struct Holder {
        Holder() {
            manager = alloc_mb_mgr(0);
            if (manager == nullptr) return;
            IMB_ARCH arch = IMB_ARCH_NONE;
            init_mb_mgr_auto(manager, &arch);
            if (imb_get_errno(manager) != 0 || arch == IMB_ARCH_NONE || arch == IMB_ARCH_NOAESNI) {
                free_mb_mgr(manager);
                manager = nullptr;
            }
        }
        ~Holder() {
            if (manager != nullptr) free_mb_mgr(manager);
        }
        IMB_MGR* manager = nullptr;
    };
    static const Holder holder;
    return holder.manager;
}

// The calls of one key size, so that one class serves both.
struct GcmCalls {
    aes_gcm_init_t init;
    aes_gcm_enc_dec_update_t encrypt_update;
    aes_gcm_enc_dec_finalize_t encrypt_finalize;
    aes_gcm_enc_dec_t decrypt;
};

class VectorGcm final : public AeadKey {
  public:
    VectorGcm(const IMB_MGR& functions, Cipher cipher, std::span<const std::byte> key) {
        if (cipher == Cipher::Aes128Gcm) {
            calls_ = {functions.gcm128_init, functions.gcm128_enc_update, functions.gcm128_enc_finalize,
                      functions.gcm128_dec};
            functions.gcm128_pre(key.data(), &key_);
        } else {
            calls_ = {functions.gcm256_init, functions.gcm256_enc_update, functions.gcm256_enc_finalize,
                      functions.gcm256_dec};
            functions.gcm256_pre(key.data(), &key_);
        }
    }
    ~VectorGcm() override { wipe(std::as_writable_bytes(std::span(&key_, 1))); }

    void seal(const Nonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> first,
              std::span<const Slice> rest, std::byte* out) noexcept override {
        gcm_context_data context;
        calls_.init(&key_, &context, raw(nonce.data()), raw(associated.data()), associated.size());
        if (!first.empty()) calls_.encrypt_update(&key_, &context, raw(out), raw(first.data()), first.size());
        out += first.size();
        for (const Slice& slice : rest) {
            if (slice.size != 0) calls_.encrypt_update(&key_, &context, raw(out), raw(slice.data), slice.size);
            out += slice.size;
        }
        calls_.encrypt_finalize(&key_, &context, raw(out), kTagSize);
    }

    bool open(const Nonce& nonce, std::span<const std::byte> associated,
              std::span<std::byte> sealed) noexcept override {
        if (sealed.size() < kTagSize) return false;
        const auto text = sealed.first(sealed.size() - kTagSize);
        std::array<std::byte, kTagSize> tag;
        gcm_context_data context;
        calls_.decrypt(&key_, &context, raw(text.data()), raw(text.data()), text.size(), raw(nonce.data()),
                       raw(associated.data()), associated.size(), raw(tag.data()), kTagSize);
        return equal_in_constant_time(tag, sealed.last(kTagSize));
    }

  private:
    GcmCalls calls_{};
    alignas(64) gcm_key_data key_{};
};

// EVP counts in int; a datagram is far below that.
int evp_size(std::size_t size) {
    return static_cast<int>(size);
}

class EvpAead final : public AeadKey {
  public:
    using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

    static Result<std::unique_ptr<AeadKey>> create(Cipher cipher, std::span<const std::byte> key) {
        Context sealing(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
        Context opening(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
        // The key schedule is made here, once; each packet only sets its nonce.
        if (!sealing || !opening ||
            EVP_EncryptInit_ex(sealing.get(), algorithm(cipher), nullptr, raw(key.data()), nullptr) != 1 ||
            EVP_DecryptInit_ex(opening.get(), algorithm(cipher), nullptr, raw(key.data()), nullptr) != 1) {
            return std::unexpected(Error(ErrorCode::Internal, "OpenSSL refuses a tunnel key"));
        }
        return std::unique_ptr<AeadKey>(new EvpAead(std::move(sealing), std::move(opening)));
    }

    void seal(const Nonce& nonce, std::span<const std::byte> associated, std::span<const std::byte> first,
              std::span<const Slice> rest, std::byte* out) noexcept override {
        EVP_CIPHER_CTX* const context = sealing_.get();
        int written = 0;
        bool good = EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, raw(nonce.data())) == 1;
        good = good &&
               EVP_EncryptUpdate(context, nullptr, &written, raw(associated.data()), evp_size(associated.size())) == 1;
        const auto add = [&](const std::byte* data, std::size_t size) {
            if (size == 0) return;
            good = good && EVP_EncryptUpdate(context, raw(out), &written, raw(data), evp_size(size)) == 1;
            out += size;
        };
        add(first.data(), first.size());
        for (const Slice& slice : rest)
            add(slice.data, slice.size);
        good = good && EVP_EncryptFinal_ex(context, raw(out), &written) == 1;
        good = good && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, out) == 1;
        WEFT_CHECK(good, "OpenSSL seals what it has a key for");  // going on would send plain bytes
    }

    bool open(const Nonce& nonce, std::span<const std::byte> associated,
              std::span<std::byte> sealed) noexcept override {
        if (sealed.size() < kTagSize) return false;
        EVP_CIPHER_CTX* const context = opening_.get();
        const auto text = sealed.first(sealed.size() - kTagSize);
        int written = 0;
        bool good = EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, raw(nonce.data())) == 1;
        good = good && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagSize, sealed.last(kTagSize).data()) == 1;
        good = good &&
               EVP_DecryptUpdate(context, nullptr, &written, raw(associated.data()), evp_size(associated.size())) == 1;
        if (!text.empty())
            good = good &&
                   EVP_DecryptUpdate(context, raw(text.data()), &written, raw(text.data()), evp_size(text.size())) == 1;
        unsigned char nothing[16];
        return good && EVP_DecryptFinal_ex(context, nothing, &written) == 1;  // compares the tag in constant time
    }

  private:
    EvpAead(Context sealing, Context opening) : sealing_(std::move(sealing)), opening_(std::move(opening)) {}

    static const EVP_CIPHER* algorithm(Cipher cipher) {
        switch (cipher) {
            case Cipher::Aes128Gcm:
                return EVP_aes_128_gcm();
            case Cipher::Aes256Gcm:
                return EVP_aes_256_gcm();
            case Cipher::ChaCha20Poly1305:
                return EVP_chacha20_poly1305();
        }
        return nullptr;
    }

    Context sealing_, opening_;  // OpenSSL wipes them when it frees them
};

struct KnownAnswer {
    Cipher cipher;
    std::string_view key, nonce, associated, plain, sealed;  // hexadecimal
};

// NIST's "The Galois/Counter Mode of Operation", cases 4 and 16; RFC 8439, section 2.8.2.
constexpr KnownAnswer kKnownAnswers[] = {
    {Cipher::Aes128Gcm, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657b"
     "a637b39",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973"
     "d58e091"
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {Cipher::Aes256Gcm, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657b"
     "a637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0ab"
     "cc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    {Cipher::ChaCha20Poly1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
     "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f66666"
     "57220796f"
     "75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b290"
     "5d6a5b67e"
     "cd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116"
     "1ae10b594f09e26a7e902ecbd0600691"},
};

template <std::size_t Capacity>
std::span<std::byte> from_hex(std::string_view text, std::array<std::byte, Capacity>& out) {
    const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
    WEFT_CHECK(text.size() / 2 <= Capacity, "the known answer fits");
    for (std::size_t i = 0; i < text.size() / 2; ++i)
        out[i] = std::byte(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    return std::span(out).first(text.size() / 2);
}

bool answers_right(const KnownAnswer& known, CryptoBackend backend) {
    std::array<std::byte, 32> key_bytes, associated_bytes;
    AeadKey::Nonce nonce;
    std::array<std::byte, 160> plain_bytes, expected_bytes, sealed_bytes;
    from_hex(known.nonce, nonce);
    const auto associated = from_hex(known.associated, associated_bytes);
    const auto plain = from_hex(known.plain, plain_bytes);
    const auto expected = from_hex(known.sealed, expected_bytes);
    const auto sealed = std::span(sealed_bytes).first(plain.size() + AeadKey::kTagSize);

    auto key = AeadKey::create(known.cipher, from_hex(known.key, key_bytes), backend);
    if (!key) return false;
    const Slice rest{plain.data() + 5, static_cast<std::uint32_t>(plain.size() - 5)};
    (*key)->seal(nonce, associated, plain.first(5), {&rest, 1}, sealed.data());
    if (!std::ranges::equal(sealed, expected)) return false;
    if (!(*key)->open(nonce, associated, sealed) || !std::ranges::equal(sealed.first(plain.size()), plain))
        return false;
    expected.front() ^= std::byte{1};
    return !(*key)->open(nonce, associated, expected);
}

}  // namespace

bool backend_serves(CryptoBackend backend, Cipher cipher) noexcept {
    return backend == CryptoBackend::Portable || (cipher != Cipher::ChaCha20Poly1305 && vector_functions() != nullptr);
}

Result<std::unique_ptr<AeadKey>> AeadKey::create(Cipher cipher, std::span<const std::byte> key,
                                                 std::optional<CryptoBackend> backend) {
    WEFT_CHECK(key.size() == key_size(cipher), "the key has the cipher's size");
    const CryptoBackend chosen = backend.value_or(
        backend_serves(CryptoBackend::Vector, cipher) ? CryptoBackend::Vector : CryptoBackend::Portable);
    if (!backend_serves(chosen, cipher))
        return std::unexpected(
            Error(ErrorCode::Unavailable, "libipsec-mb does not serve this cipher on this processor"));
    if (chosen == CryptoBackend::Vector) return std::make_unique<VectorGcm>(*vector_functions(), cipher, key);
    return EvpAead::create(cipher, key);
}

Result<void> self_test() {
    for (const KnownAnswer& known : kKnownAnswers) {
        for (const CryptoBackend backend : {CryptoBackend::Vector, CryptoBackend::Portable}) {
            if (!backend_serves(backend, known.cipher) || answers_right(known, backend)) continue;
            const std::string library = backend == CryptoBackend::Vector ? "libipsec-mb" : "OpenSSL";
            return std::unexpected(
                Error(ErrorCode::Internal, "self test of the tunnel ciphers: " + library + " answers wrongly"));
        }
    }
    return {};
}

}  // namespace weft::overlay
