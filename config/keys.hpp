// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "config/value.hpp"

// The one list of configuration keys: reading, writing, comparing and reloading all follow it.
namespace weft::config {

struct Key {
    std::string_view name;  // "tunnel.port"
    enum class Effect { OnReload, OnRestart } effect = Effect::OnRestart;
    enum class Secrecy { Open, Secret } secrecy = Secrecy::Open;
    // DefaultOnly: belongs to a feature that this version does not have; anything but the default is refused.
    enum class Support { Full, DefaultOnly } support = Support::Full;
    std::function<std::optional<Fault>(Config&, const Value&)> read;
    std::function<std::string(const Config&)> write;  // YAML text on one line
    std::function<void(Config& to, const Config& from)> copy;
};

// In the order of docs/config.md.
std::span<const Key> keys();
const Key* find_key(std::string_view name);

}  // namespace weft::config
