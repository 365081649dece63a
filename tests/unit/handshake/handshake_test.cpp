// SPDX-License-Identifier: Apache-2.0
#include "overlay/handshake.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/handshake/naive_noise.hpp"
#include "tests/unit/handshake/two_nodes.hpp"

namespace weft::overlay {
namespace {

using test::at;
using test::Buffer;
using test::Datagram;
using test::TestNode;

// Node a (the lower id) and node b know each other; a stranger sits at an address of its own.
class TwoNodes : public ::testing::Test {
  protected:
    void start(Security security) {
        a_.start(security, b_);
        b_.start(security, a_);
    }

    // Carries everything to and fro until nobody says more.
    void carry(std::vector<Datagram> datagrams, TimePoint now) {
        while (!datagrams.empty()) {
            std::vector<Datagram> answers;
            for (const Datagram& datagram : datagrams) {
                TestNode& receiver = datagram.to == a_.endpoint() ? a_ : b_;
                for (Datagram& answer : receiver.receive(datagram, now))
                    answers.push_back(std::move(answer));
            }
            datagrams = std::move(answers);
        }
    }
    void expect_one_shared_session() {
        ASSERT_EQ(a_.installed.size(), 1U);
        ASSERT_EQ(b_.installed.size(), 1U);
        EXPECT_TRUE(test::are_the_same(*a_.installed[0].session, *b_.installed[0].session));
    }

    TestNode a_{"a", "192.168.77.11:50103", 1};
    TestNode b_{"b", "192.168.77.12:50103", 1000};
    net::Endpoint stranger_ = *net::Endpoint::parse("203.0.113.7:50103");
};

class Handshake : public TwoNodes, public ::testing::WithParamInterface<Security> {
  protected:
    Handshake() { start(GetParam()); }
};
class SealedHandshake : public TwoNodes {
  protected:
    SealedHandshake() { start(Security::Aead); }
};

INSTANTIATE_TEST_SUITE_P(Modes, Handshake, ::testing::Values(Security::Aead, Security::Clear),
                         [](const ::testing::TestParamInfo<Security>& mode) {
                             return mode.param == Security::Aead ? "Sealed" : "Clear";
                         });

// ---- What should happen

TEST_P(Handshake, GivesBothEndsTheSameSessionInOneRoundTrip) {
    const auto question = a_.want(at(1000));
    ASSERT_EQ(question.size(), 1U);
    const auto answer = b_.receive(question[0], at(1001));
    ASSERT_EQ(answer.size(), 1U);
    EXPECT_EQ(answer[0].bytes.size(), question[0].bytes.size());
    EXPECT_TRUE(a_.receive(answer[0], at(1002)).empty());
    expect_one_shared_session();
    EXPECT_TRUE(a_.installed[0].initiator);
    EXPECT_FALSE(b_.installed[0].initiator);
    EXPECT_EQ(a_.session().peer(), TestNode::kPeer);
    EXPECT_EQ(a_.session().security(), GetParam());
    EXPECT_EQ(a_.session().born(), at(1002));
    EXPECT_FALSE(b_.session().confirmed());
    EXPECT_EQ(a_.shaker->next_deadline(), TimePoint::max());
    EXPECT_EQ(a_.shaker->stats().sessions, 1U);
    EXPECT_EQ(b_.shaker->stats().initiations_received, 1U);
}

TEST_F(SealedHandshake, WorksWithEachCipher) {
    for (const Cipher cipher : {Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305}) {
        for (TestNode* node : {&a_, &b_}) {
            node->options.cipher = cipher;
            node->installed.clear();
        }
        start(Security::Aead);
        carry(a_.want(at(1)), at(1));
        expect_one_shared_session();
    }
}

TEST_P(Handshake, DoesNothingTwiceWhileOneIsUnderWay) {
    EXPECT_EQ(a_.want(at(0)).size(), 1U);
    EXPECT_TRUE(a_.want(at(1)).empty());
    EXPECT_TRUE(a_.want(at(10'000)).empty());
}

TEST_P(Handshake, AsksAgainQuicklyThenPatientlyAndGivesUpAfter90Seconds) {
    std::vector<std::int64_t> sent;
    std::vector<Datagram> last = a_.want(at(0));
    for (std::int64_t now = 0; a_.gave_up.empty() && now <= 100'000; now += 10) {
        const bool is_due = a_.shaker->next_deadline() <= at(now);
        const auto out = a_.poll(at(now));
        EXPECT_TRUE(out.empty() || is_due);
        if (!out.empty()) sent.push_back(now);
        if (!out.empty() && GetParam() == Security::Aead) {
            EXPECT_NE(out[0].bytes, last[0].bytes) << "each sealed try is fresh";
        }
        if (!out.empty()) last = out;
        if (!a_.gave_up.empty()) {
            EXPECT_EQ(now, 90'000);
        }
    }
    ASSERT_GE(sent.size(), 10U);
    EXPECT_EQ(std::vector(sent.begin(), sent.begin() + 4), (std::vector<std::int64_t>{250, 750, 1750, 3750}));
    for (std::size_t i = 4; i < sent.size(); ++i) {
        EXPECT_GE(sent[i] - sent[i - 1], 5000);
        EXPECT_LE(sent[i] - sent[i - 1], 6010);
    }
    EXPECT_EQ(a_.gave_up, std::vector<PeerIndex>{TestNode::kPeer});
    EXPECT_EQ(a_.shaker->next_deadline(), TimePoint::max());
    EXPECT_EQ(a_.want(at(100'001)).size(), 1U);
}

TEST_P(Handshake, SurvivesALostQuestionAndALostAnswer) {
    ASSERT_EQ(a_.want(at(0)).size(), 1U);  // lost
    const auto second = a_.poll(at(250));
    ASSERT_EQ(second.size(), 1U);
    ASSERT_EQ(b_.receive(second[0], at(250)).size(), 1U);  // lost
    carry(a_.poll(at(750)), at(750));
    ASSERT_EQ(a_.installed.size(), 1U);
    ASSERT_FALSE(b_.installed.empty());
    EXPECT_TRUE(test::are_the_same(*a_.installed.back().session, *b_.installed.back().session));
}

TEST_P(Handshake, IsWantedAgainForANewSession) {
    carry(a_.want(at(0)), at(0));
    carry(a_.want(at(120'000)), at(120'000));
    ASSERT_EQ(a_.installed.size(), 2U);
    ASSERT_EQ(b_.installed.size(), 2U);
    EXPECT_TRUE(test::are_the_same(*a_.installed[1].session, *b_.installed[1].session));
    EXPECT_NE(a_.installed[0].session->local_index(), a_.installed[1].session->local_index());
}

TEST_P(Handshake, BelievesARestartedPeerAtOnce) {
    carry(a_.want(at(500'000)), at(500'000));
    // The host restarted too: its boot clock begins anew, its start number does not.
    b_.options.start_number = 2;
    b_.start(GetParam(), a_);
    carry(b_.want(at(10)), at(500'100));
    ASSERT_EQ(a_.installed.size(), 2U);
    ASSERT_EQ(b_.installed.size(), 2U);
    EXPECT_FALSE(a_.installed[1].initiator);
    EXPECT_TRUE(test::are_the_same(*a_.installed[1].session, *b_.installed[1].session));
}

// ---- Both at once

TEST_P(Handshake, LetsTheLowerNodeIdWinWhenBothBeginAtOnce) {
    const auto from_a = a_.want(at(0)), from_b = b_.want(at(0));
    EXPECT_TRUE(a_.receive(from_b[0], at(5)).empty());
    const auto answer = b_.receive(from_a[0], at(5));
    ASSERT_EQ(answer.size(), 1U);
    carry(answer, at(10));
    expect_one_shared_session();
    EXPECT_TRUE(a_.installed[0].initiator);

    // b's own asking rests; once a used the session, it ends without another word.
    b_.installed[0].session->confirm();
    EXPECT_TRUE(b_.poll(at(5000)).empty());
    EXPECT_EQ(b_.shaker->next_deadline(), TimePoint::max());
}

TEST_P(Handshake, AsksItselfWhenTheWinnersHandshakeComesToNothing) {
    const auto from_a = a_.want(at(0)), from_b = b_.want(at(0));
    ASSERT_EQ(b_.receive(from_a[0], at(5)).size(), 1U);  // the answer is lost, and a dies
    a_.start(GetParam(), b_);
    a_.options.start_number = 2;
    const auto again = b_.poll(b_.shaker->next_deadline());
    ASSERT_EQ(again.size(), 1U);
    carry(again, at(1100));
    ASSERT_FALSE(a_.installed.empty());
    EXPECT_TRUE(test::are_the_same(*a_.installed.back().session, *b_.installed.back().session));
}

TEST_P(Handshake, DoesNotCrossWhatItHasJustAnswered) {
    const auto question = a_.want(at(0));
    ASSERT_EQ(b_.receive(question[0], at(1)).size(), 1U);
    EXPECT_TRUE(b_.want(at(2)).empty()) << "a's first packet will confirm the session any moment";
    b_.installed[0].session->confirm();
    EXPECT_TRUE(b_.poll(at(1500)).empty());
    EXPECT_TRUE(b_.installed.size() == 1U && b_.shaker->next_deadline() == TimePoint::max());
}

TEST_P(Handshake, TakesTheHigherIdsQuestionWhenItDidNotCross) {
    ASSERT_EQ(a_.want(at(0)).size(), 1U);  // lost, like all that a sends
    (void)a_.poll(at(250));
    (void)a_.poll(at(750));
    (void)a_.poll(at(1750));
    (void)a_.poll(at(3750));
    carry(b_.want(at(5000)), at(5000));
    expect_one_shared_session();
    EXPECT_TRUE(b_.installed[0].initiator);
}

// ---- Duplicates, reorder, replay, reflection

TEST_P(Handshake, TakesADuplicatedQuestionOnce) {
    const auto question = a_.want(at(0));
    const auto answer = b_.receive(question[0], at(1));
    const auto second = b_.receive(question[0], at(2));
    EXPECT_EQ(b_.installed.size(), 1U);
    if (GetParam() == Security::Aead) {
        EXPECT_TRUE(second.empty());
    } else {
        ASSERT_EQ(second.size(), 1U);
        EXPECT_EQ(second[0].bytes, answer[0].bytes) << "repeating a question changes nothing";
    }
    carry(answer, at(3));
    expect_one_shared_session();
}

TEST_P(Handshake, TakesADuplicatedAnswerOnce) {
    const auto answer = b_.receive(a_.want(at(0))[0], at(1));
    EXPECT_TRUE(a_.receive(answer[0], at(2)).empty());
    EXPECT_TRUE(a_.receive(answer[0], at(3)).empty());
    expect_one_shared_session();
}

TEST_P(Handshake, EndsWellWhenTheFirstAnswerComesAfterTheSecondQuestion) {
    const auto first = a_.want(at(0));
    const auto late = b_.receive(first[0], at(100));
    const auto second = a_.poll(at(250));
    carry(late, at(300));
    carry(second, at(310));
    ASSERT_EQ(a_.installed.size(), 1U);
    EXPECT_TRUE(test::are_the_same(*a_.installed.back().session, *b_.installed.back().session));
}

TEST_F(SealedHandshake, RefusesOldInitiationsForever) {
    start(Security::Aead);
    std::vector<Datagram> captured;
    for (int i = 0; i < 5; ++i) {
        const auto question = a_.want(at(i * 1000));
        captured.push_back(question[0]);
        carry(question, at(i * 1000));
    }
    ASSERT_EQ(b_.installed.size(), 5U);
    for (int times = 0; times < 3; ++times) {
        for (const Datagram& datagram : captured) {
            EXPECT_TRUE(b_.receive(datagram, at(100'000 + times * 10'000)).empty());
        }
    }
    EXPECT_EQ(b_.installed.size(), 5U);
    EXPECT_TRUE(b_.receive(captured[4].bytes, stranger_, at(200'000)).empty());
    // The same node after a restart is newer than all of them.
    a_.options.start_number = 2;
    a_.start(Security::Aead, b_);
    carry(a_.want(at(1)), at(210'000));
    EXPECT_EQ(b_.installed.size(), 6U);
}

TEST_F(SealedHandshake, RefusesAPeerWhoseStartNumberFell) {
    start(Security::Aead);
    a_.options.start_number = 7;
    a_.start(Security::Aead, b_);
    carry(a_.want(at(0)), at(0));
    a_.options.start_number = 6;
    a_.start(Security::Aead, b_);
    carry(a_.want(at(1'000'000)), at(1000));
    EXPECT_EQ(b_.installed.size(), 1U);
}

TEST_P(Handshake, IgnoresItsOwnFramesReflected) {
    const auto question = a_.want(at(0));
    EXPECT_TRUE(a_.receive(question[0].bytes, b_.endpoint(), at(1)).empty());
    EXPECT_TRUE(a_.receive(question[0].bytes, a_.endpoint(), at(1)).empty());
    const auto answer = b_.receive(question[0], at(2));
    EXPECT_TRUE(b_.receive(answer[0].bytes, a_.endpoint(), at(3)).empty());
    EXPECT_TRUE(a_.installed.empty());
    EXPECT_EQ(b_.installed.size(), 1U);
    carry(answer, at(4));
    expect_one_shared_session();
}

// ---- Strangers and damage

// No bit of a question or answer may be changed unnoticed, but for an initiation's mac2, which nobody looked at.
TEST_P(Handshake, RefusesEveryBentBitAndStillTakesTheOriginal) {
    const bool is_sealed = GetParam() == Security::Aead;
    const auto question = a_.want(at(0));
    const std::size_t guarded = question[0].bytes.size() - (is_sealed ? sizeof(Mac) : 0);
    // In clear mode the content is anybody's; only the header and the fixed fields are checked.
    const auto is_guarded = [&](std::size_t bit) {
        return is_sealed ? bit / 8 < guarded : bit / 8 < 4 || (bit / 8 >= 8 && bit / 8 < 20);
    };
    for (std::size_t bit = 0; bit < question[0].bytes.size() * 8; ++bit) {
        if (!is_guarded(bit)) continue;
        Buffer bent = question[0].bytes;
        bent[bit / 8] ^= std::byte{1} << (bit % 8);
        ASSERT_TRUE(b_.receive(bent, a_.endpoint(), at(1)).empty()) << "question, bit " << bit;
    }
    ASSERT_TRUE(b_.installed.empty());
    const auto answer = b_.receive(question[0], at(2));
    ASSERT_EQ(answer.size(), 1U);
    for (std::size_t bit = 0; bit < answer[0].bytes.size() * 8; ++bit) {
        const bool is_checked = is_sealed || bit / 8 < 20 || (bit / 8 >= 24 && bit / 8 < 28);
        if (!is_checked) continue;
        Buffer bent = answer[0].bytes;
        bent[bit / 8] ^= std::byte{1} << (bit % 8);
        ASSERT_TRUE(a_.receive(bent, b_.endpoint(), at(3)).empty()) << "answer, bit " << bit;
        ASSERT_TRUE(a_.installed.empty()) << "answer, bit " << bit;
    }
    carry(answer, at(4));
    expect_one_shared_session();
}

TEST_P(Handshake, RefusesWhatIsCutOrLengthened) {
    const auto question = a_.want(at(0));
    for (std::size_t size = 0; size < question[0].bytes.size(); ++size) {
        const Buffer cut(question[0].bytes.begin(), question[0].bytes.begin() + static_cast<std::ptrdiff_t>(size));
        ASSERT_TRUE(b_.receive(cut, a_.endpoint(), at(1)).empty()) << size;
    }
    Buffer longer = question[0].bytes;
    longer.push_back(std::byte{0});
    EXPECT_TRUE(b_.receive(longer, a_.endpoint(), at(1)).empty());
    const auto answer = b_.receive(question[0], at(2));
    ASSERT_EQ(answer.size(), 1U);
    for (std::size_t size = 0; size < answer[0].bytes.size(); ++size) {
        const Buffer cut(answer[0].bytes.begin(), answer[0].bytes.begin() + static_cast<std::ptrdiff_t>(size));
        ASSERT_TRUE(a_.receive(cut, b_.endpoint(), at(3)).empty()) << size;
    }
    carry(answer, at(4));
    expect_one_shared_session();
}

TEST_P(Handshake, AnswersKnownPeersOnly) {
    const auto question = a_.want(at(0));
    EXPECT_TRUE(b_.receive(question[0].bytes, stranger_, at(1)).empty());
    EXPECT_TRUE(b_.installed.empty());
    EXPECT_EQ(b_.shaker->stats().initiations_received, 0U);
    b_.shaker->set_peers({});
    EXPECT_TRUE(b_.receive(question[0], at(2)).empty());
}

TEST_P(Handshake, RefusesAPeerThatIsNotWhomItShouldBe) {
    b_.start(GetParam(), a_, "somebody else");
    carry(a_.want(at(0)), at(0));
    EXPECT_TRUE(b_.installed.empty());

    b_.start(GetParam(), a_, "a");
    a_.start(GetParam(), b_, "not b");
    carry(a_.want(at(10)), at(10));
    EXPECT_TRUE(a_.installed.empty());
}

TEST_P(Handshake, RefusesANodeOfItsOwnName) {
    TestNode twin("b", "192.168.77.11:50103", 77);
    twin.start(GetParam(), b_);
    EXPECT_TRUE(b_.receive(twin.want(at(0))[0], at(1)).empty());
    EXPECT_TRUE(b_.installed.empty());
}

TEST_F(SealedHandshake, IsSilentToAWrongKeyBeforeAnyCostlyStep) {
    a_.options.key = test::key_of(2);
    start(Security::Aead);
    EXPECT_TRUE(b_.receive(a_.want(at(0))[0], at(1)).empty());
    EXPECT_EQ(b_.shaker->stats().initiations_received, 0U);
    EXPECT_EQ(b_.shaker->stats().refused, 1U);
}

TEST_F(SealedHandshake, FailsClosedOnAnotherClusterOrCipher) {
    a_.options.cluster = "another";
    start(Security::Aead);
    carry(a_.want(at(0)), at(0));
    EXPECT_TRUE(a_.installed.empty() && b_.installed.empty());

    a_.options.cluster = b_.options.cluster;
    a_.options.cipher = Cipher::ChaCha20Poly1305;
    start(Security::Aead);
    carry(a_.want(at(0)), at(0));
    EXPECT_TRUE(a_.installed.empty() && b_.installed.empty());
}

TEST_F(SealedHandshake, NeverNegotiatesTheMode) {
    for (const auto& [asks, expects] : {std::pair{Security::Clear, Security::Aead},
                                        {Security::Aead, Security::Clear},
                                        {Security::Clear, Security::Bare}}) {
        a_.start(asks, b_);
        b_.start(expects, a_);
        EXPECT_TRUE(b_.receive(a_.want(at(0))[0], at(0)).empty());
        EXPECT_TRUE(b_.installed.empty());
    }
    a_.start(Security::Bare, b_);
    EXPECT_TRUE(a_.want(at(0)).empty());
    a_.options.key.reset();
    a_.start(Security::Aead, b_);
    EXPECT_TRUE(a_.want(at(0)).empty()) << "no key, no handshake";
}

TEST_F(SealedHandshake, RefusesLowOrderPointsFromAHolderOfTheKey) {
    start(Security::Aead);
    const ClusterKey key(test::key_of(1));
    const net::Be32 size(4);
    Buffer prologue;
    for (const Bytes part : {bytes_of("weft tunnel 1"), Bytes(std::as_bytes(std::span(&size, 1))), bytes_of("weft"),
                             bytes_of("aes-128-gcm")})
        prologue.insert(prologue.end(), part.begin(), part.end());
    const HandshakePayload payload{.start_number = net::Be64(9),
                                   .time_ns = net::Be64(9),
                                   .features = net::Be32(1),
                                   .mtu = net::Be16(0),
                                   .lanes = 1,
                                   .node = name_of("a")};
    const auto initiation = [&](const CurveKey& point) {
        const auto message =
            test::NaiveNoise(prologue, key.preshared).first_message(point, std::as_bytes(std::span(&payload, 1)));
        return HandshakeFrames::write(TunnelHeader::Type::Initiation, 0, 1234, message, key, std::nullopt);
    };
    EXPECT_TRUE(b_.receive(initiation(CurveKey{}), a_.endpoint(), at(1)).empty());
    EXPECT_TRUE(b_.installed.empty());
    // The twin: the same frame with an honest point is answered, so it was the point that failed.
    CurveKey secret{};
    secret[3] = std::byte{9};
    EXPECT_EQ(b_.receive(initiation(curve_public(secret)), a_.endpoint(), at(2)).size(), 1U);
}

TEST_F(SealedHandshake, KeepsOldAndNewKeyValidWhileKeysAreTurnedOver) {
    struct Case {
        const char* name;
        unsigned a_key;
        std::optional<unsigned> a_previous;
        unsigned b_key;
        std::optional<unsigned> b_previous;
    };
    const Case cases[] = {{"both have both", 2, 1, 2, 1},
                          {"b knows only the old one", 2, 1, 1, std::nullopt},
                          {"b dropped the old one", 2, 1, 2, std::nullopt},
                          {"a knows only the old one", 1, std::nullopt, 2, 1}};
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto set = [](TestNode& node, unsigned key, std::optional<unsigned> previous) {
            node.options.key = test::key_of(key);
            node.options.previous_key = previous ? std::optional(test::key_of(*previous)) : std::nullopt;
            node.installed.clear();
        };
        set(a_, c.a_key, c.a_previous);
        set(b_, c.b_key, c.b_previous);
        start(Security::Aead);
        carry(a_.want(at(0)), at(0));
        carry(a_.poll(at(250)), at(250));
        expect_one_shared_session();
    }
}

// ---- Limits

TEST_F(SealedHandshake, AsksForACookieAboveTheLimitAndServesWhoReturnsIt) {
    start(Security::Aead);
    // Somebody repeats an old initiation from a's address until the burst is used up.
    const auto captured = a_.want(at(0));
    carry(captured, at(0));
    for (int i = 0; i < 4; ++i)
        EXPECT_TRUE(b_.receive(captured[0], at(1)).empty());
    const std::size_t before = b_.installed.size();

    const auto question = a_.want(at(1));
    const auto cookie = b_.receive(question[0], at(1));
    ASSERT_EQ(cookie.size(), 1U);
    EXPECT_LT(cookie[0].bytes.size(), question[0].bytes.size());
    EXPECT_EQ(b_.installed.size(), before);
    EXPECT_GE(b_.shaker->stats().rate_limited, 1U);

    for (std::size_t bit = 0; bit < cookie[0].bytes.size() * 8; ++bit) {
        Buffer bent = cookie[0].bytes;
        bent[bit / 8] ^= std::byte{1} << (bit % 8);
        EXPECT_TRUE(a_.receive(bent, b_.endpoint(), at(2)).empty());
    }
    EXPECT_TRUE(a_.receive(cookie[0], at(2)).empty());
    const auto with_cookie = a_.poll(at(251));
    ASSERT_EQ(with_cookie.size(), 1U);
    // The unproven ones are used up again by somebody, the proof still opens the door.
    for (int i = 0; i < 30; ++i)
        (void)b_.receive(captured[0], at(251));
    carry(with_cookie, at(251));
    EXPECT_EQ(b_.installed.size(), before + 1);
    EXPECT_TRUE(test::are_the_same(*a_.installed.back().session, *b_.installed.back().session));
}

TEST_F(SealedHandshake, BindsACookieToAddressPortAndTime) {
    std::mt19937 random(5);
    CookieJar jar([&random](std::span<std::byte> out) {
        std::ranges::generate(out, [&] { return std::byte(random() & 0xFF); });
    });
    const ClusterKey key(test::key_of(1));
    const Buffer message(HandshakeFrames::kSize - 16 - 32, std::byte{1});
    const auto plain = HandshakeFrames::write(TunnelHeader::Type::Initiation, 0, 7, message, key, std::nullopt);
    const auto frame = jar.answer(plain, 7, stranger_, key, at(0));
    const auto cookie = CookieJar::open(frame, HandshakeFrames::mac1_of(plain), key);
    ASSERT_TRUE(cookie);
    const auto proven = HandshakeFrames::write(TunnelHeader::Type::Initiation, 0, 7, message, key, cookie);
    EXPECT_FALSE(jar.proves(plain, stranger_, at(1)));
    EXPECT_TRUE(jar.proves(proven, stranger_, at(1)));
    EXPECT_FALSE(jar.proves(proven, {stranger_.address, 1}, at(1)));
    EXPECT_FALSE(jar.proves(proven, a_.endpoint(), at(1)));
    EXPECT_TRUE(jar.proves(proven, stranger_, at(121'000))) << "the secret before still counts";
    EXPECT_FALSE(jar.proves(proven, stranger_, at(242'000)));
    EXPECT_FALSE(CookieJar::open(frame, Mac{}, key)) << "the answer to another initiation";
}

TEST_P(Handshake, AnswersAtMostABurstAndThenTwentyPerSecondFromOneSource) {
    int answered = 0;
    for (int ms = 0; ms < 2000; ++ms) {
        TestNode fresh("a", "192.168.77.11:50103", static_cast<std::uint64_t>(5000 + ms));
        fresh.options.start_number = static_cast<std::uint64_t>(10 + ms);
        fresh.start(GetParam(), b_);
        const std::size_t before = b_.installed.size();
        (void)b_.receive(fresh.want(at(ms))[0], at(ms));
        answered += b_.installed.size() > before ? 1 : 0;
    }
    EXPECT_GE(answered, 5 + 38);
    EXPECT_LE(answered, 5 + 40);
    EXPECT_GE(b_.shaker->stats().rate_limited, 1900U);
}

// ---- Chaos: loss, duplicates, reorder, damage and noise; yet in the end both hold the same session

TEST_P(Handshake, ConvergesOnABadWire) {
    const unsigned base = std::random_device{}();
    for (unsigned round = 0; round < 40; ++round) {
        SCOPED_TRACE("seed " + std::to_string(base + round));
        std::mt19937 random(base + round);
        TestNode a("a", "192.168.77.11:50103", random()), b("b", "192.168.77.12:50103", random());
        a.start(GetParam(), b);
        b.start(GetParam(), a);
        std::multimap<std::int64_t, Datagram> wire;
        const auto put = [&](std::vector<Datagram> datagrams, std::int64_t now) {
            for (Datagram& datagram : datagrams) {
                for (unsigned copies = random() % 10 < 3 ? 0 : 1 + (random() % 5 == 0); copies > 0; --copies) {
                    Datagram copy = datagram;
                    if (random() % 10 == 0) copy.bytes[random() % copy.bytes.size()] ^= std::byte(1 + random() % 255);
                    wire.emplace(now + 1 + static_cast<std::int64_t>(random() % 400), std::move(copy));
                }
            }
        };
        const auto a_holds = [&] { return !a.installed.empty() && !b.installed.empty(); };
        bool converged = false;
        for (std::int64_t now = 0; now < 80'000 && !converged; ++now) {
            if (now == 0 || (now % 1000 == 0 && !a_holds())) put(a.want(at(now)), now);
            if (now % 700 == 3) put(b.want(at(now)), now);
            if (a.shaker->next_deadline() <= at(now)) put(a.poll(at(now)), now);
            if (b.shaker->next_deadline() <= at(now)) put(b.poll(at(now)), now);
            while (!wire.empty() && wire.begin()->first <= now) {
                const Datagram datagram = wire.extract(wire.begin()).mapped();
                TestNode& receiver = datagram.to == a.endpoint() ? a : b;
                put(receiver.receive(datagram, at(now)), now);
            }
            for (const auto& mine : a.installed)
                for (const auto& theirs : b.installed) {
                    if (!mine.initiator && !theirs.initiator) continue;
                    converged |= mine.session->local_index() == theirs.session->remote_index() &&
                                 mine.session->remote_index() == theirs.session->local_index() &&
                                 test::are_the_same(*mine.session, *theirs.session);
                }
        }
        EXPECT_TRUE(converged);
    }
}

TEST_P(Handshake, AnswersNoRandomDatagram) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto question = a_.want(at(0));
    for (int i = 0; i < 50'000; ++i) {
        Buffer bytes(random() % 300);
        std::ranges::generate(bytes, [&] { return std::byte(random() & 0xFF); });
        if (i % 2 == 0 && bytes.size() >= 16)
            TunnelHeader::make(static_cast<TunnelHeader::Type>(1 + random() % 3), 0, 0,
                               random() % 2 == 0 ? 0 : static_cast<std::uint32_t>(random()),
                               std::uint64_t{random()} << 32)
                .write(bytes.data());
        ASSERT_TRUE(a_.receive(bytes, b_.endpoint(), at(1)).empty());
    }
    EXPECT_TRUE(a_.installed.empty());
    carry(question, at(2));
    expect_one_shared_session();
}

}  // namespace
}  // namespace weft::overlay
