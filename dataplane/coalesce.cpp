// SPDX-License-Identifier: Apache-2.0
#include "dataplane/coalesce.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include "dataplane/base/check.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/header_at.hpp"
#include "dataplane/net/ipv4.hpp"
#include "dataplane/net/ipv6.hpp"
#include "dataplane/net/parse.hpp"
#include "dataplane/net/tcp.hpp"
#include "dataplane/net/udp.hpp"

// The way of one inner packet through add():
//
//   1 classify: a plain TCP or UDP packet, one that seals its flow, a pure acknowledgement, or none of our business
//   2 find its flow's open superpacket: the last one used, then a small hash
//   3 join it if every condition holds: its payload becomes a tail slice
//   4 otherwise the open one is sealed and the packet opens a new one, or stands alone
//
// "Plain" means that every header field that the parser checks was checked here too, so whatever joins would have had
// the same fate as the packet it joins.

namespace weft {

namespace {

constexpr std::uint16_t kMaxSegments = 64;
constexpr std::uint32_t kMaxSize = 65535;
static_assert(kMaxSegments - 1 <= Packet::kMaxTail);

enum class Kind : std::uint8_t {
    Foreign,  // no flow of TCP or UDP that could be told, or malformed: passes, touches nothing
    Ack,      // passes, touches nothing: it may be overtaken by data of its flow and does no harm
    Sealing,  // passes alone, and nothing behind it joins what was before it
    Joinable,
};

std::span<const std::byte> bytes_of(Slice slice) {
    return {slice.data, slice.size};
}

// Only for headers that classify() found inside the packet.
template <class Header>
Header& header_in(Slice slice, std::size_t offset = 0) {
    Header* const header = net::writable_header_at<Header>({slice.data, slice.size}, offset);
    WEFT_CHECK(header != nullptr, "a classified packet is shorter than its headers");
    return *header;
}

std::size_t addresses_at(bool is_v4) {
    return is_v4 ? offsetof(net::Ipv4Header, source) : offsetof(net::Ipv6Header, source);
}
std::size_t addresses_size(bool is_v4) {
    return is_v4 ? 8 : 32;
}

// `pseudo_sum`: of addresses and protocol. A full sum costs a pass over the payload, a partial one nothing.
bool sum_is_right(Slice inner, std::size_t l4_offset, std::uint8_t protocol, ChecksumState state,
                  std::uint64_t pseudo_sum) {
    const std::span<const std::byte> l4 = bytes_of(inner).subspan(l4_offset);
    const std::uint64_t with_length = pseudo_sum + net::Be16(static_cast<std::uint16_t>(l4.size())).raw();
    if (state == ChecksumState::Full) return net::fold(net::sum(l4, with_length)) == 0xFFFF;
    const bool is_tcp = protocol == net::kProtocolTcp;
    const std::size_t field = is_tcp ? net::TcpHeader::kChecksumOffset : net::UdpHeader::kChecksumOffset;
    const std::uint16_t difference =
        net::delta16(header_in<net::Be16>(inner, l4_offset + field).raw(), net::fold(with_length));
    return difference == 0 || difference == 0xFFFF;  // one's complement has two zeros
}

// Keyed, because peers choose the addresses: a multiplication whose halves are folded together, for each 8 bytes.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t random_key() {
    std::random_device device;
    return (std::uint64_t{device()} << 32 | device()) | 1;
}

}  // namespace

// One packet as classify() sees it.
struct Coalescer::Candidate {
    Slice inner;
    std::uint32_t headroom = 0;
    std::uint32_t tag = 0;
    std::uint32_t payload = 0;  // bytes behind all headers
    std::uint32_t bucket = 0;
    std::uint16_t l4_offset = 0;
    std::uint16_t header_size = 0;  // IP and L4
    Kind kind = Kind::Foreign;
    ChecksumState checksum = ChecksumState::Full;
    std::uint8_t protocol = 0;
    bool is_v4 = true;
    bool takes_followers = true;

    void classify() noexcept;

  private:
    bool classify_ip() noexcept;
    void classify_tcp() noexcept;
    void classify_udp() noexcept;
    void classify_unusual() noexcept;
};

// What is remembered of the packet that opened a superpacket.
struct Coalescer::Open {
    std::uint64_t pseudo_sum = 0;  // of addresses and protocol, without length; set when the sum was found right
    std::uint32_t tag = 0;
    std::uint32_t bucket = 0;
    std::uint32_t payload = 0;  // of the first segment
    std::uint32_t next_sequence = 0;
    std::uint16_t next_id = 0;
    std::uint16_t l4_offset = 0;
    std::uint16_t header_size = 0;
    Index next = kNone;  // in its bucket
    std::uint8_t protocol = 0;
    bool is_v4 = true;
    bool is_open = false;
    bool is_sum_right = false;  // false: not looked at yet
};

Coalescer::Coalescer()
    : packets_(std::make_unique_for_overwrite<Packet[]>(kMaxPackets)),
      open_(std::make_unique<Open[]>(kMaxPackets)),
      buckets_(std::make_unique_for_overwrite<Index[]>(kBuckets)),
      key_(random_key()) {
    std::fill_n(buckets_.get(), kBuckets, kNone);
}

Coalescer::~Coalescer() = default;

void Coalescer::add(Slice inner, std::uint32_t headroom, ChecksumState checksum, std::uint32_t tag) noexcept {
    WEFT_CHECK(!full(), "a packet for a full coalescer");
    Candidate candidate{.inner = inner, .headroom = headroom, .tag = tag, .checksum = checksum};
    candidate.classify();
    if (candidate.kind == Kind::Foreign || candidate.kind == Kind::Ack) {
        place(candidate);
        return;
    }

    const Index flow = find(candidate);
    if (flow != kNone && candidate.kind == Kind::Joinable && joins(flow, candidate)) return join(flow, candidate);
    if (flow != kNone) seal(flow);
    const Index index = place(candidate);
    if (candidate.kind == Kind::Joinable && candidate.takes_followers) open(index, candidate);
}

// --- 1 classify

void Coalescer::Candidate::classify() noexcept {
    if (!classify_ip()) return classify_unusual();
    if (protocol == net::kProtocolTcp) return classify_tcp();
    classify_udp();
}

// Plain IP: exact length, no options, extensions or fragments, a right header sum; TCP or UDP behind it.
bool Coalescer::Candidate::classify_ip() noexcept {
    const auto* v4 = net::header_at<net::Ipv4Header>(bytes_of(inner));
    if (v4 == nullptr) return false;
    is_v4 = v4->version() == 4;
    if (is_v4) {
        const std::uint16_t flags = v4->flags_and_offset.value();
        l4_offset = net::Ipv4Header::kSize;
        protocol = v4->protocol;
        if (v4->header_size() != net::Ipv4Header::kSize || v4->total_length.value() != inner.size) return false;
        if (flags != 0 && flags != net::Ipv4Header::kDontFragment) return false;
        if (net::fold(net::sum(bytes_of(inner).first(net::Ipv4Header::kSize))) != 0xFFFF) return false;
    } else {
        const auto* v6 = net::header_at<net::Ipv6Header>(bytes_of(inner));
        if (v6 == nullptr || v6->version() != 6) return false;
        l4_offset = net::Ipv6Header::kSize;
        protocol = v6->next_header;
        if (v6->payload_length.value() + net::Ipv6Header::kSize != inner.size) return false;
    }
    const std::uint32_t l4_size = inner.size - l4_offset;
    if (protocol == net::kProtocolTcp) {
        const auto* tcp = net::header_at<net::TcpHeader>(bytes_of(inner), l4_offset);
        if (tcp == nullptr || tcp->header_size() < net::TcpHeader::kSize || tcp->header_size() > l4_size) return false;
        header_size = static_cast<std::uint16_t>(l4_offset + tcp->header_size());
    } else if (protocol == net::kProtocolUdp) {
        const auto* udp = net::header_at<net::UdpHeader>(bytes_of(inner), l4_offset);
        if (udp == nullptr || udp->length.value() != l4_size) return false;
        header_size = static_cast<std::uint16_t>(l4_offset + net::UdpHeader::kSize);
    } else {
        return false;
    }
    payload = inner.size - header_size;
    return true;
}

void Coalescer::Candidate::classify_tcp() noexcept {
    constexpr std::uint8_t kTolerated = net::kTcpAck | net::kTcpPsh | net::kTcpEce;
    const std::uint8_t flags = header_in<net::TcpHeader>(inner, l4_offset).flags;
    const bool is_ordinary = (flags & net::kTcpAck) != 0 && (flags & ~kTolerated) == 0;
    kind = !is_ordinary ? Kind::Sealing : payload == 0 ? Kind::Ack : Kind::Joinable;
    takes_followers = (flags & net::kTcpPsh) == 0;
}

// An empty datagram has no segment size; one without a sum would be given one by joining.
void Coalescer::Candidate::classify_udp() noexcept {
    const bool has_no_sum =
        checksum == ChecksumState::Full && header_in<net::UdpHeader>(inner, l4_offset).checksum.raw() == 0;
    kind = payload == 0 || has_no_sum ? Kind::Sealing : Kind::Joinable;
}

// Options, extensions, a first fragment, bytes behind a datagram: never joined, but it keeps its place in its flow.
void Coalescer::Candidate::classify_unusual() noexcept {
    const auto parsed = net::parse(bytes_of(inner), inner.size);
    const bool has_ports = parsed && parsed->fragment != net::FragmentKind::Later &&
                           (parsed->protocol == net::kProtocolTcp || parsed->protocol == net::kProtocolUdp);
    kind = has_ports ? Kind::Sealing : Kind::Foreign;
    if (!has_ports) return;
    is_v4 = parsed->is_v4();
    protocol = parsed->protocol;
    l4_offset = parsed->l4_offset;
}

// --- 2 find

bool Coalescer::is_same_flow(Index index, const Candidate& candidate) const noexcept {
    const Open& open = open_[index];
    if (open.tag != candidate.tag || open.protocol != candidate.protocol || open.is_v4 != candidate.is_v4) return false;
    const std::byte* const ours = packets_[index].head.data;
    const std::byte* const theirs = candidate.inner.data;
    const std::size_t addresses = addresses_at(candidate.is_v4);
    constexpr std::size_t kPorts = 4;
    return std::memcmp(ours + open.l4_offset, theirs + candidate.l4_offset, kPorts) == 0 &&
           std::memcmp(ours + addresses, theirs + addresses, addresses_size(candidate.is_v4)) == 0;
}

std::uint32_t Coalescer::bucket_of(const Candidate& candidate) const noexcept {
    std::uint64_t words[5] = {};
    std::memcpy(&words[0], candidate.inner.data + candidate.l4_offset, 4);
    std::memcpy(&words[1], candidate.inner.data + addresses_at(candidate.is_v4), addresses_size(candidate.is_v4));
    std::uint64_t hash = mix(words[0] ^ key_, std::uint64_t{candidate.tag} << 8 ^ candidate.protocol ^ key_ >> 1);
    const std::size_t count = candidate.is_v4 ? 2 : 5;
    for (std::size_t i = 1; i < count; ++i)
        hash = mix(hash ^ words[i], key_);
    return static_cast<std::uint32_t>(hash % kBuckets);
}

Coalescer::Index Coalescer::find(Candidate& candidate) const noexcept {
    if (last_ != kNone && is_same_flow(last_, candidate)) {
        candidate.bucket = open_[last_].bucket;
        return last_;
    }
    candidate.bucket = bucket_of(candidate);
    Index index = buckets_[candidate.bucket];
    while (index != kNone && !is_same_flow(index, candidate))
        index = open_[index].next;
    return index;
}

// --- 3 join

bool Coalescer::joins(Index index, const Candidate& candidate) noexcept {
    const Open& open = open_[index];
    const Packet& packet = packets_[index];
    if (packet.checksum != candidate.checksum || packet.segments == kMaxSegments) return false;
    if (candidate.header_size != open.header_size || candidate.payload > open.payload) return false;
    if (packet.size + candidate.payload > kMaxSize) return false;
    if (candidate.is_v4 ? !matches_v4(index, candidate) : !matches_v6(index, candidate)) return false;
    if (candidate.protocol == net::kProtocolTcp && !matches_tcp(index, candidate)) return false;
    return has_right_sum(index) &&
           sum_is_right(candidate.inner, candidate.l4_offset, candidate.protocol, candidate.checksum, open.pseudo_sum);
}

bool Coalescer::matches_v4(Index index, const Candidate& candidate) const noexcept {
    const auto& first = header_in<net::Ipv4Header>(packets_[index].head);
    const auto& more = header_in<net::Ipv4Header>(candidate.inner);
    return more.tos == first.tos && more.ttl == first.ttl && more.flags_and_offset == first.flags_and_offset &&
           (more.dont_fragment() || more.id.value() == open_[index].next_id);
}

bool Coalescer::matches_v6(Index index, const Candidate& candidate) const noexcept {
    const auto& first = header_in<net::Ipv6Header>(packets_[index].head);
    const auto& more = header_in<net::Ipv6Header>(candidate.inner);
    return more.version_class_label == first.version_class_label && more.hop_limit == first.hop_limit;
}

bool Coalescer::matches_tcp(Index index, const Candidate& candidate) const noexcept {
    const Open& open = open_[index];
    const Packet& packet = packets_[index];
    const auto& first = header_in<net::TcpHeader>(packet.head, open.l4_offset);
    const auto& more = header_in<net::TcpHeader>(candidate.inner, open.l4_offset);
    const std::size_t options = open.l4_offset + net::TcpHeader::kSize;
    return more.sequence.value() == open.next_sequence && more.acknowledgement == first.acknowledgement &&
           more.window == first.window && more.data_offset == first.data_offset && more.urgent == first.urgent &&
           ((more.flags ^ first.flags) & ~net::kTcpPsh) == 0 &&
           std::memcmp(packet.head.data + options, candidate.inner.data + options, open.header_size - options) == 0;
}

// Asked when the first follower wants to join, so that a packet that stays alone is never summed.
bool Coalescer::has_right_sum(Index index) noexcept {
    Open& open = open_[index];
    if (open.is_sum_right) return true;
    const Packet& packet = packets_[index];
    const net::Be16 protocol(open.protocol);
    const std::span<const std::byte> addresses = bytes_of(packet.head).subspan(addresses_at(open.is_v4));
    open.pseudo_sum = net::sum(addresses.first(addresses_size(open.is_v4)), protocol.raw());
    open.is_sum_right = sum_is_right(packet.head, open.l4_offset, open.protocol, packet.checksum, open.pseudo_sum);
    return open.is_sum_right;
}

void Coalescer::join(Index index, const Candidate& candidate) noexcept {
    Open& open = open_[index];
    Packet& packet = packets_[index];
    packet.append({candidate.inner.data + candidate.header_size, candidate.payload});
    ++packet.segments;
    open.next_sequence += candidate.payload;
    ++open.next_id;
    last_ = index;
    if (!candidate.takes_followers) header_in<net::TcpHeader>(packet.head, open.l4_offset).flags |= net::kTcpPsh;
    if (!candidate.takes_followers || candidate.payload < open.payload || packet.segments == kMaxSegments) seal(index);
}

// --- 4 open, seal

Coalescer::Index Coalescer::place(const Candidate& candidate) noexcept {
    const auto index = static_cast<Index>(count_++);
    packets_[index].reset(candidate.inner.data, candidate.inner.size, candidate.headroom);
    packets_[index].checksum = candidate.checksum;
    open_[index].tag = candidate.tag;
    open_[index].is_open = false;
    return index;
}

void Coalescer::open(Index index, const Candidate& candidate) noexcept {
    Open& open = open_[index];
    open = {.tag = candidate.tag,
            .bucket = candidate.bucket,
            .payload = candidate.payload,
            .l4_offset = candidate.l4_offset,
            .header_size = candidate.header_size,
            .next = buckets_[candidate.bucket],
            .protocol = candidate.protocol,
            .is_v4 = candidate.is_v4,
            .is_open = true};
    if (open.is_v4)
        open.next_id = static_cast<std::uint16_t>(header_in<net::Ipv4Header>(candidate.inner).id.value() + 1);
    if (open.protocol == net::kProtocolTcp) {
        const auto& tcp = header_in<net::TcpHeader>(candidate.inner, candidate.l4_offset);
        open.next_sequence = tcp.sequence.value() + candidate.payload;
    }
    buckets_[candidate.bucket] = index;
    last_ = index;
}

void Coalescer::seal(Index index) noexcept {
    Index* link = &buckets_[open_[index].bucket];
    while (*link != index)
        link = &open_[*link].next;
    *link = open_[index].next;
    open_[index].is_open = false;
    if (last_ == index) last_ = kNone;
}

// --- at the end of the turn

std::span<Packet> Coalescer::finish() noexcept {
    for (std::size_t i = 0; i < count_; ++i)
        if (packets_[i].segments > 1) finish(packets_[i], open_[i]);
    return {packets_.get(), count_};
}

void Coalescer::finish(Packet& packet, const Open& open) noexcept {
    const auto l4_length = static_cast<std::uint16_t>(packet.size - open.l4_offset);
    if (open.is_v4) {
        auto& ip = header_in<net::Ipv4Header>(packet.head);
        ip.total_length = static_cast<std::uint16_t>(packet.size);
        ip.checksum = 0;
        const std::uint16_t folded = net::fold(net::sum(bytes_of(packet.head).first(net::Ipv4Header::kSize)));
        ip.checksum = net::Be16::from_raw(static_cast<std::uint16_t>(~folded));
    } else {
        header_in<net::Ipv6Header>(packet.head).payload_length = l4_length;
    }
    const auto partial = net::Be16::from_raw(net::fold(open.pseudo_sum + net::Be16(l4_length).raw()));
    if (open.protocol == net::kProtocolTcp) {
        header_in<net::TcpHeader>(packet.head, open.l4_offset).checksum = partial;
        packet.gso = Gso::Tcp;
    } else {
        auto& udp = header_in<net::UdpHeader>(packet.head, open.l4_offset);
        udp.length = l4_length;
        udp.checksum = partial;
        packet.gso = Gso::Udp;
    }
    packet.gso_size = static_cast<std::uint16_t>(open.payload);
    packet.checksum = ChecksumState::Partial;
}

std::uint32_t Coalescer::tag(std::size_t index) const noexcept {
    WEFT_CHECK(index < count_, "the tag of a packet that is not there");
    return open_[index].tag;
}

void Coalescer::clear() noexcept {
    for (std::size_t i = 0; i < count_; ++i)
        if (open_[i].is_open) buckets_[open_[i].bucket] = kNone;
    count_ = 0;
    last_ = kNone;
}

}  // namespace weft
