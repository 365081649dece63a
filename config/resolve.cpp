// SPDX-License-Identifier: Apache-2.0
#include <array>

#include <unistd.h>

#include "config/loader.hpp"

namespace weft::config {

namespace {

void substitute_run_dir(std::string& path, const std::string& run_dir) {
    constexpr std::string_view kPlaceholder = "{run_dir}";
    if (path.starts_with(kPlaceholder)) path.replace(0, kPlaceholder.size(), run_dir);
}

std::string host_name() {
    std::array<char, 256> name{};
    if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
    return name.data();
}

}  // namespace

void resolve(Config& config) {
    if (config.node.id.empty()) config.node.id = host_name();
    for (auto& listener : config.api.listen)
        substitute_run_dir(listener.path, config.run_dir);
    for (auto& listener : config.metrics.listen)
        substitute_run_dir(listener.path, config.run_dir);
    for (auto& listener : config.mirror.pcapng)
        substitute_run_dir(listener.path, config.run_dir);
    if (config.node.subnetwork && config.node.subnetwork->length == 0) {
        config.node.subnetwork->length = config.overlay.node_prefix;
    }
    if (config.node.subnetwork_v6 && config.node.subnetwork_v6->length == 0) {
        config.node.subnetwork_v6->length = config.overlay.node_prefix_v6;
    }
}

}  // namespace weft::config
