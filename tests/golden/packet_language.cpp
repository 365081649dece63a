// SPDX-License-Identifier: Apache-2.0
#include "tests/golden/packet_language.hpp"

#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace weft::test {

namespace {

std::uint32_t number(const std::string& text) {
    std::size_t used = 0;
    const auto value = std::stoul(text, &used, 0);
    if (used != text.size()) throw std::invalid_argument("not a number: " + text);
    return static_cast<std::uint32_t>(value);
}

unsigned tcp_flags(const std::string& letters) {
    static const std::map<char, unsigned> kFlags{{'F', kFin}, {'S', kSyn}, {'R', kRst}, {'P', kPsh}, {'A', kAck}};
    unsigned flags = 0;
    for (const char letter : letters)
        flags |= kFlags.at(letter);
    return flags;
}

// Reads one packet, to the end of the words or to the brace that closes it.
class Reader {
  public:
    explicit Reader(std::istringstream& words) : words_(words) {}

    TestPacket packet() {
        read();
        const bool is_edited = raw_ || !pokes_.empty() || cut_ || !added_.empty();
        return is_edited ? TestPacket(finished(), checksum_) : builder_.packet();
    }
    Bytes quote() {
        read();
        return finished();
    }

  private:
    std::string next() {
        std::string word;
        if (!(words_ >> word)) throw std::invalid_argument("the packet ends too early");
        return word;
    }
    std::uint32_t next_number() { return number(next()); }
    std::uint16_t next_port() { return static_cast<std::uint16_t>(next_number()); }

    void read() {
        for (std::string word; words_ >> word && word != "}";) {
            const auto equals = word.find('=');
            const bool is_known = equals == std::string::npos
                                      ? read_word(word)
                                      : read_pair(word.substr(0, equals), word.substr(equals + 1));
            if (!is_known) throw std::invalid_argument("no such word: " + word);
        }
    }

    bool read_word(const std::string& word) {
        if (word == "v4" || word == "v6") {
            const auto from = next(), to = next();
            word == "v4" ? builder_.ipv4(from, to) : builder_.ipv6(from, to);
        } else if (word == "tcp" || word == "udp" || word == "echo" || word == "reply") {
            const auto first = next_port(), second = next_port();
            if (word == "tcp") builder_.tcp(first, second);
            if (word == "udp") builder_.udp(first, second);
            if (word == "echo") builder_.icmp_echo(first, second);
            if (word == "reply") builder_.icmp_echo_reply(first, second);
        } else if (word == "icmp" || word == "error") {
            const auto type = static_cast<std::uint8_t>(next_number());
            const auto code = static_cast<std::uint8_t>(next_number());
            const auto rest = next_number();
            if (word == "icmp") {
                builder_.icmp(type, code, rest);
            } else {
                if (next() != "{") throw std::invalid_argument("an error quotes { a packet }");
                builder_.icmp_error(type, code, Reader(words_).quote(), rest);
            }
        } else if (word == "df") {
            builder_.df();
        } else if (word == "no-sum") {
            builder_.no_udp_checksum();
        } else if (word == "partial") {
            builder_.partial_checksum();
            checksum_ = ChecksumState::Partial;
        } else if (word == "raw") {
            raw_ = bytes_of_hex(next());
        } else {
            return false;
        }
        return true;
    }

    bool read_pair(const std::string& name, const std::string& value) {
        const auto short_number = [&] { return static_cast<std::uint16_t>(number(value)); };
        if (name == "ttl") {
            builder_.ttl(number(value));
        } else if (name == "tos") {
            builder_.tos(number(value));
        } else if (name == "id") {
            builder_.id(number(value));
        } else if (name == "options") {
            builder_.ipv4_options(bytes_of_hex(value));
        } else if (name == "ext") {
            builder_.extension(static_cast<std::uint8_t>(number(value)));
        } else if (name == "first-of" || name == "last-of") {
            builder_.fragment(number(value), name == "first-of" ? More::Yes : More::No);
        } else if (name == "flags") {
            builder_.flags(tcp_flags(value));
        } else if (name == "seq") {
            builder_.seq(number(value));
        } else if (name == "ack") {
            builder_.ack(number(value));
        } else if (name == "window") {
            builder_.window(short_number());
        } else if (name == "mss") {
            builder_.mss(short_number());
        } else if (name == "protocol") {
            builder_.protocol(static_cast<std::uint8_t>(number(value)));
        } else if (name == "payload") {
            builder_.payload(std::size_t{number(value)});
        } else if (name == "text") {
            builder_.payload(std::string_view(value));
        } else if (name == "gso") {
            builder_.gso(short_number());
        } else {
            return read_edit(name, value);
        }
        return true;
    }

    bool read_edit(const std::string& name, const std::string& value) {
        if (name == "poke") {
            const auto colon = value.find(':');
            pokes_[number(value.substr(0, colon))] = bytes_of_hex(value.substr(colon + 1));
        } else if (name == "cut") {
            cut_ = number(value);
        } else if (name == "add") {
            added_ = bytes_of_hex(value);
        } else {
            return false;
        }
        return true;
    }

    Bytes finished() const {
        Bytes bytes = raw_ ? *raw_ : builder_.build();
        for (const auto& [offset, patch] : pokes_)
            for (std::size_t i = 0; i < patch.size(); ++i)
                bytes.at(offset + i) = patch[i];
        if (cut_ && *cut_ < bytes.size()) bytes.resize(*cut_);
        bytes.insert(bytes.end(), added_.begin(), added_.end());
        return bytes;
    }

    std::istringstream& words_;
    PacketBuilder builder_;
    ChecksumState checksum_ = ChecksumState::Full;
    std::optional<Bytes> raw_;
    std::map<std::size_t, Bytes> pokes_;
    std::optional<std::size_t> cut_;
    Bytes added_;
};

}  // namespace

TestPacket packet_of(std::string_view words) {
    std::istringstream stream{std::string(words)};
    return Reader(stream).packet();
}

Bytes bytes_of_hex(std::string_view hex) {
    Bytes bytes;
    if (hex.size() % 2 != 0) throw std::invalid_argument("half a byte: " + std::string(hex));
    for (std::size_t at = 0; at < hex.size(); at += 2)
        bytes.push_back(static_cast<std::byte>(number("0x" + std::string(hex.substr(at, 2)))));
    return bytes;
}

std::string hex_of(std::span<const std::byte> bytes) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string hex;
    for (const std::byte byte : bytes) {
        hex += kDigits[std::to_integer<unsigned>(byte) >> 4];
        hex += kDigits[std::to_integer<unsigned>(byte) & 15U];
    }
    return hex;
}

}  // namespace weft::test
