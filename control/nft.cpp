// SPDX-License-Identifier: Apache-2.0
#include "control/nft.hpp"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <nftables/libnftables.h>

#include "dataplane/base/check.hpp"

// What the tables say, in nft's own words (`nft list table inet weft`, `nft list table bridge weft`):
//
//   inet weft     untracked_in, untracked_out   traffic over the TUN and the tunnel itself bypass connection tracking
//                 published_in, published_out   host port -> container, from outside and from the host itself
//                 leaving                       masquerade what containers send to anywhere but the overlay
//                 quiet                         no ICMP redirects to containers
//   bridge weft   arriving -> guard -> claims   a frame must carry its port's MAC and address; ARP and ND too
//
// A port that no set names may send nothing: the rules deny before a container is joined to the bridge.
namespace weft::control {

namespace {

namespace json = boost::json;

constexpr const char* kTable = "weft";
constexpr const char* kPorts = "wv*";  // see Environment::veth_name
constexpr int kRaw = -300, kDnat = -100, kFilter = 0, kSrcnat = 100;

enum class Family { Inet, Bridge };
const char* name_of(Family family) {
    return family == Family::Inet ? "inet" : "bridge";
}

json::value text(const std::string& value) {
    return json::value(json::string_view(value));
}
json::object meta(const char* key) {
    return {{"meta", {{"key", key}}}};
}
json::object payload(const char* protocol, const char* field) {
    return {{"payload", {{"protocol", protocol}, {"field", field}}}};
}
json::object raw_payload(int offset, int bits) {
    return {{"payload", {{"base", "th"}, {"offset", offset}, {"len", bits}}}};
}
json::object prefix(const net::Prefix& value) {
    return {{"prefix", {{"addr", text(value.address.to_string())}, {"len", value.length}}}};
}
json::object any_of(json::array values) {
    return {{"set", std::move(values)}};
}
json::object concat(json::array parts) {
    return {{"concat", std::move(parts)}};
}
json::object match(json::value left, const char* operation, json::value right) {
    return {{"match", {{"op", operation}, {"left", std::move(left)}, {"right", std::move(right)}}}};
}
json::object is(json::value left, json::value right) {
    return match(std::move(left), "==", std::move(right));
}
json::object is_not(json::value left, json::value right) {
    return match(std::move(left), "!=", std::move(right));
}
json::object verdict(const char* name) {
    return {{name, nullptr}};
}
json::object jump(const char* how, const std::string& chain) {
    return {{how, {{"target", text(chain)}}}};
}
json::object counter() {
    return {{"counter", {{"packets", 0}, {"bytes", 0}}}};
}
json::object is_local_address() {
    return is(json::object{{"fib", {{"result", "type"}, {"flags", json::array{"daddr"}}}}}, "local");
}
std::string claim_chain(const GuardedPort& port) {
    return "claim-" + port.veth;
}

// A batch of commands: all of them or none.
class Batch {
  public:
    void table(const char* verb, Family family) {
        command(verb, "table", {{"family", name_of(family)}, {"name", kTable}});
    }
    void base_chain(Family family, const char* name, const char* type, const char* hook, int priority) {
        command("add", "chain",
                {{"family", name_of(family)},
                 {"table", kTable},
                 {"name", name},
                 {"type", type},
                 {"hook", hook},
                 {"prio", priority},
                 {"policy", "accept"}});
    }
    void chain(const char* verb, Family family, const std::string& name) {
        command(verb, "chain", {{"family", name_of(family)}, {"table", kTable}, {"name", text(name)}});
    }
    void rule(Family family, const std::string& chain, json::array expression) {
        command(
            "add", "rule",
            {{"family", name_of(family)}, {"table", kTable}, {"chain", text(chain)}, {"expr", std::move(expression)}});
    }
    void set(Family family, const char* name, json::array type) {
        command("add", "set",
                {{"family", name_of(family)}, {"table", kTable}, {"name", name}, {"type", std::move(type)}});
    }
    void map(Family family, const char* name, json::value type, const char* to) {
        command(
            "add", "map",
            {{"family", name_of(family)}, {"table", kTable}, {"name", name}, {"type", std::move(type)}, {"map", to}});
    }
    void elements(const char* verb, Family family, const std::string& set, json::array elements) {
        if (elements.empty()) return;
        command(verb, "element",
                {{"family", name_of(family)}, {"table", kTable}, {"name", text(set)}, {"elem", std::move(elements)}});
    }
    [[nodiscard]] std::string serialized() const { return json::serialize(json::object{{"nftables", commands_}}); }

  private:
    void command(const char* verb, const char* kind, json::object object) {
        commands_.push_back(json::object{{verb, json::object{{kind, std::move(object)}}}});
    }
    json::array commands_;
};

// The elements that one instance puts into each set or map.
struct Elements {
    json::array macs, who4, who6, claims, forward4, forward6, forward_port;
};

void append_forwards(Elements& elements, const GuardedPort& port, const std::vector<PortMapping>& mappings) {
    for (const PortMapping& mapping : mappings) {
        const json::object key = concat({mapping.protocol == L4::Tcp ? "tcp" : "udp", mapping.host_port});
        elements.forward4.push_back(json::array{key, text(port.address.to_string())});
        if (!port.address_v6.is_unspecified())
            elements.forward6.push_back(json::array{key, text(port.address_v6.to_string())});
        elements.forward_port.push_back(json::array{key, mapping.container_port});
    }
}

void append_guards(Elements& elements, const GuardedPort& port) {
    const std::string mac = port.mac.to_string();
    elements.macs.push_back(concat({text(port.veth), text(mac)}));
    elements.who4.push_back(concat({text(port.veth), text(mac), text(port.address.to_string())}));
    if (port.address_v6.is_unspecified()) return;
    elements.who6.push_back(concat({text(port.veth), text(mac), text(port.address_v6.to_string())}));
    elements.claims.push_back(json::array{text(port.veth), jump("goto", claim_chain(port))});
}

Elements elements_of(const RuleState& state) {
    Elements elements;
    for (const auto& [id, port] : state.ports) {
        append_guards(elements, port);
        append_forwards(elements, port, port.port_mappings);
    }
    for (const PortForward& forward : state.forwards)
        if (const auto port = state.ports.find(forward.instance); port != state.ports.end())
            append_forwards(elements, port->second, {forward.mapping});
    return elements;
}

void put_elements(Batch& batch, const char* verb, Elements elements) {
    batch.elements(verb, Family::Bridge, "macs", std::move(elements.macs));
    batch.elements(verb, Family::Bridge, "who4", std::move(elements.who4));
    batch.elements(verb, Family::Bridge, "who6", std::move(elements.who6));
    batch.elements(verb, Family::Bridge, "claims", std::move(elements.claims));
    batch.elements(verb, Family::Inet, "forward4", std::move(elements.forward4));
    batch.elements(verb, Family::Inet, "forward6", std::move(elements.forward6));
    batch.elements(verb, Family::Inet, "forward_port", std::move(elements.forward_port));
}

// The chain that lets a port advertise its own IPv6 address and no other. The advertised address lies 64 bits into the
// ICMPv6 message; nft 1.0.6 has no name for it, and no set of raw payload in its JSON form.
void add_claim_chain(Batch& batch, const GuardedPort& port) {
    if (port.address_v6.is_unspecified()) return;
    batch.chain("add", Family::Bridge, claim_chain(port));
    json::array expression;
    for (int word = 0; word < 4; ++word) {
        const std::uint8_t* b = port.address_v6.data() + 4 * word;
        const std::uint32_t value =
            std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
        expression.push_back(is(raw_payload(64 + 32 * word, 32), value));
    }
    expression.push_back(verdict("accept"));
    batch.rule(Family::Bridge, claim_chain(port), std::move(expression));
}

json::array prefixes(const RuleState& state, int version) {
    json::array found;
    for (const auto* ranges : {&state.service_ranges, &state.node_ranges})
        for (const net::Prefix& range : *ranges)
            if (range.address.version() == version) found.push_back(prefix(range));
    return found;
}

// Service traffic bypasses connection tracking: a full table cannot hurt it, and it cannot fill the table. What the
// bridge itself is asked is tracked, because answers of published containers to this host come that way.
void add_tracking_rules(Batch& batch, const RuleState& state) {
    batch.base_chain(Family::Inet, "untracked_in", "filter", "prerouting", kRaw);
    batch.base_chain(Family::Inet, "untracked_out", "filter", "output", kRaw);
    const json::object from_bridge = is(meta("iifname"), text(state.bridge_name));
    batch.rule(Family::Inet, "untracked_in", {is(meta("iifname"), text(state.tun_name)), verdict("notrack")});
    // The bridge routes 127.0.0.0/8 (see Environment) so that published ports work on it from the host; a container has
    // no business there. Answers to the host are not concerned: they come to the bridge's address.
    batch.rule(Family::Inet, "untracked_in",
               {from_bridge, is(payload("ip", "daddr"), prefix({net::IpAddress::v4(0x7F000000), 8})), counter(),
                verdict("drop")});
    for (const auto& subnet : {state.subnet, state.subnet_v6})
        if (subnet)
            batch.rule(Family::Inet, "untracked_in",
                       {from_bridge,
                        is(payload(subnet->address.is_v6() ? "ip6" : "ip", "daddr"),
                           text(subnet->address.plus(1).to_string())),
                        verdict("accept")});
    for (const int version : {4, 6})
        if (auto overlay = prefixes(state, version); !overlay.empty())
            batch.rule(Family::Inet, "untracked_in",
                       {from_bridge, is(payload(version == 6 ? "ip6" : "ip", "daddr"), any_of(std::move(overlay))),
                        verdict("notrack")});
    batch.rule(Family::Inet, "untracked_in",
               {is(payload("udp", "dport"), state.tunnel_port), is_local_address(), verdict("notrack")});
    batch.rule(Family::Inet, "untracked_out", {is(meta("oifname"), text(state.tun_name)), verdict("notrack")});
    batch.rule(Family::Inet, "untracked_out",
               {is(payload("udp", "sport"), state.tunnel_port), is_not(meta("oifname"), text(state.bridge_name)),
                verdict("notrack")});
}

// Host port to address and to port, in two maps: nft 1.0.6 cannot declare a map to both in its JSON form.
void add_publishing_rules(Batch& batch) {
    const json::array key{"inet_proto", "inet_service"};
    batch.map(Family::Inet, "forward4", key, "ipv4_addr");
    batch.map(Family::Inet, "forward6", key, "ipv6_addr");
    batch.map(Family::Inet, "forward_port", key, "inet_service");
    batch.base_chain(Family::Inet, "published_in", "nat", "prerouting", kDnat);
    batch.base_chain(Family::Inet, "published_out", "nat", "output", kDnat);
    const auto looked_up = [](const char* map) -> json::object {
        return {{"map", {{"key", concat({meta("l4proto"), payload("th", "dport")})}, {"data", map}}}};
    };
    for (const char* chain : {"published_in", "published_out"})
        for (const auto& [family, map] : {std::pair{"ip", "@forward4"}, std::pair{"ip6", "@forward6"}})
            batch.rule(
                Family::Inet, chain,
                {is_local_address(),
                 json::object{
                     {"dnat", {{"family", family}, {"addr", looked_up(map)}, {"port", looked_up("@forward_port")}}}}});
}

void add_leaving_rules(Batch& batch, const RuleState& state) {
    batch.base_chain(Family::Inet, "leaving", "nat", "postrouting", kSrcnat);
    for (const auto& subnet : {state.subnet, state.subnet_v6}) {
        if (!subnet) continue;
        const char* ip = subnet->address.is_v6() ? "ip6" : "ip";
        batch.rule(
            Family::Inet, "leaving",
            {is(payload(ip, "saddr"), prefix(*subnet)),
             is_not(meta("oifname"), any_of({text(state.bridge_name), text(state.tun_name)})), verdict("masquerade")});
        // A container that asks for a published port of its own host, and the host itself by 127.0.0.1: the answer has
        // to come back through here.
        json::array sources{prefix(*subnet)};
        if (subnet->address.is_v4()) sources.push_back(prefix({net::IpAddress::v4(0x7F000000), 8}));
        batch.rule(Family::Inet, "leaving",
                   {is(meta("oifname"), text(state.bridge_name)),
                    match(json::object{{"ct", {{"key", "status"}}}}, "in", "dnat"),
                    is(payload(ip, "saddr"), any_of(sources)), verdict("masquerade")});
    }
    batch.base_chain(Family::Inet, "quiet", "filter", "output", kFilter);
    const json::object to_containers = is(meta("oifname"), any_of({text(state.bridge_name), text(state.tun_name)}));
    batch.rule(Family::Inet, "quiet", {to_containers, is(payload("icmp", "type"), "redirect"), verdict("drop")});
    batch.rule(Family::Inet, "quiet", {to_containers, is(payload("icmpv6", "type"), "nd-redirect"), verdict("drop")});
}

void add_guard_rules(Batch& batch) {
    batch.set(Family::Bridge, "macs", {"ifname", "ether_addr"});
    batch.set(Family::Bridge, "who4", {"ifname", "ether_addr", "ipv4_addr"});
    batch.set(Family::Bridge, "who6", {"ifname", "ether_addr", "ipv6_addr"});
    batch.map(Family::Bridge, "claims", "ifname", "verdict");
    batch.base_chain(Family::Bridge, "arriving", "filter", "prerouting", kRaw);
    batch.chain("add", Family::Bridge, "guard");
    batch.chain("add", Family::Bridge, "advertised");
    // By name, because a bridge's name as a match (meta ibrname) is missing in many kernels.
    batch.rule(Family::Bridge, "arriving", {is(meta("iifname"), kPorts), jump("jump", "guard")});

    const json::object port = meta("iifname"), source = payload("ether", "saddr");
    const json::object icmpv6_type = payload("icmpv6", "type");
    const auto guard = [&](json::array expression) { batch.rule(Family::Bridge, "guard", std::move(expression)); };
    // Nothing but these: no VLAN, MPLS, LLDP, STP.
    guard({is_not(payload("ether", "type"), any_of({"ip", "arp", "ip6"})), counter(), verdict("drop")});
    guard({is_not(concat({port, source}), "@macs"), counter(), verdict("drop")});
    guard({is(concat({port, source, payload("ip", "saddr")}), "@who4"), verdict("accept")});
    guard({is(concat({port, payload("arp", "saddr ether"), payload("arp", "saddr ip")}), "@who4"), verdict("accept")});
    guard({is(icmpv6_type, any_of({"nd-router-advert", "nd-redirect"})), counter(), verdict("drop")});
    guard({is(concat({port, source, payload("ip6", "saddr")}), "@who6"), jump("goto", "advertised")});
    guard({is(payload("ip6", "saddr"), prefix({*net::IpAddress::parse("fe80::"), 10})),
           is(icmpv6_type, any_of({"nd-neighbor-solicit", "nd-neighbor-advert"})), jump("goto", "advertised")});
    // What every IPv6 stack says when its device comes up, and nobody here needs to hear.
    guard({is(icmpv6_type,
              any_of({"nd-router-solicit", "nd-neighbor-solicit", "mld-listener-report", "mld2-listener-report"})),
           verdict("drop")});
    guard({counter(), verdict("drop")});

    batch.rule(Family::Bridge, "advertised", {is_not(meta("l4proto"), "ipv6-icmp"), verdict("accept")});
    batch.rule(Family::Bridge, "advertised", {is_not(icmpv6_type, "nd-neighbor-advert"), verdict("accept")});
    batch.rule(Family::Bridge, "advertised", {is(raw_payload(64, 10), 0x3FA), verdict("accept")});  // fe80::/10
    batch.rule(Family::Bridge, "advertised", {json::object{{"vmap", {{"key", port}, {"data", "@claims"}}}}});
    batch.rule(Family::Bridge, "advertised", {counter(), verdict("drop")});
}

bool is_claim(const json::object& object) {
    for (const char* key : {"name", "chain"})
        if (const auto* name = object.if_contains(key); name && name->is_string())
            if (std::string_view(name->get_string()).starts_with("claim-")) return true;
    return false;
}

// Visits the objects of a listing as (kind, object).
template <class Visit>
void for_each_object(std::string_view listing, Visit&& visit) {
    boost::system::error_code error;
    const json::value document = json::parse({listing.data(), listing.size()}, error);
    if (error || !document.is_object()) return;
    const auto* items = document.get_object().if_contains("nftables");
    if (!items || !items->is_array()) return;
    for (const json::value& item : items->get_array()) {
        if (!item.is_object()) continue;
        for (const auto& [kind, object] : item.get_object())
            if (object.is_object()) visit(std::string_view(kind.data(), kind.size()), object.get_object());
    }
}

std::vector<std::string> sorted_texts(const json::array& elements) {
    std::vector<std::string> texts;
    for (const json::value& element : elements)
        texts.push_back(json::serialize(element));
    std::ranges::sort(texts);
    return texts;
}

}  // namespace

std::string render_tables(const RuleState& state) {
    Batch batch;
    for (const Family family : {Family::Inet, Family::Bridge}) {
        // Added first so that the deletion cannot fail: this is how a table is replaced in one transaction.
        batch.table("add", family);
        batch.table("delete", family);
        batch.table("add", family);
    }
    add_guard_rules(batch);
    add_tracking_rules(batch, state);
    add_publishing_rules(batch);
    add_leaving_rules(batch, state);
    for (const auto& [id, port] : state.ports)
        add_claim_chain(batch, port);
    put_elements(batch, "add", elements_of(state));
    return batch.serialized();
}

std::string render_removal() {
    Batch batch;
    for (const Family family : {Family::Inet, Family::Bridge}) {
        batch.table("add", family);
        batch.table("delete", family);
    }
    return batch.serialized();
}

std::string render_port_added(const GuardedPort& port) {
    Batch batch;
    Elements elements;
    append_guards(elements, port);
    append_forwards(elements, port, port.port_mappings);
    add_claim_chain(batch, port);
    put_elements(batch, "add", std::move(elements));
    return batch.serialized();
}

std::string render_port_removed(const GuardedPort& port, const std::vector<PortMapping>& mappings) {
    Batch batch;
    Elements elements;
    append_guards(elements, port);
    append_forwards(elements, port, mappings);
    // By key alone.
    for (auto* map : {&elements.claims, &elements.forward4, &elements.forward6, &elements.forward_port})
        for (json::value& element : *map)
            element = json::value(element.get_array().front());
    put_elements(batch, "delete", std::move(elements));
    if (!port.address_v6.is_unspecified()) batch.chain("delete", Family::Bridge, claim_chain(port));
    return batch.serialized();
}

std::string listing_skeleton(std::string_view listing) {
    json::array skeleton;
    for_each_object(listing, [&](std::string_view kind, json::object object) {
        if (kind == "metainfo" || is_claim(object)) return;
        object.erase("handle");
        object.erase("elem");
        if (auto* expression = object.if_contains("expr"); expression && expression->is_array())
            for (json::value& step : expression->get_array())
                if (step.is_object() && step.get_object().contains("counter")) step = counter();
        skeleton.push_back(json::object{{kind, std::move(object)}});
    });
    return json::serialize(skeleton);
}

std::vector<std::string> compare_listing(const RuleState& state, std::string_view listing, std::string_view skeleton) {
    std::vector<std::string> differences;
    if (listing_skeleton(listing) != skeleton) differences.emplace_back("nft table weft: chains or rules differ");

    const Elements elements = elements_of(state);
    std::map<std::string, std::vector<std::string>> expected{{"macs", sorted_texts(elements.macs)},
                                                             {"who4", sorted_texts(elements.who4)},
                                                             {"who6", sorted_texts(elements.who6)},
                                                             {"claims", sorted_texts(elements.claims)},
                                                             {"forward4", sorted_texts(elements.forward4)},
                                                             {"forward6", sorted_texts(elements.forward6)},
                                                             {"forward_port", sorted_texts(elements.forward_port)}};
    for_each_object(listing, [&](std::string_view kind, const json::object& object) {
        if (kind != "set" && kind != "map") return;
        const auto* name = object.if_contains("name");
        const auto wanted = name && name->is_string() ? expected.find(std::string(name->get_string())) : expected.end();
        if (wanted == expected.end()) return;
        const auto* found = object.if_contains("elem");
        if (sorted_texts(found && found->is_array() ? found->get_array() : json::array{}) != wanted->second)
            differences.push_back(fmt::format("nft table weft: the elements of {} differ", wanted->first));
    });
    return differences;
}

void Nft::Free::operator()(nft_ctx* context) const {
    nft_ctx_free(context);
}

Result<Nft> Nft::open() {
    nft_ctx* raw = nft_ctx_new(NFT_CTX_DEFAULT);
    WEFT_CHECK(raw != nullptr, "memory for an nft context");
    Nft nft(raw);
    if (nft_ctx_buffer_output(raw) != 0 || nft_ctx_buffer_error(raw) != 0)
        return std::unexpected(Error(ErrorCode::Internal, "nft does not keep its output in memory"));
    nft_ctx_output_set_flags(raw, NFT_CTX_OUTPUT_JSON);
    return nft;
}

Result<void> Nft::run(const std::string& commands, std::string_view attempt) {
    errno = 0;
    if (nft_run_cmd_from_buffer(context_.get(), commands.c_str()) == 0) return {};
    const int error_number = errno;
    std::string said = nft_ctx_get_error_buffer(context_.get());
    if (const auto end = said.find('\n'); end != said.npos) said.resize(end);
    return std::unexpected(Error::system(fmt::format("{} ({})", attempt, said), error_number));
}

Result<std::string> Nft::list() {
    const json::object all_tables{{"list", json::object{{"tables", json::object{}}}}};
    const std::string question = json::serialize(json::object{{"nftables", json::array{all_tables}}});
    if (auto listed = run(question, "list nft tables"); !listed) return std::unexpected(listed.error());
    std::vector<Family> present;
    for_each_object(nft_ctx_get_output_buffer(context_.get()), [&](std::string_view kind, const json::object& object) {
        for (const Family family : {Family::Bridge, Family::Inet})
            if (kind == "table" &&
                object == json::object{{"family", name_of(family)},
                                       {"name", kTable},
                                       {"handle", object.contains("handle") ? object.at("handle") : 0}})
                present.push_back(family);
    });

    json::array all;
    for (const Family family : present) {
        Batch batch;
        batch.table("list", family);
        if (auto listed = run(batch.serialized(), "list weft's nft tables"); !listed)
            return std::unexpected(listed.error());
        for_each_object(
            nft_ctx_get_output_buffer(context_.get()),
            [&](std::string_view kind, const json::object& object) { all.push_back(json::object{{kind, object}}); });
    }
    return json::serialize(json::object{{"nftables", std::move(all)}});
}

}  // namespace weft::control
