// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>

#include <CLI/CLI.hpp>
#include <boost/json/parse.hpp>

#include "control/cli/json_text.hpp"
#include "control/cli/table.hpp"
#include "control/cli/verbs.hpp"
#include "dataplane/net/address.hpp"

// register, deploy, undeploy, push, withdraw: what an orchestrator does by the API, by hand.
namespace weft::cli {

namespace json = boost::json;

namespace {

Outcome<ExitCode> register_node(Session& session, const std::string& subnet, const std::string& subnet_v6) {
    json::object request{{"subnetwork", subnet}};
    if (!subnet_v6.empty()) request["subnetwork_v6"] = subnet_v6;
    const json::value body(std::move(request));
    const auto answer = session.call("POST", "/register", &body);
    if (!answer) return std::unexpected(answer.error());
    if (session.format == Format::Table) session.out << "registered " << subnet << "\n";
    return ExitCode::Ok;
}

struct DeployOptions {
    std::string container, service, publish;
    unsigned number = 0;
    std::vector<std::string> ips;
};

// TYPE=ADDRESS or TYPE=ADDRESS,ADDRESS6
Outcome<json::object> service_ip(const std::string& text) {
    const auto equals = text.find('=');
    const Failure wrong{ExitCode::Usage, "--ip '" + text + "'", "it is TYPE=ADDRESS or TYPE=ADDRESS,ADDRESS6",
                        "--ip RR=10.30.0.10"};
    if (equals == std::string::npos) return std::unexpected(wrong);
    json::object ip{{"IpType", text.substr(0, equals)}};
    std::istringstream rest(text.substr(equals + 1));
    for (std::string part; std::getline(rest, part, ',');) {
        const auto address = net::IpAddress::parse(part);
        if (!address) return std::unexpected(wrong);
        ip[address->is_v4() ? "Address" : "Address_v6"] = part;
    }
    if (ip.size() < 2) return std::unexpected(wrong);
    return ip;
}

Outcome<ExitCode> deploy(Session& session, const DeployOptions& options) {
    json::array ips;
    for (const auto& text : options.ips) {
        auto ip = service_ip(text);
        if (!ip) return std::unexpected(ip.error());
        ips.emplace_back(std::move(*ip));
    }
    json::object request{{"containerId", options.container},
                         {"appName", options.service},
                         {"instanceNumber", options.number},
                         {"serviceIp", std::move(ips)}};
    if (!options.publish.empty()) request["portMappings"] = options.publish;
    const json::value body(std::move(request));
    const auto answer = session.call("POST", "/docker/deploy", &body);
    if (!answer) return std::unexpected(answer.error());
    if (session.format == Format::Json)
        session.print_json(*answer);
    else
        session.out << printable(text_at(*answer, "serviceName")) << " instance " << options.number << " at "
                    << printable(text_at(*answer, "nsAddress")) << " "
                    << printable(text_or_empty(*answer, "nsAddressv6")) << "\n";
    return ExitCode::Ok;
}

Outcome<ExitCode> undeploy(Session& session, const std::string& name, std::optional<unsigned> number) {
    json::object request{{"serviceName", name}};
    if (number) request["instanceNumber"] = *number;
    const json::value body(std::move(request));
    const auto answer = session.call("POST", "/docker/undeploy", &body);
    if (!answer) return std::unexpected(answer.error());
    if (session.format == Format::Table) session.out << "undeployed " << name << "\n";
    return ExitCode::Ok;
}

Outcome<json::object> read_services(const std::string& file) {
    std::string text;
    if (file == "-") {
        text.assign(std::istreambuf_iterator<char>(std::cin), {});
    } else {
        std::ifstream in(file, std::ios::binary);
        if (!in) return std::unexpected(Failure{ExitCode::Usage, "read " + file, std::strerror(errno), ""});
        text.assign(std::istreambuf_iterator<char>(in), {});
    }
    boost::system::error_code code;
    json::value value = json::parse(text, code);
    if (code || !value.is_object())
        return std::unexpected(Failure{
            ExitCode::Usage, file, code ? "not JSON: " + code.message() : "not a JSON object",
            "an object of service documents by name: {\"a.b.c.d\": {\"service_ips\": [...], \"instances\": [...]}}"});
    return std::move(value.get_object());
}

Outcome<ExitCode> push(Session& session, const std::string& file) {
    const auto services = read_services(file);
    if (!services) return std::unexpected(services.error());
    json::array answers;
    for (const auto& [name, document] : *services) {
        auto answer = session.call("PUT", "/v1/services/" + url_encoded({name.data(), name.size()}), &document);
        if (!answer) return std::unexpected(answer.error());
        if (session.format == Format::Table)
            session.out << printable({name.data(), name.size()}) << ": " << array_at(*answer, "instances").size()
                        << " instances\n";
        answers.push_back(std::move(*answer));
    }
    if (session.format == Format::Json) session.print_json(json::object{{"items", std::move(answers)}});
    return ExitCode::Ok;
}

Outcome<ExitCode> withdraw(Session& session, const std::string& name) {
    const auto answer = session.call("DELETE", "/v1/services/" + url_encoded(name), nullptr);
    if (!answer) return std::unexpected(answer.error());
    if (session.format == Format::Table) session.out << "withdrew " << name << "\n";
    return ExitCode::Ok;
}

void add_deploy(CLI::App& app, Session& session) {
    const auto options = std::make_shared<DeployOptions>();
    CLI::App* verb = app.add_subcommand("deploy", "attach a container to a service");
    verb->add_option("CONTAINER", options->container, "netns:NAME (made if absent), docker:ID or pid:N")->required();
    verb->add_option("SERVICE", options->service, "application.namespace.service.namespace")->required();
    verb->add_option("--number", options->number, "instance number")->capture_default_str();
    verb->add_option("--ip", options->ips,
                     "service IP: TYPE=ADDRESS[,ADDRESS6], TYPE one of RR, Closest, InstanceNumber, Underutilized");
    verb->add_option("--publish", options->publish, "host ports: 8080:80/tcp;5353:53/udp");
    verb->callback([&session, options] { session.verb = [options](Session& s) { return deploy(s, *options); }; });
}

void add_undeploy(CLI::App& app, Session& session) {
    struct Options {
        std::string name;
        std::optional<unsigned> number;
    };
    const auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("undeploy", "detach a container; repeating it does no harm");
    verb->add_option("NAME", options->name, "service or container")->required();
    verb->add_option("--number", options->number, "only this instance");
    verb->callback([&session, options] {
        session.verb = [options](Session& s) { return undeploy(s, options->name, options->number); };
    });
}

}  // namespace

void add_deploy_verbs(CLI::App& app, Session& session) {
    const auto subnets = std::make_shared<std::pair<std::string, std::string>>();
    CLI::App* verb = app.add_subcommand("register", "give this node its subnet");
    verb->add_option("SUBNET", subnets->first, "10.18.0.0, or with a prefix: 10.18.0.0/26")->required();
    verb->add_option("--subnet-v6", subnets->second, "IPv6 subnet; by default it follows from SUBNET");
    verb->callback([&session, subnets] {
        session.verb = [subnets](Session& s) { return register_node(s, subnets->first, subnets->second); };
    });

    add_deploy(app, session);
    add_undeploy(app, session);

    const auto file = std::make_shared<std::string>();
    verb = app.add_subcommand("push", "tell this node of services elsewhere");
    verb->add_option("FILE", *file, "JSON: service documents by service name; - is standard input")->required();
    verb->callback([&session, file] { session.verb = [file](Session& s) { return push(s, *file); }; });

    const auto name = std::make_shared<std::string>();
    verb = app.add_subcommand("withdraw", "forget what was pushed about a service");
    verb->add_option("SERVICE", *name, "its name")->required();
    verb->callback([&session, name] { session.verb = [name](Session& s) { return withdraw(s, *name); }; });
}

}  // namespace weft::cli
