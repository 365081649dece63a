// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>
#include <unistd.h>

#include "config/nearest.hpp"
#include "control/cli/table.hpp"
#include "control/cli/verbs.hpp"

namespace weft::cli {

namespace {

constexpr int code_of(ExitCode code) {
    return static_cast<int>(code);
}

void explain(std::ostream& err, const Failure& failure) {
    err << "weft: " << printable(failure.what);
    if (!failure.why.empty()) err << ": " << printable(failure.why);
    err << "\n";
    if (!failure.next.empty()) err << "  try: " << failure.next << "\n";
}

// The words that could have stood where `wrong` stands.
std::vector<std::string> candidates(const CLI::App& app, const std::string& wrong) {
    std::vector<std::string> names;
    const auto chosen = app.get_subcommands();
    if (!wrong.starts_with('-')) {
        if (chosen.empty())
            for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
                names.push_back(verb->get_name());
        return names;
    }
    const auto collect = [&](const CLI::App& from) {
        for (const CLI::Option* option : from.get_options())
            for (const auto& name : option->get_lnames())
                names.push_back("--" + name);
    };
    collect(app);
    if (!chosen.empty()) collect(*chosen.front());
    return names;
}

int usage(const CLI::App& app, const CLI::ParseError& error, std::ostream& err) {
    const auto remaining = app.remaining(true);
    if (remaining.empty() || error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError)) {
        err << "weft: " << printable(error.what()) << "\n";
    } else {
        const std::string& wrong = remaining.front();
        err << "weft: "
            << (wrong.starts_with('-')          ? "unknown option '"
                : app.get_subcommands().empty() ? "unknown verb '"
                                                : "unexpected argument '")
            << printable(wrong) << "'";
        const auto names = candidates(app, wrong);
        const std::vector<std::string_view> views(names.begin(), names.end());
        if (const auto near = config::nearest(wrong, views); !near.empty()) err << "; did you mean '" << near << "'?";
        err << "\n";
    }
    const auto chosen = app.get_subcommands();
    err << "  try: weft " << (chosen.empty() ? "" : chosen.front()->get_name() + " ") << "--help\n";
    return code_of(ExitCode::Usage);
}

void add_options(CLI::App& app, Session& session) {
    app.add_option_function<std::string>(
           "-o,--output",
           [&session](const std::string& word) { session.format = word == "json" ? Format::Json : Format::Table; },
           "table or json")
        ->check(CLI::IsMember({"table", "json"}).description(""))
        ->type_name("FORMAT");
    app.add_option("--server", session.server, "the node to ask: unix:PATH or tcp:HOST:PORT")
        ->envname("WEFT_SERVER")
        ->capture_default_str();
    app.set_version_flag("--version", "weft " WEFT_VERSION);
}

}  // namespace

int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
    Session session(out);
    const char* no_colour = std::getenv("NO_COLOR");
    session.colour = (no_colour == nullptr || *no_colour == '\0') && &out == &std::cout && ::isatty(STDOUT_FILENO) == 1;

    CLI::App app("weft talks to a weft node, weftd.", "weft");
    app.fallthrough();
    app.require_subcommand(0, 1);
    app.get_formatter()->column_width(36);
    add_options(app, session);
    add_status_verb(app, session);
    add_list_verbs(app, session);
    add_packet_verbs(app, session);
    add_trace_verb(app, session);
    add_deploy_verbs(app, session);
    add_completion_verbs(app, session);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {  // --help, --version
        return app.exit(success, out, err);
    } catch (const CLI::ParseError& error) {
        return usage(app, error, err);
    }
    if (!session.verb) {
        err << app.help();
        return code_of(ExitCode::Usage);
    }
    const auto outcome = session.verb(session);
    if (outcome) return code_of(*outcome);
    out.flush();
    explain(err, outcome.error());
    return code_of(outcome.error().code);
}

}  // namespace weft::cli
