// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

#include "control/cli/json_text.hpp"
#include "control/cli/table.hpp"
#include "control/cli/verbs.hpp"

// services, instances, flows, peers: one GET, one table.
namespace weft::cli {

namespace json = boost::json;

namespace {

using Render = std::string (*)(const json::array& items);

Outcome<ExitCode> list(Session& session, const std::string& path, const std::string& nothing, Render render) {
    const auto answer = session.get(path);
    if (!answer) return std::unexpected(answer.error());
    if (session.format == Format::Json) {
        session.print_json(*answer);
        return ExitCode::Ok;
    }
    const json::array& items = array_at(*answer, "items");
    session.out << (items.empty() ? nothing + "\n" : render(items));
    return ExitCode::Ok;
}

std::string joined(const json::array& items, std::string_view path) {
    std::string all;
    for (const auto& item : items) {
        const std::string text = path.empty() ? text_or_empty(item, "") : text_or_empty(item, path);
        if (!text.empty()) all += (all.empty() ? "" : " ") + text;
    }
    return all.empty() ? "-" : all;
}

std::string services_table(const json::array& items) {
    Table table({"SERVICE", "SERVICE IPS", "INSTANCES", "USABLE", "FROM"});
    for (const auto& service : items) {
        std::string addresses;
        for (const auto& ip : array_at(service, "service_ips")) {
            for (const char* key : {"address", "address_v6"}) {
                const std::string address = text_or_empty(ip, key);
                if (!address.empty())
                    addresses += (addresses.empty() ? "" : " ") + address + " (" + text_at(ip, "type") + ")";
            }
        }
        const json::array& instances = array_at(service, "instances");
        std::size_t usable = 0;
        std::string sources;
        for (const auto& instance : instances) {
            const json::value* flag = find_at(instance, "usable");
            usable += flag == nullptr || !flag->is_bool() || flag->get_bool() ? 1U : 0U;
            const std::string source = text_or_empty(instance, "source");
            if (!source.empty() && sources.find(source) == std::string::npos)
                sources += (sources.empty() ? "" : " ") + source;
        }
        table.add({text_at(service, "name"), addresses.empty() ? "-" : addresses, std::to_string(instances.size()),
                   std::to_string(usable), sources.empty() ? "-" : sources});
    }
    return table.text();
}

std::string instances_table(const json::array& items) {
    Table table({"ID", "SERVICE", "NUMBER", "STATE", "CONTAINER", "ADDRESS", "INSTANCE IP", "PORTS"});
    for (const auto& instance : items) {
        table.add({text_at(instance, "id"), text_at(instance, "service"), text_at(instance, "number"),
                   text_at(instance, "state"), text_at(instance, "container"), text_at(instance, "ns_address"),
                   text_at(instance, "instance_ip"), text_at(instance, "port_mappings")});
    }
    return table.text();
}

std::string flows_table(const json::array& items) {
    Table table({"ID", "PROTO", "STATE", "CLIENT", "SERVICE IP", "INSTANCE", "TARGET", "PEER", "IDLE S", "OUT", "IN"});
    for (const auto& flow : items) {
        table.add({text_at(flow, "id"), text_at(flow, "protocol"), text_at(flow, "state"), text_at(flow, "client"),
                   text_at(flow, "service_ip"), text_at(flow, "service") + "/" + text_at(flow, "instance"),
                   text_at(flow, "target"), text_at(flow, "peer"), text_at(flow, "idle_s"),
                   text_at(flow, "packets.out"), text_at(flow, "packets.in")});
    }
    return table.text();
}

std::string peers_table(const json::array& items) {
    Table table({"PEER", "ADDRESS", "PORT", "SECURITY", "STATE", "RTT MS", "MTU", "RX", "TX", "SUBNETS", "FROM"});
    for (const auto& peer : items) {
        table.add({text_at(peer, "id"), text_at(peer, "address"), text_at(peer, "port"), text_at(peer, "security"),
                   text_at(peer, "state"), text_at(peer, "rtt_ms"), text_at(peer, "mtu"), text_at(peer, "rx_packets"),
                   text_at(peer, "tx_packets"), joined(array_at(peer, "subnets"), ""), text_at(peer, "source")});
    }
    return table.text();
}

struct FlowFilter {
    std::string service, peer, source;
    unsigned limit = 100;

    [[nodiscard]] std::string path() const {
        std::string path = "/v1/flows?limit=" + std::to_string(limit);
        if (!service.empty()) path += "&service=" + url_encoded(service);
        if (!peer.empty()) path += "&peer=" + url_encoded(peer);
        if (!source.empty()) path += "&source=" + url_encoded(source);
        return path;
    }
};

void add_list(CLI::App& app, Session& session, const std::string& name, const std::string& about,
              const std::string& nothing, Render render) {
    app.add_subcommand(name, about)->callback([&session, name, nothing, render] {
        session.verb = [=](Session& s) { return list(s, "/v1/" + name, nothing, render); };
    });
}

}  // namespace

void add_list_verbs(CLI::App& app, Session& session) {
    add_list(app, session, "services", "the service table: addresses, policies, instances", "no services",
             services_table);
    add_list(app, session, "instances", "what runs on this node", "no instances on this node", instances_table);
    add_list(app, session, "peers", "the other nodes", "no peers", peers_table);

    const auto filter = std::make_shared<FlowFilter>();
    CLI::App* flows = app.add_subcommand("flows", "the flow table");
    flows->add_option("--service", filter->service, "only flows to this service");
    flows->add_option("--peer", filter->peer, "only flows by way of this peer");
    flows->add_option("--source", filter->source, "only flows from this address");
    flows->add_option("--limit", filter->limit, "at most this many")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    flows->callback([&session, filter] {
        session.verb = [filter](Session& s) { return list(s, filter->path(), "no flows", flows_table); };
    });
}

}  // namespace weft::cli
