// SPDX-License-Identifier: Apache-2.0
//
// The page docs/wire-format.md, the structures and the dissector say the same.
#include <cstddef>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "overlay/tunnel_frames.hpp"
#include "overlay/tunnel_header.hpp"

namespace weft::overlay {
namespace {

struct Place {
    std::size_t offset, size;
    friend bool operator==(const Place&, const Place&) = default;
    friend void PrintTo(const Place& place, std::ostream* out) { *out << place.offset << "+" << place.size; }
};
using Layout = std::map<std::string, Place>;

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): offsetof takes a name.
#define WEFT_PLACE(type, member)                     \
    Place {                                          \
        offsetof(type, member), sizeof(type::member) \
    }

const std::vector<std::pair<std::string, Layout>> kStructures = {
    {"magic",
     {{"magic", WEFT_PLACE(TunnelHeader, magic)},
      {"version and type", WEFT_PLACE(TunnelHeader, version_and_type)},
      {"lane", WEFT_PLACE(TunnelHeader, lane)},
      {"flags", WEFT_PLACE(TunnelHeader, flags)},
      {"receiver index", WEFT_PLACE(TunnelHeader, receiver_index)},
      {"counter", WEFT_PLACE(TunnelHeader, counter)}}},
    {"time_ns",
     {{"kind", WEFT_PLACE(ControlFrame, kind)},
      {"reserved", WEFT_PLACE(ControlFrame, reserved)},
      {"time_ns", WEFT_PLACE(ControlFrame, time_ns)}}},
    {"ephemeral",
     {{"ephemeral", WEFT_PLACE(HandshakeBody, ephemeral)},
      {"payload", WEFT_PLACE(HandshakeBody, payload)},
      {"mac1", WEFT_PLACE(HandshakeBody, mac1)},
      {"mac2", WEFT_PLACE(HandshakeBody, mac2)}}},
    {"features",
     {{"start_number", WEFT_PLACE(HandshakePayload, start_number)},
      {"time_ns", WEFT_PLACE(HandshakePayload, time_ns)},
      {"features", WEFT_PLACE(HandshakePayload, features)},
      {"mtu", WEFT_PLACE(HandshakePayload, mtu)},
      {"lanes", WEFT_PLACE(HandshakePayload, lanes)},
      {"node", WEFT_PLACE(HandshakePayload, node)}}},
    {"nonce", {{"nonce", WEFT_PLACE(CookieBody, nonce)}, {"sealed", WEFT_PLACE(CookieBody, sealed)}}},
    {"random",
     {{"kind", WEFT_PLACE(HelloFrame, kind)},
      {"reserved", WEFT_PLACE(HelloFrame, reserved)},
      {"sender_index", WEFT_PLACE(HelloFrame, sender_index)},
      {"random", WEFT_PLACE(HelloFrame, random)},
      {"start_number", WEFT_PLACE(HelloFrame, start_number)},
      {"node", WEFT_PLACE(HelloFrame, node)}}},
};

std::string text_of(const char* file) {
    std::ifstream in(std::string(WEFT_SOURCE_ROOT "/") + file);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

// Every table of the page whose columns are offset, size, field.
std::vector<Layout> tables_of(const std::string& page) {
    std::vector<Layout> tables;
    std::istringstream lines(page);
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("| offset | size | field |")) {
            tables.emplace_back();
            inside = true;
        } else if (!line.starts_with("|")) {
            inside = false;
        } else if (inside && !line.starts_with("|---")) {
            std::istringstream cells(line);
            char bar = 0;
            Place place{};
            cells >> bar >> place.offset >> bar >> place.size >> bar >> std::ws;
            std::string name;
            std::getline(cells, name, '|');
            tables.back()[name.substr(0, name.find_last_not_of(' ') + 1)] = place;
        }
    }
    return tables;
}

TEST(WireFormat, PageAndStructuresAgree) {
    const auto tables = tables_of(text_of("docs/wire-format.md"));
    for (const auto& [telling_field, layout] : kStructures) {
        bool found = false;
        for (const Layout& table : tables)
            found |= table == layout;
        EXPECT_TRUE(found) << "no table of docs/wire-format.md equals the structure with the field " << telling_field;
    }
}

TEST(WireFormat, PageAndDissectorNameEveryTypeAlike) {
    const std::string page = text_of("docs/wire-format.md"), dissector = text_of("scripts/weft.lua");
    const std::map<TunnelHeader::Type, std::string> names = {{TunnelHeader::Type::Initiation, "initiation"},
                                                             {TunnelHeader::Type::Response, "response"},
                                                             {TunnelHeader::Type::Cookie, "cookie"},
                                                             {TunnelHeader::Type::SealedPacket, "sealed packet"},
                                                             {TunnelHeader::Type::SealedControl, "sealed control"},
                                                             {TunnelHeader::Type::ClearPacket, "clear packet"},
                                                             {TunnelHeader::Type::ClearControl, "clear control"}};
    for (const auto& [type, name] : names) {
        const std::string number = std::to_string(static_cast<int>(type));
        EXPECT_NE(page.find("| " + number + " | " + name + " |"), std::string::npos) << name;
        EXPECT_NE(dissector.find("[" + number + "] = \"" + name + "\""), std::string::npos) << name;
    }
}

}  // namespace
}  // namespace weft::overlay
