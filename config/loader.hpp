// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "dataplane/base/error.hpp"

// Reads the configuration, all or nothing. Errors read "file:line:column: key: why" and say what would be right.
//
// Threading: any; nothing is kept.
namespace weft::config {

inline constexpr std::string_view kDefaultFile = "/etc/weft/weftd.yaml";

// A configuration that passed every check, and for each key the place its value came from.
struct Loaded {
    Config config;
    std::string file;                            // empty: built-in defaults
    std::map<std::string, std::string> origins;  // "tunnel.port" -> "weftd.yaml:12"; absent: default
};

// Reads, checks, and looks at the secret files that the configuration names.
Result<Loaded> load(const std::string& file);

// As `load`, for the start without --config: built-in defaults if the default file does not exist.
Result<Loaded> load_default();

// The pure part: text in, configuration out. Touches nothing but the host's name. `name` stands for the file in
// messages.
Result<Loaded> load_text(std::string_view text, const std::string& name);

// Fills in what depends on other keys or on the machine: node.id, {run_dir} in paths, the length of a bare
// node.subnetwork.
void resolve(Config& config);

// Effective values as YAML that loads back, each with where it came from; secrets hidden.
std::string print(const Loaded& loaded);

// What a reload (SIGHUP) changes: keys that take effect now, and keys that wait for a restart.
struct Changes {
    std::vector<std::string> effective;
    std::vector<std::string> need_restart;
};
Changes changes(const Config& before, const Config& after);

// `before` with every key that takes effect on reload taken from `after`: what runs once the reload is done.
Config reloaded(const Config& before, const Config& after);

}  // namespace weft::config
