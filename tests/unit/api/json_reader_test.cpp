// SPDX-License-Identifier: Apache-2.0
#include "control/json_reader.hpp"

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

namespace weft::control {
namespace {

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

bool accepted(std::string_view text, Keys keys = Keys::Exact) {
    return read_json(text, keys).has_value();
}

TEST(ReadJson, TakesWhatIsJson) {
    for (const std::string& text :
         {std::string("{}"), std::string(" {\"a\" : [1, -2, 3.5, 1e2, true, false, null, \"x\"]}\r\n\t "),
          std::string("0"), std::string("-0"), std::string("\"\\u00e9\\ud83d\\ude00\\n\""),
          std::string("\"\xc3\xa9\xf0\x9f\x98\x80\""), std::string("\"\x7f\""), std::string("18446744073709551615"),
          std::string("1e308"), std::string("1E-400"), nested(16)}) {
        EXPECT_TRUE(accepted(text)) << text;
    }
}

TEST(ReadJson, RefusesWhatIsNot) {
    const std::vector<std::string> cases = {"",
                                            " ",
                                            "{",
                                            "}",
                                            "[",
                                            "]",
                                            "{]",
                                            "[}",
                                            "nul",
                                            "nulll",
                                            "True",
                                            "tru",
                                            "NaN",
                                            "Infinity",
                                            "-Infinity",
                                            "undefined",
                                            "01",
                                            "-01",
                                            "1.",
                                            ".5",
                                            "+1",
                                            "1e",
                                            "1e+",
                                            "0x10",
                                            "1_000",
                                            "--1",
                                            "-",
                                            "1 2",
                                            "{} {}",
                                            "{}x",
                                            "{},",
                                            "[1,]",
                                            "[,1]",
                                            "[1 2]",
                                            "[1,,2]",
                                            "{\"a\"}",
                                            "{\"a\":}",
                                            "{\"a\":1,}",
                                            "{,}",
                                            "{a:1}",
                                            "{'a':1}",
                                            "{\"a\" 1}",
                                            "{\"a\":1 \"b\":2}",
                                            "{1:2}",
                                            "[1",
                                            "{\"a\":1",
                                            "\"",
                                            "\"a",
                                            "'a'",
                                            "\"\\x41\"",
                                            "\"\\u12\"",
                                            "\"\\u12G4\"",
                                            "\"\\\"",
                                            "\"\\a\"",
                                            "\"a\nb\"",
                                            "\"a\tb\"",
                                            std::string("\"a\x01\"", 4),
                                            std::string("\"\x00\"", 3),
                                            "\"\\ud800\"",
                                            "\"\\udc00\\ud800\"",
                                            "\"\xff\"",
                                            "\"\xc0\xaf\"",
                                            "\"\xed\xa0\x80\"",
                                            "\"\xf4\x90\x80\x80\"",
                                            "\"\xe2\x82\"",
                                            "\xef\xbb\xbf{}",
                                            std::string("{\0}", 3),
                                            std::string("\xff\xfe{\0}\0", 6),
                                            std::string("\0{\0}", 4),
                                            "/**/{}",
                                            "{} // x",
                                            "{\"a\":1}#",
                                            "\x0c{}",
                                            "\xa0{}",
                                            "[1\x0b]",
                                            "<x/>",
                                            "a=1&b=2",
                                            nested(17),
                                            nested(1000),
                                            nested(100'000),
                                            std::string(100'000, '['),
                                            "1e400",
                                            "-1e400",
                                            "[1e999999999999]"};
    for (const auto& text : cases) {
        const auto read = read_json(text, Keys::Exact);
        ASSERT_FALSE(read) << text.substr(0, 80);
        EXPECT_EQ(read.error().status, 400U);
        EXPECT_FALSE(read.error().detail.empty());
        EXPECT_LT(read.error().detail.size(), 300U);
    }
}

TEST(ReadJson, RefusesEveryPrefixOfAValue) {
    const std::string text = R"({"a":[1,{"b":"\u00e9x"},-2.5e3,true,null],"c":{}})";
    ASSERT_TRUE(accepted(text));
    for (std::size_t length = 0; length < text.size(); ++length)
        EXPECT_FALSE(accepted(text.substr(0, length))) << length;
}

struct Named {
    const char* text;
    Keys keys;
    const char* field;  // nullptr: accepted
};

class Duplicates : public testing::TestWithParam<Named> {};

TEST_P(Duplicates, AreRefusedWithTheirPath) {
    const auto read = read_json(GetParam().text, GetParam().keys);
    ASSERT_EQ(read.has_value(), GetParam().field == nullptr) << GetParam().text;
    if (read) return;
    EXPECT_EQ(read.error().error, "bad_field");
    EXPECT_EQ(read.error().field, GetParam().field);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Duplicates,
    testing::Values(Named{R"({"a":1,"a":2})", Keys::Exact, "a"}, Named{R"({"a":1,"A":2})", Keys::Exact, nullptr},
                    Named{R"({"a":1,"A":2})", Keys::AnyCase, "A"}, Named{R"({"a":1,"\u0061":2})", Keys::Exact, "a"},
                    Named{R"({"x":[{},{"serviceIp":1,"ServiceIP":2}]})", Keys::AnyCase, "x[1].ServiceIP"},
                    Named{R"({"a":{"b":1},"b":2})", Keys::AnyCase, nullptr},
                    Named{R"({"a":null,"a":null})", Keys::Exact, "a"},
                    Named{R"([[1,2],{"k":1,"k":1}])", Keys::Exact, "[1].k"}));

TEST(ReadJson, RefusesNulInTextAndSaysWhere) {
    const auto read = read_json(R"({"a":["x","y\u0000z"]})", Keys::Exact);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().field, "a[1]");
    EXPECT_FALSE(accepted(R"({"a\u0000b":1})"));
}

TEST(ReadJson, KeepsLongTextWhole) {
    const std::string text = "\"" + std::string(200'000, 'x') + "\\n" + std::string(10, 'y') + "\"";
    const auto read = read_json(text, Keys::Exact);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->get_string().size(), 200'011U);
}

// What one integer field from 1 to 65535 says to a value.
std::string integer_outcome(const std::string& value) {
    const auto json = read_json("{\"port\":" + value + "}", Keys::Exact);
    if (!json) return json.error().field.empty() ? "json" : json.error().field;
    JsonReader reader(*json, Keys::Exact);
    const auto number = reader.integer("port", 1, 65535);
    const auto problem = reader.finish();
    return problem ? problem->field : number ? std::to_string(*number) : "absent";
}

TEST(JsonReader, TakesIntegersOnlyInRange) {
    EXPECT_EQ(integer_outcome("1"), "1");
    EXPECT_EQ(integer_outcome("65535"), "65535");
    EXPECT_EQ(integer_outcome("null"), "absent");
    for (const char* value : {"0", "-1", "65536", "3.0", "3.9", "1e2", "1e300", "9223372036854775807",
                              "9223372036854775808", "18446744073709551615", "18446744073709551616",
                              "-9223372036854775809", "\"80\"", "true", "[]", "{}", "\"\""}) {
        EXPECT_EQ(integer_outcome(value), "port") << value;
    }
}

TEST(JsonReader, MatchesKeysInAnyCaseWhereItShould) {
    const auto json = read_json(R"({"SERVICENAME":"x","unknown":1})", Keys::AnyCase);
    JsonReader reader(*json, Keys::AnyCase);
    EXPECT_EQ(reader.text({"serviceName"}), "x");
    EXPECT_FALSE(reader.finish());
}

TEST(JsonReader, RefusesTwoNamesOfOneThingThatDiffer) {
    const auto json = read_json(R"({"appName":"x","serviceName":"y"})", Keys::AnyCase);
    JsonReader reader(*json, Keys::AnyCase);
    reader.text({"appName", "serviceName"});
    ASSERT_TRUE(reader.finish());
    EXPECT_EQ(reader.finish()->field, "serviceName");
}

TEST(JsonReader, NamesAnUnknownKeyAndTheNearestOne) {
    const auto json = read_json(R"({"list":[{"adress":"x"}]})", Keys::Exact);
    JsonReader reader(*json, Keys::Exact);
    reader.each("list", 10, [](JsonReader& entry) {
        entry.text({"address"});
        entry.refuse("address", "is missing");
    });
    const auto problem = reader.finish();
    ASSERT_TRUE(problem);
    EXPECT_EQ(problem->field, "list[0].adress");
    EXPECT_NE(problem->detail.find("did you mean 'address'?"), std::string::npos) << problem->detail;
}

TEST(JsonReader, KeepsTheFirstProblem) {
    const auto json = read_json(R"({"a":1,"b":2})", Keys::Exact);
    JsonReader reader(*json, Keys::Exact);
    reader.text({"a"});
    reader.text({"b"});
    ASSERT_TRUE(reader.finish());
    EXPECT_EQ(reader.finish()->field, "a");
}

TEST(JsonReader, RefusesABodyThatIsNoObject) {
    for (const char* text : {"null", "[]", "\"\"", "1", "true"}) {
        const auto json = read_json(text, Keys::AnyCase);
        ASSERT_TRUE(json);
        JsonReader reader(*json, Keys::AnyCase);
        EXPECT_FALSE(reader.text({"a"}));
        ASSERT_TRUE(reader.finish()) << text;
        EXPECT_EQ(reader.finish()->error, "bad_json");
    }
}

TEST(JsonReader, LimitsLists) {
    const auto json = read_json(R"({"a":[{},{},{}],"b":["x","y"],"c":{"k":"v"}})", Keys::Exact);
    JsonReader reader(*json, Keys::Exact);
    EXPECT_EQ(reader.texts("b", 2).size(), 2U);
    EXPECT_EQ(reader.text_map("c", 1).size(), 1U);
    reader.each("a", 2, [](JsonReader&) {});
    ASSERT_TRUE(reader.finish());
    EXPECT_EQ(reader.finish()->field, "a");
}

}  // namespace
}  // namespace weft::control
