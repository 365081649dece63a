// SPDX-License-Identifier: Apache-2.0
#include "control/cli/table.hpp"

#include <gtest/gtest.h>

namespace weft::cli {
namespace {

TEST(Table, AlignsTextLeftAndNumbersRight) {
    Table table({"NAME", "COUNT"});
    table.add({"a", "1"});
    table.add({"longer", "1000"});
    EXPECT_EQ(table.text(),
              "NAME    COUNT\n"
              "a           1\n"
              "longer   1000\n");
}

TEST(Table, ADashAmongNumbersKeepsThemToTheRight) {
    Table table({"RTT"});
    table.add({"-"});
    table.add({"10.25"});
    EXPECT_EQ(table.text(), "  RTT\n    -\n10.25\n");
}

TEST(Table, AddressesAreText) {
    Table table({"ADDRESS"});
    table.add({"10.0.0.1"});
    EXPECT_EQ(table.text(), "ADDRESS\n10.0.0.1\n");
}

TEST(Table, MeasuresLettersNotBytes) {
    Table table({"A", "B"});
    table.add({"ü", "x"});
    table.add({"uu", "y"});
    EXPECT_EQ(table.text(), "A   B\nü   x\nuu  y\n");
}

TEST(Table, HasNoBlanksAtLineEnds) {
    Table table({"A", "LONG TITLE"});
    table.add({"x", "y"});
    EXPECT_EQ(table.text(), "A  LONG TITLE\nx  y\n");
}

TEST(Table, DisarmsTerminalEscapes) {
    Table table({"A"});
    table.add({"\033[2Jgone\n"});
    EXPECT_EQ(table.text(), "A\n?[2Jgone?\n");
}

}  // namespace
}  // namespace weft::cli
