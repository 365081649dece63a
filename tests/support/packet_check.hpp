// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/packet.hpp"
#include "tests/support/test_packet.hpp"

namespace weft::test {

// Packet checks for tests. Every one first verifies the length and all checksums (by the reference sum, not by ours),
// so a test that looks at a port cannot pass on a broken packet. Take std::vector<std::byte> or a span; say
// ChecksumState for packets whose L4 sum is carried partial. Combine with testing::AllOf:
//
//   EXPECT_THAT(sent, AllOf(From("10.30.0.10:80"), To("10.18.0.2:40000"), HasTcpFlags(kSyn | kAck),
//   HasPayload(reply)));
using PacketBytes = std::span<const std::byte>;
using PacketMatcher = testing::Matcher<PacketBytes>;

// What is wrong with it, empty if nothing: parse refusals, IPv4 header sum, L4 sum (skipped where a fragment hides it
// and where IPv4 UDP has none), and of ICMP errors the quoted IPv4 header sum.
[[nodiscard]] std::string fault_of(PacketBytes packet, ChecksumState checksum = ChecksumState::Full);
// Superpackets and partial sums as the view says.
[[nodiscard]] std::string fault_of(const Packet& packet);

[[nodiscard]] PacketMatcher IsSound(ChecksumState checksum = ChecksumState::Full);
// "10.18.0.2:40000", "[fc00::2]:53"; without a port only the address counts.
[[nodiscard]] PacketMatcher From(std::string_view end, ChecksumState checksum = ChecksumState::Full);
[[nodiscard]] PacketMatcher To(std::string_view end, ChecksumState checksum = ChecksumState::Full);
[[nodiscard]] PacketMatcher HasTtl(unsigned ttl, ChecksumState checksum = ChecksumState::Full);
[[nodiscard]] PacketMatcher HasTos(unsigned tos, ChecksumState checksum = ChecksumState::Full);
[[nodiscard]] PacketMatcher HasProtocol(unsigned protocol, ChecksumState checksum = ChecksumState::Full);
[[nodiscard]] PacketMatcher HasTcpFlags(unsigned flags, ChecksumState checksum = ChecksumState::Full);
[[nodiscard]] PacketMatcher HasMss(unsigned mss, ChecksumState checksum = ChecksumState::Full);
[[nodiscard]] PacketMatcher HasIcmp(unsigned type, unsigned code);
// What stands behind the L4 header.
[[nodiscard]] PacketMatcher HasPayload(Bytes payload, ChecksumState checksum = ChecksumState::Full);
// The packet inside an ICMP error, by its ends.
[[nodiscard]] PacketMatcher QuotesFromTo(std::string_view source, std::string_view destination);

// One line for people: "10.18.0.2:40000 > 10.30.0.10:80 tcp S seq 1 ack 0 win 65535 mss 1460 ttl 64 length 44 payload
// 0".
[[nodiscard]] std::string describe(PacketBytes packet);

// Parts of a packet, as sub-spans of it.
[[nodiscard]] PacketBytes payload_of(PacketBytes packet);
// Of a SYN; 0 if it has no such option.
[[nodiscard]] unsigned mss_of(PacketBytes packet);

}  // namespace weft::test
