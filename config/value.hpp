// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace weft::config {

// A configuration document as the readers of keys see it: the tree, and where each part stood in the file.
struct Value {
    enum class Kind { Null, Scalar, List, Map };
    Kind kind = Kind::Null;
    std::string text;          // Scalar
    std::vector<Value> names;  // Map: the keys, in file order
    std::vector<Value> items;  // List: the elements; Map: the values, beside `names`
    int line = 0;              // from 1
    int column = 0;

    [[nodiscard]] const char* kind_name() const {
        switch (kind) {
            case Kind::Null:
                return "nothing";
            case Kind::Scalar:
                return "a single value";
            case Kind::List:
                return "a list";
            case Kind::Map:
                return "a section";
        }
        return "";
    }
};

// Why a value was refused, and where: `key` is what stands behind the key's own name, e.g. "[0].port".
struct Fault {
    int line = 0;
    int column = 0;
    std::string key;
    std::string why;

    static Fault at(const Value& value, std::string why) { return {value.line, value.column, {}, std::move(why)}; }
};

}  // namespace weft::config
