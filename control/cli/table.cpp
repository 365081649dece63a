// SPDX-License-Identifier: Apache-2.0
#include "control/cli/table.hpp"

#include <algorithm>
#include <cstddef>

#include "dataplane/base/check.hpp"

namespace weft::cli {

namespace {

// Code points: every byte but the continuation bytes of UTF-8.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

// One point at most: an address is text.
bool is_number(std::string_view text) {
    return text == "-" || (!text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos &&
                           std::ranges::count(text, '.') <= 1);
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
    WEFT_CHECK(cells.size() == titles_.size(), "a cell for each column");
    for (auto& cell : cells)
        cell = printable(cell);
    rows_.push_back(std::move(cells));
}

std::string Table::text() const {
    std::vector<std::size_t> widths;
    std::vector<bool> right;
    for (std::size_t column = 0; column < titles_.size(); ++column) {
        std::size_t widest = width(titles_[column]);
        bool numbers = !rows_.empty();
        for (const auto& row : rows_) {
            widest = std::max(widest, width(row[column]));
            numbers = numbers && is_number(row[column]);
        }
        widths.push_back(widest);
        right.push_back(numbers);
    }
    std::string out;
    const auto line = [&](const std::vector<std::string>& cells) {
        std::string text;
        for (std::size_t column = 0; column < cells.size(); ++column) {
            const std::string blanks(widths[column] - width(cells[column]), ' ');
            if (column != 0) text += "  ";
            text += right[column] ? blanks + cells[column] : cells[column] + blanks;
        }
        text.erase(text.find_last_not_of(' ') + 1);
        out += text + "\n";
    };
    line(titles_);
    for (const auto& row : rows_)
        line(row);
    return out;
}

std::string printable(std::string_view text) {
    std::string safe(text);
    for (char& c : safe) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
    }
    return safe;
}

}  // namespace weft::cli
