// SPDX-License-Identifier: Apache-2.0
//
// What comes out for what goes in, byte for byte: tables of cases in *.golden beside this file. A case is
//
//   == sentence                     what it shows
//   towards clear                   how a speaks with b: bare (unless said), clear or aead
//   before inside PACKET            an event that leads up to it; its output is not looked at
//   inside PACKET                   the event: inside (a's TUN), peer (b's TUN), outside (a bare datagram from b,
//                                   `outside tos=N` with this outer TOS byte, `stranger` from an unknown address),
//                                   again (b's last datagram once more; `again flip=OFFSET` with a broken byte),
//                                   cut (b is gone), wait SECONDS
//   unsound                         the packet that comes out is broken, like the one that went in
//   #> 10.30.0.2:40000 > ...        for people: the packet below, described
//   > b 4500...                     to b; `clear flags=N` and the inner packet, `sealed SIZE`, or, bare, only the
//   packet . 0102...                       more of its bytes > tun 4500...                   out of the TUN; `partial`,
//   `tcp=SIZE` or `udp=SIZE` where it is handed on so > drop NAME                     and what died of what
//
// Packets are written as packet_language.hpp says. WEFT_GOLDEN_UPDATE=1 writes what comes out now as what is expected;
// read the diff, line by line, before it is committed.
//
//   a 10.18.0.0/26    cli#0 10.18.0.2 (10.30.0.2)   near#0 10.18.0.3 (10.30.0.11, service 10.30.0.30)
//   b 10.18.0.64/26   api#1 10.18.0.66 (10.30.0.12, service 10.30.0.10)
//   two: 10.30.0.20, instances on both (10.18.0.4, 10.18.0.67); IPv6 likewise under fdff:: and fc00::
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/golden/packet_language.hpp"
#include "tests/support/packet_check.hpp"
#include "tests/support/virtual_node.hpp"

namespace weft::test {
namespace {

using overlay::Security;
using Lines = std::vector<std::string>;

struct Case {
    std::string file, sentence;
    Lines head;      // as it stands in the file, with comments
    Lines expected;  // one entry an output, its bytes joined
};

struct Table {
    Lines preamble;
    std::vector<Case> cases;
};

// ---- Tables ---------------------------------------------------------------------------------------------------------

Table read_table(const std::filesystem::path& path) {
    Table table;
    std::ifstream stream(path);
    for (std::string line; std::getline(stream, line);) {
        if (line.starts_with("== ")) {
            table.cases.push_back({path.stem().string(), line.substr(3), {line}, {}});
        } else if (table.cases.empty()) {
            table.preamble.push_back(line);
        } else if (line.starts_with("> ")) {
            table.cases.back().expected.push_back(line.substr(2));
        } else if (line.starts_with(". ")) {
            table.cases.back().expected.back() += line.substr(2);
        } else if (!line.empty() && !line.starts_with("#>")) {
            table.cases.back().head.push_back(line);
        }
    }
    return table;
}

std::map<std::string, Table>& tables() {
    static std::map<std::string, Table> all = [] {
        std::map<std::string, Table> read;
        for (const auto& entry : std::filesystem::directory_iterator(WEFT_GOLDEN_FOLDER))
            if (entry.path().extension() == ".golden") read[entry.path().string()] = read_table(entry.path());
        return read;
    }();
    return all;
}

std::vector<Case*> all_cases() {
    std::vector<Case*> cases;
    for (auto& [path, table] : tables())
        for (Case& each : table.cases)
            cases.push_back(&each);
    return cases;
}

// The bytes of an output line, none where it has none.
Bytes bytes_in(const std::string& output) {
    const auto hex = output.substr(output.rfind(' ') + 1);
    const bool has_bytes = !output.starts_with("drop") && output.find("sealed") == std::string::npos;
    return has_bytes ? bytes_of_hex(hex) : Bytes{};
}

std::string shown(const Lines& outputs) {
    std::string text;
    for (const auto& output : outputs) {
        const auto bytes = bytes_in(output);
        if (!bytes.empty()) text += "#> " + describe(bytes) + '\n';
        constexpr std::size_t kWidth = 118;
        text += "> " + output.substr(0, kWidth) + '\n';
        for (std::size_t at = kWidth; at < output.size(); at += kWidth)
            text += ". " + output.substr(at, kWidth) + '\n';
    }
    return text;
}

void write_tables() {
    for (const auto& [path, table] : tables()) {
        std::ofstream stream(path);
        for (const auto& line : table.preamble)
            stream << line << '\n';
        for (const Case& each : table.cases) {
            if (&each != &table.cases.front()) stream << '\n';
            for (const auto& line : each.head)
                stream << line << '\n';
            stream << shown(each.expected);
        }
    }
}

// ---- Two nodes ------------------------------------------------------------------------------------------------------

class Pair {
  public:
    explicit Pair(Security security)
        : a_(network_.add({.id = "a",
                           .subnet = "10.18.0.0/26",
                           .subnet_v6 = "fc00::/120",
                           .host = "192.168.77.11",
                           .security = security})),
          b_(network_.add({.id = "b",
                           .subnet = "10.18.0.64/26",
                           .subnet_v6 = "fc00::100/120",
                           .host = "192.168.77.12",
                           .security = security})) {
        const std::string two = "RR 10.30.0.20 fdff::20";
        a_.deploy("shop.default.cli.default", 0, "10.18.0.2", {"InstanceNumber 10.30.0.2 fdff::2"}, "fc00::2");
        a_.deploy("shop.default.near.default", 0, "10.18.0.3",
                  {"RR 10.30.0.30 fdff::30", "InstanceNumber 10.30.0.11 fdff::11"}, "fc00::3");
        a_.deploy("shop.default.two.default", 0, "10.18.0.4", {two, "InstanceNumber 10.30.0.21 fdff::21"}, "fc00::4");
        b_.deploy("shop.default.api.default", 1, "10.18.0.66",
                  {"RR 10.30.0.10 fdff::10", "InstanceNumber 10.30.0.12 fdff::12"}, "fc00::102");
        b_.deploy("shop.default.two.default", 1, "10.18.0.67", {two, "InstanceNumber 10.30.0.22 fdff::22"},
                  "fc00::103");
        a_.learn_from(b_);
        b_.learn_from(a_);
        network_.tap = [this](const auto& from, const auto& to, const Bytes& datagram) {
            if (from == b_.endpoint() && to == a_.endpoint()) last_of_b_ = datagram;
            if (from == a_.endpoint()) note_sent(to == b_.endpoint() ? "b" : to.to_string(), datagram);
        };
    }

    // Does it, and says what came of it on a.
    Lines happen(const std::string& event) {
        outputs_.clear();
        const auto drops_before = drops();
        start(event);
        network_.run();
        for (const auto& delivered : a_.take_delivered())
            note_delivered(delivered);
        const auto drops_after = drops();
        for (std::size_t i = 0; i < kDropCount; ++i)
            for (auto count = drops_before[i]; count < drops_after[i]; ++count)
                outputs_.push_back("drop " + std::string(kDropTexts[i].name));
        network_.expect_conservation();
        return outputs_;
    }
    [[nodiscard]] const std::string& fault() const { return fault_; }

  private:
    using Drops = std::array<std::uint64_t, kDropCount>;

    void start(const std::string& event) {
        const auto space = event.find(' ');
        const std::string verb = event.substr(0, space);
        std::string rest = space == std::string::npos ? "" : event.substr(space + 1);
        fault_.clear();
        if (verb == "inside") {
            a_.send(packet_of(rest));
        } else if (verb == "peer") {
            b_.send(packet_of(rest));
        } else if (verb == "outside") {
            unsigned outer_tos = 0;
            if (rest.starts_with("tos=")) {
                outer_tos = static_cast<unsigned>(std::stoul(rest.substr(4)));
                rest.erase(0, rest.find(' ') + 1);
            }
            a_.receive(b_.endpoint(), packet_of(rest).bytes(), static_cast<std::uint8_t>(outer_tos));
        } else if (verb == "stranger") {
            a_.receive({*net::IpAddress::parse("203.0.113.9"), 50103}, packet_of(rest).bytes());
        } else if (verb == "again") {
            Bytes datagram = last_of_b_;
            if (rest.starts_with("flip=")) datagram.at(std::stoul(rest.substr(5))) ^= std::byte{1};
            a_.receive(b_.endpoint(), datagram);
        } else if (verb == "cut") {
            network_.cut("b", true);
        } else if (verb == "wait") {
            network_.advance(std::chrono::seconds(std::stoi(rest)));
        } else {
            throw std::invalid_argument("no such event: " + event);
        }
    }

    Drops drops() const {
        Drops values{};
        for (std::size_t i = 0; i < kDropCount; ++i)
            values[i] = a_.counters().dropped(static_cast<Drop>(i));
        return values;
    }

    void note_sent(const std::string& to, const Bytes& datagram) {
        const auto nibble = std::to_integer<unsigned>(datagram.at(0)) >> 4;
        if (nibble == 4 || nibble == 6) {
            note_fault(fault_of(datagram));
            return outputs_.push_back(to + " " + hex_of(datagram));
        }
        const auto type = std::to_integer<unsigned>(datagram.at(1)) & 15U;
        constexpr unsigned kSealedPacket = 4, kClearPacket = 6;
        if (type == kSealedPacket) outputs_.push_back(to + " sealed " + std::to_string(datagram.size()));
        if (type != kClearPacket) return;
        const std::span<const std::byte> inner = std::span(datagram).subspan(16);
        const auto flags = std::to_integer<unsigned>(datagram.at(3));
        note_fault(fault_of(inner, (flags & 1U) != 0 ? ChecksumState::Partial : ChecksumState::Full));
        outputs_.push_back(to + " clear flags=" + std::to_string(flags) + " " + hex_of(inner));
    }

    void note_delivered(const VirtualNode::Delivered& delivered) {
        TestPacket packet(delivered.bytes, delivered.checksum);
        if (delivered.gso != Gso::None) packet.gso(delivered.gso, delivered.gso_size);
        note_fault(fault_of(packet.packet()));
        std::string output = "tun ";
        if (delivered.checksum == ChecksumState::Partial) output += "partial ";
        if (delivered.gso != Gso::None)
            output += (delivered.gso == Gso::Tcp ? "tcp=" : "udp=") + std::to_string(delivered.gso_size) + " ";
        outputs_.push_back(output + hex_of(delivered.bytes));
    }

    void note_fault(const std::string& fault) {
        if (fault_.empty()) fault_ = fault;
    }

    VirtualNetwork network_;
    VirtualNode& a_;
    VirtualNode& b_;
    Lines outputs_;
    std::string fault_;
    Bytes last_of_b_;
};

// ---- The test -------------------------------------------------------------------------------------------------------

bool is_update() {
    const char* asked = std::getenv("WEFT_GOLDEN_UPDATE");
    return asked != nullptr && std::string_view(asked) == "1";
}

class Golden : public testing::TestWithParam<Case*> {
  protected:
    static void TearDownTestSuite() {
        if (is_update()) write_tables();
    }
};

TEST_P(Golden, ComesOutAsWritten) {
    Case& golden = *GetParam();
    SCOPED_TRACE(golden.file + ".golden: " + golden.sentence);
    Security security = Security::Bare;
    bool is_unsound = false;
    Lines before;
    std::string event;
    for (const auto& line : golden.head) {
        if (line.starts_with("== ") || line.starts_with("#")) continue;
        if (line.starts_with("towards ")) {
            static const std::map<std::string, Security> kModes{
                {"bare", Security::Bare}, {"clear", Security::Clear}, {"aead", Security::Aead}};
            security = kModes.at(line.substr(8));
        } else if (line.starts_with("before ")) {
            before.push_back(line.substr(7));
        } else if (line == "unsound") {
            is_unsound = true;
        } else {
            ASSERT_EQ(event, "") << "one event is looked at, the others come before";
            event = line;
        }
    }
    ASSERT_NE(event, "") << "nothing happens";

    Pair pair(security);
    for (const auto& each : before)
        pair.happen(each);
    const Lines outputs = pair.happen(event);
    EXPECT_EQ(pair.fault().empty(), !is_unsound) << pair.fault();
    if (is_update()) {
        golden.expected = outputs;
        return;
    }
    EXPECT_FALSE(golden.expected.empty()) << "a case without an outcome shows nothing";
    EXPECT_TRUE(outputs == golden.expected) << "expected\n" << shown(golden.expected) << "came out\n" << shown(outputs);
}

std::string name_of(const testing::TestParamInfo<Case*>& info) {
    std::string name = info.param->file + "_" + std::to_string(info.index) + "_" + info.param->sentence;
    std::ranges::replace_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Table, Golden, testing::ValuesIn(all_cases()), name_of);

}  // namespace
}  // namespace weft::test
