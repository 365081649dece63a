// SPDX-License-Identifier: Apache-2.0
#include "control/json_reader.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <boost/json/array.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_stack.hpp>

#include "config/codec.hpp"
#include "config/nearest.hpp"

namespace weft::control {

namespace json = boost::json;
using boost::system::error_code;
using config::shown;

namespace {

constexpr std::size_t kDeepest = 16;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string folded(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), lower);
    return result;
}

std::string_view view(json::string_view text) {
    return {text.data(), text.size()};
}

// Builds the value and looks at everything on the way. Where it stands is kept as a path, for errors.
class Handler {
  public:
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

    explicit Handler(Keys keys) : keys_(keys) {}
    json::value release() { return stack_.release(); }
    std::optional<Problem> take_problem() { return std::move(problem_); }

    bool on_document_begin(error_code&) {
        stack_.reset();
        return true;
    }
    bool on_document_end(error_code&) { return true; }
    bool on_object_begin(error_code&) {
        begin_value();
        levels_.emplace_back().is_object = true;
        return true;
    }
    bool on_object_end(std::size_t size, error_code&) {
        levels_.pop_back();
        stack_.push_object(size);
        return true;
    }
    bool on_array_begin(error_code&) {
        begin_value();
        levels_.emplace_back();
        return true;
    }
    bool on_array_end(std::size_t size, error_code&) {
        levels_.pop_back();
        stack_.push_array(size);
        return true;
    }
    bool on_key_part(json::string_view part, std::size_t, error_code&) {
        key_ += view(part);
        return true;
    }
    bool on_key(json::string_view part, std::size_t, error_code& error) {
        key_ += view(part);
        Level& level = levels_.back();
        level.key = std::exchange(key_, {});
        if (level.key.find('\0') != std::string::npos) return refuse(error, "a key holds a NUL character");
        if (!level.seen.insert(keys_ == Keys::AnyCase ? folded(level.key) : level.key).second) {
            return refuse(error, keys_ == Keys::AnyCase
                                     ? "the key stands there twice (the spelling of keys does not matter)"
                                     : "the key stands there twice");
        }
        stack_.push_key(level.key);
        return true;
    }
    bool on_string_part(json::string_view part, std::size_t, error_code&) {
        text_ += view(part);
        return true;
    }
    bool on_string(json::string_view part, std::size_t, error_code& error) {
        text_ += view(part);
        begin_value();
        if (text_.find('\0') != std::string::npos) return refuse(error, "the text holds a NUL character");
        stack_.push_string(text_);
        text_.clear();
        return true;
    }
    bool on_number_part(json::string_view, error_code&) { return true; }
    bool on_int64(std::int64_t number, json::string_view, error_code&) {
        begin_value();
        stack_.push_int64(number);
        return true;
    }
    bool on_uint64(std::uint64_t number, json::string_view, error_code&) {
        begin_value();
        stack_.push_uint64(number);
        return true;
    }
    bool on_double(double number, json::string_view, error_code& error) {
        begin_value();
        if (!std::isfinite(number)) return refuse(error, "the number is too large");
        stack_.push_double(number);
        return true;
    }
    bool on_bool(bool value, error_code&) {
        begin_value();
        stack_.push_bool(value);
        return true;
    }
    bool on_null(error_code&) {
        begin_value();
        stack_.push_null();
        return true;
    }
    bool on_comment_part(json::string_view, error_code&) { return true; }
    bool on_comment(json::string_view, error_code&) { return true; }

  private:
    struct Level {
        bool is_object = false;
        std::string key;  // of the member at hand
        std::set<std::string> seen;
        std::size_t count = 0;  // of elements so far, in a list
    };

    void begin_value() {
        if (!levels_.empty()) ++levels_.back().count;
    }

    bool refuse(error_code& error, const std::string& detail) {
        std::string path;
        for (const auto& level : levels_) {
            if (level.is_object) {
                path += (path.empty() ? "" : ".") + shown(level.key);
            } else if (level.count > 0) {
                path += "[" + std::to_string(level.count - 1) + "]";
            }
        }
        problem_ = Problem::bad_field(path, detail);
        error = json::make_error_code(json::error::syntax);
        return false;
    }

    Keys keys_;
    json::value_stack stack_;
    std::vector<Level> levels_;
    std::string key_, text_;
    std::optional<Problem> problem_;
};

const char* kind_name(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null:
            return "null";
        case json::kind::bool_:
            return "a boolean";
        case json::kind::int64:
        case json::kind::uint64:
            return "a number";
        case json::kind::double_:
            return "a number with fraction or exponent";
        case json::kind::string:
            return "text";
        case json::kind::array:
            return "a list";
        case json::kind::object:
            return "an object";
    }
    return "";
}

}  // namespace

Answer<json::value> read_json(std::string_view bytes, Keys keys) {
    json::parse_options options;
    options.max_depth = kDeepest;
    json::basic_parser<Handler> parser(options, keys);
    error_code error;
    const std::size_t read = parser.write_some(false, bytes.data(), bytes.size(), error);
    if (!error && read < bytes.size()) error = json::make_error_code(json::error::extra_data);
    if (!error) return parser.handler().release();
    if (auto problem = parser.handler().take_problem()) return std::unexpected(std::move(*problem));
    if (bytes.empty())
        return std::unexpected(Problem{400, "bad_json", "", "the body is empty; expected a JSON object"});
    return std::unexpected(
        Problem{400, "bad_json", "", "not JSON at byte " + std::to_string(read) + ": " + error.message()});
}

JsonReader::JsonReader(const json::value& body, Keys keys)
    : own_{keys, {}, {}}, shared_(&own_), object_(body.if_object()) {
    if (object_ == nullptr) {
        own_.problem = Problem{400, "bad_json", "", std::string("expected a JSON object, found ") + kind_name(body)};
    }
}

JsonReader::JsonReader(Shared* shared, const json::value& body, std::string path)
    : own_{shared->keys, {}, {}}, shared_(shared), object_(body.if_object()), path_(std::move(path)) {
    if (object_ == nullptr) refuse("", std::string("expected an object, found ") + kind_name(body));
}

std::string JsonReader::path(std::string_view name) const {
    if (path_.empty() || name.empty()) return path_ + std::string(name);
    return path_ + "." + std::string(name);
}

void JsonReader::refuse(std::string_view name, const std::string& detail) {
    if (!shared_->problem) shared_->problem = Problem::bad_field(path(name), detail);
}

const json::value* JsonReader::find(std::string_view name) {
    if (std::ranges::find(known_, name) == known_.end()) known_.push_back(name);
    if (has_failed() || object_ == nullptr) return nullptr;
    const json::value* value = nullptr;
    if (shared_->keys == Keys::Exact) {
        value = object_->if_contains({name.data(), name.size()});
    } else {
        const auto wanted = folded(name);
        for (const auto& member : *object_) {
            if (folded(view(member.key())) == wanted) value = &member.value();
        }
    }
    return value == nullptr || value->is_null() ? nullptr : value;
}

bool JsonReader::has(std::string_view name) {
    return find(name) != nullptr;
}

void JsonReader::ignore(Names names) {
    known_.insert(known_.end(), names.begin(), names.end());
}

std::optional<std::string> JsonReader::text(Names names) {
    std::optional<std::string> chosen;
    for (const auto name : names) {
        const json::value* value = find(name);
        if (value == nullptr) continue;
        const auto* text = value->if_string();
        if (text == nullptr) {
            refuse(name, std::string("expected text, found ") + kind_name(*value));
            return std::nullopt;
        }
        if (chosen && view(*text) != *chosen) {
            refuse(name, "'" + shown(view(*text)) + "' differs from " + std::string(*names.begin()) + " '" +
                             shown(*chosen) + "', which is the same thing");
            return std::nullopt;
        }
        chosen = std::string(view(*text));
    }
    return chosen;
}

std::optional<std::uint64_t> JsonReader::integer(std::string_view name, std::uint64_t min, std::uint64_t max) {
    const json::value* value = find(name);
    if (value == nullptr) return std::nullopt;
    const std::string expected = "expected an integer from " + std::to_string(min) + " to " + std::to_string(max);
    std::optional<std::uint64_t> number;
    if (const auto* small = value->if_int64(); small != nullptr && *small >= 0)
        number = static_cast<std::uint64_t>(*small);
    if (const auto* large = value->if_uint64(); large != nullptr) number = *large;
    if (number && *number >= min && *number <= max) return number;
    refuse(name, expected + ", found " +
                     (value->is_int64() || value->is_uint64() ? json::serialize(*value) : kind_name(*value)));
    return std::nullopt;
}

void JsonReader::each(std::string_view name, std::size_t most, const std::function<void(JsonReader&)>& read) {
    const json::value* value = find(name);
    if (value == nullptr) return;
    const auto* list = value->if_array();
    if (list == nullptr) return refuse(name, std::string("expected a list, found ") + kind_name(*value));
    if (list->size() > most) {
        return refuse(name,
                      "expected at most " + std::to_string(most) + " entries, found " + std::to_string(list->size()));
    }
    for (std::size_t i = 0; i < list->size(); ++i) {
        JsonReader reader(shared_, (*list)[i], path(name) + "[" + std::to_string(i) + "]");
        read(reader);
        reader.look_for_unknown_keys();
    }
}

std::vector<std::string> JsonReader::texts(std::string_view name, std::size_t most) {
    std::vector<std::string> result;
    const json::value* value = find(name);
    if (value == nullptr) return result;
    const auto* list = value->if_array();
    if (list == nullptr) {
        refuse(name, std::string("expected a list of texts, found ") + kind_name(*value));
        return result;
    }
    require(list->size() <= most, name, "expected at most " + std::to_string(most) + " entries");
    for (std::size_t i = 0; i < list->size() && !has_failed(); ++i) {
        const auto* text = (*list)[i].if_string();
        if (text == nullptr) {
            refuse(std::string(name) + "[" + std::to_string(i) + "]",
                   std::string("expected text, found ") + kind_name((*list)[i]));
        } else {
            result.emplace_back(view(*text));
        }
    }
    return result;
}

std::vector<std::pair<std::string, std::string>> JsonReader::text_map(std::string_view name, std::size_t most) {
    std::vector<std::pair<std::string, std::string>> result;
    const json::value* value = find(name);
    if (value == nullptr) return result;
    const auto* map = value->if_object();
    if (map == nullptr) {
        refuse(name, std::string("expected an object of texts, found ") + kind_name(*value));
        return result;
    }
    require(map->size() <= most, name, "expected at most " + std::to_string(most) + " entries");
    for (const auto& member : *map) {
        const auto* text = member.value().if_string();
        if (text == nullptr) {
            refuse(std::string(name) + "." + shown(view(member.key())),
                   std::string("expected text, found ") + kind_name(member.value()));
            return result;
        }
        result.emplace_back(view(member.key()), view(*text));
    }
    return result;
}

void JsonReader::look_for_unknown_keys() {
    if (shared_->keys == Keys::AnyCase || object_ == nullptr || shared_->unknown_key) return;
    for (const auto& member : *object_) {
        const auto key = view(member.key());
        if (std::ranges::find(known_, key) != known_.end()) continue;
        std::string detail = "unknown key";
        if (const auto meant = config::nearest(key, known_); !meant.empty()) {
            detail += "; did you mean '" + std::string(meant) + "'?";
        } else {
            detail += "; known here:";
            for (const auto name : known_)
                detail += (name == known_.front() ? " " : ", ") + std::string(name);
        }
        shared_->unknown_key = Problem::bad_field(path(shown(key)), detail);
        return;
    }
}

std::optional<Problem> JsonReader::finish() {
    look_for_unknown_keys();
    return shared_->unknown_key ? shared_->unknown_key : shared_->problem;
}

}  // namespace weft::control
