// SPDX-License-Identifier: Apache-2.0
#include "overlay/noise.hpp"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/handshake/naive_noise.hpp"

namespace weft::overlay {
namespace {

using Role = NoiseHandshake::Role;
using test::bytes_from_hex;
using test::NaiveNoise;
using Buffer = std::vector<std::byte>;

template <std::size_t Size>
std::array<std::byte, Size> array_from_hex(std::string_view text) {
    std::array<std::byte, Size> out{};
    std::ranges::copy(bytes_from_hex(text), out.begin());
    return out;
}

// Made by a second implementation, in Python over the `cryptography` package, straight from the specification.
struct Vector {
    const char *prologue, *preshared, *initiator, *responder, *first_payload, *second_payload;
    const char *first, *second, *from_initiator, *from_responder;
};

constexpr Vector kVectors[] = {
    {"77656674207465737420"
     "70726f6c6f677565",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "1111111111111111111111111111111111111111111111111111111111111111",
     "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f", "6669727374207061796c6f6164",
     "746865207365636f6e64",
     "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f130b1996d6dd35eb224a85aa12eeb1647b4249be74a7b67e674"
     "4e2fc6a83",
     "79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51ae4a3813170445b5973fa5c08713a4d95faa28784abe59bd2c"
     "da3",
     "49bb89d1f33c81865fcab555922a559a4d0fd5c65c8ca6149bc2175cdf426738",
     "ea2f62fc0ad4224c17a413f5de1b9934e978877b707193eb5a5270b83cafd1a6"},
    // Keys and payloads as the public Noise vectors use them.
    {"4a6f686e2047616c74", "54686973206973206d7920417573747269616e20706572737065637469766521",
     "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
     "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b", "4c756477696720766f6e204d69736573",
     "4d757272617920526f746862617264",
     "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79447c37a89fc17813788d30df2d59501d6066f5f8aecc3406bbd"
     "9829f2d24a531b1",
     "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088432f29d79368ef9de4e1ae7a362fb05bf0ad668e026bf571455"
     "4497b3a720461",
     "056384357456be1926fa985d6f898ffd74741baae6d56310b1f7355057d0d4c7",
     "0276f48d51d009e9cbe2cb527ce593d4846e451ee3992c06fdce81a3fc5e4b29"},
};

class Noise : public ::testing::Test {
  protected:
    std::array<std::byte, 32> preshared_ = array_from_hex<32>(kVectors[0].preshared);
    Buffer prologue_ = bytes_from_hex("0102030405");
    NoiseHandshake initiator_{Role::Initiator, prologue_, preshared_, array_from_hex<32>(kVectors[1].initiator)};
    NoiseHandshake responder_{Role::Responder, prologue_, preshared_, array_from_hex<32>(kVectors[1].responder)};
    Buffer question_ = bytes_from_hex("aabbcc"), answer_ = bytes_from_hex("ddee");
};

TEST_F(Noise, MakesTheBytesThatAnotherImplementationMakes) {
    for (const Vector& v : kVectors) {
        const auto preshared = array_from_hex<32>(v.preshared);
        NoiseHandshake initiator(Role::Initiator, bytes_from_hex(v.prologue), preshared,
                                 array_from_hex<32>(v.initiator));
        NoiseHandshake responder(Role::Responder, bytes_from_hex(v.prologue), preshared,
                                 array_from_hex<32>(v.responder));
        const auto first = initiator.write(bytes_from_hex(v.first_payload));
        ASSERT_TRUE(first);
        EXPECT_EQ(*first, bytes_from_hex(v.first));
        EXPECT_EQ(responder.read(*first), bytes_from_hex(v.first_payload));
        const auto second = responder.write(bytes_from_hex(v.second_payload));
        ASSERT_TRUE(second);
        EXPECT_EQ(*second, bytes_from_hex(v.second));
        EXPECT_EQ(initiator.read(*second), bytes_from_hex(v.second_payload));

        ASSERT_TRUE(initiator.finished() && responder.finished());
        const auto near = initiator.split(), far = responder.split();
        EXPECT_TRUE(std::ranges::equal(near.send, bytes_from_hex(v.from_initiator)));
        EXPECT_TRUE(std::ranges::equal(near.receive, bytes_from_hex(v.from_responder)));
        EXPECT_EQ(far.send, near.receive);
        EXPECT_EQ(far.receive, near.send);
    }
}

TEST_F(Noise, AgreesWithTheNaiveOneOfTheseTests) {
    NaiveNoise naive(prologue_, preshared_);
    const CurveKey mine = array_from_hex<32>(kVectors[1].initiator);
    const auto message = naive.first_message(curve_public(mine), question_);
    EXPECT_EQ(message, initiator_.write(question_));
}

TEST_F(Noise, RefusesEveryBentMessageAndStillTakesTheOriginal) {
    const auto first = initiator_.write(question_).value();
    for (std::size_t bit = 0; bit < first.size() * 8; ++bit) {
        Buffer bent = first;
        bent[bit / 8] ^= std::byte{1} << (bit % 8);
        ASSERT_FALSE(responder_.read(bent)) << "bit " << bit;
    }
    for (std::size_t size = 0; size < first.size(); ++size)
        ASSERT_FALSE(responder_.read(Bytes(first).first(size))) << size;
    ASSERT_EQ(responder_.read(first), question_);

    const auto second = responder_.write(answer_).value();
    for (std::size_t bit = 0; bit < second.size() * 8; ++bit) {
        // The top bit of an X25519 point is ignored by the curve, but not by the hash.
        Buffer bent = second;
        bent[bit / 8] ^= std::byte{1} << (bit % 8);
        ASSERT_FALSE(initiator_.read(bent)) << "bit " << bit;
    }
    for (std::size_t size = 0; size < second.size(); ++size)
        ASSERT_FALSE(initiator_.read(Bytes(second).first(size))) << size;
    EXPECT_EQ(initiator_.read(second), answer_);
}

TEST_F(Noise, RefusesAnotherKeyAndAnotherPrologue) {
    const auto first = initiator_.write(question_).value();
    auto other = preshared_;
    other[31] ^= std::byte{1};
    const CurveKey ephemeral = array_from_hex<32>(kVectors[1].responder);
    NoiseHandshake other_key(Role::Responder, prologue_, other, ephemeral);
    NoiseHandshake other_prologue(Role::Responder, bytes_from_hex("0102030406"), preshared_, ephemeral);
    EXPECT_FALSE(other_key.read(first));
    EXPECT_FALSE(other_prologue.read(first));
}

TEST_F(Noise, KeepsTheOrderOfTurns) {
    EXPECT_FALSE(responder_.write(question_));
    EXPECT_FALSE(initiator_.read(question_));
    const auto first = initiator_.write(question_).value();
    EXPECT_FALSE(initiator_.write(question_));
    EXPECT_FALSE(initiator_.read(first)) << "its own message reflected";
    ASSERT_TRUE(responder_.read(first));
    EXPECT_FALSE(responder_.read(first)) << "the same message twice";
    const auto second = responder_.write(answer_).value();
    ASSERT_TRUE(initiator_.read(second));
    EXPECT_FALSE(initiator_.read(second));
    EXPECT_FALSE(initiator_.write(question_));
}

// Points of small order on the curve and its twist (and some not reduced): every secret gives zero with them.
constexpr const char* kLowOrderPoints[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

TEST_F(Noise, RefusesLowOrderPointsEvenFromAHolderOfTheKey) {
    for (const char* point : kLowOrderPoints) {
        SCOPED_TRACE(point);
        const auto low = array_from_hex<32>(point);
        EXPECT_FALSE(curve_shared(array_from_hex<32>(kVectors[1].responder), low));
        NoiseHandshake responder = responder_;
        const auto message = NaiveNoise(prologue_, preshared_).first_message(low, question_);
        ASSERT_EQ(responder.read(message), question_) << "the message itself is well made";
        EXPECT_FALSE(responder.write(answer_));
        EXPECT_FALSE(responder.finished());
    }
}

TEST_F(Noise, GivesNewSecretsForNewEphemeralKeys) {
    std::vector<std::array<std::byte, 32>> seen;
    for (unsigned i = 1; i <= 8; ++i) {
        CurveKey ephemeral{};
        ephemeral[1] = std::byte(i);  // the lowest three bits of byte 0 do not count
        NoiseHandshake initiator(Role::Initiator, prologue_, preshared_, ephemeral);
        NoiseHandshake responder(Role::Responder, prologue_, preshared_, array_from_hex<32>(kVectors[1].responder));
        ASSERT_TRUE(responder.read(initiator.write({}).value()));
        ASSERT_TRUE(initiator.read(responder.write({}).value()));
        const auto secrets = initiator.split();
        EXPECT_NE(secrets.send, secrets.receive);
        for (const auto& secret : {secrets.send, secrets.receive}) {
            EXPECT_EQ(std::ranges::count(seen, secret), 0);
            seen.push_back(secret);
        }
    }
}

}  // namespace
}  // namespace weft::overlay
