// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weft {

// Every way a packet can die. One list: the name (stable, seen by operators), and a sentence that explains it.
// clang-format off
#define WEFT_DROPS(X)                                                                                         \
    X(NotIp,               "not_ip",               "neither an IPv4 nor an IPv6 packet")                      \
    X(Truncated,           "truncated",            "shorter than its headers say")                            \
    X(BadHeader,           "bad_header",           "a header field contradicts the packet or its neighbours") \
    X(BadChecksum,         "bad_checksum",         "the IPv4 header checksum is wrong")                       \
    X(Fragment,            "fragment",             "a fragment whose first part is unknown, or overlapping")  \
    X(TtlExpired,          "ttl_expired",          "the hop limit ran out here")                              \
    X(UnsupportedProtocol, "unsupported_protocol", "not TCP, UDP, ICMP echo or an ICMP error")                \
    X(NotServiceAddress,   "not_service_address",  "the destination is no overlay address")                   \
    X(UnknownService,      "unknown_service",      "no service has this service IP")                          \
    X(NoInstance,          "no_instance",          "the service has no usable instance")                      \
    X(UnknownSource,       "unknown_source",       "the sender is no container of this node")                 \
    X(SourceSpoofed,       "source_spoofed",       "the source is one that nobody may use")                   \
    X(NoInstanceIp,        "no_instance_ip",       "a bare peer needs a client with an instance IP")          \
    X(LookupQueueFull,     "lookup_queue_full",    "too many packets wait for an answer or a session")        \
    X(LookupFailed,        "lookup_failed",        "the question this packet waited for got no answer")       \
    X(FlowTableFull,       "flow_table_full",      "no room for a new flow")                                  \
    X(PeerUnknown,         "peer_unknown",         "the datagram is from no known peer or session")           \
    X(PeerSource,          "peer_source",          "the peer may not speak for this inner source")            \
    X(PeerDown,            "peer_down",            "the instance's host cannot be reached")                   \
    X(TunnelFormat,        "tunnel_format",        "no valid tunnel header, or a weaker mode than agreed")    \
    X(TunnelAuth,          "tunnel_auth",          "the seal of the datagram is broken")                      \
    X(TunnelReplay,        "tunnel_replay",        "the datagram was seen before or is too old")              \
    X(BareUnsafe,          "bare_unsafe",          "a packet that would harm a bare peer")                    \
    X(TooBig,              "too_big",              "larger than the way to the instance can carry")           \
    X(PolicyDenied,        "policy_denied",        "a policy forbids it")                                     \
    X(RateLimited,         "rate_limited",         "a limit is used up")                                      \
    X(Loop,                "loop",                 "it would come back to where it is from")                  \
    X(QueueFull,           "queue_full",           "a device or socket queue is full")                        \
    X(DeviceError,         "device_error",         "a device or socket refused it")
// clang-format on

enum class Drop : std::uint8_t {
#define X(id, name, sentence) id,
    WEFT_DROPS(X)
#undef X
};

#define X(id, name, sentence) +1
inline constexpr std::size_t kDropCount = 0 WEFT_DROPS(X);
#undef X

struct DropText {
    std::string_view name;
    std::string_view sentence;
};

inline constexpr std::array<DropText, kDropCount> kDropTexts{{
#define X(id, name, sentence) {name, sentence},
    WEFT_DROPS(X)
#undef X
}};

constexpr std::string_view drop_name(Drop drop) {
    return kDropTexts[static_cast<std::size_t>(drop)].name;
}
constexpr std::string_view drop_sentence(Drop drop) {
    return kDropTexts[static_cast<std::size_t>(drop)].sentence;
}

}  // namespace weft
