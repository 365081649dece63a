// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "control/cli/failure.hpp"

namespace weft::cli {

enum class Format { Table, Json };

// One call of the program: the options every verb shares, where its output goes, and the node it talks to.
class Session {
  public:
    using Verb = std::function<Outcome<ExitCode>(Session&)>;

    explicit Session(std::ostream& output) : out(output) {}

    std::ostream& out;
    std::string server = "unix:/run/weft/weftd.sock";
    Format format = Format::Table;
    bool colour = false;
    Verb verb;  // chosen by the command line

    // Asks the node. An answer of 400 and above is a Failure with the node's own reason; an empty body is null.
    Outcome<boost::json::value> get(std::string_view path);
    Outcome<boost::json::value> call(std::string_view method, std::string_view path, const boost::json::value* body);

    // "OK", "WARN", "ERR" in their colours, if there are any.
    [[nodiscard]] std::string paint(std::string_view word) const;
    void print_json(const boost::json::value& value);
};

// Percent-encodes what may not stand in a path segment or a query value.
std::string url_encoded(std::string_view text);

}  // namespace weft::cli
