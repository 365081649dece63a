// SPDX-License-Identifier: Apache-2.0
#include "config/keys.hpp"
#include "config/loader.hpp"

// What the list of keys gives beyond reading: printing, comparing, reloading.
namespace weft::config {

namespace {

std::string value_of(const Key& key, const Config& config) {
    const std::string text = key.write(config);
    return key.secrecy == Key::Secrecy::Secret && text != "\"\"" ? "\"(hidden)\"" : text;
}

// Opens the sections of `name` that `previous` was not in; returns the indentation of the last part.
std::string open_sections(std::string& out, std::string_view name, std::string_view previous) {
    std::string indent;
    std::size_t begin = 0;
    for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', begin)) {
        if (!previous.starts_with(name.substr(0, dot + 1)))
            out += indent + std::string(name.substr(begin, dot - begin)) + ":\n";
        indent += "  ";
        begin = dot + 1;
    }
    return indent;
}

}  // namespace

std::string print(const Loaded& loaded) {
    std::string out;
    std::string_view previous;
    for (const auto& key : keys()) {
        const std::string indent = open_sections(out, key.name, previous);
        const auto origin = loaded.origins.find(std::string(key.name));
        out += indent + std::string(key.name.substr(key.name.rfind('.') + 1)) + ": " + value_of(key, loaded.config) +
               "  # " + (origin == loaded.origins.end() ? "default" : origin->second) + "\n";
        previous = key.name;
    }
    return out;
}

Changes changes(const Config& before, const Config& after) {
    Changes found;
    for (const auto& key : keys()) {
        if (key.write(before) == key.write(after)) continue;
        auto& list = key.effect == Key::Effect::OnReload ? found.effective : found.need_restart;
        list.emplace_back(key.name);
    }
    return found;
}

Config reloaded(const Config& before, const Config& after) {
    Config result = before;
    for (const auto& key : keys()) {
        if (key.effect == Key::Effect::OnReload) key.copy(result, after);
    }
    return result;
}

}  // namespace weft::config
