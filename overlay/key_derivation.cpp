// SPDX-License-Identifier: Apache-2.0
#include "overlay/key_derivation.hpp"

#include <algorithm>
#include <memory>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "dataplane/base/check.hpp"

namespace weft::overlay {

namespace {

constexpr std::size_t kBlockSize = 64;

}  // namespace

void wipe(std::span<std::byte> secret) noexcept {
    OPENSSL_cleanse(secret.data(), secret.size());
}

bool equal_in_constant_time(Bytes a, Bytes b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Hash sha256(std::initializer_list<Bytes> parts) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    WEFT_CHECK(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1, "SHA-256 is available");
    for (const Bytes part : parts) {
        WEFT_CHECK(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1, "SHA-256 takes any input");
    }
    Hash digest{};
    // The void pointer keeps casts between byte types out of this file.
    void* const out = digest.data();
    WEFT_CHECK(EVP_DigestFinal_ex(context.get(), static_cast<unsigned char*>(out), nullptr) == 1, "SHA-256 ends");
    return digest;
}

Hash hmac_sha256(Bytes key, std::initializer_list<Bytes> parts) {
    std::array<std::byte, kBlockSize> inner_pad{};
    if (key.size() > kBlockSize) {
        std::ranges::copy(sha256({key}), inner_pad.begin());
    } else {
        std::ranges::copy(key, inner_pad.begin());
    }
    auto outer_pad = inner_pad;
    for (std::byte& b : inner_pad)
        b ^= std::byte{0x36};
    for (std::byte& b : outer_pad)
        b ^= std::byte{0x5c};

    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
    good = good && EVP_DigestUpdate(context.get(), inner_pad.data(), inner_pad.size()) == 1;
    for (const Bytes part : parts)
        good = good && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
    Hash inner{};
    void* const out = inner.data();
    good = good && EVP_DigestFinal_ex(context.get(), static_cast<unsigned char*>(out), nullptr) == 1;
    WEFT_CHECK(good, "SHA-256 is available");

    const Hash mac = sha256({outer_pad, inner});
    wipe(inner_pad);
    wipe(outer_pad);
    return mac;
}

void hkdf_sha256(Bytes salt, Bytes key_material, Bytes info, std::span<std::byte> out) {
    WEFT_CHECK(out.size() <= 255 * sizeof(Hash), "HKDF fills at most 255 blocks");
    Hash extracted = hmac_sha256(salt, {key_material});
    Hash block{};
    std::byte number{0};
    for (std::size_t done = 0; done < out.size();) {
        const Bytes previous = done == 0 ? Bytes{} : Bytes(block);
        number = std::byte(std::to_integer<unsigned>(number) + 1);
        block = hmac_sha256(extracted, {previous, info, Bytes(&number, 1)});
        const std::size_t take = std::min(block.size(), out.size() - done);
        std::copy_n(block.begin(), take, out.begin() + static_cast<std::ptrdiff_t>(done));
        done += take;
    }
    wipe(extracted);
    wipe(block);
}

}  // namespace weft::overlay
