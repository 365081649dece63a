// SPDX-License-Identifier: Apache-2.0
#include "control/settings.hpp"

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "control/sysctl.hpp"

namespace weft::control {

namespace {

constexpr const char* kForward4 = "net/ipv4/ip_forward";
constexpr const char* kForward6 = "net/ipv6/conf/all/forwarding";

std::string sentence(const Setting& setting, const std::string& before) {
    return fmt::format("{} was {}, should be {}", setting.path, before, setting.value);
}

// Interfaces that listen to router advertisements, and stop when this host becomes a router.
std::vector<Setting> listeners_to_routers() {
    std::vector<Setting> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/sys/net/ipv6/conf", error)) {
        const std::string name = entry.path().filename();
        if (name == "all" || name == "default" || name == "lo") continue;
        const std::string path = fmt::format("net/ipv6/conf/{}/accept_ra", name);
        if (const auto value = read_sysctl(path); value && *value == "1") found.push_back({path, "2"});
    }
    return found;
}

}  // namespace

Result<std::vector<std::string>> KernelSettings::ensure_forwarding(bool mend) {
    std::vector<std::string> differences;
    for (const Setting& setting : {Setting{kForward4, "1"}, Setting{kForward6, "1"}}) {
        const auto now = read_sysctl(setting.path);
        if (!now && now.error().code() == ErrorCode::NotFound) continue;
        if (!now) return std::unexpected(now.error());
        if (*now == setting.value) continue;
        differences.push_back(sentence(setting, *now));
        if (!mend) continue;
        if (setting.path == kForward6)
            for (const Setting& listener : listeners_to_routers())
                if (auto changed = change(listener); !changed) return std::unexpected(changed.error());
        if (auto changed = change(setting); !changed) return std::unexpected(changed.error());
    }
    return differences;
}

Result<std::vector<std::string>> KernelSettings::ensure(const std::vector<Setting>& settings, bool mend) {
    std::vector<std::string> differences;
    for (const Setting& setting : settings) {
        const auto now = read_sysctl(setting.path);
        if (!now && now.error().code() == ErrorCode::NotFound) continue;
        if (!now) return std::unexpected(now.error());
        if (*now == setting.value) continue;
        differences.push_back(sentence(setting, *now));
        if (!mend) continue;
        if (auto written = write_sysctl(setting.path, setting.value); !written) return std::unexpected(written.error());
    }
    return differences;
}

Result<void> KernelSettings::change(const Setting& setting) {
    const auto before = read_sysctl(setting.path);
    if (!before) return std::unexpected(before.error());
    // Remembered first: a crash in between restores what nothing changed, which is harmless.
    if (auto kept = journal_.remember_sysctl(setting.path, *before + " " + setting.value); !kept) return kept;
    return write_sysctl(setting.path, setting.value);
}

Result<void> KernelSettings::restore() {
    const auto remembered = journal_.sysctls();
    if (!remembered) return std::unexpected(remembered.error());
    for (const auto& [path, values] : *remembered) {
        const auto space = values.find(' ');
        const std::string before = values.substr(0, space);
        const std::string ours = space == values.npos ? "" : values.substr(space + 1);
        // Gone with its interface, or changed by somebody who meant it.
        const auto now = read_sysctl(path);
        if (!now || *now != ours) continue;
        if (auto written = write_sysctl(path, before); !written) return written;
    }
    return journal_.forget_sysctls();
}

std::vector<Setting> tun_settings(const std::string& name) {
    const auto v4 = [&](const char* key) { return fmt::format("net/ipv4/conf/{}/{}", name, key); };
    const auto v6 = [&](const char* key) { return fmt::format("net/ipv6/conf/{}/{}", name, key); };
    // The kernel takes the larger of `all` and the device for rp_filter, so 2 here is loose whatever `all` says.
    return {{v4("rp_filter"), "2"},       {v4("accept_local"), "1"}, {v4("accept_redirects"), "0"},
            {v4("send_redirects"), "0"},  {v6("disable_ipv6"), "0"}, {v6("accept_ra"), "0"},
            {v6("accept_redirects"), "0"}};
}

std::vector<Setting> bridge_settings(const std::string& name) {
    const auto v4 = [&](const char* key) { return fmt::format("net/ipv4/conf/{}/{}", name, key); };
    const auto v6 = [&](const char* key) { return fmt::format("net/ipv6/conf/{}/{}", name, key); };
    // Without a link-local address that is beyond doubt the kernel asks no neighbour for what it forwards: with address
    // detection on, IPv6 to containers would begin a second or two after the first one was attached.
    return {{v4("route_localnet"), "1"}, {v4("accept_redirects"), "0"}, {v4("send_redirects"), "0"},
            {v6("disable_ipv6"), "0"},   {v6("accept_ra"), "0"},        {v6("accept_redirects"), "0"},
            {v6("accept_dad"), "0"}};
}

}  // namespace weft::control
