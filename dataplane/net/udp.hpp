// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/net/byte_order.hpp"

namespace weft::net {

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-------------------------------+-------------------------------+
//   |          source port          |       destination port        |
//   +-------------------------------+-------------------------------+
//   |   length, header included     |   checksum; 0: none (IPv4)    |
//   +-------------------------------+-------------------------------+
struct UdpHeader {
    static constexpr std::size_t kSize = 8;
    static constexpr std::size_t kChecksumOffset = 6;

    Be16 source_port;
    Be16 destination_port;
    Be16 length;
    Be16 checksum;
};
static_assert(sizeof(UdpHeader) == UdpHeader::kSize && alignof(UdpHeader) == 1);

}  // namespace weft::net
