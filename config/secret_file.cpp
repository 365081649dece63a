// SPDX-License-Identifier: Apache-2.0
#include "config/secret_file.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/unique_fd.hpp"

namespace weft::config {

namespace {

constexpr std::size_t kLargestSecret = 4096;

Error refuse_file(const std::string& file, const std::string& why) {
    return {ErrorCode::BadInput, "'" + file + "' " + why};
}

std::string octal(mode_t mode) {
    std::string text;
    for (int shift = 9; shift >= 0; shift -= 3)
        text += static_cast<char>('0' + ((mode >> shift) & 7));
    return text;
}

bool is_trusted_owner(uid_t owner) {
    return owner == 0 || owner == geteuid();
}

// O_NONBLOCK so that a FIFO put there cannot make us wait.
Result<UniqueFd> open_private(const std::string& file) {
    const std::string folder = std::filesystem::path(file).parent_path().string();
    struct stat about{};
    if (stat(folder.c_str(), &about) != 0) return std::unexpected(Error::system("look at folder '" + folder + "'"));
    if ((about.st_mode & 077) != 0 || !is_trusted_owner(about.st_uid)) {
        return std::unexpected(refuse_file(file, "lies in a folder of mode " + octal(about.st_mode & 07777) +
                                                     "; it must be the owner's alone: chmod 0700 '" + folder + "'"));
    }
    UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd && errno == ELOOP) return std::unexpected(refuse_file(file, "is a symbolic link; name the file itself"));
    if (!fd) return std::unexpected(Error::system("open '" + file + "'"));
    if (fstat(fd.get(), &about) != 0) return std::unexpected(Error::system("look at '" + file + "'"));
    if (!S_ISREG(about.st_mode)) return std::unexpected(refuse_file(file, "is not a regular file"));
    if ((about.st_mode & 077) != 0 || !is_trusted_owner(about.st_uid)) {
        return std::unexpected(refuse_file(
            file, "has mode " + octal(about.st_mode & 07777) + "; it must be the owner's alone: chmod 0600"));
    }
    return fd;
}

// The file's one line, without the newline at its end.
Result<std::string> read_line(const std::string& file) {
    const auto fd = open_private(file);
    if (!fd) return std::unexpected(fd.error());
    std::string text(kLargestSecret + 1, '\0');
    std::size_t filled = 0;
    while (filled < text.size()) {
        const ssize_t got = read(fd->get(), text.data() + filled, text.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return std::unexpected(Error::system("read '" + file + "'"));
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    if (filled > kLargestSecret) return std::unexpected(refuse_file(file, "is larger than 4096 bytes"));
    text.resize(filled);
    while (text.ends_with('\n') || text.ends_with('\r'))
        text.pop_back();
    return text;
}

int base64_digit(char c) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto at = kDigits.find(c);
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// 32 bytes are 43 digits, of which the last carries two unused bits (zero), and one '='.
std::optional<std::array<std::uint8_t, 32>> decode_key(std::string_view text) {
    if (text.size() != 44 || text.back() != '=') return std::nullopt;
    std::array<std::uint8_t, 32> key{};
    std::uint32_t bits = 0;
    int held = 0;
    std::size_t filled = 0;
    for (const char c : text.substr(0, 43)) {
        const int digit = base64_digit(c);
        if (digit < 0) return std::nullopt;
        bits = (bits << 6 | static_cast<std::uint32_t>(digit)) & 0xffff;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        key[filled++] = static_cast<std::uint8_t>(bits >> held);
    }
    if ((bits & 3) != 0) return std::nullopt;
    return key;
}

}  // namespace

Result<std::array<std::uint8_t, 32>> read_psk(const std::string& file) {
    const auto line = read_line(file);
    if (!line) return std::unexpected(line.error());
    const auto key = decode_key(*line);
    if (!key) {
        return std::unexpected(refuse_file(
            file, "does not hold a key: 32 bytes in base64 (44 characters), e.g. from `openssl rand -base64 32`"));
    }
    if (std::ranges::all_of(*key, [](std::uint8_t byte) { return byte == 0; })) {
        return std::unexpected(refuse_file(file, "holds the all-zero key"));
    }
    return *key;
}

Result<std::string> read_token(const std::string& file) {
    const auto line = read_line(file);
    if (!line) return std::unexpected(line.error());
    const bool is_printable = std::ranges::all_of(*line, [](char c) { return c > 0x20 && c < 0x7f; });
    if (line->size() < 16 || line->size() > 256 || !is_printable) {
        return std::unexpected(
            refuse_file(file, "does not hold a token: one line of 16 to 256 printable characters without spaces"));
    }
    return *line;
}

}  // namespace weft::config
