// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "dataplane/base/error.hpp"
#include "overlay/flow_hash.hpp"
#include "overlay/flow_table.hpp"
#include "overlay/mapping.hpp"

namespace weft::overlay {

// The first page of the flow file: docs/wire-format.md, "flow file". Host byte order: the file lives in a tmpfs and
// outlives the process, neither the boot nor the machine.
struct FlowFileHeader {
    static constexpr std::array<char, 8> kMagic{'w', 'e', 'f', 't', 'f', 'l', 'o', 'w'};
    static constexpr std::uint32_t kLayoutVersion = 1;

    std::array<char, 8> magic;
    std::uint32_t layout_version;
    std::uint32_t header_size;  // where the first section begins
    std::uint32_t entry_size_v4, entry_size_v6;
    std::uint32_t capacity_v4, capacity_v6;  // connections
    std::uint64_t file_size;
    std::array<char, 64> boot_id;   // zero-padded
    std::array<char, 128> node_id;  // zero-padded
    HashSecret secret;
    std::uint32_t reserved;
    std::uint32_t crc;  // CRC32C over everything before it
};
static_assert(sizeof(FlowFileHeader) == 288 && std::is_trivially_copyable_v<FlowFileHeader>);
static_assert(offsetof(FlowFileHeader, crc) == 284);

[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept;

// Where the sections lie. Each begins on a page of its own: header, born times of IPv4 and IPv6 connections (1/16 s of
// the boot clock, one u32 each), IPv4 entries, IPv6 entries.
struct FlowFileLayout {
    std::uint32_t capacity_v4 = 0, capacity_v6 = 0;
    std::size_t born_v4 = 0, born_v6 = 0, entries_v4 = 0, entries_v6 = 0, size = 0;

    static FlowFileLayout of(std::uint32_t capacity);
};

// The header a file for these options must have; the secret is the caller's.
[[nodiscard]] FlowFileHeader make_flow_file_header(const FlowTable::Options& options, const HashSecret& secret);

// The mapped file: found and taken over, or set aside ("<file>.aside") and made anew, zeroed. Nothing in it but the
// header has been looked at.
//
// Threading: opened by control, then given to the worker. Errors: Result; a new file only appears under its name when
// it is complete.
struct FlowFile {
    Mapping memory;
    FlowFileLayout layout;
    HashSecret secret;
    bool taken_over = false;  // entries may be in it
    std::string set_aside;    // why an old file was refused

    static Result<FlowFile> open(const FlowTable::Options& options);
};

}  // namespace weft::overlay
