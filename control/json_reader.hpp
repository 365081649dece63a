// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "control/problem.hpp"

namespace weft::control {

// How keys are compared: the reference system's clients spell them in any case and send keys of their own; weft's own
// calls are exact, and a key that nobody knows is an error there.
enum class Keys : std::uint8_t { AnyCase, Exact };

// JSON text to a value, stricter than the library: keys that stand twice, NUL in strings, numbers beyond what a double
// holds, nesting deeper than 16 and anything after the value are refused. Pure.
Answer<boost::json::value> read_json(std::string_view bytes, Keys keys);

// Reads the fields of one object, typed and ranged. The first problem is kept and every later read answers nothing, so
// a reader of a request is a straight line that checks once, at the end:
//
//     JsonReader reader(body, Keys::Exact);
//     request.port = reader.integer("port", 1, 65535).value_or(50103);
//     if (auto problem = reader.finish()) return std::unexpected(*problem);
//
// `null` is the same as absent. Readers of nested objects share the problem with the outermost one, whose `finish` also
// looks for unknown keys in all of them. Threading: none; lives within one call.
class JsonReader {
  public:
    JsonReader(const boost::json::value& body, Keys keys);
    JsonReader(const JsonReader&) = delete;
    JsonReader& operator=(const JsonReader&) = delete;

    // Each takes the names that mean the same field; several that differ are a problem.
    using Names = std::initializer_list<std::string_view>;
    std::optional<std::string> text(Names names);
    // Integers only: neither 3.0, 1e2, "3" nor true.
    std::optional<std::uint64_t> integer(std::string_view name, std::uint64_t min, std::uint64_t max);
    // Runs `read` over each object of a list of at most `most`.
    void each(std::string_view name, std::size_t most, const std::function<void(JsonReader&)>& read);
    std::vector<std::string> texts(std::string_view name, std::size_t most);
    std::vector<std::pair<std::string, std::string>> text_map(std::string_view name, std::size_t most);
    // Keys that are known and not looked at: what answers carry.
    void ignore(Names names);
    [[nodiscard]] bool has(std::string_view name);

    // Notes a problem with a field, unless there is one already.
    void refuse(std::string_view name, const std::string& detail);
    void require(bool condition, std::string_view name, const std::string& detail) {
        if (!condition) refuse(name, detail);
    }
    [[nodiscard]] bool has_failed() const { return shared_->problem.has_value(); }
    // "serviceIp[0].Address", for the field's name within this object.
    [[nodiscard]] std::string path(std::string_view name) const;

    // The problem, if there was one: unknown keys first, since they tend to explain the rest.
    std::optional<Problem> finish();

  private:
    struct Shared {
        Keys keys;
        std::optional<Problem> problem;
        std::optional<Problem> unknown_key;
    };
    JsonReader(Shared* shared, const boost::json::value& body, std::string path);

    // The field's value; nullptr if it is absent, null, or something failed before.
    const boost::json::value* find(std::string_view name);
    void look_for_unknown_keys();

    Shared own_;  // of the outermost reader
    Shared* shared_;
    const boost::json::object* object_ = nullptr;
    std::string path_;
    std::vector<std::string_view> known_;  // names asked for: literals of the caller
};

}  // namespace weft::control
