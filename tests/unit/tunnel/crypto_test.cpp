// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "overlay/key_derivation.hpp"
#include "overlay/tunnel_crypto.hpp"
#include "tests/unit/tunnel/fixtures.hpp"

namespace weft::overlay {
namespace {

using testing::Buffer;
using testing::pattern;

struct Way {
    Cipher cipher;
    CryptoBackend backend;
};

class EachCipher : public ::testing::TestWithParam<Way> {
  protected:
    void SetUp() override {
        if (!backend_serves(GetParam().backend, GetParam().cipher))
            GTEST_SKIP() << "this processor has no AES for libipsec-mb";
        key_ = *AeadKey::create(GetParam().cipher, pattern(key_size(GetParam().cipher)), GetParam().backend);
    }
    static AeadKey::Nonce nonce(unsigned seed) {
        AeadKey::Nonce nonce;
        std::ranges::copy(pattern(nonce.size(), seed), nonce.begin());
        return nonce;
    }
    Buffer seal(const Buffer& plain, unsigned seed = 5) {
        Buffer sealed(plain.size() + AeadKey::kTagSize);
        key_->seal(nonce(seed), associated_, plain, {}, sealed.data());
        return sealed;
    }
    std::unique_ptr<AeadKey> key_;
    Buffer associated_ = pattern(16, 9);
};

INSTANTIATE_TEST_SUITE_P(Ciphers, EachCipher,
                         ::testing::Values(Way{Cipher::Aes128Gcm, CryptoBackend::Vector},
                                           Way{Cipher::Aes256Gcm, CryptoBackend::Vector},
                                           Way{Cipher::Aes128Gcm, CryptoBackend::Portable},
                                           Way{Cipher::Aes256Gcm, CryptoBackend::Portable},
                                           Way{Cipher::ChaCha20Poly1305, CryptoBackend::Portable}));

TEST(TunnelCrypto, KnownAnswersAreRight) {
    const auto tested = self_test();
    EXPECT_TRUE(tested) << tested.error().text();
}

TEST(TunnelCrypto, BothBackEndsMakeTheSameBytesHoweverThePacketIsSliced) {
    if (!backend_serves(CryptoBackend::Vector, Cipher::Aes128Gcm))
        GTEST_SKIP() << "this processor has no AES for libipsec-mb";
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (const Cipher cipher : {Cipher::Aes128Gcm, Cipher::Aes256Gcm}) {
        const auto vector = *AeadKey::create(cipher, pattern(key_size(cipher), seed), CryptoBackend::Vector);
        const auto portable = *AeadKey::create(cipher, pattern(key_size(cipher), seed), CryptoBackend::Portable);
        for (int round = 0; round < 2000; ++round) {
            Buffer plain = pattern(random() % 1600, static_cast<unsigned>(random()));
            AeadKey::Nonce nonce;
            std::ranges::generate(nonce, [&] { return std::byte(random() & 0xFF); });
            const std::size_t first = random() % (plain.size() + 1);
            const std::size_t second = first + random() % (plain.size() - first + 1);
            const Slice rest[] = {{plain.data() + first, static_cast<std::uint32_t>(second - first)},
                                  {plain.data() + second, static_cast<std::uint32_t>(plain.size() - second)}};
            const auto associated = pattern(16, static_cast<unsigned>(random()));
            Buffer sliced(plain.size() + 16), whole(plain.size() + 16);
            vector->seal(nonce, associated, std::span(plain).first(first), rest, sliced.data());
            portable->seal(nonce, associated, plain, {}, whole.data());
            ASSERT_EQ(sliced, whole) << "size " << plain.size() << ", cut at " << first << " and " << second;
            ASSERT_TRUE(vector->open(nonce, associated, whole));
            ASSERT_TRUE(portable->open(nonce, associated, sliced));
            ASSERT_TRUE(std::ranges::equal(std::span(whole).first(plain.size()), plain));
            ASSERT_TRUE(std::ranges::equal(std::span(sliced).first(plain.size()), plain));
        }
    }
}

TEST_P(EachCipher, OpensWhatItSealed) {
    for (const std::size_t size : {0, 1, 15, 16, 17, 64, 1440, 9000, 65000}) {
        const Buffer plain = pattern(size);
        Buffer sealed = seal(plain);
        ASSERT_TRUE(key_->open(nonce(5), associated_, sealed)) << size;
        EXPECT_TRUE(std::ranges::equal(std::span(sealed).first(size), plain)) << size;
    }
}

TEST_P(EachCipher, RefusesEveryFlippedBit) {
    const Buffer sealed = seal(pattern(50));
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
        Buffer bent = sealed;
        bent[bit / 8] ^= std::byte{1} << (bit % 8);
        ASSERT_FALSE(key_->open(nonce(5), associated_, bent)) << "bit " << bit;
    }
    for (std::size_t bit = 0; bit < associated_.size() * 8; ++bit) {
        Buffer bent = sealed, associated = associated_;
        associated[bit / 8] ^= std::byte{1} << (bit % 8);
        ASSERT_FALSE(key_->open(nonce(5), associated, bent)) << "associated bit " << bit;
    }
    for (std::size_t bit = 0; bit < AeadKey::kNonceSize * 8; ++bit) {
        Buffer bent = sealed;
        auto other = nonce(5);
        other[bit / 8] ^= std::byte{1} << (bit % 8);
        ASSERT_FALSE(key_->open(other, associated_, bent)) << "nonce bit " << bit;
    }
    Buffer untouched = sealed;
    EXPECT_TRUE(key_->open(nonce(5), associated_, untouched));
}

TEST_P(EachCipher, RefusesEveryShorterAndALongerText) {
    const Buffer sealed = seal(pattern(50));
    for (std::size_t size = 0; size < sealed.size(); ++size) {
        Buffer cut(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(size));
        ASSERT_FALSE(key_->open(nonce(5), associated_, cut)) << size;
    }
    Buffer longer = sealed;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(key_->open(nonce(5), associated_, longer));
}

// Published answers, so that both ends being wrong in the same way is noticed.
std::string hex(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte b : bytes) {
        constexpr char kDigits[] = "0123456789abcdef";
        text += kDigits[std::to_integer<unsigned>(b) >> 4];
        text += kDigits[std::to_integer<unsigned>(b) & 15];
    }
    return text;
}

TEST(KeyDerivation, AgreesWithRfc4231) {
    EXPECT_EQ(hex(hmac_sha256(bytes_of("Jefe"), {bytes_of("what do ya want "), bytes_of("for nothing?")})),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    const Buffer long_key(131, std::byte{0xaa});
    EXPECT_EQ(hex(hmac_sha256(long_key, {bytes_of("Test Using Larger Than Block-Size Key - Hash Key First")})),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(KeyDerivation, AgreesWithRfc5869) {
    Buffer salt(13), info(10), out(42);
    for (unsigned i = 0; i < salt.size(); ++i)
        salt[i] = std::byte(i);
    for (unsigned i = 0; i < info.size(); ++i)
        info[i] = std::byte(0xf0 + i);
    hkdf_sha256(salt, Buffer(22, std::byte{0x0b}), info, out);
    EXPECT_EQ(hex(out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    hkdf_sha256({}, Buffer(22, std::byte{0x0b}), {}, out);
    EXPECT_EQ(hex(out), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

}  // namespace
}  // namespace weft::overlay
