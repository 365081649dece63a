// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <ostream>
#include <vector>

#include <CLI/CLI.hpp>

#include "control/cli/json_text.hpp"
#include "control/cli/table.hpp"
#include "control/cli/verbs.hpp"
#include "dataplane/drop.hpp"

// counters, drops: where packets went, and where they ended.
namespace weft::cli {

namespace json = boost::json;

namespace {

Outcome<ExitCode> counters(Session& session) {
    const auto answer = session.get("/v1/counters");
    if (!answer) return std::unexpected(answer.error());
    if (session.format == Format::Json) {
        session.print_json(*answer);
        return ExitCode::Ok;
    }
    Table ports({"WORKER", "PORT", "RX", "TX"});
    for (const auto& worker : array_at(*answer, "workers")) {
        for (const auto& [name, port] : object_at(worker, "ports"))
            ports.add({text_at(worker, "id"), std::string(name), text_at(port, "rx"), text_at(port, "tx")});
    }
    const auto rx = count_at(*answer, "rx"), tx = count_at(*answer, "tx");
    const auto drops = count_at(*answer, "drops.total"), waiting = count_at(*answer, "waiting");
    session.out << ports.text() << "\nreceived " << rx << " = sent " << tx << " + dropped " << drops << " + waiting "
                << waiting << "; made here " << count_at(*answer, "generated") << "\n";
    return ExitCode::Ok;
}

std::string_view sentence_of(std::string_view reason) {
    const auto found = std::ranges::find(kDropTexts, reason, &DropText::name);
    return found == kDropTexts.end() ? "a reason that this version of weft does not know" : found->sentence;
}

Outcome<ExitCode> drops(Session& session) {
    const bool json = session.format == Format::Json;
    const auto answer = session.get(json ? "/v1/drops" : "/v1/counters");
    if (!answer) return std::unexpected(answer.error());
    if (json) {
        session.print_json(*answer);
        return ExitCode::Ok;
    }
    std::vector<std::pair<std::uint64_t, std::string>> reasons;
    for (const auto& [name, count] : object_at(*answer, "drops.by_reason")) {
        if (const auto number = count_at(count, ""); number != 0) reasons.emplace_back(number, std::string(name));
    }
    if (reasons.empty()) {
        session.out << "no packet was dropped\n";
        return ExitCode::Ok;
    }
    std::ranges::sort(reasons, std::ranges::greater{});
    Table table({"PACKETS", "REASON", "WHICH MEANS"});
    for (const auto& [count, name] : reasons)
        table.add({std::to_string(count), name, std::string(sentence_of(name))});
    session.out << table.text();
    return ExitCode::Ok;
}

}  // namespace

void add_packet_verbs(CLI::App& app, Session& session) {
    app.add_subcommand("counters", "packets by port and worker")->callback([&session] { session.verb = counters; });
    app.add_subcommand("drops", "dropped packets by reason")->callback([&session] { session.verb = drops; });
}

}  // namespace weft::cli
