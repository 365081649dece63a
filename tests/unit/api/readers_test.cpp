// SPDX-License-Identifier: Apache-2.0
#include "control/readers.hpp"

#include <functional>

#include <gtest/gtest.h>

namespace weft::control {
namespace {

constexpr const char* kSeedDeploy =
    R"({"containerId":"netns:cli","appName":"shop.default.cli.default","instanceNumber":0,"nodeIp":"192.168.77.11","nodePort":50103,
        "serviceIp":[{"IpType":"RR","Address":"10.30.0.10"},{"IpType":"InstanceNumber","Address":"10.30.0.2"}]})";
constexpr const char* kCurrentDeploy =
    R"({"pid":4711,"serviceName":"X.default.X1.default","instanceNumber":2,"portMappings":"8080:80/tcp;53/udp"})";

TEST(PortMappings, ReadTheirForm) {
    const auto mappings = parse_port_mappings("8080:80/tcp;53/udp;443;9000:1");
    ASSERT_TRUE(mappings) << mappings.error();
    EXPECT_EQ(*mappings, (std::vector<PortMapping>{
                             {8080, 80, L4::Tcp}, {53, 53, L4::Udp}, {443, 443, L4::Tcp}, {9000, 1, L4::Tcp}}));
    EXPECT_EQ(to_string(*mappings), "8080:80/tcp;53:53/udp;443:443/tcp;9000:1/tcp");
    EXPECT_EQ(parse_port_mappings(to_string(*mappings)), mappings);
    EXPECT_TRUE(parse_port_mappings("")->empty());
    EXPECT_EQ(parse_port_mappings("53/tcp;53/udp")->size(), 2U);
}

TEST(PortMappings, RefuseEverythingElse) {
    for (const char* text : {" ",
                             "hello",
                             "80:80-80",
                             "80;",
                             ";80",
                             ";",
                             "80;;81",
                             "0",
                             "0:80",
                             "80:0",
                             "65536",
                             "80:65536",
                             "-1",
                             "+80",
                             "80 ",
                             " 80",
                             "80:",
                             ":80",
                             "80:80:80",
                             "80/",
                             "80/sctp",
                             "80/TCP",
                             "80/tcp/udp",
                             "080",
                             "8e1",
                             "80.0",
                             "0x50",
                             "80:80,81:81",
                             "80;80:81",
                             "80/tcp;80",
                             "99999999999999999999",
                             "80\n",
                             "80:80/tcp "}) {
        EXPECT_FALSE(parse_port_mappings(text)) << text;
    }
}

TEST(ServiceName, HasFourParts) {
    for (const char* name : {"a.b.c.d", "shop.default.api.default", "A1_x-.0.b.c", "X.default.X1.default"})
        EXPECT_TRUE(is_service_name(name)) << name;
    EXPECT_TRUE(is_service_name(std::string(63, 'a') + ".b.c.d"));
    for (const char* name :
         {"", ".", "...", "a.b.c", "a.b.c.d.e", "a..c.d", ".b.c.d", "a.b.c.", "-a.b.c.d", "_a.b.c.d", "a.b.c.d\n",
          "a.b.c.d ", "a.b.c.\xc3\xa9", "a/b.b.c.d", "../../etc", "%2e%2e%2f", ";reboot", "$(id)", "a.b.c.d;x"}) {
        EXPECT_FALSE(is_service_name(name)) << name;
    }
    EXPECT_FALSE(is_service_name(std::string(64, 'a') + ".b.c.d"));
    EXPECT_FALSE(is_service_name(std::string("a.b.c.d\0", 8)));
}

TEST(ReadDeploy, TakesTheSeedErasForm) {
    const auto request = read_deploy(kSeedDeploy);
    ASSERT_TRUE(request) << request.error().detail;
    EXPECT_EQ(request->container, (ContainerRef{ContainerRef::Kind::Netns, "cli", 0}));
    EXPECT_EQ(request->service, "shop.default.cli.default");
    EXPECT_EQ(request->number, 0U);
    EXPECT_EQ(request->advertised->to_string(), "192.168.77.11:50103");
    ASSERT_EQ(request->service_ips.size(), 2U);
    EXPECT_EQ(request->service_ips[0].policy, overlay::Policy::RoundRobin);
    EXPECT_EQ(request->service_ips[0].field, "serviceIp[0]");
    EXPECT_EQ(request->service_ips[1].policy, overlay::Policy::InstanceNumber);
    EXPECT_EQ(request->service_ips[1].address.to_string(), "10.30.0.2");
    EXPECT_TRUE(request->number_may_move);
}

TEST(ReadDeploy, TakesTheCurrentForm) {
    const auto request = read_deploy(kCurrentDeploy, DeployForm::Container);
    ASSERT_TRUE(request) << request.error().detail;
    EXPECT_EQ(request->container.to_string(), "pid:4711");
    EXPECT_EQ(request->service, "X.default.X1.default");
    EXPECT_EQ(request->number, 2U);
    EXPECT_EQ(to_string(request->port_mappings), "8080:80/tcp;53:53/udp");
    EXPECT_FALSE(request->advertised);
    EXPECT_FALSE(request->number_may_move);
}

TEST(ReadDeploy, TakesTheUnionOfBothOnEither) {
    for (const auto form : {DeployForm::Docker, DeployForm::Container}) {
        const auto request = read_deploy(
            R"({"CONTAINERID":"web-1","runtime":"netns","ServiceName":"a.b.c.d","appname":"a.b.c.d","INSTANCENUMBER":7,"portmappings":"80","extra":{"x":[]},
                "serviceIP":[{"iptype":"instance_ip","address":"10.30.0.2","ADDRESS_V6":"fdff::1"},{"IpType":"rr","Address_v6":"fdff:2000::1","Address":""}]})",
            form);
        ASSERT_TRUE(request) << request.error().detail;
        EXPECT_EQ(request->container.to_string(), "netns:web-1");
        EXPECT_EQ(request->service_ips[0].policy, overlay::Policy::InstanceNumber);
        EXPECT_EQ(request->service_ips[0].address_v6.to_string(), "fdff::1");
        EXPECT_TRUE(request->service_ips[1].address.is_unspecified());
        EXPECT_EQ(request->port_mappings.size(), 1U);
    }
}

TEST(ReadDeploy, NamesContainersInThreeWays) {
    const auto container = [](const std::string& fields) {
        const auto request = read_deploy("{" + fields + R"(,"appName":"a.b.c.d","instanceNumber":0})");
        return request ? request->container.to_string() : "refused " + request.error().field;
    };
    EXPECT_EQ(container(R"("containerId":"3f2a")"), "docker:3f2a");
    EXPECT_EQ(container(R"("containerId":"docker:3f2a")"), "docker:3f2a");
    EXPECT_EQ(container(R"("containerId":"3f2a","runtime":"docker")"), "docker:3f2a");
    EXPECT_EQ(container(R"("containerId":"netns:a.b-c_d")"), "netns:a.b-c_d");
    EXPECT_EQ(container(R"("containerId":"a","runtime":"netns")"), "netns:a");
    EXPECT_EQ(container(R"("containerId":"netns:a","runtime":"netns")"), "netns:a");
    EXPECT_EQ(container(R"("containerId":"pid:12")"), "pid:12");
    EXPECT_EQ(container(R"("containerId":"12","runtime":"pid")"), "pid:12");
    EXPECT_EQ(container(R"("pid":12)"), "pid:12");
    EXPECT_EQ(container(R"("containerId":"x","pid":12)"), "refused pid");
    EXPECT_EQ(container(R"("containerId":"docker:x","runtime":"netns")"), "refused containerId");
    EXPECT_EQ(container(R"("containerId":"x","runtime":"podman")"), "refused runtime");
    for (const char* id : {"",         "../../etc",  "/",         ".",      "..",     "%2e%2e%2f", ";reboot",
                           "$(id)",    "a\\nb",      "-a",        "a?b",    "a#b",    "a%00",      "a\\r\\nX: y",
                           "netns:",   "netns:../x", "netns:a:b", "pid:0",  "pid:-1", "pid:x",     "pid:4194305",
                           "podman:x", "a b",        "\\u202ea",  "docker:"}) {
        EXPECT_EQ(container(std::string(R"("containerId":")") + id + "\""), "refused containerId") << id;
    }
    EXPECT_EQ(container(R"("containerId":")" + std::string(129, 'a') + "\""), "refused containerId");
    EXPECT_EQ(container(R"("containerId":")" + std::string(128, 'a') + "\""), "docker:" + std::string(128, 'a'));
}

// One field of a deploy replaced by something wrong: always 400 with that field.
struct Wrong {
    const char* field;               // as the error names it
    std::vector<std::string> texts;  // the value, as JSON; or "-" for leaving it out
};

class WrongField : public testing::TestWithParam<Wrong> {};

TEST_P(WrongField, IsNamed) {
    const std::vector<std::pair<std::string, std::string>> good = {
        {"containerId", R"("netns:cli")"},
        {"appName", R"("a.b.c.d")"},
        {"instanceNumber", "0"},
        {"nodeIp", R"("192.168.77.11")"},
        {"nodePort", "50103"},
        {"portMappings", R"("8080:80")"},
        {"serviceIp", R"([{"IpType":"RR","Address":"10.30.0.10"}])"}};
    const std::string top = std::string(GetParam().field).substr(0, std::string_view(GetParam().field).find('['));
    for (const auto& wrong : GetParam().texts) {
        std::string body;
        for (const auto& [name, value] : good) {
            const bool is_it = name == top;
            if (is_it && wrong == "-") continue;
            body += (body.empty() ? "{\"" : ",\"") + name + "\":" + (is_it ? wrong : value);
        }
        const auto request = read_deploy(body + "}");
        ASSERT_FALSE(request) << body;
        EXPECT_EQ(request.error().status, 400U);
        EXPECT_EQ(request.error().error, "bad_field") << body;
        EXPECT_EQ(request.error().field, GetParam().field) << body << " " << request.error().detail;
        EXPECT_FALSE(request.error().detail.empty());
    }
}

const std::vector<std::string> kNotText = {"1", "true", "[]", "{}", "1.5"};
std::vector<std::string> with(std::vector<std::string> more) {
    more.insert(more.end(), kNotText.begin(), kNotText.end());
    return more;
}

INSTANTIATE_TEST_SUITE_P(
    Table, WrongField,
    testing::Values(
        Wrong{"containerId", with({"-", "null", R"("")", R"("a\u0001")", R"("a\u0000")", R"("\u202e")"})},
        Wrong{"appName", with({"-", "null", R"("")", R"("a.b.c")", R"("a.b.c.d.e")", R"("a.b.c.d\n")",
                               "\"" + std::string(70, 'a') + ".b.c.d\"", R"("a.b.c.\u202e")"})},
        Wrong{"instanceNumber",
              {"-", "null", "-1", "3.0", "1e2", "2147483648", "9223372036854775808", "\"0\"", "true", "[]", "{}"}},
        Wrong{"nodeIp", with({R"("")", R"("host")", R"("1.2.3")", R"("0.0.0.0")", R"("1.2.3.4:5")", "-"})},
        Wrong{"nodePort",
              {"0", "-1", "65536", "3.9", "3.0", "1e300", "9223372036854775808", "18446744073709551616", "\"80\"",
               "true"}},
        Wrong{"portMappings", with({R"(" ")", R"("hello")", R"("80:80-80")", R"("80;")", R"("0")"})},
        Wrong{"serviceIp", {"1", "\"x\"", "{}", "true"}}, Wrong{"serviceIp[0]", {"[1]", "[\"x\"]", "[[]]", "[null]"}},
        Wrong{"serviceIp[0].IpType",
              {R"([{}])", R"([{"Address":"10.30.0.1"}])", R"([{"IpType":"LRU","Address":"10.30.0.1"}])",
               R"([{"IpType":1}])", R"([{"IpType":""}])"}},
        Wrong{"serviceIp[0].Address",
              {R"([{"IpType":"RR"}])", R"([{"IpType":"RR","Address":"x"}])", R"([{"IpType":"RR","Address":"fdff::1"}])",
               R"([{"IpType":"RR","Address":1}])", R"([{"IpType":"RR","Address":"10.30.0.1/32"}])",
               R"([{"IpType":"RR","Address":"0.0.0.0"}])", R"([{"IpType":"RR","Address":"010.30.0.1"}])"}},
        Wrong{"serviceIp[0].Address_v6",
              {R"([{"IpType":"RR","Address_v6":"10.30.0.1"}])",
               R"([{"IpType":"RR","Address":"10.30.0.1","Address_v6":"fe80::1%eth0"}])"}},
        Wrong{"serviceIp[1].Address",
              {R"([{"IpType":"RR","Address":"10.30.0.1"},{"IpType":"Closest","Address":"10.30.0.1"}])"}}));

TEST(ReadDeploy, TakesAtMost64ServiceIps) {
    const auto with_ips = [](int count) {
        std::string list;
        for (int i = 0; i < count; ++i)
            list += (i ? "," : "") + std::string(R"({"IpType":"RR","Address":"10.30.0.)") + std::to_string(i) + "\"}";
        return read_deploy(R"({"containerId":"a","appName":"a.b.c.d","instanceNumber":0,"serviceIp":[)" + list + "]}");
    };
    EXPECT_TRUE(with_ips(64));
    ASSERT_FALSE(with_ips(65));
    EXPECT_EQ(with_ips(65).error().field, "serviceIp");
}

TEST(ReadDeploy, NamesWhatEachFormCannotDoWithout) {
    EXPECT_EQ(read_deploy(R"({"serviceName":"a.b.c.d","instanceNumber":0})", DeployForm::Container).error().field,
              "pid");
    EXPECT_EQ(read_deploy(R"({"appName":"a.b.c.d","instanceNumber":0})", DeployForm::Docker).error().field,
              "containerId");
    EXPECT_EQ(read_deploy(R"({"pid":1,"instanceNumber":0})", DeployForm::Container).error().field, "serviceName");
    for (const char* pid : {"0", "-1", "4194305", "\"1\"", "1.0", "true"}) {
        const auto request = read_deploy(
            std::string(R"({"serviceName":"a.b.c.d","instanceNumber":0,"pid":)") + pid + "}", DeployForm::Container);
        ASSERT_FALSE(request) << pid;
        EXPECT_EQ(request.error().field, "pid") << pid;
    }
}

TEST(ReadDeploy, RefusesEveryPrefix) {
    const std::string text = kSeedDeploy;
    for (std::size_t length = 0; length < text.size(); ++length)
        EXPECT_FALSE(read_deploy(text.substr(0, length))) << length;
}

TEST(ReadRegister, TakesBothErasForms) {
    const auto seed = read_register(R"({"subnetwork":"10.18.0.0"})");
    ASSERT_TRUE(seed);
    EXPECT_EQ(seed->subnetwork->to_string(), "10.18.0.0/26");
    const auto current = read_register(R"({"client_id":"65f000000000000000000002","cluster_address":"cluster.local"})");
    ASSERT_TRUE(current);
    EXPECT_FALSE(current->subnetwork);
    EXPECT_EQ(current->client_id, "65f000000000000000000002");
    EXPECT_EQ(current->cluster_address, "cluster.local");
    EXPECT_EQ(
        read_register(R"({"SubNetwork":"172.18.0.0/24","subnetwork_v6":"fc00::100"})")->subnetwork_v6->to_string(),
        "fc00::100/120");
    EXPECT_EQ(read_register(R"({"subnetwork":"10.18.0.16"})", {28, 124, 1})->subnetwork->to_string(), "10.18.0.16/28");
    EXPECT_TRUE(read_register(R"({"subnetwork":"10.18.0.0","client_id":"","cluster_address":""})"));
}

TEST(ReadRegister, NamesTheFieldAtFault) {
    for (const char* value : {R"("")", "1", "[]", "true", R"("10.18.0.1/26")", R"("10.18.0.0/0")", R"("10.18.0.0/31")",
                              R"("10.18.0.0/32")", R"("fc00::")", R"("127.0.0.0")", R"("224.0.0.0")", R"("8.8.8.0/24")",
                              R"("10.18.0.0/26/26")", R"("10.18.0.0 ")"}) {
        const auto request = read_register(std::string(R"({"subnetwork":)") + value + "}");
        ASSERT_FALSE(request) << value;
        EXPECT_EQ(request.error().field, "subnetwork");
    }
    EXPECT_EQ(read_register(R"({"subnetwork_v6":"10.0.0.0"})").error().field, "subnetwork_v6");
    EXPECT_EQ(read_register(R"({"client_id":"a/b"})").error().field, "client_id");
    EXPECT_EQ(read_register(R"({"client_id":1})").error().field, "client_id");
    EXPECT_EQ(read_register(R"({"cluster_address":"a;b"})").error().field, "cluster_address");
}

TEST(ReadUndeploy, TakesServiceNamesAndContainers) {
    EXPECT_EQ(read_undeploy(R"({"serviceName":"a.b.c.d"})")->number, std::nullopt);
    EXPECT_EQ(read_undeploy(R"({"serviceName":"a.b.c.d","instanceNumber":3})")->number, 3U);
    EXPECT_EQ(read_undeploy(R"({"serviceName":"a.b.c.d"})", DeployForm::Container)->number, 0U);
    EXPECT_EQ(read_undeploy(R"({"servicename":"a.b.c.d","instanceNumber":1,"pid":-1,"portMappings":""})",
                            DeployForm::Container)
                  ->number,
              1U);
    EXPECT_EQ(read_undeploy(R"({"serviceName":"netns:api0"})")->name, "netns:api0");
    EXPECT_EQ(read_undeploy(R"({"serviceName":"3f2a9c"})")->name, "3f2a9c");
    for (const char* body : {"{}", R"({"serviceName":""})", R"({"serviceName":"../x"})", R"({"serviceName":1})",
                             R"({"serviceName":"a b"})"}) {
        const auto request = read_undeploy(body);
        ASSERT_FALSE(request) << body;
        EXPECT_EQ(request.error().field, "serviceName") << body;
    }
    EXPECT_EQ(read_undeploy(R"({"serviceName":"a.b.c.d","instanceNumber":-1})").error().field, "instanceNumber");
}

constexpr const char* kPush =
    R"({"labels":{"tier":"backend"},"service_ips":[{"type":"RR","address":"10.30.0.10","address_v6":"fdff:2000::10"},{"type":"Closest","address":"10.30.0.110"}],
        "instances":[{"number":0,"host_address":"192.168.77.12","host_port":50103,"ns_address":"10.18.0.66","ns_address_v6":"fc00::102",
                      "instance_ip":"10.30.0.11","instance_ip_v6":"fdff::11"}]})";

TEST(ReadServicePush, TakesTheDocumentedForm) {
    const auto push = read_service_push("a.b.c.d", kPush);
    ASSERT_TRUE(push) << push.error().detail;
    EXPECT_EQ(push->name, "a.b.c.d");
    EXPECT_EQ(push->labels.at("tier"), "backend");
    ASSERT_EQ(push->service_ips.size(), 2U);
    EXPECT_EQ(push->service_ips[1].field, "service_ips[1]");
    ASSERT_EQ(push->instances.size(), 1U);
    EXPECT_EQ(push->instances[0].host.to_string(), "192.168.77.12:50103");
    EXPECT_EQ(push->instances[0].instance_ip_v6.to_string(), "fdff::11");
}

TEST(ReadServicePush, FillsInTheTunnelPortAndIgnoresWhatAnswersCarry) {
    const auto push = read_service_push(
        "a.b.c.d",
        R"({"name":"a.b.c.d","instances":[{"number":1,"host_address":"192.0.2.1","ns_address":"10.18.0.2","source":"local","usable":false,"why":"x"}]})");
    ASSERT_TRUE(push) << push.error().detail;
    EXPECT_EQ(push->instances[0].host.l4_port, 50103);
}

struct WrongPush {
    const char* body;
    const char* field;
};
class WrongServicePush : public testing::TestWithParam<WrongPush> {};
TEST_P(WrongServicePush, IsNamed) {
    const auto push = read_service_push("a.b.c.d", GetParam().body);
    ASSERT_FALSE(push);
    EXPECT_EQ(push.error().field, GetParam().field) << push.error().detail;
}
INSTANTIATE_TEST_SUITE_P(
    Table, WrongServicePush,
    testing::Values(
        WrongPush{R"({"instance":[]})", "instance"}, WrongPush{R"({"Labels":{}})", "Labels"},
        WrongPush{R"({"labels":{"a":1}})", "labels.a"}, WrongPush{R"({"labels":{"a b":"x"}})", "labels.a b"},
        WrongPush{R"({"labels":{"a":"\u202e"}})", "labels.a"}, WrongPush{R"({"labels":[]})", "labels"},
        WrongPush{R"({"service_ips":[{"type":"RR","address":""}]})", "service_ips[0].address"},
        WrongPush{R"({"service_ips":[{"typ":"RR","address":"10.30.0.1"}]})", "service_ips[0].typ"},
        WrongPush{R"({"instances":[{"host_address":"192.0.2.1","ns_address":"10.18.0.2"}]})", "instances[0].number"},
        WrongPush{R"({"instances":[{"number":0,"ns_address":"10.18.0.2"}]})", "instances[0].host_address"},
        WrongPush{R"({"instances":[{"number":0,"host_address":"192.0.2.1"}]})", "instances[0].ns_address"},
        WrongPush{R"({"instances":[{"number":0,"host_address":"192.0.2.1","host_port":0,"ns_address":"10.18.0.2"}]})",
                  "instances[0].host_port"},
        WrongPush{
            R"({"instances":[{"number":0,"host_address":"192.0.2.1","ns_address":"10.18.0.2"},{"number":0,"host_address":"192.0.2.1","ns_address":"10.18.0.3"}]})",
            "instances[1].number"},
        WrongPush{R"({"instances":[{"number":0,"host_address":"192.0.2.1","ns_address":"10.18.0.2","hostport":1}]})",
                  "instances[0].hostport"}));

TEST(ReadPeer, TakesAddressSubnetsAndSecurity) {
    const auto push = read_peer_push(
        "b",
        R"({"address":"192.168.77.12","subnets":["10.18.0.64/26","fc00::100/120"],"security":"bare","state":"up","rtt_ms":0.3})");
    ASSERT_TRUE(push) << push.error().detail;
    EXPECT_EQ(push->endpoint.to_string(), "192.168.77.12:50103");
    EXPECT_EQ(push->subnets.size(), 2U);
    EXPECT_EQ(push->security, overlay::Security::Bare);
    EXPECT_EQ(read_peer_push("b", R"({"address":"192.0.2.1","security":"auto"})")->security, std::nullopt);
    EXPECT_EQ(read_peer_push("b", "{}").error().field, "address");
    EXPECT_EQ(read_peer_push("b", R"({"address":"192.0.2.1","subnets":["10.18.0.1/26"]})").error().field, "subnets[0]");
    EXPECT_EQ(read_peer_push("b", R"({"address":"192.0.2.1","subnets":[1]})").error().field, "subnets[0]");
    EXPECT_EQ(read_peer_push("b", R"({"address":"192.0.2.1","security":"none"})").error().field, "security");
    EXPECT_EQ(read_peer_push("b", R"({"address":"192.0.2.1","endpoint":1})").error().field, "endpoint");
}

TEST(ReadInstance, TakesOwnKeysOnly) {
    const auto request = read_instance(
        R"({"container":"netns:api0","service":"a.b.c.d","number":1,"service_ips":[{"type":"RR","address":"10.30.0.1"}],"port_mappings":"80"})");
    ASSERT_TRUE(request) << request.error().detail;
    EXPECT_EQ(request->container.to_string(), "netns:api0");
    EXPECT_FALSE(request->number_may_move);
    EXPECT_EQ(read_instance(R"({"containerId":"x","service":"a.b.c.d"})").error().field, "containerId");
    EXPECT_EQ(read_instance(R"({"service":"a.b.c.d"})").error().field, "container");
    EXPECT_EQ(read_instance(R"({"container":"x","service":"a.b.c.d","host_port":1})").error().field, "host_address");
}

TEST(ReadPortForward, TakesTheDocumentedForm) {
    const auto request = read_port_forward(R"({"host_port":8080,"protocol":"udp","instance":"i7f3a9c","port":80})");
    ASSERT_TRUE(request) << request.error().detail;
    EXPECT_EQ(request->protocol, L4::Udp);
    for (const auto& [body, field] :
         {std::pair(R"({"instance":"i1","port":80})", "host_port"),
          std::pair(R"({"instance":"i1","host_port":80})", "port"),
          std::pair(R"({"host_port":80,"port":80})", "instance"),
          std::pair(R"({"instance":"i1","host_port":80,"port":80,"protocol":"sctp"})", "protocol")}) {
        EXPECT_EQ(read_port_forward(body).error().field, field);
    }
}

TEST(ReadTrace, TakesThePacketApart) {
    const auto request = read_trace(
        R"({"source":"netns:cli","destination":"10.30.0.10","protocol":"tcp","source_port":40000,"destination_port":80})");
    ASSERT_TRUE(request) << request.error().detail;
    EXPECT_EQ(request->protocol, 6);
    EXPECT_EQ(read_trace(R"({"source":"10.18.0.2","destination":"fdff::1","protocol":"icmp"})")->protocol, 58);
    EXPECT_EQ(read_trace(R"({"source":"i1","destination":"10.30.0.1","protocol":"icmp"})")->protocol, 1);
    EXPECT_EQ(read_trace(R"({"source":"i1","destination":"10.30.0.1"})").error().field, "destination_port");
    EXPECT_EQ(read_trace(R"({"destination":"10.30.0.1","destination_port":1})").error().field, "source");
    EXPECT_EQ(read_trace(R"({"source":"i1","destination_port":1})").error().field, "destination");
    EXPECT_EQ(read_trace(R"({"source":"i1","destination":"x","destination_port":1})").error().field, "destination");
    EXPECT_EQ(read_trace(R"({"source":"i1","destination":"10.30.0.1","protocol":"gre"})").error().field, "protocol");
}

TEST(ReadFlowQuery, TakesKnownParametersOnce) {
    const auto query = read_flow_query("service=a.b.c.d&peer=b&source=10.18.0.2&limit=5");
    ASSERT_TRUE(query);
    EXPECT_EQ(query->service, "a.b.c.d");
    EXPECT_EQ(query->limit, 5U);
    EXPECT_EQ(read_flow_query("")->limit, 100U);
    EXPECT_EQ(read_flow_query("service=a%2Eb")->service, "a.b");
    for (const char* wrong : {"limit=0", "limit=10001", "limit=x", "limit=", "limit=-1", "limit=1&limit=2", "color=red",
                              "service=%zz", "service=%2"}) {
        EXPECT_FALSE(read_flow_query(wrong)) << wrong;
    }
}

}  // namespace
}  // namespace weft::control
