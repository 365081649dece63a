// SPDX-License-Identifier: Apache-2.0
//
// The table against a std::map that keeps the same rules in the plainest way, with random operations and a clock moved
// by hand. The table is large enough never to be crowded, so that both must agree exactly.
#include <map>
#include <random>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "overlay/flow_expiry.hpp"
#include "overlay/flow_family.hpp"
#include "tests/unit/flow/flows.hpp"

namespace weft::overlay::test {
namespace {

using KeyTuple = std::tuple<net::IpAddress, net::IpAddress, std::uint16_t, std::uint16_t, std::uint8_t, Direction>;
KeyTuple tuple_of(const FlowKey& key) {
    return {key.source, key.destination, key.source_port, key.destination_port, key.protocol, key.direction};
}

class Model {
  public:
    struct Entry {
        Connection connection;
        FlowState state;
        FlowTicks seen;
        bool fin[2] = {false, false};
        std::uint64_t packets[2] = {0, 0};
    };
    // Which connection and half a key belongs to.
    struct Place {
        std::uint32_t id;
        Role role;
    };

    [[nodiscard]] bool expired(std::uint32_t id, FlowTicks now) const {
        const Entry& e = entries_.at(id);
        return now - e.seen >=
               flow_timeout(e.connection.opener.key.protocol, e.state, Pressure::Normal).count() * kTicksPerSecond;
    }
    bool insert(const Connection& c, FlowTicks now) {
        for (const FlowKey& key : {c.opener.key, c.answer.key})
            if (const auto found = keys_.find(tuple_of(key)); found != keys_.end()) {
                if (!expired(found->second.id, now)) return false;
                erase(found->second.id);
            }
        entries_[next_] = {.connection = c, .state = first_state(c.opener.key.protocol, c.opener.state), .seen = now};
        keys_[tuple_of(c.opener.key)] = {next_, Role::Opener};
        keys_[tuple_of(c.answer.key)] = {next_, Role::Answer};
        ++next_;
        return true;
    }
    void erase(std::uint32_t id) {
        const Connection c = entries_.at(id).connection;
        keys_.erase(tuple_of(c.opener.key));
        keys_.erase(tuple_of(c.answer.key));
        entries_.erase(id);
    }
    void touch(const Place& place, std::uint8_t flags, FlowTicks now) {
        Entry& e = entries_.at(place.id);
        const auto half = static_cast<std::size_t>(place.role);
        e.state = next_state(e.state, {e.connection.opener.key.protocol, place.role, flags, e.fin[1 - half]});
        e.fin[half] =
            e.fin[half] || (e.connection.opener.key.protocol == net::kProtocolTcp && (flags & net::kTcpFin) != 0);
        e.seen = now;
        ++e.packets[half];
    }
    std::set<KeyTuple> sweep(FlowTicks now) {
        std::set<KeyTuple> gone;
        for (auto it = entries_.begin(); it != entries_.end();) {
            const auto id = (it++)->first;
            if (!expired(id, now)) continue;
            gone.insert(tuple_of(entries_.at(id).connection.opener.key));
            erase(id);
        }
        return gone;
    }
    [[nodiscard]] const Place* find(const FlowKey& key) const {
        const auto found = keys_.find(tuple_of(key));
        return found == keys_.end() ? nullptr : &found->second;
    }
    [[nodiscard]] const std::map<std::uint32_t, Entry>& entries() const { return entries_; }

  private:
    std::map<std::uint32_t, Entry> entries_;
    std::map<KeyTuple, Place> keys_;
    std::uint32_t next_ = 0;
};

TEST(FlowModel, AgreesWithTheTableOverRandomOperations) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t n) { return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(random); };

    auto table = open_table(options(8192));
    Model model;
    std::set<KeyTuple> gone;
    table->on_removed([&](const Flow& opener) { gone.insert(tuple_of(opener.key)); });
    constexpr std::uint8_t kProtocols[] = {net::kProtocolTcp, net::kProtocolUdp, net::kProtocolIcmp};
    constexpr std::uint8_t kFlags[] = {0, net::kTcpAck, net::kTcpSyn, net::kTcpFin, net::kTcpRst};
    std::chrono::nanoseconds time = kStart;

    for (int step = 0; step < 200'000; ++step) {
        const auto now = at(time);
        auto c = connection(below(1200), kProtocols[below(3)], below(2) == 1);
        if (below(10) == 0)
            c.answer.key = connection(below(1200), c.opener.key.protocol, c.opener.key.source.is_v6()).answer.key;
        const FlowKey& key = below(2) == 0 ? c.opener.key : c.answer.key;
        const auto* place = model.find(key);
        const FlowHandle handle = table->find(key);
        ASSERT_EQ(handle != kNoFlow, place != nullptr) << step;
        switch (below(8)) {
            case 0:
            case 1:
            case 2:
                ASSERT_EQ(table->insert(c.opener, c.answer, now).has_value(), model.insert(c, to_ticks(now))) << step;
                break;
            case 3:
            case 4:
            case 5:
                if (!place) break;
                {
                    const std::uint8_t flags = kFlags[below(5)];
                    table->touch(handle, 1, 100, flags, now);
                    model.touch(*place, flags, to_ticks(now));
                    ASSERT_EQ(table->get(handle).state, model.entries().at(place->id).state) << step;
                    ASSERT_EQ(table->get(handle).role, place->role) << step;
                }
                break;
            case 6:
                if (!place || below(4) != 0) break;
                table->erase(handle);
                model.erase(place->id);
                break;
            case 7:
                time += std::chrono::milliseconds(below(400));
                if (below(50) != 0) break;
                gone.clear();
                table->sweep(at(time), 100'000);
                ASSERT_EQ(gone, model.sweep(to_ticks(at(time)))) << step;
                break;
        }
        ASSERT_EQ(table->size(), model.entries().size()) << step;
    }
    const auto views = table->snapshot(at(time), 100'000, nullptr);
    ASSERT_EQ(views.size(), model.entries().size());
    for (const FlowView& view : views) {
        const auto& entry = model.entries().at(model.find(view.opener.key)->id);
        EXPECT_EQ(view.opener.rewrite, entry.connection.opener.rewrite);
        EXPECT_EQ(view.answer_key, entry.connection.answer.key);
        EXPECT_EQ(view.packets_out, entry.packets[0]);
        EXPECT_EQ(view.packets_in, entry.packets[1]);
    }
}

}  // namespace
}  // namespace weft::overlay::test
