// SPDX-License-Identifier: Apache-2.0
#include "control/environment.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/deployment.hpp"
#include "control/link.hpp"
#include "control/netns.hpp"
#include "control/nft.hpp"
#include "control/route.hpp"
#include "control/sysctl.hpp"
#include "tests/lab/environment_probe.hpp"

// The environment against a real kernel, in namespaces of its own:
//
//   this process (new network and mount namespace)         /run is a private tmpfs
//     weft-tun  weft-br 10.18.0.1/26  eth9 192.168.77.11/24 (default route)
//        one, two: containers as netns:one and netns:two
namespace weft::control {
namespace {

using namespace probe;
using testing::HasSubstr;
using testing::IsEmpty;

net::IpAddress ip(const char* text) {
    return *net::IpAddress::parse(text);
}
net::Prefix cidr(const char* text) {
    return *net::Prefix::parse(text);
}

EnvironmentOptions some_options() {
    return {.tun_address = ip("10.19.1.254"),
            .tun_address_v6 = ip("fcef::dead:beef"),
            .service_ranges = {cidr("10.30.0.0/16"), cidr("fdff::/16")},
            .node_ranges = {cidr("10.18.0.0/15"), cidr("10.20.0.0/14"), cidr("fc00::/64")},
            .mtu = 1440,
            .gso_max_segs = 44};
}

// EXPECT for two fingerprints, showing only the lines that differ; a table that was replaced is listed last.
testing::AssertionResult same(const std::string& now, const std::string& before) {
    const auto lines = [](const std::string& text) {
        std::multiset<std::string> found;
        std::istringstream stream(text);
        for (std::string line; std::getline(stream, line);)
            found.insert(line);
        return found;
    };
    auto failure = testing::AssertionFailure();
    const auto now_lines = lines(now), before_lines = lines(before);
    if (now_lines == before_lines) return testing::AssertionSuccess();
    std::vector<std::string> more, fewer;
    std::ranges::set_difference(now_lines, before_lines, std::back_inserter(more));
    std::ranges::set_difference(before_lines, now_lines, std::back_inserter(fewer));
    for (const auto& line : more)
        failure << "\n+ " << line;
    for (const auto& line : fewer)
        failure << "\n- " << line;
    return failure;
}

// EXPECT for a Result, with the error's own words.
template <class T>
testing::AssertionResult succeeded(const Result<T>& result) {
    if (result) return testing::AssertionSuccess();
    return testing::AssertionFailure() << result.error().text();
}

class EnvironmentLab : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
        ::unsetenv("WEFT_FAILPOINTS");
        for (const char* name : {"one", "two", "three"})
            ASSERT_TRUE(succeeded(remove_netns(name)));
        std::filesystem::remove_all("/run/state");
        std::filesystem::create_directories("/run/state");
        make_underlay();
        before_ = fingerprint();
        make_tun("weft-tun");
        start();
    }
    void TearDown() override {
        for (const char* name : {"one", "two", "three"})
            (void)remove_netns(name);
    }

    // What a start of weftd does.
    void start() {
        deployments_.reset();
        environment_.reset();
        journal_.reset();
        auto journal = Journal::open("/run/state/journal.db");
        ASSERT_TRUE(succeeded(journal));
        journal_ = std::move(*journal);
        auto environment = Environment::create(some_options(), *journal_);
        ASSERT_TRUE(succeeded(environment));
        environment_ = std::move(*environment);
        ASSERT_TRUE(succeeded(journal_->put_registration({cidr("10.18.0.0/26"), cidr("fc00::/120"), "", ""})));
        ASSERT_TRUE(succeeded(environment_->prepare_tun()));
        ASSERT_TRUE(succeeded(environment_->prepare_bridge(cidr("10.18.0.0/26"), cidr("fc00::/120"))));
        deployments_.emplace(*environment_, *journal_);
        deployments_->set_subnet(cidr("10.18.0.0/26"), cidr("fc00::/120"));
    }
    DeploySpec spec(const std::string& name, std::vector<PortMapping> ports = {}) {
        return {.id = "i-" + name,
                .container = {ContainerRef::Kind::Netns, name, 0},
                .service = "shop.default." + name + ".default",
                .port_mappings = std::move(ports)};
    }

    std::string before_;
    std::unique_ptr<Journal> journal_;
    std::unique_ptr<Environment> environment_;
    std::optional<Deployments> deployments_;
};

TEST_F(EnvironmentLab, GivesTheTunItsAddressesRoutesAndSettings) {
    auto netlink = Netlink::open();
    const auto tun = find_link(*netlink, "weft-tun");
    ASSERT_TRUE(tun && *tun);
    EXPECT_EQ((*tun)->mtu, 1440U);
    EXPECT_EQ((*tun)->tx_queue_length, 1000U);
    EXPECT_TRUE((*tun)->is_up);
    const auto addresses = *list_addresses(*netlink);
    EXPECT_THAT(addresses, testing::Contains(InterfaceAddress{(*tun)->index, ip("10.19.1.254"), 32}));
    EXPECT_THAT(addresses, testing::Contains(InterfaceAddress{(*tun)->index, ip("fcef::dead:beef"), 128}));
    for (const char* range : {"10.30.0.0/16", "10.18.0.0/15", "10.20.0.0/14", "fdff::/16", "fc00::/64"})
        EXPECT_EQ(std::ranges::count_if(*list_routes(*netlink),
                                        [&](const Route& route) {
                                            return route.destination == cidr(range) && route.link == (*tun)->index;
                                        }),
                  1)
            << range;
    EXPECT_EQ(*read_sysctl("net/ipv4/ip_forward"), "1");
    EXPECT_EQ(*read_sysctl("net/ipv6/conf/all/forwarding"), "1");
    EXPECT_EQ(*read_sysctl("net/ipv4/conf/weft-tun/rp_filter"), "2");
    EXPECT_EQ(*read_sysctl("net/ipv6/conf/weft-tun/accept_ra"), "0");
}

TEST_F(EnvironmentLab, FindsNothingToMendAfterItsOwnWork) {
    EXPECT_THAT(*environment_->verify(), IsEmpty());
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}))));
    EXPECT_THAT(*environment_->verify(), IsEmpty());
    start();
    ASSERT_TRUE(succeeded(deployments_->reconcile()));
    EXPECT_THAT(*environment_->verify(), IsEmpty());
}

TEST_F(EnvironmentLab, JoinsContainersToTheBridge) {
    const auto one = deployments_->deploy(spec("one"));
    ASSERT_TRUE(succeeded(one));
    const auto two = deployments_->deploy(spec("two"));
    ASSERT_TRUE(succeeded(two));
    EXPECT_EQ(one->address, ip("10.18.0.2"));
    EXPECT_EQ(two->address, ip("10.18.0.3"));
    EXPECT_EQ(two->address_v6, ip("fc00::3"));
    for (const char* to : {"10.18.0.1", "10.18.0.3", "192.168.77.11", "fc00::1", "fc00::3"})
        EXPECT_TRUE(pings("one", ip(to))) << to;

    const auto inside = Netns::open_name("one");
    ASSERT_TRUE(succeeded(run_in(inside->fd(), []() -> Result<void> {
        auto netlink = Netlink::open();
        const auto link = find_link(*netlink, "weft0");
        EXPECT_TRUE(link && *link);
        EXPECT_EQ((*link)->gso_max_segs, 44U);
        EXPECT_EQ((*link)->mtu, 1440U);
        EXPECT_TRUE((*find_link(*netlink, "lo"))->is_up);
        std::vector<net::IpAddress> defaults;
        const auto routes = *list_routes(*netlink);
        for (const Route& route : routes)
            if (route.is_default()) defaults.push_back(route.gateway);
        EXPECT_THAT(defaults, testing::UnorderedElementsAre(ip("10.18.0.1"), ip("fc00::1")));
        return {};
    })));
}

TEST_F(EnvironmentLab, KeepsAContainersOwnDefaultRouteAndAddsTheOverlay) {
    ASSERT_TRUE(succeeded(create_netns("one")));
    const auto netns = Netns::open_name("one");
    ASSERT_TRUE(succeeded(run_in(netns->fd(), [] {
        make_underlay();
        return Result<void>{};
    })));
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one"))));
    ASSERT_TRUE(succeeded(run_in(netns->fd(), []() -> Result<void> {
        auto netlink = Netlink::open();
        const auto link = find_link(*netlink, "weft0");
        std::vector<net::Prefix> over_weft;
        const auto routes = *list_routes(*netlink);
        for (const Route& route : routes)
            if (route.link == (*link)->index && route.protocol == kWeftRouteProtocol)
                over_weft.push_back(route.destination);
        EXPECT_THAT(over_weft, testing::UnorderedElementsAre(cidr("10.30.0.0/16"), cidr("10.18.0.0/15"),
                                                             cidr("10.20.0.0/14"), cidr("::/0")));
        return {};
    })));
    EXPECT_FALSE(deployments_->find("i-one")->owns_netns);
}

TEST_F(EnvironmentLab, SwitchesIpv6OnForItsInterfaceWhereTheEngineSwitchedItOff) {
    ASSERT_TRUE(succeeded(create_netns("one")));
    const auto netns = Netns::open_name("one");
    ASSERT_TRUE(succeeded(run_in(netns->fd(), []() -> Result<void> {
        if (auto off = write_sysctl("net/ipv6/conf/all/disable_ipv6", "1"); !off) return off;
        return write_sysctl("net/ipv6/conf/default/disable_ipv6", "1");
    })));
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one"))));
    EXPECT_TRUE(pings("one", ip("fc00::1")));
    EXPECT_TRUE(pings("one", ip("10.18.0.1")));
}

TEST_F(EnvironmentLab, LeadsHostPortsToContainers) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}))));
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("two"))));
    const Listener web("one", 80);
    EXPECT_TRUE(connects(ip("127.0.0.1"), 8080)) << "from the host, loopback";
    EXPECT_TRUE(connects(ip("192.168.77.11"), 8080)) << "from the host, own address";
    EXPECT_TRUE(connects_from("two", ip("192.168.77.11"), 8080)) << "from another container";
    EXPECT_TRUE(connects_from("one", ip("192.168.77.11"), 8080)) << "from the container itself";
    EXPECT_TRUE(connects_from("two", ip("fc00::1"), 8080)) << "IPv6";
    EXPECT_FALSE(connects(ip("192.168.77.11"), 8081, kBrief));

    ASSERT_TRUE(succeeded(deployments_->set_port_forwards({{"f1", "i-one", {9090, 80, L4::Tcp}}})));
    EXPECT_TRUE(connects(ip("192.168.77.11"), 9090));
    ASSERT_TRUE(succeeded(deployments_->undeploy("i-one")));
    EXPECT_FALSE(connects(ip("192.168.77.11"), 9090, kBrief));
    EXPECT_THAT(deployments_->port_forwards(), IsEmpty());
}

TEST_F(EnvironmentLab, DropsWhatAContainerSendsInSomebodyElsesName) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one"))));
    ASSERT_TRUE(pings("one", ip("10.18.0.1")));
    ASSERT_TRUE(pings("one", ip("fc00::1")));
    for (const char* stolen : {"10.18.0.9", "fc00::9"}) {
        add_inside("one", ip(stolen));
        EXPECT_FALSE(pings("one", ip(stolen).is_v6() ? ip("fc00::1") : ip("10.18.0.1"), ip(stolen), kBrief)) << stolen;
    }
    EXPECT_TRUE(pings("one", ip("10.18.0.1"), ip("10.18.0.2")));
    EXPECT_TRUE(pings("one", ip("fc00::1"), ip("fc00::2")));
}

TEST_F(EnvironmentLab, ReachesNoLoopbackServiceOfTheHost) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one"))));
    const Listener secret(Listener::Here{}, 5432);
    ASSERT_TRUE(connects(ip("127.0.0.1"), 5432));
    route_loopback_out_of("one");
    EXPECT_FALSE(connects_from("one", ip("127.0.0.1"), 5432, kBrief));
}

TEST_F(EnvironmentLab, TeardownLeavesTheHostAsItWas) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}, {5353, 53, L4::Udp}}))));
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("two"))));
    EXPECT_NE(fingerprint(), before_);
    ASSERT_TRUE(succeeded(deployments_->teardown()));
    EXPECT_TRUE(same(fingerprint(), before_));
    ASSERT_TRUE(succeeded(deployments_->teardown())) << "and again";
    EXPECT_TRUE(same(fingerprint(), before_));
}

TEST_F(EnvironmentLab, UndeployLeavesNothingOfAnInstance) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one"))));
    ASSERT_TRUE(succeeded(deployments_->undeploy("i-one")));
    const std::string idle = fingerprint();
    const std::size_t descriptors = open_descriptors();
    for (int round = 0; round < 100; ++round) {
        ASSERT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}})))) << round;
        ASSERT_TRUE(succeeded(deployments_->undeploy("i-one"))) << round;
    }
    EXPECT_TRUE(same(fingerprint(), idle));
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_TRUE(succeeded(deployments_->undeploy("i-one"))) << "of what is not there";
}

TEST_F(EnvironmentLab, RefusesWhatIsTaken) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}))));
    const std::string state = fingerprint();
    const auto refused = [&](const DeploySpec& wanted, ErrorCode code) {
        const auto answer = deployments_->deploy(wanted);
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().code(), code) << answer.error().text();
        EXPECT_TRUE(same(fingerprint(), state)) << answer.error().text();
    };
    refused(spec("two", {{8080, 81, L4::Tcp}}), ErrorCode::Conflict);
    refused(spec("two", {{50103, 81, L4::Udp}}), ErrorCode::Conflict);
    refused(spec("two", {{81, 81, L4::Tcp}, {81, 82, L4::Tcp}}), ErrorCode::Conflict);
    auto again = spec("one");
    again.id = "i-other";
    refused(again, ErrorCode::Conflict);
    auto host = spec("host");
    host.container = {ContainerRef::Kind::Pid, "", ::getpid()};
    refused(host, ErrorCode::Conflict);
    auto nobody = spec("nobody");
    nobody.container = {ContainerRef::Kind::Pid, "", 0x3FFFFFFF};
    refused(nobody, ErrorCode::NotFound);
    EXPECT_TRUE(succeeded(deployments_->deploy(spec("two", {{8080, 81, L4::Udp}}))));
}

TEST_F(EnvironmentLab, RollsBackWhenTheContainerHasSuchAnInterface) {
    ASSERT_TRUE(succeeded(create_netns("one")));
    add_device_inside("one", "weft0");
    const std::string state = fingerprint();
    const auto answer = deployments_->deploy(spec("one"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), ErrorCode::Conflict);
    EXPECT_THAT(answer.error().text(), HasSubstr("weft0"));
    EXPECT_TRUE(same(fingerprint(), state));
    EXPECT_THAT(*journal_->deployments(), IsEmpty());
    EXPECT_EQ(deployments_->ipam()->held(), 0U);
}

class FailingStep : public EnvironmentLab, public testing::WithParamInterface<const char*> {};

TEST_P(FailingStep, RollsBackWhenAStepFails) {
    const std::string state = fingerprint();
    ::setenv("WEFT_FAILPOINTS", (std::string(GetParam()) + "=error:28").c_str(), 1);
    const auto answer = deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}));
    ::unsetenv("WEFT_FAILPOINTS");
    ASSERT_FALSE(answer) << "the failpoint was not met";
    EXPECT_EQ(answer.error().system_errno(), 28);
    EXPECT_TRUE(same(fingerprint(), state));
    EXPECT_THAT(*journal_->deployments(), IsEmpty());
    EXPECT_EQ(deployments_->ipam()->held(), 0U);
    EXPECT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}))));
}

TEST_P(FailingStep, IsRolledBackAfterACrash) {
    const std::string state = fingerprint();
    const pid_t child = ::fork();
    if (child == 0) {
        ::setenv("WEFT_FAILPOINTS", (std::string(GetParam()) + "=kill").c_str(), 1);
        start();
        (void)deployments_->reconcile();
        (void)deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}));
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the failpoint was not met";
    start();
    const auto report = deployments_->reconcile();
    ASSERT_TRUE(succeeded(report));
    EXPECT_TRUE(same(fingerprint(), state));
    EXPECT_THAT(*journal_->deployments(), IsEmpty());
    EXPECT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}))));
}

INSTANTIATE_TEST_SUITE_P(EachStep, FailingStep,
                         testing::Values("deploy.intent", "deploy.netns", "deploy.address", "deploy.veth",
                                         "deploy.bridged", "deploy.inner_addr", "deploy.inner_route",
                                         "deploy.antispoof", "deploy.done"));

class InterruptedUndeploy : public EnvironmentLab, public testing::WithParamInterface<const char*> {};

TEST_P(InterruptedUndeploy, IsFinishedAfterACrash) {
    const std::string state = fingerprint();
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}))));
    const pid_t child = ::fork();
    if (child == 0) {
        ::setenv("WEFT_FAILPOINTS", (std::string(GetParam()) + "=kill").c_str(), 1);
        (void)deployments_->undeploy("i-one");
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the failpoint was not met";
    start();
    const auto report = deployments_->reconcile();
    ASSERT_TRUE(succeeded(report));
    EXPECT_THAT(report->finished, testing::ElementsAre("i-one"));
    EXPECT_TRUE(same(fingerprint(), state));
    EXPECT_THAT(*journal_->deployments(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(EachStep, InterruptedUndeploy,
                         testing::Values("undeploy.intent", "undeploy.antispoof", "undeploy.veth", "undeploy.done"));

TEST_F(EnvironmentLab, ARestartKeepsWhatRuns) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}))));
    const std::string state = fingerprint();
    start();
    const auto report = deployments_->reconcile();
    ASSERT_TRUE(succeeded(report));
    EXPECT_THAT(report->repairs, IsEmpty());
    EXPECT_THAT(report->lost, IsEmpty());
    EXPECT_TRUE(same(fingerprint(), state));
    const auto two = deployments_->deploy(spec("two"));
    ASSERT_TRUE(succeeded(two));
    EXPECT_EQ(two->address, ip("10.18.0.3"));
    EXPECT_EQ(journal_->start_number(), 2U);
}

TEST_F(EnvironmentLab, MendsWhatOthersRemoved) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}))));
    const std::string state = fingerprint();
    auto netlink = Netlink::open();
    auto nft = Nft::open();

    ASSERT_TRUE(succeeded(nft->run(render_removal(), "be a vandal")));
    ASSERT_TRUE(succeeded(delete_link(*netlink, "weft-br")));
    ASSERT_TRUE(succeeded(write_sysctl("net/ipv4/ip_forward", "0")));
    const auto tun = find_link(*netlink, "weft-tun");
    ASSERT_TRUE(succeeded(remove_address(*netlink, {(*tun)->index, ip("10.19.1.254"), 32})));
    const auto seen = environment_->verify();
    ASSERT_TRUE(succeeded(seen));
    EXPECT_THAT(*seen, testing::Not(IsEmpty()));

    const auto report = deployments_->repair();
    ASSERT_TRUE(succeeded(report));
    EXPECT_THAT(report->repairs, testing::Contains(HasSubstr("weft-br")));
    EXPECT_TRUE(same(fingerprint(), state));
    EXPECT_THAT(*environment_->verify(), IsEmpty());

    ASSERT_TRUE(succeeded(delete_link(*netlink, Environment::veth_name("i-one"))));
    const auto again = deployments_->repair();
    ASSERT_TRUE(succeeded(again));
    EXPECT_THAT(again->lost, IsEmpty());
    EXPECT_TRUE(pings("one", ip("10.18.0.1")));
    EXPECT_TRUE(same(fingerprint(), state));
}

TEST_F(EnvironmentLab, NoticesThatAContainerDied) {
    const std::string idle = fingerprint();
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one"))));
    EXPECT_THAT(deployments_->check_alive(), IsEmpty());
    ASSERT_TRUE(succeeded(remove_netns("one")));
    EXPECT_THAT(deployments_->check_alive(), testing::ElementsAre("i-one"));
    ASSERT_TRUE(succeeded(deployments_->lose("i-one")));
    EXPECT_THAT(deployments_->check_alive(), IsEmpty());
    EXPECT_EQ(deployments_->find("i-one")->state, DeploymentState::Lost);
    EXPECT_TRUE(same(fingerprint(), idle));
    ASSERT_TRUE(succeeded(deployments_->undeploy("i-one")));
    EXPECT_EQ(deployments_->find("i-one"), nullptr);
}

TEST_F(EnvironmentLab, LeavesANamespaceAloneThatTookTheNameOfItsOwn) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one"))));
    ASSERT_TRUE(deployments_->find("i-one")->owns_netns);
    const auto mine = Netns::open_name("one");  // keeps the inode in use
    ASSERT_TRUE(succeeded(remove_netns("one")));
    ASSERT_TRUE(succeeded(create_netns("one")));
    ASSERT_TRUE(succeeded(deployments_->undeploy("i-one")));
    EXPECT_TRUE(succeeded(Netns::open_name("one")));
}

TEST_F(EnvironmentLab, GivesUpARowThatContradictsTheRegistration) {
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one"))));
    auto stranger = *deployments_->find("i-one");
    stranger.id = "i-two";
    stranger.address = ip("10.18.0.200");
    ASSERT_TRUE(succeeded(journal_->put_deployment(stranger)));
    start();
    const auto report = deployments_->reconcile();
    ASSERT_TRUE(succeeded(report));
    EXPECT_THAT(report->lost, testing::ElementsAre("i-two"));
    EXPECT_TRUE(pings("one", ip("10.18.0.1")));
    EXPECT_THAT(*environment_->verify(), IsEmpty());
}

TEST_F(EnvironmentLab, LeavesOtherPeoplesRulesAndRoutesAlone) {
    auto nft = Nft::open();
    ASSERT_TRUE(succeeded(nft->run(R"({"nftables":[{"add":{"table":{"family":"inet","name":"theirs"}}}]})", "")));
    const std::string state = fingerprint();
    ASSERT_TRUE(succeeded(deployments_->deploy(spec("one", {{8080, 80, L4::Tcp}}))));
    ASSERT_TRUE(succeeded(environment_->apply_rules()));
    ASSERT_TRUE(succeeded(deployments_->undeploy("i-one")));
    EXPECT_TRUE(same(fingerprint(), state));
    ASSERT_TRUE(succeeded(deployments_->teardown()));
    EXPECT_THAT(fingerprint(), HasSubstr("table inet theirs"));
    EXPECT_THAT(fingerprint(), testing::Not(HasSubstr("weft")));
}

TEST_F(EnvironmentLab, FollowsAProcessAndItsEnd) {
    Sleeper sleeper;
    auto wanted = spec("process");
    wanted.container = {ContainerRef::Kind::Pid, "", sleeper.pid()};
    ASSERT_TRUE(succeeded(deployments_->deploy(wanted)));
    EXPECT_THAT(deployments_->check_alive(), IsEmpty());
    start();
    ASSERT_TRUE(succeeded(deployments_->reconcile()));
    EXPECT_THAT(deployments_->check_alive(), IsEmpty());
    sleeper.end();
    EXPECT_THAT(deployments_->check_alive(), testing::ElementsAre("i-process"));
    start();
    const auto report = deployments_->reconcile();
    ASSERT_TRUE(succeeded(report));
    EXPECT_THAT(report->lost, testing::ElementsAre("i-process"));
}

TEST_F(EnvironmentLab, KnowsTheHostsOwnNetwork) {
    EXPECT_EQ(*environment_->default_address(), ip("192.168.77.11"));
    EXPECT_EQ(*environment_->underlay_mtu(ip("192.168.77.11")), 1400U);
    EXPECT_EQ(environment_->underlay_mtu(ip("192.168.77.12")).error().code(), ErrorCode::NotFound);
    EXPECT_THAT(**environment_->conflicts(cidr("192.168.0.0/16")), HasSubstr("192.168.77.11/24 of eth9"));
    EXPECT_THAT(**environment_->conflicts(cidr("172.20.1.0/26")), HasSubstr("route 172.20.0.0/16 over eth9"));
    EXPECT_FALSE(environment_->conflicts(cidr("10.18.0.64/26"))->has_value());
}

TEST_F(EnvironmentLab, TakesNoBridgeThatIsNotItsOwn) {
    ASSERT_TRUE(succeeded(environment_->remove_bridge()));
    add_device("weft-br");
    const auto answer = environment_->prepare_bridge(cidr("10.18.0.0/26"), std::nullopt);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), ErrorCode::Conflict);
}

TEST_F(EnvironmentLab, DeploysFast) {
    std::vector<double> deploy_ms, undeploy_ms;
    const auto timed = [](auto&& work) {
        const auto start = std::chrono::steady_clock::now();
        work();
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    };
    for (int i = 0; i < 50; ++i) {
        deploy_ms.push_back(
            timed([&] { ASSERT_TRUE(succeeded(deployments_->deploy(spec("n" + std::to_string(i))))); }));
    }
    for (int i = 0; i < 50; ++i)
        undeploy_ms.push_back(
            timed([&] { ASSERT_TRUE(succeeded(deployments_->undeploy("i-n" + std::to_string(i)))); }));
    std::ranges::sort(deploy_ms);
    std::ranges::sort(undeploy_ms);
    std::cout << "deploy p50 " << deploy_ms[25] << " ms, p90 " << deploy_ms[45] << " ms; undeploy p50 "
              << undeploy_ms[25] << " ms, p90 " << undeploy_ms[45] << " ms\n";
    EXPECT_LT(deploy_ms[25], 100);
}

}  // namespace
}  // namespace weft::control

int main(int argc, char** argv) {
    testing::InitGoogleMock(&argc, argv);
    if (::geteuid() != 0) {
        std::cout << "skipped: needs root for network namespaces\n";
        return 77;
    }
    // Before any thread: from here on nothing reaches the machine's own network or /run.
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 || ::mount("", "/", "none", MS_PRIVATE | MS_REC, nullptr) != 0 ||
        ::mount("tmpfs", "/run", "tmpfs", 0, nullptr) != 0) {
        std::cout << "skipped: namespaces are not allowed here\n";
        return 77;
    }
    return RUN_ALL_TESTS();
}
