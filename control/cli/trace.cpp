// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

#include "control/cli/json_text.hpp"
#include "control/cli/table.hpp"
#include "control/cli/verbs.hpp"
#include "dataplane/net/address.hpp"

// trace: what would happen to a packet. The node's engine answers; this only finds out whom the names mean.
namespace weft::cli {

namespace json = boost::json;

namespace {

struct TraceOptions {
    std::string source, destination, protocol = "tcp";
    unsigned source_port = 40000;
};

struct Target {
    std::string host;
    unsigned port = 0;
};

Failure bad_destination(const std::string& text) {
    return {ExitCode::Usage, "destination '" + text + "'", "it is ADDRESS:PORT, [ADDRESS6]:PORT or SERVICE:PORT",
            "weft trace netns:cli 10.30.0.10:80"};
}

// Only an ICMP trace may leave the port out.
Outcome<Target> split(const std::string& text, bool needs_port) {
    const auto colon = text.rfind(':');
    const bool is_bare_v6 = text.find(':') != colon && !text.starts_with('[');
    if (!needs_port && (colon == std::string::npos || is_bare_v6)) return Target{text, 0};
    if (colon == std::string::npos || colon == 0 || is_bare_v6) return std::unexpected(bad_destination(text));
    Target target{text.substr(0, colon), 0};
    if (target.host.starts_with('[') && target.host.ends_with(']'))
        target.host = target.host.substr(1, target.host.size() - 2);
    const char* digits = text.data() + colon + 1;
    const auto [end, code] = std::from_chars(digits, text.data() + text.size(), target.port);
    if (code != std::errc{} || end != text.data() + text.size() || target.port > 65535 || target.host.empty())
        return std::unexpected(bad_destination(text));
    return target;
}

// A service's name stands for its first service IP.
Outcome<std::string> address_of(Session& session, const std::string& host) {
    if (net::IpAddress::parse(host)) return host;
    const auto service = session.get("/v1/services/" + url_encoded(host));
    if (!service) return std::unexpected(service.error());
    for (const auto& ip : array_at(*service, "service_ips")) {
        for (const char* key : {"address", "address_v6"}) {
            if (std::string address = text_or_empty(ip, key); !address.empty()) return address;
        }
    }
    return std::unexpected(
        Failure{ExitCode::Failed, "destination " + host, "the service has no service IP", "weft services"});
}

// A service's name stands for its first instance on this node; everything else the node understands itself.
Outcome<std::string> source_of(Session& session, const std::string& source) {
    if (source.find('.') == std::string::npos || source.find(':') != std::string::npos || net::IpAddress::parse(source))
        return source;
    const auto instances = session.get("/v1/instances");
    if (!instances) return std::unexpected(instances.error());
    for (const auto& instance : array_at(*instances, "items")) {
        if (text_at(instance, "service") == source) return text_at(instance, "id");
    }
    return source;
}

Outcome<ExitCode> trace(Session& session, const TraceOptions& options) {
    const auto target = split(options.destination, options.protocol != "icmp");
    if (!target) return std::unexpected(target.error());
    const auto destination = address_of(session, target->host);
    if (!destination) return std::unexpected(destination.error());
    const auto source = source_of(session, options.source);
    if (!source) return std::unexpected(source.error());
    json::object question{{"source", *source}, {"destination", *destination}, {"protocol", options.protocol}};
    if (options.protocol != "icmp") {
        question["source_port"] = options.source_port;
        question["destination_port"] = target->port;
    }
    const json::value body(std::move(question));
    const auto answer = session.call("POST", "/v1/trace", &body);
    if (!answer) return std::unexpected(answer.error());
    if (session.format == Format::Json) {
        session.print_json(*answer);
        return ExitCode::Ok;
    }
    for (const auto& step : array_at(*answer, "steps")) {
        std::string name = printable(text_at(step, "step"));
        name.resize(std::max<std::size_t>(name.size() + 1, 12), ' ');
        session.out << "  " << name << printable(text_at(step, "detail")) << "\n";
    }
    session.out << printable(text_at(*answer, "verdict"));
    if (const auto reason = text_or_empty(*answer, "reason"); !reason.empty())
        session.out << " (" << printable(reason) << ")";
    if (find_at(*answer, "output.port") != nullptr) {
        session.out << " to " << printable(text_at(*answer, "output.port"));
        if (find_at(*answer, "output.peer") != nullptr)
            session.out << ", peer " << printable(text_at(*answer, "output.peer")) << " at "
                        << printable(text_at(*answer, "output.address")) << ", "
                        << printable(text_at(*answer, "output.security"));
    }
    session.out << "\n";
    return ExitCode::Ok;
}

}  // namespace

void add_trace_verb(CLI::App& app, Session& session) {
    const auto options = std::make_shared<TraceOptions>();
    CLI::App* verb = app.add_subcommand("trace", "explain what would happen to a packet; changes nothing");
    verb->add_option("SOURCE", options->source,
                     "container (netns:NAME, docker:ID, pid:N), instance id, address, or service")
        ->required();
    verb->add_option("DESTINATION", options->destination, "ADDRESS:PORT or SERVICE:PORT")->required();
    verb->add_option("--protocol", options->protocol, "tcp, udp or icmp")
        ->check(CLI::IsMember({"tcp", "udp", "icmp"}))
        ->capture_default_str();
    verb->add_option("--source-port", options->source_port, "the client's port")
        ->check(CLI::Range(0, 65535))
        ->capture_default_str();
    verb->callback([&session, options] { session.verb = [options](Session& s) { return trace(s, *options); }; });
}

}  // namespace weft::cli
