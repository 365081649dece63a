// SPDX-License-Identifier: Apache-2.0
//
// A file is either taken as a whole or not at all:
//
//   there is none             make one: "<file>.new", allocated and with its header, then renamed
//   there is one, header ok   allocate it again (holes on a full tmpfs would be a SIGBUS), map it
//   there is one, not ok      rename it to "<file>.aside", remember why, make a new one
#include "overlay/flow_file.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <nmmintrin.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/unique_fd.hpp"
#include "overlay/flow_entry.hpp"

namespace weft::overlay {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint32_t kIpv6Share = 4;  // one IPv6 connection for every four of IPv4
static_assert(sizeof(FlowFileHeader) <= kPage);

constexpr std::size_t to_page(std::size_t size) {
    return (size + kPage - 1) / kPage * kPage;
}

Result<HashSecret> random_secret() {
    HashSecret secret;
    if (::getrandom(&secret, sizeof secret, 0) != static_cast<ssize_t>(sizeof secret))
        return std::unexpected(Error::system("draw the secret of the flow table"));
    return secret;
}

template <std::size_t kSize>
void copy_text(std::array<char, kSize>& to, const std::string& from) {
    to.fill('\0');
    std::memcpy(to.data(), from.data(), std::min(from.size(), kSize));
}

std::span<const std::byte> checked_part(const FlowFileHeader& header) {
    return std::as_bytes(std::span(&header, 1)).first(offsetof(FlowFileHeader, crc));
}

// Why this header is not the one we would write, or empty.
std::string difference(const FlowFileHeader& found, const FlowFileHeader& wanted) {
    if (found.magic != wanted.magic) return "it is no flow file";
    if (found.layout_version != wanted.layout_version)
        return "its layout is version " + std::to_string(found.layout_version) + ", not " +
               std::to_string(wanted.layout_version);
    if (found.crc != crc32c(checked_part(found))) return "its header is damaged";
    if (found.boot_id != wanted.boot_id) return "it is from another boot";
    if (found.node_id != wanted.node_id) return "it belongs to another node";
    if (found.capacity_v4 != wanted.capacity_v4 || found.capacity_v6 != wanted.capacity_v6)
        return "it has room for " + std::to_string(found.capacity_v4) + " connections, not " +
               std::to_string(wanted.capacity_v4);
    if (std::memcmp(&found, &wanted, offsetof(FlowFileHeader, boot_id)) != 0) return "its sizes are wrong";
    return {};
}

Result<UniqueFd> create(const std::filesystem::path& path, const FlowFileHeader& header) {
    const std::string fresh = path.string() + ".new";
    ::unlink(fresh.c_str());
    UniqueFd fd(::open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return std::unexpected(Error::system("create " + fresh));
    const auto give_up = [&](Error error) -> Result<UniqueFd> {
        ::unlink(fresh.c_str());
        return std::unexpected(std::move(error));
    };
    if (const int refused = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(header.file_size)); refused != 0)
        return give_up(Error::system("allocate " + std::to_string(header.file_size) + " bytes for " + fresh, refused));
    if (::pwrite(fd.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header))
        return give_up(Error::system("write header of " + fresh));
    if (::rename(fresh.c_str(), path.c_str()) != 0) return give_up(Error::system("rename " + fresh));
    return fd;
}

struct Found {
    UniqueFd fd;  // usable if refused is empty
    bool exists = false;
    std::string refused;  // why it cannot be used
    HashSecret secret;
};

Found look_at(const std::filesystem::path& path, const FlowFileHeader& wanted) {
    Found found;
    // Non-blocking: whatever lies there under our name, opening it must not hang.
    found.fd = UniqueFd(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    found.exists = found.fd || errno != ENOENT;
    if (!found.fd) {
        if (found.exists) found.refused = Error::system("it cannot be opened").text();
        return found;
    }
    struct stat status{};
    FlowFileHeader header{};
    if (::fstat(found.fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
        found.refused = "it is no regular file";
    } else if ((status.st_mode & 07777) != 0600 || status.st_uid != ::geteuid()) {
        found.refused = "others may write or read it";
    } else if (::pread(found.fd.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) {
        found.refused = "it is shorter than its header";
    } else if (auto why = difference(header, wanted); !why.empty()) {
        found.refused = std::move(why);
    } else if (status.st_size != static_cast<off_t>(wanted.file_size)) {
        found.refused =
            "it is " + std::to_string(status.st_size) + " bytes long, not " + std::to_string(wanted.file_size);
    }
    found.secret = header.secret;
    return found;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept {
    std::uint32_t crc = 0xFFFFFFFF;
    for (const std::byte byte : bytes)
        crc = _mm_crc32_u8(crc, std::to_integer<std::uint8_t>(byte));
    return ~crc;
}

FlowFileLayout FlowFileLayout::of(std::uint32_t capacity) {
    FlowFileLayout layout;
    layout.capacity_v4 = capacity;
    layout.capacity_v6 = std::max(capacity / kIpv6Share, 1U);
    layout.born_v4 = kPage;
    layout.born_v6 = layout.born_v4 + to_page(std::size_t{layout.capacity_v4} * sizeof(std::uint32_t));
    layout.entries_v4 = layout.born_v6 + to_page(std::size_t{layout.capacity_v6} * sizeof(std::uint32_t));
    layout.entries_v6 = layout.entries_v4 + to_page(std::size_t{layout.capacity_v4} * 2 * sizeof(FlowEntry4));
    layout.size = layout.entries_v6 + to_page(std::size_t{layout.capacity_v6} * 2 * sizeof(FlowEntry6));
    return layout;
}

FlowFileHeader make_flow_file_header(const FlowTable::Options& options, const HashSecret& secret) {
    const auto layout = FlowFileLayout::of(options.capacity);
    FlowFileHeader header{};
    header.magic = FlowFileHeader::kMagic;
    header.layout_version = FlowFileHeader::kLayoutVersion;
    header.header_size = static_cast<std::uint32_t>(layout.born_v4);
    header.entry_size_v4 = sizeof(FlowEntry4);
    header.entry_size_v6 = sizeof(FlowEntry6);
    header.capacity_v4 = layout.capacity_v4;
    header.capacity_v6 = layout.capacity_v6;
    header.file_size = layout.size;
    copy_text(header.boot_id, options.boot_id);
    copy_text(header.node_id, options.node_id);
    header.secret = secret;
    header.crc = crc32c(checked_part(header));
    return header;
}

Result<FlowFile> FlowFile::open(const FlowTable::Options& options) {
    FlowFile file;
    file.layout = FlowFileLayout::of(options.capacity);
    auto secret = random_secret();
    if (!secret) return std::unexpected(secret.error());
    file.secret = *secret;
    if (options.file.empty()) {
        auto memory = Mapping::anonymous(file.layout.size);
        if (!memory) return std::unexpected(memory.error());
        file.memory = std::move(*memory);
        return file;
    }

    const std::string path = options.file.string();
    const auto header = make_flow_file_header(options, file.secret);
    Found found = look_at(options.file, header);
    // Holes that somebody punched are filled; where there is no room for that the file is as good as gone.
    if (found.fd && found.refused.empty() &&
        ::posix_fallocate(found.fd.get(), 0, static_cast<off_t>(header.file_size)) != 0)
        found.refused = "it has holes and there is no room to fill them";
    if (found.exists && !found.refused.empty()) {
        const std::string aside = path + ".aside";
        std::remove(aside.c_str());  // rename does not replace everything by everything
        if (::rename(path.c_str(), aside.c_str()) != 0)
            return std::unexpected(Error::system("rename " + path + " to " + aside));
        file.set_aside = std::move(found.refused);
        found = {};
    }
    if (found.fd) {
        file.secret = found.secret;
        file.taken_over = true;
    } else {
        auto fd = create(options.file, header);
        if (!fd) return std::unexpected(fd.error());
        found.fd = std::move(*fd);
    }
    auto memory = Mapping::of_file(found.fd.get(), file.layout.size);
    if (!memory) return std::unexpected(memory.error().during("map " + path));
    file.memory = std::move(*memory);
    return file;
}

}  // namespace weft::overlay
