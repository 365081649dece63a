// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/cli/session.hpp"

namespace CLI {
class App;
}

// The verbs, a file for each group. Each function adds its verbs to the tree; the one that the command line names sets
// `session.verb`.
namespace weft::cli {

void add_status_verb(CLI::App& app, Session& session);
void add_list_verbs(CLI::App& app, Session& session);
void add_packet_verbs(CLI::App& app, Session& session);
void add_trace_verb(CLI::App& app, Session& session);
void add_deploy_verbs(CLI::App& app, Session& session);
void add_completion_verbs(CLI::App& app, Session& session);

// The whole program but for the process: parses, runs, prints, answers the exit code.
int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace weft::cli
