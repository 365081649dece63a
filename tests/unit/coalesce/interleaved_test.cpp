// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/coalesce.hpp"
#include "tests/support/train.hpp"

// Random turns of many flows against a model that knows packets by their fields, keeps every flow in a list and looks
// at nothing else. Whatever the coalescer makes has to be, byte for byte, what the model says.

namespace weft {
namespace {

using test::Bytes;
using test::noise;
using test::TestPacket;
using test::TrainPacket;

constexpr std::uint8_t kFin = 0x01, kPsh = 0x08, kAck = 0x10, kEce = 0x40, kCwr = 0x80;

struct Sent {
    TrainPacket packet;
    std::size_t flow = 0;
};

// One superpacket to be.
struct Joined {
    std::vector<TrainPacket> segments;
    std::size_t flow = 0;
    bool is_open = false;

    [[nodiscard]] std::size_t size() const {
        std::size_t bytes = segments[0].header_size();
        for (const TrainPacket& segment : segments)
            bytes += segment.payload.size();
        return bytes;
    }
    [[nodiscard]] TrainPacket whole() const {
        TrainPacket made = segments[0];
        if (segments.size() == 1) return made;
        made.checksum = ChecksumState::Partial;
        for (const TrainPacket& more : std::span(segments).subspan(1)) {
            made.payload.insert(made.payload.end(), more.payload.begin(), more.payload.end());
            made.flags |= more.flags;
        }
        return made;
    }
};

class Model {
  public:
    void add(const Sent& sent) {
        const TrainPacket& packet = sent.packet;
        const bool is_odd_tcp = !packet.is_udp && (packet.flags & ~(kAck | kPsh | kEce)) != 0;
        if (!packet.is_udp && packet.payload.empty() && !is_odd_tcp) return push(sent, false);

        const bool can_join =
            !is_odd_tcp && !packet.payload.empty() && !packet.is_first_fragment && packet.ipv4_options.empty();
        const auto open = std::ranges::find_if(all_, [&](const Joined& j) { return j.is_open && j.flow == sent.flow; });
        if (open != all_.end() && can_join && joins(*open, packet)) {
            const bool is_last = packet.payload.size() < open->segments[0].payload.size() || pushes(packet);
            open->segments.push_back(packet);
            if (is_last || open->segments.size() == 64) open->is_open = false;
            return;
        }
        if (open != all_.end()) open->is_open = false;
        push(sent, can_join && !pushes(packet));
    }
    [[nodiscard]] const std::vector<Joined>& all() const { return all_; }

  private:
    static bool pushes(const TrainPacket& packet) { return !packet.is_udp && (packet.flags & kPsh) != 0; }
    static bool joins(const Joined& open, const TrainPacket& packet) {
        const TrainPacket& first = open.segments.front();
        const TrainPacket& last = open.segments.back();
        const bool same_ip = packet.ttl == first.ttl && packet.tos == first.tos &&
                             (packet.is_v6 || (packet.df == first.df &&
                                               (packet.df || packet.id == static_cast<std::uint16_t>(last.id + 1))));
        const bool same_tcp =
            packet.is_udp || (packet.sequence == last.sequence + last.payload.size() &&
                              packet.acknowledgement == first.acknowledgement && packet.window == first.window &&
                              packet.tcp_options == first.tcp_options && ((packet.flags ^ first.flags) & kEce) == 0);
        return same_ip && same_tcp && packet.checksum == first.checksum &&
               packet.payload.size() <= first.payload.size() && open.size() + packet.payload.size() <= 65535;
    }
    void push(const Sent& sent, bool is_open) {
        all_.push_back({.segments = {sent.packet}, .flow = sent.flow, .is_open = is_open});
    }
    std::vector<Joined> all_;
};

class Traffic {
  public:
    explicit Traffic(unsigned seed) : random_(seed) {
        for (std::size_t i = 0; i < 6; ++i) {
            TrainPacket flow{.is_v6 = one_in(3), .is_udp = one_in(3), .host = 1 + pick(2)};
            flow.source_port = static_cast<std::uint16_t>(40000 + i);
            flow.df = !one_in(3);
            flow.payload.resize(one_in(4) ? 1 + pick(60) : 1388);
            flow.checksum = one_in(2) ? ChecksumState::Partial : ChecksumState::Full;
            if (!flow.is_udp && one_in(2)) flow.tcp_options = noise(12, pick(3));
            flows_.push_back(flow);
        }
    }

    Sent next() {
        if (!one_in(4)) flow_ = pick(6);
        TrainPacket& flow = flows_[flow_];
        TrainPacket packet = flow;
        packet.payload = noise(flow.payload.size(), pick(1000));
        if (one_in(12)) disturb(packet);
        flow.sequence = packet.sequence + static_cast<std::uint32_t>(packet.payload.size());
        flow.id = static_cast<std::uint16_t>(packet.id + 1);
        return {packet, flow_};
    }

  private:
    unsigned pick(unsigned below) { return std::uniform_int_distribution<unsigned>(0, below - 1)(random_); }
    bool one_in(unsigned n) { return pick(n) == 0; }

    void disturb(TrainPacket& packet) {
        switch (pick(12)) {
            case 0:
                packet.payload.resize(packet.payload.size() / 2);
                break;
            case 1:
                packet.payload.push_back(std::byte{9});
                break;
            case 2:
                packet.payload.clear();
                break;
            case 3:
                packet.flags |= kPsh;
                break;
            case 4:
                packet.flags |= kFin;
                break;
            case 5:
                packet.flags |= kCwr;
                break;
            case 6:
                packet.flags |= kEce;
                break;
            case 7:
                packet.sequence += 5;
                break;
            case 8:
                packet.id = static_cast<std::uint16_t>(packet.id + 5);
                break;
            case 9:
                packet.tos = 3;
                break;
            case 10:
                packet.window++;
                break;
            default:
                if (!packet.is_v6) packet.ipv4_options = Bytes(4, std::byte{1});
                break;
        }
    }

    std::mt19937 random_;
    std::vector<TrainPacket> flows_;
    std::size_t flow_ = 0;
};

TEST(Coalescer, DoesWithInterleavedFlowsWhatAModelDoes) {
    const unsigned first_seed = std::random_device{}();
    std::size_t joined_at_all = 0;
    Coalescer coalescer;  // one for all turns: nothing may be left over from the turn before
    for (unsigned seed = first_seed; seed != first_seed + 150; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Traffic traffic(seed);
        Model model;
        std::vector<TestPacket> held;
        const std::size_t packets_in = 20 + seed % 300;
        for (std::size_t i = 0; i < packets_in; ++i) {
            const Sent sent = traffic.next();
            model.add(sent);
            held.push_back(sent.packet.packet());
            coalescer.add(held.back().packet().head, 0, sent.packet.checksum, static_cast<std::uint32_t>(seed));
        }
        const auto packets = coalescer.finish();
        ASSERT_EQ(packets.size(), model.all().size());
        std::size_t packets_out = 0;
        for (std::size_t i = 0; i < packets.size(); ++i) {
            const Joined& expected = model.all()[i];
            packets_out += packets[i].segments;
            if (packets[i].segments > 1) ++joined_at_all;
            ASSERT_EQ(packets[i].segments, expected.segments.size()) << "packet " << i;
            ASSERT_EQ(test::bytes_of(packets[i]), expected.whole().bytes()) << "packet " << i;
        }
        EXPECT_EQ(packets_out, packets_in) << "packets lost or made";
        coalescer.clear();
    }
    EXPECT_GT(joined_at_all, 150U) << "the traffic joins too rarely to show anything";
}

}  // namespace
}  // namespace weft
