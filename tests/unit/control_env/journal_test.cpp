// SPDX-License-Identifier: Apache-2.0
#include "control/journal.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

namespace weft::control {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

net::IpAddress ip(const char* text) {
    return *net::IpAddress::parse(text);
}

class JournalTest : public testing::Test {
  protected:
    void SetUp() override {
        char folder[] = "/tmp/weft-journal-XXXXXX";
        ASSERT_NE(::mkdtemp(folder), nullptr);
        folder_ = folder;
        path_ = folder_ / "journal.db";
        open();
    }
    void TearDown() override {
        journal_.reset();
        std::filesystem::remove_all(folder_);
    }
    void open() {
        journal_.reset();
        auto opened = Journal::open(path_);
        ASSERT_TRUE(opened) << opened.error().text();
        journal_ = std::move(*opened);
    }
    // Another program's hand in the file.
    void tamper(const std::string& sql) {
        journal_.reset();
        sqlite3* database = nullptr;
        ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
            << sqlite3_errmsg(database);
        sqlite3_close(database);
        open();
    }
    static Deployment some_deployment(const std::string& id) {
        return {.id = id,
                .state = DeploymentState::Running,
                .container = {ContainerRef::Kind::Docker, "3f2a", 0},
                .pid = 4711,
                .pid_start = 123456789,
                .netns = {4, 0xFFFFFFFFFFFFFFF0ULL},
                .owns_netns = true,
                .service = "shop.default.api.default",
                .number = 4294967295U,
                .service_ips_json = R"([{"type":"RR","address":"10.30.0.10"}])",
                .advertised = net::Endpoint{ip("192.168.77.11"), 50103},
                .port_mappings = {{8080, 80, L4::Tcp}, {53, 65535, L4::Udp}},
                .address = ip("10.18.0.2"),
                .address_v6 = ip("fc00::2"),
                .veth = "wv0123456789",
                .created_ms = 1735732800000};
    }

    std::filesystem::path folder_, path_;
    std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, CountsTheStarts) {
    EXPECT_EQ(journal_->start_number(), 1U);
    EXPECT_FALSE(journal_->is_new_boot());
    open();
    EXPECT_EQ(journal_->start_number(), 2U);
    EXPECT_FALSE(journal_->is_new_boot());
    tamper("UPDATE meta SET value = 'another' WHERE key = 'boot_id'");
    EXPECT_EQ(journal_->start_number(), 3U);
    EXPECT_TRUE(journal_->is_new_boot());
}

TEST_F(JournalTest, KeepsTheRegistration) {
    EXPECT_FALSE(journal_->registration()->has_value());
    const Registration registration{*net::Prefix::parse("10.18.0.64/26"), net::Prefix::parse("fc00::100/120"), "id",
                                    "host"};
    ASSERT_TRUE(journal_->put_registration({*net::Prefix::parse("10.18.0.0/26"), std::nullopt, "", ""}));
    ASSERT_TRUE(journal_->put_registration(registration));
    open();
    EXPECT_EQ(**journal_->registration(), registration);
    ASSERT_TRUE(journal_->erase_registration());
    EXPECT_FALSE(journal_->registration()->has_value());
}

TEST_F(JournalTest, KeepsDeploymentsWhole) {
    const Deployment deployment = some_deployment("i-one");
    ASSERT_TRUE(journal_->put_deployment(deployment));
    ASSERT_TRUE(journal_->put_deployment({.id = "i-bare", .container = {ContainerRef::Kind::Netns, "one", 0}}));
    open();
    const auto found = journal_->deployments();
    ASSERT_TRUE(found);
    ASSERT_THAT(*found, SizeIs(2));
    EXPECT_EQ((*found)[0].id, "i-bare");
    EXPECT_EQ((*found)[0].state, DeploymentState::Intent);
    EXPECT_TRUE((*found)[0].address.is_unspecified());
    EXPECT_FALSE((*found)[0].advertised.has_value());
    const Deployment& read = (*found)[1];
    EXPECT_EQ(read.state, deployment.state);
    EXPECT_EQ(read.container, deployment.container);
    EXPECT_EQ(read.pid, deployment.pid);
    EXPECT_EQ(read.pid_start, deployment.pid_start);
    EXPECT_EQ(read.netns, deployment.netns);
    EXPECT_EQ(read.owns_netns, deployment.owns_netns);
    EXPECT_EQ(read.service, deployment.service);
    EXPECT_EQ(read.number, deployment.number);
    EXPECT_EQ(read.service_ips_json, deployment.service_ips_json);
    EXPECT_EQ(read.advertised, deployment.advertised);
    EXPECT_EQ(read.port_mappings, deployment.port_mappings);
    EXPECT_EQ(read.address, deployment.address);
    EXPECT_EQ(read.address_v6, deployment.address_v6);
    EXPECT_EQ(read.veth, deployment.veth);
    EXPECT_EQ(read.created_ms, deployment.created_ms);
}

TEST_F(JournalTest, ChangesAndErasesDeployments) {
    ASSERT_TRUE(journal_->put_deployment(some_deployment("i-one")));
    ASSERT_TRUE(journal_->set_deployment_state("i-one", DeploymentState::Leaving));
    EXPECT_EQ(journal_->deployments()->front().state, DeploymentState::Leaving);
    ASSERT_TRUE(journal_->erase_deployment("i-one"));
    EXPECT_TRUE(journal_->erase_deployment("i-one"));
    EXPECT_THAT(*journal_->deployments(), IsEmpty());
}

TEST_F(JournalTest, KeepsWhatWasPushed) {
    const std::string hostile = "a'); DROP TABLE services; --";
    ASSERT_TRUE(journal_->put_service({"a.b.c.d", R"({"x":1})"}));
    ASSERT_TRUE(journal_->put_service({"a.b.c.d", R"({"x":2})"}));
    ASSERT_TRUE(journal_->put_service({hostile, "{}"}));
    ASSERT_TRUE(journal_->put_peer({"b", R"({"y":"\u0000"})"}));
    open();
    EXPECT_THAT(*journal_->services(), ElementsAre(NamedJson{hostile, "{}"}, NamedJson{"a.b.c.d", R"({"x":2})"}));
    EXPECT_THAT(*journal_->peers(), ElementsAre(NamedJson{"b", R"({"y":"\u0000"})"}));
    ASSERT_TRUE(journal_->erase_service("a.b.c.d"));
    ASSERT_TRUE(journal_->erase_peer("b"));
    EXPECT_THAT(*journal_->services(), SizeIs(1));
    EXPECT_THAT(*journal_->peers(), IsEmpty());
}

TEST_F(JournalTest, ReplacesPortForwardsAllOrNone) {
    const PortForward one{"f1", "i-one", {8080, 80, L4::Tcp}}, two{"f2", "i-one", {53, 53, L4::Udp}};
    ASSERT_TRUE(journal_->set_port_forwards({one, two}));
    open();
    EXPECT_THAT(*journal_->port_forwards(), ElementsAre(one, two));
    EXPECT_FALSE(journal_->set_port_forwards({two, two}));
    EXPECT_THAT(*journal_->port_forwards(), ElementsAre(one, two));
    ASSERT_TRUE(journal_->set_port_forwards({}));
    EXPECT_THAT(*journal_->port_forwards(), IsEmpty());
}

TEST_F(JournalTest, RemembersTheFirstValueOfASetting) {
    ASSERT_TRUE(journal_->remember_sysctl("net/ipv4/ip_forward", "0"));
    ASSERT_TRUE(journal_->remember_sysctl("net/ipv4/ip_forward", "1"));
    EXPECT_THAT(*journal_->sysctls(), ElementsAre(NamedJson{"net/ipv4/ip_forward", "0"}));
    ASSERT_TRUE(journal_->forget_sysctls());
    EXPECT_THAT(*journal_->sysctls(), IsEmpty());
}

class JournalRow : public JournalTest, public testing::WithParamInterface<const char*> {};

TEST_P(JournalRow, IsLeftOutAloneWhenItMakesNoSense) {
    ASSERT_TRUE(journal_->put_deployment(some_deployment("i-bad")));
    ASSERT_TRUE(journal_->put_deployment(some_deployment("i-good")));
    tamper(std::string("UPDATE deployments SET ") + GetParam() + " WHERE id = 'i-bad'");
    const auto found = journal_->deployments();
    ASSERT_TRUE(found);
    ASSERT_THAT(*found, SizeIs(1));
    EXPECT_EQ(found->front().id, "i-good");
    EXPECT_THAT(journal_->complaints(), ElementsAre(HasSubstr("i-bad")));
}

INSTANTIATE_TEST_SUITE_P(Columns, JournalRow,
                         testing::Values("state = 'sleeping'", "container_kind = 7", "container_kind = -1",
                                         "container_kind = 1, container_name = '../../etc'",
                                         "container_pid = 4294967296", "pid = -9999999999", "number = -1",
                                         "number = 4294967296", "advertised = 'nowhere'", "address = '10.18.0'",
                                         "address = 'fc00::2'", "address_v6 = '10.18.0.2'", "ports = 'tcp:0:80'",
                                         "ports = 'tcp:80'", "ports = 'sctp:80:80'", "ports = 'tcp:80:65536'",
                                         "ports = 'tcp:80:80x'"));

TEST_F(JournalTest, LeavesOutARegistrationThatMakesNoSense) {
    ASSERT_TRUE(journal_->put_registration({*net::Prefix::parse("10.18.0.0/26"), std::nullopt, "", ""}));
    for (const char* subnet : {"10.18.0.1/26", "fc00::/120", "0.0.0.0/0", "10.18.0.0/30", ""}) {
        tamper(std::string("UPDATE registration SET subnet = '") + subnet + "'");
        EXPECT_FALSE(journal_->registration()->has_value()) << subnet;
        EXPECT_THAT(journal_->complaints(), SizeIs(1));
    }
}

TEST_F(JournalTest, SetsAFileAsideThatIsNoDatabase) {
    journal_.reset();
    const std::string garbage(10000, '#');
    std::ofstream(path_) << garbage;
    open();
    ASSERT_THAT(journal_->complaints(), SizeIs(1));
    EXPECT_THAT(journal_->complaints().front(), HasSubstr("journal.db.set-aside-1"));
    EXPECT_EQ(journal_->start_number(), 1U);
    ASSERT_TRUE(journal_->put_deployment(some_deployment("i-one")));
    std::string kept;
    std::getline(std::ifstream(path_.string() + ".set-aside-1"), kept);
    EXPECT_EQ(kept, garbage);
}

TEST_F(JournalTest, SetsAsideAnotherProgramsDatabase) {
    tamper("PRAGMA application_id = 1");
    EXPECT_THAT(journal_->complaints(), ElementsAre(HasSubstr("another program")));
    tamper("PRAGMA user_version = 99");
    EXPECT_THAT(journal_->complaints(), ElementsAre(HasSubstr("schema version 99")));
    EXPECT_TRUE(std::filesystem::exists(path_.string() + ".set-aside-1"));
    EXPECT_TRUE(std::filesystem::exists(path_.string() + ".set-aside-2"));
}

TEST_F(JournalTest, StartsWhateverIsLeftOfTheFile) {
    ASSERT_TRUE(journal_->put_deployment(some_deployment("i-one")));
    journal_.reset();
    std::ifstream source(path_, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(source)), {});
    for (std::size_t size = 0; size < whole.size(); size += 997) {
        std::filesystem::remove(path_.string() + "-wal");
        std::ofstream(path_, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
        open();
        EXPECT_TRUE(journal_->put_deployment(some_deployment("i-two"))) << size;
        EXPECT_TRUE(journal_->deployments()) << size;
        journal_.reset();
    }
}

TEST_F(JournalTest, FailsWhereNoFileCanBe) {
    const auto opened = Journal::open((folder_ / "nowhere" / "journal.db").string());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), ErrorCode::System);
    EXPECT_THAT(opened.error().text(), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace weft::control
