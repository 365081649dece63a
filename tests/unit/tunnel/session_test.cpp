// SPDX-License-Identifier: Apache-2.0
#include "overlay/session.hpp"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "overlay/key_derivation.hpp"
#include "tests/unit/tunnel/fixtures.hpp"

namespace weft::overlay {
namespace {

using testing::Buffer;
using testing::pattern;

// ---- Replay window

struct Arrival {
    std::uint64_t counter;
    bool fresh;
};

struct WindowCase {
    const char* name;
    std::vector<Arrival> arrivals;
};

constexpr std::uint64_t kSize = ReplayWindow::kSize;

const WindowCase kWindowCases[] = {
    {"the first counter may be zero, once", {{0, true}, {0, false}}},
    {"the first counter may be any", {{1'000'000, true}, {1'000'000, false}, {999'999, true}}},
    {"in order", {{0, true}, {1, true}, {2, true}, {1, false}}},
    {"late, but inside the window", {{kSize - 1, true}, {0, true}, {0, false}}},
    {"one too late", {{kSize, true}, {0, false}, {1, true}}},
    {"a word's borders", {{63, true}, {64, true}, {127, true}, {128, true}, {64, false}, {63, false}}},
    {"a leap of one window", {{5, true}, {5 + kSize, true}, {5, false}, {6, true}}},
    {"a leap beyond all words leaves no old bits",
     {{7, true}, {7 + 10 * 64 * 129, true}, {7 + 10 * 64 * 129 - 1, true}}},
    {"a leap of exactly all words",
     {{70, true}, {70 + 129 * 64, true}, {70 + 129 * 64 - 64, true}, {70 + 129 * 64, false}}},
    {"the highest counter there is",
     {{~0ULL, true}, {~0ULL, false}, {~0ULL - kSize + 1, true}, {~0ULL - kSize, false}}},
};

TEST(ReplayWindow, AcceptsEachCounterOnceAndNoneTooOld) {
    for (const WindowCase& c : kWindowCases) {
        SCOPED_TRACE(c.name);
        ReplayWindow window;
        for (const Arrival& arrival : c.arrivals) {
            EXPECT_EQ(window.seen(arrival.counter), !arrival.fresh) << arrival.counter;
            window.mark(arrival.counter);
        }
    }
}

TEST(ReplayWindow, AgreesWithANaiveModel) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    ReplayWindow window;
    std::set<std::uint64_t> marked;
    std::uint64_t highest = 0;
    for (int round = 0; round < 200'000; ++round) {
        const std::uint64_t leap = random() % 1000 == 0 ? random() % 20'000 : random() % 3;
        const std::uint64_t counter =
            random() % 4 == 0 ? highest + leap : highest - std::min(highest, random() % (kSize + 200));
        const bool too_old = !marked.empty() && counter + kSize <= highest;
        ASSERT_EQ(window.seen(counter), too_old || marked.contains(counter)) << counter << " below " << highest;
        window.mark(counter);
        if (!too_old) marked.insert(counter);
        highest = std::max(highest, counter);
        marked.erase(marked.begin(), marked.lower_bound(highest - std::min(highest, 2 * kSize)));
    }
}

// ---- Sealed sessions

Buffer seal(Session& session, const Buffer& plain, std::optional<std::uint64_t> counter = std::nullopt) {
    const auto header = TunnelHeader::make(TunnelHeader::Type::SealedPacket, 0, 0, session.remote_index(),
                                           counter ? *counter : session.next_counter().value());
    Buffer datagram(16 + plain.size() + 16);
    header.write(datagram.data());
    session.seal(header, plain, {}, datagram.data() + 16);
    return datagram;
}

TEST(SealedSession, OpensWhatTheOtherEndSealed) {
    for (const Cipher cipher : {Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305}) {
        auto [near, far] = testing::sealed_ends(1, 0, cipher);
        const Buffer plain = pattern(1400);
        for (Session* from : {near.get(), far.get()}) {
            Session& to = from == near.get() ? *far : *near;
            Buffer datagram = seal(*from, plain);
            const auto inner = to.open(datagram);
            ASSERT_TRUE(inner);
            EXPECT_TRUE(std::ranges::equal(*inner, plain));
        }
    }
}

TEST(SealedSession, RefusesItsOwnDatagramsReflected) {
    auto [near, far] = testing::sealed_ends();
    Buffer datagram = seal(*near, pattern(100));
    EXPECT_EQ(near->open(datagram).error(), Drop::TunnelAuth);
}

TEST(SealedSession, RefusesEveryFlippedBitAndStillTakesTheOriginal) {
    auto [near, far] = testing::sealed_ends();
    const Buffer datagram = seal(*near, pattern(40));
    for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
        Buffer bent = datagram;
        bent[bit / 8] ^= std::byte{1} << (bit % 8);
        const auto opened = far->open(bent);
        ASSERT_FALSE(opened) << "bit " << bit;
        ASSERT_TRUE(opened.error() == Drop::TunnelAuth || opened.error() == Drop::TunnelFormat) << "bit " << bit;
    }
    Buffer original = datagram;
    EXPECT_TRUE(far->open(original));
}

TEST(SealedSession, RefusesWhatIsCutAtAnyLength) {
    auto [near, far] = testing::sealed_ends();
    const Buffer datagram = seal(*near, pattern(40));
    for (std::size_t size = 0; size < datagram.size(); ++size) {
        Buffer cut(datagram.begin(), datagram.begin() + static_cast<std::ptrdiff_t>(size));
        const auto opened = far->open(cut);
        ASSERT_FALSE(opened) << size;
        ASSERT_EQ(opened.error(), size < 32 ? Drop::TunnelFormat : Drop::TunnelAuth) << size;
    }
}

TEST(SealedSession, DeliversNothingTwice) {
    auto [near, far] = testing::sealed_ends();
    std::vector<Buffer> captured;
    for (unsigned i = 0; i < 10'000; ++i)
        captured.push_back(seal(*near, pattern(20, i)));
    for (const Buffer& datagram : captured) {
        Buffer copy = datagram;
        ASSERT_TRUE(far->open(copy));
    }
    for (int times = 0; times < 3; ++times) {
        for (const Buffer& datagram : captured) {
            Buffer copy = datagram;
            ASSERT_EQ(far->open(copy).error(), Drop::TunnelReplay);
        }
    }
}

TEST(SealedSession, AForgedHighCounterDoesNotMoveTheWindow) {
    auto [near, far] = testing::sealed_ends();
    Buffer forged = seal(*near, pattern(20), 0);
    const auto header = TunnelHeader::make(TunnelHeader::Type::SealedPacket, 0, 0, 0x2222, 1'000'000);
    header.write(forged.data());
    EXPECT_EQ(far->open(forged).error(), Drop::TunnelAuth);
    Buffer honest = seal(*near, pattern(20), 0);
    EXPECT_TRUE(far->open(honest));
}

TEST(SealedSession, EndsBeforeACounterCouldBeUsedUp) {
    // Lets the test begin near the end.
    class Counting final : public Session {
      public:
        explicit Counting(std::uint64_t start) : Session(0, Security::Aead, 1, 2, TimePoint{}) {
            send_counter_.store(start);
        }
        void seal(const TunnelHeader&, std::span<const std::byte>, std::span<const Slice>,
                  std::byte*) noexcept override {}
        std::expected<std::span<std::byte>, Drop> open(std::span<std::byte>) noexcept override {
            return std::unexpected(Drop::TunnelAuth);
        }
    };
    Counting session(kDeadPackets - 2);
    EXPECT_FALSE(is_dead(session, TimePoint{}));
    EXPECT_TRUE(needs_rekey(session, TimePoint{}));
    EXPECT_EQ(session.next_counter(), kDeadPackets - 2);
    EXPECT_EQ(session.next_counter(), kDeadPackets - 1);
    EXPECT_EQ(session.next_counter(), std::nullopt);
    EXPECT_EQ(session.next_counter(), std::nullopt);
    EXPECT_TRUE(is_dead(session, TimePoint{}));
    EXPECT_FALSE(needs_rekey(Counting(kRekeyPackets - 1), TimePoint{}));
    EXPECT_TRUE(needs_rekey(Counting(kRekeyPackets), TimePoint{}));
}

TEST(SealedSession, WantsNewKeysAt120SecondsAndIsDeadAt180) {
    const auto session = testing::sealed_ends(1, 0, Cipher::Aes128Gcm, testing::at(1000)).near;
    EXPECT_FALSE(needs_rekey(*session, testing::at(120'999)));
    EXPECT_TRUE(needs_rekey(*session, testing::at(121'000)));
    EXPECT_FALSE(is_dead(*session, testing::at(180'999)));
    EXPECT_TRUE(is_dead(*session, testing::at(181'000)));
}

// The lane's key is HKDF(direction secret, "lane" and its number): a second implementation of the page can rely on it.
TEST(SealedSession, DerivesItsLaneAsTheWireFormatSays) {
    const auto near = testing::sealed_ends().near;
    const Buffer plain = pattern(33);
    const Buffer datagram = seal(*near, plain, 0x0102030405060708);

    std::array<std::byte, 20> material{};
    const std::byte info[] = {std::byte{'l'}, std::byte{'a'}, std::byte{'n'}, std::byte{'e'}, std::byte{0}};
    hkdf_sha256({}, testing::secret(1), info, material);
    AeadKey::Nonce nonce{};
    std::copy_n(material.begin() + 16, 4, nonce.begin());
    for (unsigned i = 0; i < 8; ++i)
        nonce[4 + i] = std::byte(i + 1);
    const auto key = *AeadKey::create(Cipher::Aes128Gcm, std::span(material).first(16), CryptoBackend::Portable);
    Buffer body(datagram.begin() + 16, datagram.end());
    ASSERT_TRUE(key->open(nonce, std::span(datagram).first(16), body));
    EXPECT_TRUE(std::ranges::equal(std::span(body).first(plain.size()), plain));
}

// ---- Clear sessions

TEST(ClearSession, CopiesAndChecksNothingButTheZeroCounter) {
    auto [near, far] = testing::clear_ends();
    Buffer plain = pattern(40);
    const Slice rest{plain.data() + 10, 30};
    auto header = TunnelHeader::make(TunnelHeader::Type::ClearPacket, 0, 0, 0x2222, near->next_counter().value());
    Buffer datagram(16 + plain.size());
    header.write(datagram.data());
    near->seal(header, std::span(plain).first(10), {&rest, 1}, datagram.data() + 16);
    const auto inner = far->open(datagram);
    ASSERT_TRUE(inner);
    EXPECT_TRUE(std::ranges::equal(*inner, plain));

    header.counter = 1;
    header.write(datagram.data());
    EXPECT_EQ(far->open(datagram).error(), Drop::TunnelFormat);
}

TEST(ClearSession, CountsWhatItSendsButAlwaysHandsOutZero) {
    const auto near = testing::clear_ends().near;
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(near->next_counter(), 0);
    EXPECT_EQ(near->sent(), 5);
    EXPECT_FALSE(needs_rekey(*near, testing::at(10'000'000)));
    EXPECT_FALSE(is_dead(*near, testing::at(10'000'000)));
}

}  // namespace
}  // namespace weft::overlay
