// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

// Reading answers for people: a key that is missing or of another type reads as nothing, never as an error, since an
// older or newer weftd may leave it out.
namespace weft::cli {

// The value as a person reads it, "-" for none. `path` may lead through objects: "tun.name".
std::string text_at(const boost::json::value& from, std::string_view path);
// As text_at, but "" for none.
std::string text_or_empty(const boost::json::value& from, std::string_view path);
std::uint64_t count_at(const boost::json::value& from, std::string_view path);
const boost::json::value* find_at(const boost::json::value& from, std::string_view path);
// The array under `path`, empty if there is none.
const boost::json::array& array_at(const boost::json::value& from, std::string_view path);
const boost::json::object& object_at(const boost::json::value& from, std::string_view path);

}  // namespace weft::cli
