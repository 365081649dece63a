// SPDX-License-Identifier: Apache-2.0
#include "overlay/flow_file.hpp"

#include <fstream>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "dataplane/net/tcp.hpp"
#include "overlay/flow_entry.hpp"
#include "tests/unit/flow/flows.hpp"

namespace weft::overlay::test {
namespace {

constexpr std::uint32_t kCapacity = 64;

class FlowFileAttach : public FlowFileTest {
  protected:
    // A file with ten connections, IPv4 and IPv6.
    void fill() {
        auto table = open_table(options(kCapacity, file_));
        for (std::uint32_t n = 0; n < 10; ++n)
            add(*table, connection(n, net::kProtocolTcp, n % 2 == 1));
    }
    std::unique_ptr<FlowTable> reopen(TimePoint now = at(kStart + 1s)) {
        return open_table(options(kCapacity, file_), now);
    }

    std::string read() const {
        std::ifstream in(file_, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void write(const std::string& bytes) const {
        std::ofstream(file_, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }

    // Changes the entry of connection `n` (both families alternate) and keeps the rest.
    template <class Entry, class Change>
    void change_entry(std::size_t offset, std::size_t number, Change change) {
        std::string bytes = read();
        Entry entry;
        std::memcpy(&entry, bytes.data() + offset + number * sizeof entry, sizeof entry);
        change(entry);
        std::memcpy(bytes.data() + offset + number * sizeof entry, &entry, sizeof entry);
        write(bytes);
    }
    FlowFileLayout layout_ = FlowFileLayout::of(kCapacity);
};

TEST_F(FlowFileAttach, IsForItsOwnerOnlyAndAllocatedInFull) {
    fill();
    struct stat status{};
    ASSERT_EQ(::stat(file_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    EXPECT_EQ(static_cast<std::size_t>(status.st_size), layout_.size);
    EXPECT_GE(static_cast<std::size_t>(status.st_blocks) * 512, layout_.size);
}

TEST_F(FlowFileAttach, KeepsEveryConnectionOverARestart) {
    std::uint64_t id = 0;
    {
        auto table = open_table(options(kCapacity, file_));
        EXPECT_EQ(table->attach_report().kept, 0U);
        for (std::uint32_t n = 0; n < 10; ++n) {
            const FlowHandle handle = add(*table, connection(n, net::kProtocolTcp, n % 2 == 1));
            table->touch(handle, 3, 300, net::kTcpSyn, at(kStart + 1s));
            table->touch(table->partner(handle), 5, 500, net::kTcpSyn | net::kTcpAck, at(kStart + 2s));
        }
        table->erase(table->find(connection(4).opener.key));
        id = table->snapshot(at(kStart + 2s), 1, nullptr).at(0).id;
    }
    auto table = reopen(at(kStart + 60s));
    EXPECT_EQ(table->attach_report().kept, 9U);
    EXPECT_EQ(table->attach_report().torn, 0U);
    EXPECT_EQ(table->attach_report().set_aside, "");
    EXPECT_EQ(table->size(), 9U);
    EXPECT_NE(table->by_id(id), kNoFlow);
    for (std::uint32_t n = 0; n < 10; ++n) {
        const auto c = connection(n, net::kProtocolTcp, n % 2 == 1);
        const FlowHandle handle = table->find(c.opener.key);
        ASSERT_EQ(handle != kNoFlow, n != 4) << n;
        if (n == 4) continue;
        EXPECT_EQ(table->get(handle).rewrite, c.opener.rewrite);
        EXPECT_EQ(table->get(handle).state, FlowState::Established);
        EXPECT_EQ(table->get(table->find(c.answer.key)).rewrite, c.answer.rewrite);
    }
    for (const FlowView& view : table->snapshot(at(kStart + 60s), 100, nullptr)) {
        EXPECT_EQ(view.packets_out, 3U);
        EXPECT_EQ(view.bytes_in, 500U);
        EXPECT_EQ(view.idle, 58s);
        EXPECT_EQ(view.age, 60s);
    }
    // The hole is used before new ground is.
    add(*table, connection(4), at(kStart + 60s));
    EXPECT_EQ(table->size(), 10U);
}

TEST_F(FlowFileAttach, StaysFullOverARestart) {
    {
        auto table = open_table(options(kCapacity, file_));
        for (std::uint32_t n = 0; n < kCapacity; ++n)
            add(*table, connection(n));
    }
    auto table = reopen(at(kStart + 1s));
    EXPECT_EQ(table->attach_report().kept, kCapacity);
    EXPECT_EQ(table->insert(connection(100).opener, connection(100).answer, at(kStart + 1s)).error(),
              InsertError::Full);
    table->erase(table->find(connection(7).answer.key));
    add(*table, connection(100), at(kStart + 1s));
}

TEST_F(FlowFileAttach, AsksWhomEachConnectionBelongsToNow) {
    fill();
    {
        auto table = reopen();
        std::uint32_t reported = 0;
        table->on_removed([&](const Flow&) { ++reported; });
        table->revalidate([](const Flow& opener) -> std::optional<std::pair<InstanceRef, PeerIndex>> {
            EXPECT_EQ(opener.role, Role::Opener);
            if (opener.key.source_port % 3 == 0) return std::nullopt;
            return std::pair{InstanceRef{.slot = opener.key.source_port, .generation = 9}, PeerIndex{42}};
        });
        EXPECT_EQ(reported, 0U);
    }
    auto table = reopen();  // what was changed is sound
    EXPECT_EQ(table->attach_report().torn, 0U);
    for (std::uint32_t n = 0; n < 10; ++n) {
        const auto c = connection(n, net::kProtocolTcp, n % 2 == 1);
        const FlowHandle handle = table->find(c.opener.key);
        ASSERT_EQ(handle != kNoFlow, c.opener.key.source_port % 3 != 0);
        if (handle == kNoFlow) continue;
        for (const FlowHandle half : {handle, table->partner(handle)}) {
            EXPECT_EQ(table->get(half).instance, (InstanceRef{.slot = c.opener.key.source_port, .generation = 9}));
            EXPECT_EQ(table->get(half).next_hop, 42);
        }
    }
}

TEST_F(FlowFileAttach, SkipsAndCountsTornConnections) {
    using Change = std::function<void(FlowEntry4&)>;
    const std::vector<std::pair<const char*, Change>> torn = {
        {"being written", [](FlowEntry4& e) { ++e.sequence; }},
        {"wrong check word", [](FlowEntry4& e) { ++e.check; }},
        {"a field changed under the check word", [](FlowEntry4& e) { ++e.new_destination_port; }},
        {"half of it free", [](FlowEntry4& e) { e.flags = 0; }},
        {"partner elsewhere", [](FlowEntry4& e) { e.partner = 0x7FFFFFFF, e.check = check_word(e); }},
        {"no direction", [](FlowEntry4& e) { e.direction = 2, e.check = check_word(e); }},
        {"no state", [](FlowEntry4& e) { e.state = 5; }},
        {"unknown flags", [](FlowEntry4& e) { e.flags |= 0x80; }},
        {"seen in the future", [](FlowEntry4& e) { e.last_seen += 1000; }},
        {"not its partner's instance", [](FlowEntry4& e) { ++e.instance, e.check = check_word(e); }},
        {"not its partner's protocol", [](FlowEntry4& e) { ++e.protocol, e.check = check_word(e); }},
        {"not its role", [](FlowEntry4& e) { e.flags ^= kEntryAnswer; }},
    };
    for (const auto& [what, change] : torn) {
        for (const std::size_t half : {0U, 1U}) {
            std::filesystem::remove(file_);
            fill();
            change_entry<FlowEntry4>(layout_.entries_v4, 4 + half, change);
            auto table = reopen();
            EXPECT_EQ(table->attach_report().set_aside, "") << what;
            EXPECT_EQ(table->attach_report().torn, 1U) << what;
            EXPECT_EQ(table->attach_report().kept, 9U) << what;
            EXPECT_EQ(table->size(), 9U) << what;
            // And it is room again.
            for (std::uint32_t n = 100; n < 100 + kCapacity - 4; ++n)
                add(*table, connection(n), at(kStart + 1s));
        }
    }
}

TEST_F(FlowFileAttach, TakesOnlyOneOfTwoWithTheSameKey) {
    fill();
    FlowEntry4 copies[2];
    change_entry<FlowEntry4>(layout_.entries_v4, 0, [&](FlowEntry4& e) { copies[0] = e; });
    change_entry<FlowEntry4>(layout_.entries_v4, 1, [&](FlowEntry4& e) { copies[1] = e; });
    for (std::uint32_t half = 0; half < 2; ++half)
        change_entry<FlowEntry4>(layout_.entries_v4, 40 + half, [&](FlowEntry4& e) {
            e = copies[half];
            e.partner = 40 + (half ^ 1U);
            e.check = check_word(e);
        });
    auto table = reopen();
    EXPECT_EQ(table->attach_report().kept, 10U);
    EXPECT_EQ(table->attach_report().torn, 1U);
}

TEST_F(FlowFileAttach, SetsAsideAFileThatIsNotExactlyItsOwn) {
    struct Case {
        std::string what, reason;
        std::function<FlowTable::Options()> opener;
    };
    const auto as = [this](auto change) {
        return [this, change] {
            auto how = options(kCapacity, file_);
            change(how);
            return how;
        };
    };
    const Case cases[] = {
        {"another boot", "another boot", as([](auto& how) { how.boot_id = "boot-2"; })},
        {"another node", "another node", as([](auto& how) { how.node_id = "node-b"; })},
        {"another capacity", "room for 64", as([](auto& how) { how.capacity = 65; })},
    };
    for (const auto& c : cases) {
        std::filesystem::remove(file_);
        fill();
        const std::string before = read();
        const auto how = c.opener();
        auto table = open_table(how, at(kStart));
        EXPECT_THAT(table->attach_report().set_aside, ::testing::HasSubstr(c.reason)) << c.what;
        EXPECT_EQ(table->size(), 0U) << c.what;
        std::ifstream aside(file_.string() + ".aside", std::ios::binary);
        EXPECT_EQ(std::string(std::istreambuf_iterator<char>(aside), {}), before) << c.what;
        add(*table, connection(1));
        table.reset();
        EXPECT_EQ(open_table(how, at(kStart))->attach_report().kept, 1U) << c.what;
    }
}

TEST_F(FlowFileAttach, SetsAsideAFileCutAnywhereOrTooLong) {
    fill();
    const std::string whole = read();
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, sizeof(FlowFileHeader) - 1, sizeof(FlowFileHeader),
                                   std::size_t{4096}, whole.size() - 1}) {
        write(whole.substr(0, size));
        auto table = reopen();
        EXPECT_NE(table->attach_report().set_aside, "") << size;
        EXPECT_EQ(table->size(), 0U) << size;
    }
    write(whole + "x");
    EXPECT_THAT(reopen()->attach_report().set_aside, ::testing::HasSubstr("bytes long"));
    write(whole);
    EXPECT_EQ(reopen()->attach_report().kept, 10U);
}

TEST_F(FlowFileAttach, SetsAsideAFileWithABitFlippedInAnyByteOfItsHeader) {
    fill();
    const std::string whole = read();
    for (std::size_t byte = 0; byte < sizeof(FlowFileHeader); ++byte) {
        const std::size_t bit = byte * 8 + byte % 8;
        std::string flipped = whole;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        write(flipped);
        auto table = reopen();
        ASSERT_NE(table->attach_report().set_aside, "") << "bit " << bit;
        ASSERT_EQ(table->size(), 0U) << "bit " << bit;
    }
}

TEST_F(FlowFileAttach, SaysWhichLayoutAnotherVersionHad) {
    fill();
    std::string bytes = read();
    auto header = make_flow_file_header(options(kCapacity, file_), {});
    header.layout_version = 7;
    header.crc = crc32c(std::as_bytes(std::span(&header, 1)).first(offsetof(FlowFileHeader, crc)));
    std::memcpy(bytes.data(), &header, sizeof header);
    write(bytes);
    EXPECT_THAT(reopen()->attach_report().set_aside, ::testing::HasSubstr("version 7"));
}

TEST_F(FlowFileAttach, SetsAsideWhateverElseLiesUnderItsName) {
    std::filesystem::create_symlink("/dev/null", file_);
    EXPECT_NE(reopen()->attach_report().set_aside, "");
    EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(file_)));
    std::filesystem::remove(file_.string() + ".aside");
    std::filesystem::remove(file_);
    std::filesystem::create_directory(file_);
    EXPECT_NE(reopen()->attach_report().set_aside, "");
    std::filesystem::permissions(file_, std::filesystem::perms(0666));
    EXPECT_NE(reopen()->attach_report().set_aside, "");
    fill();
}

TEST_F(FlowFileAttach, FailsWithTheNameOfWhatCannotBeMade) {
    const auto table = FlowTable::open(options(kCapacity, directory_ / "nowhere" / "flows"), at(kStart));
    ASSERT_FALSE(table.has_value());
    EXPECT_THAT(table.error().text(), ::testing::HasSubstr("nowhere/flows"));
}

// Behind a good header anything may lie; half of it is made from real entries so that some of it is believed.
TEST_F(FlowFileAttach, SurvivesArbitraryEntries) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    fill();
    const std::string whole = read();
    std::uint64_t kept = 0, torn = 0;
    for (int round = 0; round < 300; ++round) {
        std::string bytes = whole;
        const bool noise = round % 3 == 0;
        for (std::size_t i = layout_.born_v4; noise && i < bytes.size(); ++i)
            bytes[i] = static_cast<char>(random());
        for (int flip = 0; !noise && flip < 40; ++flip)
            bytes[layout_.entries_v4 + random() % (10 * 128)] = static_cast<char>(random());
        write(bytes);
        auto table = reopen();
        ASSERT_EQ(table->attach_report().set_aside, "");
        kept += table->attach_report().kept;
        torn += table->attach_report().torn;
        ASSERT_EQ(table->snapshot(at(kStart + 1s), 1000, nullptr).size(), table->size());
        for (std::uint32_t n = 0; n < 200; ++n) {
            const auto c = connection(n, net::kProtocolTcp, n % 2 == 1);
            if (const FlowHandle handle = table->find(c.opener.key); handle != kNoFlow) {
                ASSERT_EQ(table->find(table->get(handle).key), handle);
                table->erase(handle);
            }
            (void)table->insert(c.opener, c.answer, at(kStart + 1s));
        }
        table->sweep(at(kStart + 24h), 10'000);
        ASSERT_EQ(table->size(), 0U);
    }
    EXPECT_GT(kept, 0U);
    EXPECT_GT(torn, 0U);
}

TEST(Crc32c, IsTheOneOfRfc3720) {
    std::array<std::byte, 32> bytes{};
    EXPECT_EQ(crc32c(bytes), 0x8A9136AAU);
    bytes.fill(std::byte{0xFF});
    EXPECT_EQ(crc32c(bytes), 0x62A8AB43U);
}

}  // namespace
}  // namespace weft::overlay::test
