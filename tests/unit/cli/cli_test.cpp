// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <iterator>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/cli/session.hpp"
#include "control/cli/verbs.hpp"
#include "tests/unit/cli/fake_node.hpp"

// The program as a person meets it: arguments in, text and exit code out.
namespace weft::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Printed {
    int code;
    std::string out, err;
};

Printed weft(std::vector<std::string> arguments) {
    std::vector<const char*> argv{"weft"};
    for (const auto& argument : arguments)
        argv.push_back(argument.c_str());
    std::ostringstream out, err;
    const int code = run(static_cast<int>(argv.size()), argv.data(), out, err);
    return {code, out.str(), err.str()};
}

class Cli : public testing::Test {
  protected:
    Printed ask(std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), {"--server", node.address()});
        return weft(std::move(arguments));
    }

    void healthy() {
        node.answers["GET /v1/status"].body =
            R"({"status":"ok","version":"0.1.0","uptime_s":42,"parts":[{"name":"tun","status":"ok","detail":"all offloads"}]})";
        node.answers["GET /v1/node"].body =
            R"({"id":"a","registered":true,"subnetwork":"10.18.0.0/26","subnetwork_v6":"fc00::/120","bridge":{"name":"weft-br"},)"
            R"("tunnel":{"address":"192.168.77.11","port":50103,"mtu":1440},"registry":"push"})";
        node.answers["GET /v1/services"].body =
            R"({"items":[{"name":"s.d.api.d","service_ips":[{"type":"RR","address":"10.30.0.10","address_v6":"fdff::1"}],)"
            R"("instances":[{"number":0,"source":"local","usable":true},{"number":1,"source":"push","usable":false}]}]})";
        node.answers["GET /v1/instances"].body =
            R"({"items":[{"id":"i7f3a9c","service":"s.d.api.d","number":0,"state":"running"}]})";
        node.answers["GET /v1/peers"].body =
            R"({"items":[{"id":"b","address":"192.168.77.12","state":"up","subnets":["10.18.0.64/26","fc00::100/120"]}]})";
        node.answers["GET /v1/counters"].body =
            R"({"rx":8,"tx":5,"waiting":0,"drops":{"total":3,"by_reason":{"unknown_service":1,"peer_source":2}},)"
            R"("workers":[{"id":0,"ports":{"tun":{"rx":5,"tx":3},"tunnel":{"rx":3,"tx":2}}}]})";
    }

    FakeNode node;
};

TEST_F(Cli, StatusIsZeroWhenAllIsWell) {
    healthy();
    const Printed printed = ask({"status"});
    EXPECT_EQ(printed.code, 0) << printed.out << printed.err;
    EXPECT_THAT(printed.out,
                AllOf(HasSubstr("node a"), HasSubstr("10.18.0.0/26"), HasSubstr("all offloads"),
                      HasSubstr("1 of 2 instances usable"), HasSubstr("dropped 3"), Not(HasSubstr("\033"))));
}

TEST_F(Cli, StatusIsThreeAndSaysWhatToDoWhenAPartIsDegraded) {
    healthy();
    node.answers["GET /v1/status"].body =
        R"({"status":"degraded","version":"0.1.0","uptime_s":42,"parts":[{"name":"docker","status":"degraded","detail":"no answer"}]})";
    const Printed printed = ask({"status"});
    EXPECT_EQ(printed.code, 3);
    EXPECT_THAT(printed.out, AllOf(HasSubstr("WARN"), HasSubstr("no answer"), HasSubstr("is dockerd running?")));
}

TEST_F(Cli, StatusNamesEachPartOnce) {
    healthy();
    node.answers["GET /v1/status"].body =
        R"({"status":"ok","version":"0.1.0","uptime_s":42,"parts":[{"name":"peers","status":"ok","detail":"from the node"}]})";
    const std::string out = ask({"status"}).out;
    EXPECT_EQ(out.find("\n  peers"), out.rfind("\n  peers")) << out;
}

TEST_F(Cli, StatusOfAnUnregisteredNodeSaysHowToRegister) {
    healthy();
    node.answers["GET /v1/node"].body = R"({"id":"a","registered":false})";
    const Printed printed = ask({"status"});
    EXPECT_EQ(printed.code, 3);
    EXPECT_THAT(printed.out, HasSubstr("weft register"));
}

TEST_F(Cli, ListsAreTablesOrTheJsonAsItCame) {
    healthy();
    EXPECT_THAT(ask({"services"}).out, AllOf(HasSubstr("10.30.0.10 (RR) fdff::1 (RR)"), HasSubstr("local push")));
    EXPECT_THAT(ask({"instances"}).out, HasSubstr("i7f3a9c"));
    EXPECT_THAT(ask({"peers"}).out, HasSubstr("10.18.0.64/26 fc00::100/120"));
    EXPECT_THAT(ask({"peers", "-o", "json"}).out, HasSubstr(R"({"items":[{"id":"b")"));
    node.answers["GET /v1/peers"].body = R"({"items":[]})";
    EXPECT_EQ(ask({"peers"}).out, "no peers\n");
}

TEST_F(Cli, FlowFiltersBecomeTheQuery) {
    node.answers["GET /v1/flows?limit=5&service=a%2Fb"].body = R"({"items":[]})";
    EXPECT_EQ(ask({"flows", "--service", "a/b", "--limit", "5"}).out, "no flows\n");
}

TEST_F(Cli, DropsCarryTheirSentenceAndTheMostFrequentComesFirst) {
    healthy();
    const Printed printed = ask({"drops"});
    EXPECT_THAT(printed.out, HasSubstr("the peer may not speak for this inner source"));
    EXPECT_LT(printed.out.find("peer_source"), printed.out.find("unknown_service"));
    EXPECT_THAT(ask({"counters"}).out, HasSubstr("received 8 = sent 5 + dropped 3 + waiting 0"));
}

TEST_F(Cli, TraceResolvesServiceNamesAndShowsTheSteps) {
    node.answers["GET /v1/services/s.d.api.d"].body =
        R"({"name":"s.d.api.d","service_ips":[{"type":"RR","address":"10.30.0.10"}]})";
    node.answers["POST /v1/trace"].body =
        R"({"verdict":"forward","reason":null,"steps":[{"step":"pick","detail":"instance 0"}],)"
        R"("output":{"port":"tunnel","peer":"b","address":"192.168.77.12:50103","security":"clear"}})";
    const Printed printed = ask({"trace", "netns:cli", "s.d.api.d:80"});
    EXPECT_EQ(printed.code, 0) << printed.err;
    EXPECT_THAT(printed.out, AllOf(HasSubstr("pick        instance 0"),
                                   HasSubstr("forward to tunnel, peer b at 192.168.77.12:50103, clear")));
    EXPECT_EQ(
        node.asked.back(),
        R"(POST /v1/trace {"source":"netns:cli","destination":"10.30.0.10","protocol":"tcp","source_port":40000,"destination_port":80})");
}

TEST_F(Cli, TraceRefusesADestinationWithoutAPort) {
    for (const char* wrong : {"10.30.0.10", "10.30.0.10:", "10.30.0.10:x", "10.30.0.10:65536", ":80", "fdff::1"})
        EXPECT_EQ(ask({"trace", "netns:cli", wrong}).code, 2) << wrong;
}

TEST_F(Cli, DeploySpeaksTheOrchestratorsLanguage) {
    node.answers["POST /docker/deploy"].body =
        R"({"serviceName":"s.d.api.d","nsAddress":"10.18.0.2","nsAddressv6":""})";
    const Printed printed = ask({"deploy", "netns:api0", "s.d.api.d", "--number", "1", "--ip", "RR=10.30.0.10,fdff::1",
                                 "--publish", "8080:80"});
    EXPECT_EQ(printed.code, 0) << printed.err;
    EXPECT_THAT(printed.out, HasSubstr("s.d.api.d instance 1 at 10.18.0.2"));
    EXPECT_EQ(
        node.asked.back(),
        R"(POST /docker/deploy {"containerId":"netns:api0","appName":"s.d.api.d","instanceNumber":1,)"
        R"("serviceIp":[{"IpType":"RR","Address":"10.30.0.10","Address_v6":"fdff::1"}],"portMappings":"8080:80"})");
    EXPECT_EQ(ask({"deploy", "netns:api0", "s.d.api.d", "--ip", "10.30.0.10"}).code, 2);
}

TEST_F(Cli, ARefusalNamesFieldReasonAndNextStep) {
    node.answers["POST /docker/deploy"] = {400, R"({"error":"not_registered","detail":"this node has no subnet yet"})"};
    const Printed printed = ask({"deploy", "netns:api0", "s.d.api.d"});
    EXPECT_EQ(printed.code, 1);
    EXPECT_THAT(printed.err, AllOf(HasSubstr("this node has no subnet yet"), HasSubstr("weft register")));
    node.answers["POST /docker/undeploy"] = {400,
                                             R"({"error":"bad_field","field":"serviceName","detail":"too short"})"};
    EXPECT_THAT(ask({"undeploy", "x"}).err, HasSubstr("serviceName: too short"));
}

TEST(CliUsage, WrongWordsAreTwoWithTheNearestRightOne) {
    EXPECT_EQ(weft({}).code, 2);
    const Printed verb = weft({"statsu"});
    EXPECT_EQ(verb.code, 2);
    EXPECT_THAT(verb.err, HasSubstr("did you mean 'status'?"));
    const Printed option = weft({"flows", "--servcie", "x"});
    EXPECT_EQ(option.code, 2);
    EXPECT_THAT(option.err, HasSubstr("did you mean '--service'?"));
    EXPECT_EQ(weft({"status", "-o", "xml"}).code, 2);
    EXPECT_EQ(weft({"status", "--server", "nowhere"}).code, 2);
    EXPECT_EQ(weft({"flows", "--limit", "0"}).code, 2);
}

TEST(CliUsage, AnAbsentNodeIsOneWithAnAdvice) {
    const Printed printed = weft({"status", "--server", "unix:/nonexistent/s"});
    EXPECT_EQ(printed.code, 1);
    EXPECT_THAT(printed.err, AllOf(HasSubstr("/nonexistent/s"), HasSubstr("--server")));
}

TEST(CliUsage, CompletionNamesEveryVerbInEveryShell) {
    for (const char* shell : {"bash", "zsh", "fish"}) {
        const Printed printed = weft({"completion", shell});
        EXPECT_EQ(printed.code, 0);
        for (const char* verb : {"status", "services", "instances", "flows", "peers", "counters", "drops", "trace",
                                 "register", "deploy", "undeploy", "push"})
            EXPECT_THAT(printed.out, HasSubstr(verb)) << shell;
        EXPECT_THAT(printed.out, HasSubstr("source-port")) << shell;
    }
    EXPECT_EQ(weft({"completion", "tcsh"}).code, 2);
}

// The man page cannot lack a verb or an option: the tree's own list is held against it.
TEST(CliUsage, TheManPageNamesEveryVerbAndOption) {
    std::ifstream file(WEFT_SOURCE_ROOT "/docs/man/weft.1.scd");
    const std::string page(std::istreambuf_iterator<char>(file), {});
    std::istringstream script(weft({"completion", "fish"}).out);
    std::size_t seen = 0;
    for (std::string before, word; script >> word; before = word) {
        if (before == "-l")
            EXPECT_THAT(page, HasSubstr("--" + word + "*"));
        else if (before == "-a")
            EXPECT_THAT(page, HasSubstr("\n*" + word + "*"));
        else
            continue;
        ++seen;
    }
    EXPECT_GT(seen, 20U);
}

TEST(UrlEncoding, LeavesOnlyUnreservedCharactersAlone) {
    EXPECT_EQ(url_encoded("a.B-_~0/ ?%é"), "a.B-_~0%2F%20%3F%25%C3%A9");
}

}  // namespace
}  // namespace weft::cli
