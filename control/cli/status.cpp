// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <ostream>
#include <vector>

#include <CLI/CLI.hpp>

#include "control/cli/json_text.hpp"
#include "control/cli/table.hpp"
#include "control/cli/verbs.hpp"

// status: one screen that says whether all is well, and if not, what to do.
namespace weft::cli {

namespace json = boost::json;

namespace {

struct Line {
    std::string name;
    std::string word;  // OK, WARN, ERR
    std::string detail;
    std::string advice;  // may be empty
};

std::string word_for(const std::string& status) {
    if (status == "ok") return "OK";
    return status == "degraded" ? "WARN" : "ERR";
}

std::string advice_for(const std::string& part) {
    static const std::map<std::string, std::string, std::less<>> advices{
        {"node", "weft register 10.18.0.0"},
        {"registration", "weft register 10.18.0.0"},
        {"tun", "weftd makes it again by itself; if not, look at weftd's log"},
        {"tunnel", "weft peers; is UDP port 50103 open between the hosts?"},
        {"peers", "weft peers; is UDP port 50103 open between the hosts?"},
        {"registry", "known services are still served; see registry.* in weftd.yaml"},
        {"docker", "is dockerd running? see docker.socket in weftd.yaml"},
        {"journal", "is there room in state_dir, and may weftd write there?"},
        {"security", "set tunnel.psk_file on every node to seal the tunnel"},
    };
    const auto found = advices.find(part);
    return found == advices.end() ? "look at weftd's log" : found->second;
}

Line node_line(const json::value& node) {
    const json::value* registered = find_at(node, "registered");
    if (registered == nullptr || !registered->is_bool() || !registered->get_bool())
        return {"registration", "WARN", "not registered: this node has no subnet, deploys are refused",
                advice_for("registration")};
    std::string subnets = text_at(node, "subnetwork");
    if (const std::string v6 = text_or_empty(node, "subnetwork_v6"); !v6.empty()) subnets += " and " + v6;
    return {"registration", "OK",
            subnets + ", bridge " + text_at(node, "bridge.name") + ", tunnel " + text_at(node, "tunnel.address") +
                " port " + text_at(node, "tunnel.port") + ", mtu " + text_at(node, "tunnel.mtu") + ", registry " +
                text_at(node, "registry"),
            ""};
}

Line services_line(const json::array& services) {
    std::size_t instances = 0, usable = 0;
    std::string without;
    for (const auto& service : services) {
        std::size_t here = 0;
        for (const auto& instance : array_at(service, "instances")) {
            const json::value* flag = find_at(instance, "usable");
            here += flag == nullptr || !flag->is_bool() || flag->get_bool() ? 1U : 0U;
            ++instances;
        }
        usable += here;
        if (here == 0) without += (without.empty() ? "" : ", ") + text_at(service, "name");
    }
    Line line{"services", "OK",
              std::to_string(services.size()) + ", " + std::to_string(usable) + " of " + std::to_string(instances) +
                  " instances usable",
              ""};
    if (!without.empty()) {
        line.word = "WARN";
        line.detail += "; none for " + without;
        line.advice = "weft services -o json says why";
    }
    return line;
}

Line instances_line(const json::array& instances) {
    std::size_t lost = 0;
    for (const auto& instance : instances)
        lost += text_at(instance, "state") == "lost" ? 1U : 0U;
    Line line{"instances", "OK", std::to_string(instances.size()) + " on this node", ""};
    if (lost != 0) {
        line.word = "WARN";
        line.detail += ", " + std::to_string(lost) + " lost";
        line.advice = "their containers are gone: weft undeploy them, or deploy them again";
    }
    return line;
}

Line peers_line(const json::array& peers) {
    std::string down;
    for (const auto& peer : peers) {
        if (text_at(peer, "state") == "down") down += (down.empty() ? "" : ", ") + text_at(peer, "id");
    }
    Line line{"peers", "OK", std::to_string(peers.size()), ""};
    if (!down.empty()) line = {"peers", "WARN", line.detail + ", down: " + down, advice_for("peers")};
    return line;
}

Line packets_line(const json::value& counters) {
    Line line{"packets", "OK",
              "received " + text_at(counters, "rx") + ", sent " + text_at(counters, "tx") + ", dropped " +
                  text_at(counters, "drops.total") + ", waiting " + text_at(counters, "waiting"),
              ""};
    if (count_at(counters, "drops.total") != 0) line.detail += " (weft drops says why)";
    return line;
}

void print(Session& session, const json::value& status, const std::string& id, const std::vector<Line>& lines) {
    session.out << "weft " << printable(text_at(status, "version")) << " on node " << printable(id) << ", up "
                << text_at(status, "uptime_s") << " s: " << session.paint(word_for(text_at(status, "status"))) << "\n";
    for (const Line& line : lines) {
        const std::string name = printable(line.name);
        const std::string gap(name.size() < 14 ? 14 - name.size() : 1, ' ');
        session.out << "  " << name << gap << session.paint(line.word)
                    << std::string(6 - std::min<std::size_t>(5, line.word.size()), ' ') << printable(line.detail)
                    << "\n";
        if (!line.advice.empty()) session.out << std::string(22, ' ') << "-> " << line.advice << "\n";
    }
}

// The node's own word about a part stands; what is seen from here adds detail, or a worse word.
void put(std::vector<Line>& lines, Line seen) {
    const auto same = std::ranges::find(lines, seen.name, &Line::name);
    if (same == lines.end())
        lines.push_back(std::move(seen));
    else if (same->word == "OK")
        *same = std::move(seen);
}

Outcome<ExitCode> show_status(Session& session) {
    const auto status = session.get("/v1/status");
    if (!status) return std::unexpected(status.error());
    const bool well = text_at(*status, "status") == "ok";
    if (session.format == Format::Json) {
        session.print_json(*status);
        return well ? ExitCode::Ok : ExitCode::Degraded;
    }
    const auto node = session.get("/v1/node");
    const auto services = session.get("/v1/services");
    const auto instances = session.get("/v1/instances");
    const auto peers = session.get("/v1/peers");
    const auto counters = session.get("/v1/counters");
    for (const auto* answer : {&node, &services, &instances, &peers, &counters}) {
        if (!*answer) return std::unexpected(answer->error());
    }
    std::vector<Line> lines;
    for (const auto& part : array_at(*status, "parts")) {
        const std::string name = text_at(part, "name"), word = word_for(text_at(part, "status"));
        lines.push_back({name, word, text_or_empty(part, "detail"), word == "OK" ? "" : advice_for(name)});
    }
    put(lines, node_line(*node));
    put(lines, services_line(array_at(*services, "items")));
    put(lines, instances_line(array_at(*instances, "items")));
    put(lines, peers_line(array_at(*peers, "items")));
    put(lines, packets_line(*counters));
    print(session, *status, text_at(*node, "id"), lines);
    const bool all_ok = std::ranges::all_of(lines, [](const Line& line) { return line.word == "OK"; });
    return well && all_ok ? ExitCode::Ok : ExitCode::Degraded;
}

}  // namespace

void add_status_verb(CLI::App& app, Session& session) {
    app.add_subcommand("status", "health of every part on one screen; exit 3 if something is not in order")
        ->callback([&session] { session.verb = show_status; });
}

}  // namespace weft::cli
