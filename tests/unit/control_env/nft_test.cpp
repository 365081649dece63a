// SPDX-License-Identifier: Apache-2.0
#include "control/nft.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::control {
namespace {

namespace json = boost::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

RuleState some_state() {
    RuleState state{.tun_name = "weft-tun",
                    .bridge_name = "weft-br",
                    .tunnel_port = 50103,
                    .service_ranges = {*net::Prefix::parse("10.30.0.0/16"), *net::Prefix::parse("fdff::/16")},
                    .node_ranges = {*net::Prefix::parse("10.18.0.0/15")},
                    .subnet = net::Prefix::parse("10.18.0.0/26"),
                    .subnet_v6 = net::Prefix::parse("fc00::/120")};
    state.ports.emplace("i-one", GuardedPort{.veth = "wv0000000001",
                                             .mac = {{2, 0x57, 10, 18, 0, 2}},
                                             .address = *net::IpAddress::parse("10.18.0.2"),
                                             .address_v6 = *net::IpAddress::parse("fc00::2"),
                                             .port_mappings = {{8080, 80, L4::Tcp}}});
    return state;
}

// The commands of a batch, one text each: {"add":{"table":...}}.
std::vector<std::string> commands(const std::string& batch) {
    std::vector<std::string> texts;
    const json::value parsed = json::parse(batch);
    for (const json::value& command : parsed.at("nftables").as_array())
        texts.push_back(json::serialize(command));
    return texts;
}

// The elements that a batch adds to, or deletes from, one set.
std::string elements(const std::string& batch, const char* verb, std::string_view set) {
    const json::value parsed = json::parse(batch);
    for (const json::value& command : parsed.at("nftables").as_array()) {
        const auto* done = command.as_object().if_contains(verb);
        const auto* element = done ? done->as_object().if_contains("element") : nullptr;
        if (element && std::string_view(element->at("name").as_string()) == set)
            return json::serialize(element->at("elem"));
    }
    return {};
}

// What the kernel would list after these commands.
std::string listing_after(const std::string& batch) {
    json::array items{{{"metainfo", {{"version", "1.0.6"}}}}};
    int handle = 1;
    const json::value parsed = json::parse(batch);
    for (const json::value& command : parsed.at("nftables").as_array()) {
        const auto* added = command.as_object().if_contains("add");
        if (!added || added->as_object().contains("table")) continue;
        if (const auto* element = added->as_object().if_contains("element")) {
            for (json::value& item : items)
                for (const char* kind : {"set", "map"})
                    if (auto* object = item.as_object().if_contains(kind);
                        object && object->at("name") == element->at("name"))
                        for (const json::value& one : element->at("elem").as_array()) {
                            auto& list = object->as_object()["elem"];
                            if (list.is_null()) list = json::array();
                            list.as_array().insert(list.as_array().begin(), one);
                        }
            continue;
        }
        json::value item = *added;
        for (auto& [kind, object] : item.as_object())
            object.as_object()["handle"] = handle++;
        items.push_back(item);
    }
    return json::serialize(json::object{{"nftables", items}});
}

TEST(NftRules, AreReplacedInOneTransactionAndNeverByAFlush) {
    const auto batch = render_tables(some_state());
    const auto all = commands(batch);
    for (std::size_t i = 0; i < 6; i += 3) {
        EXPECT_THAT(all[i], HasSubstr(R"({"add":{"table")"));
        EXPECT_THAT(all[i + 1], HasSubstr(R"({"delete":{"table")"));
        EXPECT_EQ(all[i + 2], all[i]);
    }
    for (const auto& command : all) {
        EXPECT_THAT(command, Not(HasSubstr("flush")));
        EXPECT_TRUE(command.contains(R"("name":"weft")") || command.contains(R"("table":"weft")")) << command;
    }
}

TEST(NftRules, AcceptByPolicyEverywhere) {
    const auto parsed = json::parse(render_tables(some_state()));
    int base_chains = 0;
    for (const json::value& command : parsed.at("nftables").as_array()) {
        const auto* added = command.as_object().if_contains("add");
        const auto* chain = added ? added->as_object().if_contains("chain") : nullptr;
        if (!chain || !chain->as_object().contains("hook")) continue;
        ++base_chains;
        EXPECT_EQ(chain->at("policy"), "accept");
    }
    EXPECT_EQ(base_chains, 7);
}

TEST(NftRules, BindEachPortToItsMacAndAddresses) {
    const auto batch = render_tables(some_state());
    EXPECT_EQ(elements(batch, "add", "macs"), R"([{"concat":["wv0000000001","02:57:0a:12:00:02"]}])");
    EXPECT_EQ(elements(batch, "add", "who4"), R"([{"concat":["wv0000000001","02:57:0a:12:00:02","10.18.0.2"]}])");
    EXPECT_EQ(elements(batch, "add", "who6"), R"([{"concat":["wv0000000001","02:57:0a:12:00:02","fc00::2"]}])");
    EXPECT_EQ(elements(batch, "add", "claims"), R"([["wv0000000001",{"goto":{"target":"claim-wv0000000001"}}]])");
}

TEST(NftRules, LeadHostPortsToContainersInBothFamilies) {
    RuleState state = some_state();
    state.forwards = {{"f1", "i-one", {53, 5353, L4::Udp}}, {"f2", "i-gone", {54, 54, L4::Udp}}};
    const auto batch = render_tables(state);
    EXPECT_EQ(elements(batch, "add", "forward4"),
              R"([[{"concat":["tcp",8080]},"10.18.0.2"],[{"concat":["udp",53]},"10.18.0.2"]])");
    EXPECT_EQ(elements(batch, "add", "forward6"),
              R"([[{"concat":["tcp",8080]},"fc00::2"],[{"concat":["udp",53]},"fc00::2"]])");
    EXPECT_EQ(elements(batch, "add", "forward_port"), R"([[{"concat":["tcp",8080]},80],[{"concat":["udp",53]},5353]])");
}

TEST(NftRules, TakeAPortOutByWhatPutItIn) {
    const GuardedPort port = some_state().ports.at("i-one");
    const auto added = render_port_added(port);
    const auto removed = render_port_removed(port, port.port_mappings);
    for (const char* set : {"macs", "who4", "who6"})
        EXPECT_EQ(elements(added, "add", set), elements(removed, "delete", set)) << set;
    EXPECT_EQ(elements(removed, "delete", "claims"), R"(["wv0000000001"])");
    EXPECT_EQ(elements(removed, "delete", "forward4"), R"([{"concat":["tcp",8080]}])");
    EXPECT_EQ(elements(removed, "delete", "forward_port"), R"([{"concat":["tcp",8080]}])");
    EXPECT_THAT(commands(removed).back(), HasSubstr(R"({"delete":{"chain")")) << "after the map that leads to it";
}

TEST(NftRules, KnowNoIpv6WhereThereIsNone) {
    RuleState state = some_state();
    state.subnet_v6.reset();
    state.ports.at("i-one").address_v6 = {};
    const auto batch = render_tables(state);
    EXPECT_EQ(elements(batch, "add", "who6"), "");
    EXPECT_EQ(elements(batch, "add", "forward6"), "");
    EXPECT_THAT(commands(batch), Not(Contains(HasSubstr("claim-"))));
}

TEST(NftRules, StandWithoutARegistration) {
    RuleState state = some_state();
    state.subnet.reset();
    state.subnet_v6.reset();
    state.ports.clear();
    EXPECT_THAT(commands(render_tables(state)), Not(Contains(HasSubstr("masquerade"))));
}

TEST(NftListing, EqualsTheStateItWasMadeFrom) {
    const RuleState state = some_state();
    const std::string listing = listing_after(render_tables(state));
    EXPECT_THAT(compare_listing(state, listing, listing_skeleton(listing)), IsEmpty());
}

TEST(NftListing, MayListElementsInAnyOrderAndCountPackets) {
    RuleState state = some_state();
    auto other = state.ports.at("i-one");
    other.veth = "wv0000000002";
    const std::string before = listing_after(render_tables(state));
    state.ports.emplace("i-two", other);
    std::string listing = listing_after(render_tables(state));
    const std::string zero = R"("packets":0)";
    listing.replace(listing.find(zero), zero.size(), R"("packets":7)");
    EXPECT_THAT(compare_listing(state, listing, listing_skeleton(before)), IsEmpty());
}

TEST(NftListing, ShowsWhatSomebodyChanged) {
    const RuleState state = some_state();
    const std::string listing = listing_after(render_tables(state));
    const std::string skeleton = listing_skeleton(listing);
    EXPECT_THAT(compare_listing(state, R"({"nftables":[]})", skeleton), ElementsAre(HasSubstr("chains or rules")));
    EXPECT_THAT(compare_listing(state, "garbage", skeleton), ElementsAre(HasSubstr("chains or rules")));

    std::string moved = listing;
    moved.replace(moved.find("10.18.0.2\""), 9, "10.18.0.9");
    EXPECT_THAT(compare_listing(state, moved, skeleton), ElementsAre(HasSubstr("elements of")));
    std::string weaker = listing;
    weaker.replace(weaker.find("\"drop\""), 6, "\"accept\"");
    EXPECT_THAT(compare_listing(state, weaker, skeleton), ElementsAre(HasSubstr("chains or rules")));
}

}  // namespace
}  // namespace weft::control
