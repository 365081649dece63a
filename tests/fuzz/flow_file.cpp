// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a flow file: refused and set aside, or taken over with what is sound in it; and either way the table
// then works. Byte 0 chooses: bit 0 a right header before the bytes, bits 1-2 where in the file they lie.
#include "overlay/flow_file.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "dataplane/base/check.hpp"
#include "dataplane/base/unique_fd.hpp"
#include "overlay/flow_table.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace weft;
using overlay::FlowTable;

// A folder of this process, gone at its end.
class Folder {
  public:
    Folder() {
        std::string name =
            std::filesystem::path(std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") / "weft-fuzz-XXXXXX";
        WEFT_CHECK(::mkdtemp(name.data()) != nullptr, "no temporary folder");
        path_ = name;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::filesystem::path operator/(const char* name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

void write_at(int fd, std::span<const std::byte> bytes, std::size_t offset) {
    WEFT_CHECK(
        ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes.size()),
        "cannot write the file under test");
}

void write_file(const FlowTable::Options& options, fuzz::Input input) {
    const unsigned choice = input.byte();
    std::filesystem::remove(options.file);
    const UniqueFd fd(::open(options.file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    WEFT_CHECK(static_cast<bool>(fd), "cannot make the file under test");
    const auto content = input.rest();
    if ((choice & 1) == 0) return write_at(fd.get(), content, 0);

    const auto layout = overlay::FlowFileLayout::of(options.capacity);
    const auto header = overlay::make_flow_file_header(options, overlay::HashSecret{{1, 2, 3, 4, 5, 6}});
    WEFT_CHECK(::ftruncate(fd.get(), static_cast<off_t>(layout.size)) == 0, "cannot size the file under test");
    write_at(fd.get(), std::as_bytes(std::span(&header, 1)), 0);
    const std::size_t places[] = {layout.entries_v4, layout.entries_v6, layout.born_v4, sizeof header};
    const std::size_t place = places[choice >> 1 & 3];
    write_at(fd.get(), content.first(std::min(content.size(), layout.size - place)), place);
}

void use(FlowTable& table, TimePoint now) {
    WEFT_CHECK(table.size() <= table.capacity(), "more connections than there is room for");
    table.revalidate(
        [](const overlay::Flow&) { return std::optional(std::pair(overlay::InstanceRef{}, overlay::kLocal)); });
    for (const auto& view : table.snapshot(now, 1000, [](const overlay::Flow&) { return true; })) {
        const auto handle = table.find(view.opener.key);
        WEFT_CHECK(handle != overlay::kNoFlow, "a connection that is shown is not found");
        table.touch(handle, 1, 100, 0x10, now);
    }
    overlay::Flow opener, answer;
    opener.key = {.source = net::IpAddress::v4(0x0A120002),
                  .destination = net::IpAddress::v4(0x0A1E000A),
                  .source_port = 4711,
                  .destination_port = 80,
                  .protocol = 6};
    opener.rewrite = {opener.key.source, net::IpAddress::v4(0x0A120003), 4711, 80};
    answer.key = {.source = opener.rewrite.destination,
                  .destination = opener.key.source,
                  .source_port = 80,
                  .destination_port = 4711,
                  .protocol = 6};
    answer.rewrite = {opener.key.destination, opener.key.source, 80, 4711};
    answer.role = overlay::Role::Answer;
    if (table.find(opener.key) == overlay::kNoFlow && table.find(answer.key) == overlay::kNoFlow) {
        const auto handle = table.insert(opener, answer, now);
        WEFT_CHECK(!handle || table.find(opener.key) == *handle, "what was put in is not found");
        WEFT_CHECK(!handle || table.get(*handle).rewrite == opener.rewrite, "it was changed");
    }
    for (int i = 0; i < 8; ++i)
        table.sweep(now + std::chrono::hours(9), 1024);
    WEFT_CHECK(table.size() == 0, "what is long expired does not go");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Folder folder;
    const FlowTable::Options options{.file = folder / "flows", .capacity = 16, .node_id = "node", .boot_id = "boot"};
    write_file(options, fuzz::Input(data, size));
    const TimePoint now{std::chrono::hours(1)};
    for (const char* time : {"first", "again"}) {
        auto table = FlowTable::open(options, now);
        WEFT_CHECK(table.has_value(), time);
        use(**table, now);
    }
    std::filesystem::remove(options.file.string() + ".aside");
    return 0;
}
