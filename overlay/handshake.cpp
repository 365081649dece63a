// SPDX-License-Identifier: Apache-2.0
//
// How two nodes come to share a session.
//
//   Asking                                        Answering
//   1 want: a session is missing or old           1 shape; is the sender's address a peer's, in this mode?
//   2 ask: sealed initiation or clear hello       2 sealed: mac1, limits (else a cookie), Noise, payload;
//   3 no answer: ask again, 0.25 s to 5 s             newer than the node's last initiation
//   4 the answer: same session on both sides;     3 crossed with ours: the lower node id's goes on
//     ours is used at once                        4 answer; the session waits until the asker used it
//   5 90 s without one: give up
//
// Each sealed attempt is made afresh (the other side takes none twice); a clear hello is repeated as it is, and the
// same question gets the same answer. Whatever is not exactly right is dropped without an answer and without a trace
// but a count. Functions stand in this order. Control thread only.
#include "overlay/handshake.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>

#include <openssl/rand.h>

#include "dataplane/base/check.hpp"
#include "overlay/handshake_frames.hpp"
#include "overlay/noise.hpp"
#include "overlay/token_bucket.hpp"

namespace weft::overlay {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Quick at first, because somebody's first packet waits; then patient.
constexpr milliseconds kFirstPauses[] = {milliseconds(250), milliseconds(500), seconds(1), seconds(2)};
constexpr milliseconds kLaterPause = seconds(5);
constexpr std::uint32_t kJitterMilliseconds = 1000;
constexpr seconds kGiveUpAfter{90};
// An initiation of theirs that comes so soon after one of ours has crossed it on the way.
constexpr seconds kCrossing{1};
// So long an answered session may stay unused before we ask for one ourselves.
constexpr seconds kGrace{1};
constexpr seconds kCookieAge{120};
// Two X25519 take about 50 us: a quarter of a core.
constexpr double kInitiationsPerSecond = 4000, kInitiationBurst = 400;
constexpr double kPerSourcePerSecond = 20, kPerSourceBurst = 5;

std::string_view name_of(Cipher cipher) {
    switch (cipher) {
        case Cipher::Aes128Gcm:
            return "aes-128-gcm";
        case Cipher::Aes256Gcm:
            return "aes-256-gcm";
        case Cipher::ChaCha20Poly1305:
            return "chacha20-poly1305";
    }
    return {};
}

// Both sides mix it in: another cluster name or cipher, and nothing verifies. The name's length keeps the parts apart.
std::vector<std::byte> prologue_of(const Handshaker::Options& options) {
    const net::Be32 size(static_cast<std::uint32_t>(options.cluster.size()));
    std::vector<std::byte> prologue;
    for (const Bytes part : {bytes_of("weft tunnel 1"), Bytes(std::as_bytes(std::span(&size, 1))),
                             bytes_of(options.cluster), bytes_of(name_of(options.cipher))})
        prologue.insert(prologue.end(), part.begin(), part.end());
    return prologue;
}

void openssl_random(std::span<std::byte> out) {
    void* const bytes = out.data();
    WEFT_CHECK(RAND_bytes(static_cast<unsigned char*>(bytes), static_cast<int>(out.size())) == 1,
               "random bytes are to be had");
}

// Our asking, from `want` to the answer.
struct Asking {
    TimePoint begun, next_try, last_sent{};
    unsigned tries = 0;             // 0: nothing is on the way; we may not need to ask at all
    std::uint32_t local_index = 0;  // 0 until the first try
    std::optional<NoiseHandshake> noise;
    const ClusterKey* key = nullptr;
    Mac mac1{};
    std::uint32_t hello_random = 0;
};

// What we remember of a peer. The hello fields: the last question answered, so that its repetition changes nothing.
struct Contact {
    Handshaker::PeerInfo info;
    std::optional<Asking> asking;
    std::optional<std::pair<Mac, TimePoint>> cookie;
    std::weak_ptr<Session> answered;
    TimePoint answered_at{};
    std::vector<std::byte> hello_question, hello_answer;

    [[nodiscard]] bool answer_is_unused() const {
        const auto session = answered.lock();
        return session && !session->confirmed();
    }
};

// The initiations one address may send: without proof, and with a cookie that proves it is there.
struct SourceLimits {
    TokenBucket unproven{kPerSourcePerSecond, kPerSourceBurst};
    TokenBucket proven{kPerSourcePerSecond, kPerSourceBurst};
};

class NodeHandshaker final : public Handshaker {
  public:
    explicit NodeHandshaker(Options options)
        : options_(std::move(options)),
          prologue_(prologue_of(options_)),
          name_(overlay::name_of(options_.node_id)),
          cookies_(options_.random ? options_.random : openssl_random),
          random_(options_.random ? options_.random : openssl_random) {
        for (auto* key : {&options_.key, &options_.previous_key}) {
            if (!*key) continue;
            keys_.emplace_back(**key);
            wipe(**key);
        }
    }

    void set_peers(std::vector<PeerInfo> peers) override;
    void want(PeerIndex peer, TimePoint now, Actions& actions) override;
    void receive(std::span<const std::byte> datagram, const net::Endpoint& from, TimePoint now,
                 Actions& actions) override;
    void poll(TimePoint now, Actions& actions) override;
    [[nodiscard]] TimePoint next_deadline() const override;
    [[nodiscard]] const Stats& stats() const override { return stats_; }

  private:
    // Asking
    void ask(Contact& contact, TimePoint now, Actions& actions);
    [[nodiscard]] std::vector<std::byte> initiation(Contact& contact, TimePoint now);
    [[nodiscard]] std::vector<std::byte> hello(std::uint8_t kind, std::uint32_t receiver_index,
                                               std::uint32_t sender_index, std::uint32_t random) const;
    void on_response(Bytes datagram, TimePoint now, Actions& actions);
    void on_cookie(Bytes datagram, TimePoint now);
    void on_hello_answer(const HelloFrame& frame, std::uint32_t receiver_index, const net::Endpoint& from,
                         TimePoint now, Actions& actions);
    void finish_asking(Contact& contact, std::shared_ptr<Session> session, Actions& actions);

    // Answering
    void on_initiation(Bytes datagram, const net::Endpoint& from, TimePoint now, Actions& actions);
    void on_hello_question(const HelloFrame& frame, Bytes datagram, const net::Endpoint& from, TimePoint now,
                           Actions& actions);
    [[nodiscard]] bool admit(Bytes datagram, const HandshakeFrames::Parts& parts, const ClusterKey& key,
                             const net::Endpoint& from, TimePoint now, Actions& actions);
    [[nodiscard]] bool ours_goes_first(const Contact& contact, const std::string& their_id, TimePoint now) const;
    void finish_answering(Contact& contact, std::shared_ptr<Session> session, TimePoint now, Actions& actions);

    // Both
    [[nodiscard]] std::vector<std::byte> own_payload(TimePoint now);
    // Whoever speaks from there in this mode, best match first by id, then by port.
    [[nodiscard]] Contact* find(const net::Endpoint& from, Security security, const std::string& id);
    [[nodiscard]] bool knows(const net::Endpoint& from, Security security) const;
    [[nodiscard]] Contact* asking_under(std::uint32_t local_index);
    void stop_asking(Contact& contact);
    [[nodiscard]] std::uint32_t fresh_index();
    void remember(const std::shared_ptr<Session>& session) { issued_[session->local_index()] = session; }
    [[nodiscard]] std::uint32_t random32();
    [[nodiscard]] bool is_foreign(const std::optional<std::string>& id) const { return id && *id != options_.node_id; }

    Options options_;
    std::vector<std::byte> prologue_;
    NodeName name_;
    std::vector<ClusterKey> keys_;  // the current one first
    CookieJar cookies_;
    Random random_;
    std::map<PeerIndex, Contact> contacts_;
    std::multimap<net::IpAddress, PeerIndex> by_address_;
    std::unordered_map<std::uint32_t, PeerIndex> asking_by_index_;
    std::unordered_map<std::uint32_t, std::weak_ptr<Session>> issued_;  // receiver indices in use
    std::size_t purge_issued_at_ = 64;
    std::map<net::IpAddress, SourceLimits> limits_;
    TokenBucket all_initiations_{kInitiationsPerSecond, kInitiationBurst};
    // By node id: start number and time of its newest initiation. Filled by holders of the key only.
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> newest_;
    std::uint64_t last_own_time_ = 0;
    Stats stats_;
};

// ---- Asking ---------------------------------------------------------------------------------------------------------

void NodeHandshaker::set_peers(std::vector<PeerInfo> peers) {
    std::map<PeerIndex, Contact> contacts;
    by_address_.clear();
    for (PeerInfo& info : peers) {
        by_address_.emplace(info.endpoint.address, info.index);
        const auto old = contacts_.find(info.index);
        const bool is_same = old != contacts_.end() && old->second.info.endpoint == info.endpoint &&
                             old->second.info.security == info.security;
        Contact contact = is_same ? std::move(old->second) : Contact{};
        contact.info = std::move(info);
        contacts.insert_or_assign(contact.info.index, std::move(contact));
    }
    contacts_ = std::move(contacts);
    std::erase_if(asking_by_index_, [this](const auto& entry) {
        const auto found = contacts_.find(entry.second);
        return found == contacts_.end() || !found->second.asking || found->second.asking->local_index != entry.first;
    });
    std::erase_if(limits_, [this](const auto& entry) { return !by_address_.contains(entry.first); });
}

void NodeHandshaker::want(PeerIndex peer, TimePoint now, Actions& actions) {
    const auto found = contacts_.find(peer);
    if (found == contacts_.end() || found->second.asking) return;
    Contact& contact = found->second;
    if (contact.info.security == Security::Bare || (contact.info.security == Security::Aead && keys_.empty())) return;
    contact.asking = Asking{.begun = now, .next_try = contact.answered_at + kGrace};
    // We have just answered: most likely that session will do in a moment.
    if (contact.answer_is_unused() && now < contact.asking->next_try) return;
    ask(contact, now, actions);
}

void NodeHandshaker::poll(TimePoint now, Actions& actions) {
    for (auto& [index, contact] : contacts_) {
        if (!contact.asking) continue;
        if (now - contact.asking->begun >= kGiveUpAfter) {
            stop_asking(contact);
            actions.gave_up.push_back(index);
        } else if (now >= contact.asking->next_try) {
            const auto session = contact.answered.lock();
            if (contact.asking->tries == 0 && session && session->confirmed()) {
                stop_asking(contact);
            } else {
                ask(contact, now, actions);
            }
        }
    }
}

TimePoint NodeHandshaker::next_deadline() const {
    TimePoint next = TimePoint::max();
    for (const auto& [index, contact] : contacts_)
        if (contact.asking) next = std::min({next, contact.asking->next_try, contact.asking->begun + kGiveUpAfter});
    return next;
}

void NodeHandshaker::ask(Contact& contact, TimePoint now, Actions& actions) {
    Asking& asking = *contact.asking;
    if (asking.local_index == 0) {
        asking.local_index = fresh_index();
        asking.hello_random = random32();
        asking_by_index_[asking.local_index] = contact.info.index;
    }
    auto datagram = contact.info.security == Security::Aead
                        ? initiation(contact, now)
                        : hello(HelloFrame::kQuestion, 0, asking.local_index, asking.hello_random);
    const bool is_early = asking.tries < std::size(kFirstPauses);
    asking.next_try =
        now + (is_early ? kFirstPauses[asking.tries] : kLaterPause + milliseconds(random32() % kJitterMilliseconds));
    asking.last_sent = now;
    ++asking.tries;
    ++stats_.initiations_sent;
    actions.send.push_back({contact.info.endpoint, std::move(datagram)});
}

std::vector<std::byte> NodeHandshaker::initiation(Contact& contact, TimePoint now) {
    Asking& asking = *contact.asking;
    // While keys are turned over, a peer that does not know the new one yet is asked by the old one in between.
    asking.key = &keys_[asking.tries % keys_.size()];
    CurveKey ephemeral{};
    random_(ephemeral);
    asking.noise.emplace(NoiseHandshake::Role::Initiator, prologue_, asking.key->preshared, ephemeral);
    wipe(ephemeral);
    const auto message = asking.noise->write(own_payload(now));
    WEFT_CHECK(message, "the first message depends on nobody");
    const bool has_cookie = contact.cookie && now - contact.cookie->second < kCookieAge;
    auto frame = HandshakeFrames::write(TunnelHeader::Type::Initiation, 0, asking.local_index, *message, *asking.key,
                                        has_cookie ? std::optional(contact.cookie->first) : std::nullopt);
    asking.mac1 = HandshakeFrames::mac1_of(frame);
    return frame;
}

std::vector<std::byte> NodeHandshaker::hello(std::uint8_t kind, std::uint32_t receiver_index,
                                             std::uint32_t sender_index, std::uint32_t random) const {
    const HelloFrame frame{.kind = kind,
                           .reserved = {},
                           .sender_index = net::Be32(sender_index),
                           .random = net::Be32(random),
                           .start_number = net::Be64(options_.start_number),
                           .node = name_};
    std::vector<std::byte> datagram(TunnelHeader::kSize + sizeof frame);
    TunnelHeader::make(TunnelHeader::Type::ClearControl, 0, 0, receiver_index, 0).write(datagram.data());
    std::memcpy(datagram.data() + TunnelHeader::kSize, &frame, sizeof frame);
    return datagram;
}

void NodeHandshaker::on_response(Bytes datagram, TimePoint now, Actions& actions) {
    const auto parts = HandshakeFrames::read(datagram);
    Contact* const contact = parts ? asking_under(parts->receiver_index) : nullptr;
    if (contact == nullptr || !contact->asking->noise || !HandshakeFrames::has_mac1(datagram, *contact->asking->key)) {
        ++stats_.refused;
        return;
    }
    // A forged answer must not spoil the attempt, so `read` changes nothing unless all of it verifies.
    NoiseHandshake& noise = *contact->asking->noise;
    const auto bytes = noise.read(parts->noise_message);
    if (!bytes || bytes->size() != sizeof(HandshakePayload)) {
        ++stats_.refused;
        return;
    }
    HandshakePayload payload;
    std::memcpy(&payload, bytes->data(), sizeof payload);
    const auto id = id_of(payload.node);
    auto session = Session::sealed(contact->info.index, contact->asking->local_index, parts->sender_index,
                                   options_.cipher, noise.split(), now);
    // Somebody with the key, but not whom we asked; this attempt is used up, the next one is on its way.
    if (!is_foreign(id) || (!contact->info.id.empty() && contact->info.id != *id) || !session) {
        ++stats_.refused;
        return;
    }
    finish_asking(*contact, std::move(*session), actions);
}

void NodeHandshaker::on_cookie(Bytes datagram, TimePoint now) {
    const auto header = TunnelHeader::at(datagram);
    Contact* const contact = header ? asking_under(header->receiver_index.value()) : nullptr;
    const bool may_have_caused_it = contact != nullptr && contact->asking->key != nullptr;
    const auto cookie =
        may_have_caused_it ? CookieJar::open(datagram, contact->asking->mac1, *contact->asking->key) : std::nullopt;
    if (!cookie) {
        ++stats_.refused;
        return;
    }
    contact->cookie = {*cookie, now};  // the next try carries it
}

void NodeHandshaker::on_hello_answer(const HelloFrame& frame, std::uint32_t receiver_index, const net::Endpoint& from,
                                     TimePoint now, Actions& actions) {
    Contact* const contact = asking_under(receiver_index);
    const auto id = id_of(frame.node);
    const bool is_expected = contact != nullptr && contact->info.security == Security::Clear &&
                             contact->info.endpoint.address == from.address &&
                             contact->asking->hello_random == frame.random.value() && is_foreign(id) &&
                             (contact->info.id.empty() || contact->info.id == *id);
    if (!is_expected) {
        ++stats_.refused;
        return;
    }
    finish_asking(*contact, Session::clear(contact->info.index, receiver_index, frame.sender_index.value(), now),
                  actions);
}

void NodeHandshaker::finish_asking(Contact& contact, std::shared_ptr<Session> session, Actions& actions) {
    stop_asking(contact);
    remember(session);
    ++stats_.sessions;
    actions.install.push_back({std::move(session), true});
}

// ---- Answering ------------------------------------------------------------------------------------------------------

void NodeHandshaker::receive(std::span<const std::byte> datagram, const net::Endpoint& from, TimePoint now,
                             Actions& actions) {
    const auto header = TunnelHeader::at(datagram);
    const auto type = header ? std::optional(header->type()) : std::nullopt;
    if (type == TunnelHeader::Type::Initiation) return on_initiation(datagram, from, now, actions);
    if (type == TunnelHeader::Type::Response) return on_response(datagram, now, actions);
    if (type == TunnelHeader::Type::Cookie) return on_cookie(datagram, now);
    if (header && is_hello(*header, datagram.subspan(TunnelHeader::kSize)) && header->lane == 0 && header->flags == 0 &&
        header->counter.value() == 0) {
        HelloFrame frame;
        std::memcpy(&frame, datagram.data() + TunnelHeader::kSize, sizeof frame);
        const auto index = header->receiver_index.value();
        const bool is_question = frame.kind == HelloFrame::kQuestion;
        const bool is_sound = frame.sender_index.value() != 0 && frame.reserved == std::array<std::uint8_t, 3>{} &&
                              is_question == (index == 0);
        if (is_sound && is_question) return on_hello_question(frame, datagram, from, now, actions);
        if (is_sound) return on_hello_answer(frame, index, from, now, actions);
    }
    ++stats_.refused;
}

void NodeHandshaker::on_initiation(Bytes datagram, const net::Endpoint& from, TimePoint now, Actions& actions) {
    const auto parts = HandshakeFrames::read(datagram);
    const bool is_plausible = parts && knows(from, Security::Aead);
    const auto key = std::ranges::find_if(
        keys_, [&](const ClusterKey& k) { return is_plausible && HandshakeFrames::has_mac1(datagram, k); });
    if (key == keys_.end()) {
        ++stats_.refused;
        return;
    }
    ++stats_.initiations_received;
    if (!admit(datagram, *parts, *key, from, now, actions)) return;

    CurveKey ephemeral{};
    random_(ephemeral);
    NoiseHandshake noise(NoiseHandshake::Role::Responder, prologue_, key->preshared, ephemeral);
    wipe(ephemeral);
    const auto bytes = noise.read(parts->noise_message);
    HandshakePayload payload{};
    if (bytes && bytes->size() == sizeof payload) std::memcpy(&payload, bytes->data(), sizeof payload);
    const auto id = id_of(payload.node);  // none if nothing was read
    Contact* const contact = is_foreign(id) ? find(from, Security::Aead, *id) : nullptr;
    if (contact == nullptr) {
        ++stats_.refused;
        return;
    }
    const std::pair when{payload.start_number.value(), payload.time_ns.value()};
    const auto newest = newest_.find(*id);
    if (newest != newest_.end() && when <= newest->second) {
        ++stats_.refused;
        return;
    }
    if (ours_goes_first(*contact, *id, now)) return;
    const auto message = noise.write(own_payload(now));  // refuses low-order points
    const std::uint32_t local_index = fresh_index();
    auto session = message ? Session::sealed(contact->info.index, local_index, parts->sender_index, options_.cipher,
                                             noise.split(), now)
                           : std::unexpected(Error(ErrorCode::BadInput, "a low-order point"));
    if (!session) {
        ++stats_.refused;
        return;
    }
    newest_[*id] = when;
    actions.send.push_back({from, HandshakeFrames::write(TunnelHeader::Type::Response, parts->sender_index, local_index,
                                                         *message, *key, std::nullopt)});
    finish_answering(*contact, std::move(*session), now, actions);
}

// Within the limits, or with a cookie that proves the address. Otherwise an initiation gets at most a cookie.
bool NodeHandshaker::admit(Bytes datagram, const HandshakeFrames::Parts& parts, const ClusterKey& key,
                           const net::Endpoint& from, TimePoint now, Actions& actions) {
    SourceLimits& limits = limits_[from.address];
    if (limits.unproven.take(now) && all_initiations_.take(now)) return true;
    if (cookies_.proves(datagram, from, now)) {
        if (limits.proven.take(now)) return true;
    } else {
        actions.send.push_back({from, cookies_.answer(datagram, parts.sender_index, from, key, now)});
    }
    ++stats_.rate_limited;
    return false;
}

void NodeHandshaker::on_hello_question(const HelloFrame& frame, Bytes datagram, const net::Endpoint& from,
                                       TimePoint now, Actions& actions) {
    const auto id = id_of(frame.node);
    Contact* const contact = is_foreign(id) ? find(from, Security::Clear, *id) : nullptr;
    if (contact == nullptr) {
        ++stats_.refused;
        return;
    }
    ++stats_.initiations_received;
    if (!limits_[from.address].unproven.take(now) || !all_initiations_.take(now)) {
        ++stats_.rate_limited;
        return;
    }
    if (std::ranges::equal(contact->hello_question, datagram) && !contact->answered.expired()) {
        actions.send.push_back({from, contact->hello_answer});
        return;
    }
    if (ours_goes_first(*contact, *id, now)) return;
    auto session = Session::clear(contact->info.index, fresh_index(), frame.sender_index.value(), now);
    contact->hello_question.assign(datagram.begin(), datagram.end());
    contact->hello_answer =
        hello(HelloFrame::kAnswer, frame.sender_index.value(), session->local_index(), frame.random.value());
    actions.send.push_back({from, contact->hello_answer});
    finish_answering(*contact, std::move(session), now, actions);
}

bool NodeHandshaker::ours_goes_first(const Contact& contact, const std::string& their_id, TimePoint now) const {
    const bool have_crossed =
        contact.asking && contact.asking->tries > 0 && now - contact.asking->last_sent < kCrossing;
    return have_crossed && options_.node_id < their_id;
}

void NodeHandshaker::finish_answering(Contact& contact, std::shared_ptr<Session> session, TimePoint now,
                                      Actions& actions) {
    remember(session);
    contact.answered = session;
    contact.answered_at = now;
    if (contact.asking) {
        // Their handshake goes on and ours rests; should theirs come to nothing, `poll` asks again.
        const TimePoint begun = contact.asking->begun;
        stop_asking(contact);
        contact.asking = Asking{.begun = begun, .next_try = now + kGrace};
    }
    ++stats_.sessions;
    actions.install.push_back({std::move(session), false});
}

// ---- Both -----------------------------------------------------------------------------------------------------------

std::vector<std::byte> NodeHandshaker::own_payload(TimePoint now) {
    // Strictly growing, even if two are made in the same instant.
    last_own_time_ = std::max(last_own_time_ + 1, static_cast<std::uint64_t>(now.time_since_epoch().count()));
    const HandshakePayload payload{.start_number = net::Be64(options_.start_number),
                                   .time_ns = net::Be64(last_own_time_),
                                   .features = net::Be32(HandshakePayload::kCarriesPartialChecksums),
                                   .mtu = net::Be16(0),
                                   .lanes = 1,
                                   .node = name_};
    std::vector<std::byte> bytes(sizeof payload);
    std::memcpy(bytes.data(), &payload, sizeof payload);
    return bytes;
}

Contact* NodeHandshaker::find(const net::Endpoint& from, Security security, const std::string& id) {
    Contact* best = nullptr;
    int best_score = -1;
    const auto [begin, end] = by_address_.equal_range(from.address);
    for (auto place = begin; place != end; ++place) {
        Contact& contact = contacts_.at(place->second);
        if (contact.info.security != security || (!contact.info.id.empty() && contact.info.id != id)) continue;
        const int score = (contact.info.id.empty() ? 0 : 2) + (contact.info.endpoint == from ? 1 : 0);
        if (score <= best_score) continue;
        best = &contact;
        best_score = score;
    }
    return best;
}

bool NodeHandshaker::knows(const net::Endpoint& from, Security security) const {
    const auto [begin, end] = by_address_.equal_range(from.address);
    return std::any_of(begin, end,
                       [&](const auto& entry) { return contacts_.at(entry.second).info.security == security; });
}

Contact* NodeHandshaker::asking_under(std::uint32_t local_index) {
    const auto found = asking_by_index_.find(local_index);
    return found == asking_by_index_.end() ? nullptr : &contacts_.at(found->second);
}

void NodeHandshaker::stop_asking(Contact& contact) {
    asking_by_index_.erase(contact.asking->local_index);
    contact.asking.reset();
}

std::uint32_t NodeHandshaker::fresh_index() {
    if (issued_.size() >= purge_issued_at_) {
        std::erase_if(issued_, [](const auto& entry) { return entry.second.expired(); });
        purge_issued_at_ = 2 * issued_.size() + 64;
    }
    for (;;) {
        const std::uint32_t index = random32();
        const auto issued = issued_.find(index);
        const bool is_in_use =
            (issued != issued_.end() && !issued->second.expired()) || asking_by_index_.contains(index);
        if (index != 0 && !is_in_use) return index;
    }
}

std::uint32_t NodeHandshaker::random32() {
    std::uint32_t value = 0;
    random_(std::as_writable_bytes(std::span(&value, 1)));
    return value;
}

}  // namespace

std::unique_ptr<Handshaker> Handshaker::create(Options options) {
    return std::make_unique<NodeHandshaker>(std::move(options));
}

}  // namespace weft::overlay
