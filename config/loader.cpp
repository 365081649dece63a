// SPDX-License-Identifier: Apache-2.0
#include "config/loader.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "config/checks.hpp"
#include "config/codec.hpp"
#include "config/keys.hpp"
#include "config/nearest.hpp"
#include "config/secret_file.hpp"
#include "config/value.hpp"

// From text to a configuration:
//
//   1 text -> yaml-cpp's nodes -> our own tree (Value), bounded in size and depth; yaml-cpp's exceptions end here
//   2 walk the tree: sections lead to keys, keys are read by their codec, what nobody knows is an error
//   3 resolve; features of later versions: only their defaults pass
//   4 the checks across keys
//   5 (load only) the secret files
namespace weft::config {

namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 20;
constexpr int kDeepest = 8;
constexpr std::size_t kMostValues = 50'000;

// Turns yaml-cpp's tree into ours. Aliases are copied out, so their total is bounded too.
class Converter {
  public:
    std::expected<Value, Fault> convert(const YAML::Node& node, int depth) {
        Value value;
        value.line = node.Mark().line + 1;
        value.column = node.Mark().column + 1;
        if (depth > kDeepest) return std::unexpected(Fault::at(value, "nested too deeply"));
        if (++count_ > kMostValues) return std::unexpected(Fault::at(value, "too many values"));
        switch (node.Type()) {
            case YAML::NodeType::Undefined:
            case YAML::NodeType::Null:
                return value;
            case YAML::NodeType::Scalar:
                value.kind = Value::Kind::Scalar;
                value.text = node.Scalar();
                return value;
            case YAML::NodeType::Sequence:
                return convert_list(node, std::move(value), depth);
            case YAML::NodeType::Map:
                return convert_map(node, std::move(value), depth);
        }
        return value;
    }

  private:
    std::expected<Value, Fault> convert_list(const YAML::Node& node, Value value, int depth) {
        value.kind = Value::Kind::List;
        for (const auto& item : node) {
            auto converted = convert(item, depth + 1);
            if (!converted) return converted;
            value.items.push_back(std::move(*converted));
        }
        return value;
    }

    std::expected<Value, Fault> convert_map(const YAML::Node& node, Value value, int depth) {
        value.kind = Value::Kind::Map;
        std::set<std::string> seen;
        for (const auto& entry : node) {
            auto converted_name = convert(entry.first, depth + 1);
            if (!converted_name) return converted_name;
            if (converted_name->kind != Value::Kind::Scalar) {
                return std::unexpected(Fault::at(*converted_name, "a key must be plain text"));
            }
            if (!seen.insert(converted_name->text).second) {
                return std::unexpected(
                    Fault::at(*converted_name, "'" + shown(converted_name->text) + "' stands here twice"));
            }
            auto converted_item = convert(entry.second, depth + 1);
            if (!converted_item) return converted_item;
            value.names.push_back(std::move(*converted_name));
            value.items.push_back(std::move(*converted_item));
        }
        return value;
    }

    std::size_t count_ = 0;
};

// Takes in what yaml-cpp reads and keeps nothing.
class Deaf final : public YAML::EventHandler {
  public:
    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
};

// Not by LoadAll: of a text like ", a]" yaml-cpp 0.7 makes empty documents without end, until the memory is full.
bool has_several_documents(std::string_view text) {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Deaf deaf;
    return parser.HandleNextDocument(deaf) && parser.HandleNextDocument(deaf);
}

std::expected<Value, Fault> parse_yaml(std::string_view text) {
    if (text.size() > kLargestFile) return std::unexpected(Fault{1, 1, {}, "the file is larger than 1 MiB"});
    const auto nul = text.find('\0');
    if (nul != std::string_view::npos) {
        const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(nul), '\n');
        return std::unexpected(Fault{static_cast<int>(line), 1, {}, "a NUL byte is not text"});
    }
    try {
        if (has_several_documents(text)) return std::unexpected(Fault{1, 1, {}, "more than one document in the file"});
        return Converter().convert(YAML::Load(std::string(text)), 0);
    } catch (const YAML::Exception& error) {
        return std::unexpected(
            Fault{std::max(error.mark.line, 0) + 1, std::max(error.mark.column, 0) + 1, {}, "not YAML: " + error.msg});
    } catch (const std::exception& error) {
        return std::unexpected(Fault{1, 1, {}, std::string("not YAML: ") + error.what()});
    }
}

bool is_section(std::string_view path) {
    return std::ranges::any_of(keys(), [&](const Key& key) {
        return key.name.size() > path.size() && key.name.starts_with(path) && key.name[path.size()] == '.';
    });
}

// The names that may stand directly under a section ("" is the top).
std::vector<std::string_view> names_under(std::string_view section) {
    std::vector<std::string_view> names;
    for (const auto& key : keys()) {
        std::string_view rest = key.name;
        if (!section.empty()) {
            if (!rest.starts_with(section) || rest.size() <= section.size() || rest[section.size()] != '.') continue;
            rest.remove_prefix(section.size() + 1);
        }
        const auto name = rest.substr(0, rest.find('.'));
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
    return names;
}

std::string describe_unknown(std::string_view section, std::string_view name) {
    const auto names = names_under(section);
    const auto meant = nearest(name, names);
    if (!meant.empty()) return "unknown key; did you mean '" + std::string(meant) + "'?";
    // Right key, wrong section?
    for (const auto& key : keys()) {
        if (key.name.ends_with("." + std::string(name)))
            return "unknown key here; there is '" + std::string(key.name) + "'";
    }
    std::string known = "unknown key; known here:";
    for (const auto candidate : names)
        known += (candidate == names.front() ? " " : ", ") + std::string(candidate);
    return known;
}

class Walker {
  public:
    Walker(Loaded& loaded, Places& places) : loaded_(loaded), places_(places) {}

    std::optional<Fault> walk(const Value& section, const std::string& path) {
        if (section.kind == Value::Kind::Null) return std::nullopt;
        if (section.kind != Value::Kind::Map) {
            Fault fault = Fault::at(section, std::string("expected a section of keys, found ") + section.kind_name());
            fault.key = path;
            return fault;
        }
        for (std::size_t i = 0; i < section.names.size(); ++i) {
            const Value& name = section.names[i];
            const Value& value = section.items[i];
            const std::string full = path.empty() ? name.text : path + "." + name.text;
            if (auto fault = take(name, value, full, path)) return fault;
        }
        return std::nullopt;
    }

  private:
    std::optional<Fault> take(const Value& name, const Value& value, const std::string& full, const std::string& path) {
        const Key* key = find_key(full);
        if (key == nullptr && is_section(full)) return walk(value, full);
        if (key == nullptr) {
            Fault fault = Fault::at(name, describe_unknown(path, name.text));
            fault.key = shown(full);
            return fault;
        }
        if (value.kind == Value::Kind::Null) return std::nullopt;  // "key:" with nothing behind it is the default
        if (auto fault = key->read(loaded_.config, value)) {
            fault->key.insert(0, full);
            return fault;
        }
        places_[full] = {value.line, value.column};
        loaded_.origins[full] = loaded_.file + ":" + std::to_string(value.line);
        return std::nullopt;
    }

    Loaded& loaded_;
    Places& places_;
};

// Compares resolved values, so that what `print` wrote passes too.
std::optional<Fault> check_support(const Config& config, const Places& places) {
    Config defaults;
    defaults.run_dir = config.run_dir;
    resolve(defaults);
    for (const auto& key : keys()) {
        if (key.support == Key::Support::Full || key.write(config) == key.write(defaults)) continue;
        const auto place = places.find(std::string(key.name));
        const auto [line, column] = place == places.end() ? Place{1, 1} : place->second;
        return Fault{line, column, std::string(key.name),
                     "'" + (key.secrecy == Key::Secrecy::Secret ? "(hidden)" : shown(key.write(config))) +
                         "' is not in this version; allowed: " + key.write(defaults)};
    }
    return std::nullopt;
}

Error to_error(const std::string& file, const Fault& fault) {
    std::string text = file + ":" + std::to_string(fault.line) + ":" + std::to_string(fault.column) + ": ";
    if (!fault.key.empty()) text += fault.key + ": ";
    return {ErrorCode::BadInput, text + fault.why};
}

struct WithPlaces {
    Loaded loaded;
    Places places;
};

Result<WithPlaces> read_text(std::string_view text, const std::string& name) {
    WithPlaces read;
    read.loaded.file = name;
    const auto root = parse_yaml(text);
    if (!root) return std::unexpected(to_error(name, root.error()));
    if (auto fault = Walker(read.loaded, read.places).walk(*root, "")) return std::unexpected(to_error(name, *fault));
    resolve(read.loaded.config);
    if (auto fault = check_support(read.loaded.config, read.places)) return std::unexpected(to_error(name, *fault));
    if (auto fault = check(read.loaded.config, read.places)) return std::unexpected(to_error(name, *fault));
    return read;
}

Result<std::string> read_file(const std::string& file) {
    errno = 0;
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
        const int number = errno;
        if (number == ENOENT) return std::unexpected(Error(ErrorCode::NotFound, file + ":1:1: no such file"));
        return std::unexpected(Error::system(file + ":1:1: open", number));
    }
    std::string text(kLargestFile + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (stream.bad()) return std::unexpected(Error::system(file + ":1:1: read"));
    text.resize(static_cast<std::size_t>(stream.gcount()));
    return text;
}

std::optional<Fault> check_files(const Config& config, const Places& places) {
    const auto fault = [&](const char* key, const Error& error) {
        const auto place = places.find(key);
        const auto [line, column] = place == places.end() ? Place{1, 1} : place->second;
        return Fault{line, column, key, error.text()};
    };
    if (!config.tunnel.psk_file.empty()) {
        if (const auto psk = read_psk(config.tunnel.psk_file); !psk) return fault("tunnel.psk_file", psk.error());
    }
    if (!config.api.token_file.empty()) {
        if (const auto token = read_token(config.api.token_file); !token) return fault("api.token_file", token.error());
    }
    return std::nullopt;
}

}  // namespace

Result<Loaded> load_text(std::string_view text, const std::string& name) {
    auto read = read_text(text, name);
    if (!read) return std::unexpected(read.error());
    return std::move(read->loaded);
}

Result<Loaded> load(const std::string& file) {
    const auto text = read_file(file);
    if (!text) return std::unexpected(text.error());
    auto read = read_text(*text, file);
    if (!read) return std::unexpected(read.error());
    if (auto fault = check_files(read->loaded.config, read->places)) return std::unexpected(to_error(file, *fault));
    return std::move(read->loaded);
}

Result<Loaded> load_default() {
    auto loaded = load(std::string(kDefaultFile));
    if (loaded || loaded.error().code() != ErrorCode::NotFound) return loaded;
    loaded = load_text("", "built-in defaults");
    if (loaded) loaded->file.clear();
    return loaded;
}

}  // namespace weft::config
