// SPDX-License-Identifier: Apache-2.0
//
// Any text as a configuration: refused with the place and a reason, or valid; and what is valid is printed as text that
// reads back to the same.
#include <string>

#include "config/loader.hpp"
#include "dataplane/base/check.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace weft;
    std::string text;
    for (std::size_t i = 0; i < size; ++i)
        text.push_back(static_cast<char>(data[i]));
    const auto loaded = config::load_text(text, "fuzz.yaml");
    if (!loaded) {
        WEFT_CHECK(loaded.error().text().starts_with("fuzz.yaml"), "an error that does not say where");
        WEFT_CHECK(loaded.error().text().size() < 4096, "an error nobody reads");
        return 0;
    }
    const auto again = config::load_text(config::print(*loaded), "printed.yaml");
    WEFT_CHECK(again.has_value(), "what is printed does not load");
    WEFT_CHECK(again->config == loaded->config, "what is printed loads as something else");
    return 0;
}
