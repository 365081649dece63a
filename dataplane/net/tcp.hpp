// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/net/byte_order.hpp"

namespace weft::net {

inline constexpr std::uint8_t kTcpFin = 0x01;
inline constexpr std::uint8_t kTcpSyn = 0x02;
inline constexpr std::uint8_t kTcpRst = 0x04;
inline constexpr std::uint8_t kTcpPsh = 0x08;
inline constexpr std::uint8_t kTcpAck = 0x10;
inline constexpr std::uint8_t kTcpUrg = 0x20;
inline constexpr std::uint8_t kTcpEce = 0x40;
inline constexpr std::uint8_t kTcpCwr = 0x80;

inline constexpr std::uint8_t kTcpOptionEnd = 0;
inline constexpr std::uint8_t kTcpOptionNop = 1;
inline constexpr std::uint8_t kTcpOptionMss = 2;
inline constexpr std::uint8_t kTcpOptionMssSize = 4;

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-------------------------------+-------------------------------+
//   |          source port          |       destination port        |
//   +-------------------------------+-------------------------------+
//   |                        sequence number                        |
//   +---------------------------------------------------------------+
//   |                    acknowledgement number                     |
//   +-------+-------+---------------+-------------------------------+
//   | data  |       |C E U A P R S F|            window             |
//   | offset|       |W C R C S S Y I|                               |
//   |  / 4  |       |R E G K H T N N|                               |
//   +-------+-------+---------------+-------------------------------+
//   |           checksum            |        urgent pointer         |
//   +-------------------------------+-------------------------------+
//   |              options, up to 40 bytes ...                      |
struct TcpHeader {
    static constexpr std::size_t kSize = 20;
    static constexpr std::size_t kMaxSize = 60;
    static constexpr std::size_t kChecksumOffset = 16;

    Be16 source_port;
    Be16 destination_port;
    Be32 sequence;
    Be32 acknowledgement;
    std::uint8_t data_offset;  // in the high nibble
    std::uint8_t flags;
    Be16 window;
    Be16 checksum;
    Be16 urgent;

    [[nodiscard]] std::size_t header_size() const { return std::size_t{4} * (data_offset >> 4); }
    void set_header_size(std::size_t bytes) { data_offset = static_cast<std::uint8_t>(bytes / 4 << 4); }
};
static_assert(sizeof(TcpHeader) == TcpHeader::kSize && alignof(TcpHeader) == 1);

}  // namespace weft::net
