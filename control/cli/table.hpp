// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft::cli {

// Columns of text with a title each; columns that hold only numbers stand to the right.
class Table {
  public:
    explicit Table(std::vector<std::string> titles) : titles_(std::move(titles)) {}

    // As many cells as titles.
    void add(std::vector<std::string> cells);
    [[nodiscard]] bool empty() const { return rows_.empty(); }
    // Lines without blanks at their ends.
    [[nodiscard]] std::string text() const;

  private:
    std::vector<std::string> titles_;
    std::vector<std::vector<std::string>> rows_;
};

// Text from elsewhere, safe to show: control characters (a terminal's escapes) become '?'.
std::string printable(std::string_view text);

}  // namespace weft::cli
