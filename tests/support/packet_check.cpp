// SPDX-License-Identifier: Apache-2.0
#include "tests/support/packet_check.hpp"

#include <algorithm>
#include <functional>
#include <sstream>
#include <utility>

#include "dataplane/base/check.hpp"
#include "dataplane/net/header_at.hpp"
#include "dataplane/net/icmp.hpp"
#include "dataplane/net/ipv4.hpp"
#include "dataplane/net/parse.hpp"
#include "dataplane/net/tcp.hpp"
#include "dataplane/net/udp.hpp"
#include "tests/support/reference_checksum.hpp"

namespace weft::test {

namespace {

using net::IcmpKind;
using net::Parsed;

// An address and perhaps a port, as the tests write them.
struct End {
    net::IpAddress address;
    std::optional<std::uint16_t> l4_port;
};

End end_of(std::string_view text) {
    if (const auto whole = net::Endpoint::parse(text)) return {whole->address, whole->l4_port};
    const auto address = net::IpAddress::parse(text);
    WEFT_CHECK(address, "a test wrote a malformed address");
    return {*address, std::nullopt};
}

bool is_end(const End& wanted, const net::IpAddress& address, std::uint16_t l4_port) {
    return wanted.address == address && (!wanted.l4_port || *wanted.l4_port == l4_port);
}

std::string refused(Drop why) {
    return "the parser refuses it as " + std::string(drop_name(why));
}

std::size_t checksum_offset(std::uint8_t protocol) {
    if (protocol == net::kProtocolTcp) return net::TcpHeader::kChecksumOffset;
    if (protocol == net::kProtocolUdp) return net::UdpHeader::kChecksumOffset;
    return net::IcmpHeader::kChecksumOffset;
}

bool has_l4_sum(const Parsed& parsed) {
    return parsed.protocol == net::kProtocolTcp || parsed.protocol == net::kProtocolUdp ||
           parsed.icmp != IcmpKind::NotIcmp;
}

std::string l4_fault(PacketBytes packet, const Parsed& parsed, ChecksumState checksum) {
    if (parsed.fragment != net::FragmentKind::Whole || !has_l4_sum(parsed)) return {};
    PacketBytes l4 = packet.subspan(parsed.l4_offset);
    if (const auto* udp = net::header_at<net::UdpHeader>(l4); udp != nullptr && parsed.protocol == net::kProtocolUdp) {
        if (udp->checksum.value() == 0 && checksum == ChecksumState::Full) {
            return parsed.is_v4() ? "" : "a UDP checksum of zero over IPv6";
        }
        // A superpacket's length field may be anything; an ordinary one may end before the IP packet does.
        if (udp->length.value() >= net::UdpHeader::kSize && udp->length.value() < l4.size())
            l4 = l4.first(udp->length.value());
    }
    const bool has_pseudo = parsed.protocol != net::kProtocolIcmp;
    const std::uint16_t pseudo =
        has_pseudo ? reference_pseudo_sum(parsed.source, parsed.destination, parsed.protocol, l4.size()) : 0;
    if (checksum == ChecksumState::Full) {
        return reference_sum(l4, pseudo) == 0xFFFF ? "" : "the L4 checksum is wrong";
    }
    // 0000 and FFFF are the same sum.
    const std::uint16_t field = reference_sum(l4.subspan(checksum_offset(parsed.protocol), 2));
    return field % 0xFFFF == pseudo % 0xFFFF ? "" : "the partial L4 checksum is not the pseudo-header's sum";
}

std::string quote_fault(PacketBytes packet, const Parsed& parsed) {
    if (parsed.icmp != IcmpKind::Error) return {};
    const PacketBytes quote = packet.subspan(parsed.payload_offset);
    const auto inner = net::parse(quote, static_cast<std::uint32_t>(quote.size()), net::ParseAs::Quoted);
    if (!inner || !inner->is_v4()) return {};  // whether a quote must be readable is the test's business
    return reference_sum(quote.first(net::header_at<net::Ipv4Header>(quote)->header_size())) == 0xFFFF
               ? ""
               : "the quoted IPv4 header's checksum is wrong";
}

std::string fault_when_parsed(PacketBytes packet, net::ParseAs as, ChecksumState checksum) {
    const auto parsed = net::parse(packet, static_cast<std::uint32_t>(packet.size()), as);
    if (!parsed) return refused(parsed.error());
    if (parsed->is_v4() &&
        reference_sum(packet.first(net::header_at<net::Ipv4Header>(packet)->header_size())) != 0xFFFF) {
        return "the IPv4 header checksum is wrong";
    }
    if (std::string fault = l4_fault(packet, *parsed, checksum); !fault.empty()) return fault;
    return quote_fault(packet, *parsed);
}

// Soundness first, then one more condition on what was parsed.
class CheckedMatcher {
  public:
    using is_gtest_matcher = void;
    using Condition = std::function<bool(PacketBytes, const Parsed&)>;

    CheckedMatcher(std::string text, ChecksumState checksum, Condition condition)
        : text_(std::move(text)), checksum_(checksum), condition_(std::move(condition)) {}

    bool MatchAndExplain(PacketBytes packet, testing::MatchResultListener* listener) const {
        if (const std::string fault = fault_of(packet, checksum_); !fault.empty()) {
            *listener << fault << ": " << describe(packet);
            return false;
        }
        *listener << "which is " << describe(packet);
        return condition_(packet, *net::parse(packet, static_cast<std::uint32_t>(packet.size())));
    }
    void DescribeTo(std::ostream* out) const { *out << "is a sound packet " << text_; }
    void DescribeNegationTo(std::ostream* out) const { *out << "is not a sound packet " << text_; }

  private:
    std::string text_;
    ChecksumState checksum_;
    Condition condition_;
};

std::string flag_letters(std::uint8_t flags) {
    std::string letters;
    for (std::size_t bit = 0; bit < 8; ++bit) {
        if ((flags >> bit & 1) != 0) letters += "FSRPAUEC"[bit];
    }
    return letters.empty() ? "none" : letters;
}

void describe_l4(std::ostream& out, PacketBytes packet, const Parsed& parsed) {
    if (parsed.fragment == net::FragmentKind::Later) {
        out << " protocol " << int{parsed.protocol};
    } else if (const auto* tcp = net::header_at<net::TcpHeader>(packet, parsed.l4_offset);
               parsed.protocol == net::kProtocolTcp && tcp != nullptr) {
        out << " tcp " << flag_letters(tcp->flags) << " seq " << tcp->sequence.value() << " ack "
            << tcp->acknowledgement.value() << " win " << tcp->window.value();
        if (const unsigned mss = mss_of(packet); mss != 0) out << " mss " << mss;
    } else if (parsed.protocol == net::kProtocolUdp) {
        out << " udp";
    } else if (const auto* icmp = net::header_at<net::IcmpHeader>(packet, parsed.l4_offset);
               parsed.icmp != IcmpKind::NotIcmp && icmp != nullptr) {
        out << " icmp " << int{icmp->type} << "/" << int{icmp->code};
        if (parsed.icmp != IcmpKind::Error)
            out << " id " << icmp->identifier.value() << " seq " << icmp->sequence.value();
    } else {
        out << " protocol " << int{parsed.protocol};
    }
}

std::string end_text(const net::IpAddress& address, std::uint16_t l4_port) {
    return l4_port == 0 ? address.to_string() : net::Endpoint{address, l4_port}.to_string();
}

std::string text_of(PacketBytes packet, const Parsed& parsed) {
    std::ostringstream out;
    out << end_text(parsed.source, parsed.source_port) << " > "
        << end_text(parsed.destination, parsed.destination_port);
    describe_l4(out, packet, parsed);
    out << " ttl " << int{parsed.ttl};
    if (parsed.tos != 0) out << " tos " << int{parsed.tos};
    if (parsed.is_v4() && parsed.dont_fragment) out << " df";
    if (parsed.fragment != net::FragmentKind::Whole) {
        out << " fragment " << parsed.fragment_id << "@" << parsed.fragment_offset
            << (parsed.more_fragments ? "+" : "");
    }
    out << " length " << packet.size() << " payload " << payload_of(packet).size();
    if (parsed.icmp == IcmpKind::Error) {
        const PacketBytes quote = payload_of(packet);
        const auto inner = net::parse(quote, static_cast<std::uint32_t>(quote.size()), net::ParseAs::Quoted);
        out << " about [" << (inner ? text_of(quote, *inner) : refused(inner.error())) << "]";
    }
    return out.str();
}

// For describing and taking apart: whatever of a packet can be understood.
std::expected<Parsed, Drop> parse_leniently(PacketBytes packet) {
    const auto size = static_cast<std::uint32_t>(packet.size());
    if (auto parsed = net::parse(packet, size)) return parsed;
    return net::parse(packet, size, net::ParseAs::Quoted);
}

}  // namespace

std::string fault_of(PacketBytes packet, ChecksumState checksum) {
    return fault_when_parsed(packet, net::ParseAs::Packet, checksum);
}

std::string fault_of(const Packet& packet) {
    const auto as = packet.gso == Gso::None ? net::ParseAs::Packet : net::ParseAs::Superpacket;
    return fault_when_parsed(bytes_of(packet), as, packet.checksum);
}

PacketMatcher IsSound(ChecksumState checksum) {
    return CheckedMatcher("", checksum, [](PacketBytes, const Parsed&) { return true; });
}

PacketMatcher From(std::string_view end, ChecksumState checksum) {
    return CheckedMatcher("from " + std::string(end), checksum,
                          [wanted = end_of(end)](PacketBytes, const Parsed& parsed) {
                              return is_end(wanted, parsed.source, parsed.source_port);
                          });
}

PacketMatcher To(std::string_view end, ChecksumState checksum) {
    return CheckedMatcher("to " + std::string(end), checksum,
                          [wanted = end_of(end)](PacketBytes, const Parsed& parsed) {
                              return is_end(wanted, parsed.destination, parsed.destination_port);
                          });
}

PacketMatcher HasTtl(unsigned ttl, ChecksumState checksum) {
    return CheckedMatcher("with ttl " + std::to_string(ttl), checksum,
                          [ttl](PacketBytes, const Parsed& parsed) { return parsed.ttl == ttl; });
}

PacketMatcher HasTos(unsigned tos, ChecksumState checksum) {
    return CheckedMatcher("with tos " + std::to_string(tos), checksum,
                          [tos](PacketBytes, const Parsed& parsed) { return parsed.tos == tos; });
}

PacketMatcher HasProtocol(unsigned protocol, ChecksumState checksum) {
    return CheckedMatcher("of protocol " + std::to_string(protocol), checksum,
                          [protocol](PacketBytes, const Parsed& parsed) { return parsed.protocol == protocol; });
}

PacketMatcher HasTcpFlags(unsigned flags, ChecksumState checksum) {
    return CheckedMatcher("with TCP flags " + flag_letters(static_cast<std::uint8_t>(flags)), checksum,
                          [flags](PacketBytes, const Parsed& parsed) {
                              return parsed.protocol == net::kProtocolTcp && parsed.tcp_flags == flags;
                          });
}

PacketMatcher HasMss(unsigned mss, ChecksumState checksum) {
    return CheckedMatcher("with MSS " + std::to_string(mss), checksum,
                          [mss](PacketBytes packet, const Parsed&) { return mss_of(packet) == mss; });
}

PacketMatcher HasIcmp(unsigned type, unsigned code) {
    return CheckedMatcher("with ICMP " + std::to_string(type) + "/" + std::to_string(code), ChecksumState::Full,
                          [type, code](PacketBytes packet, const Parsed& parsed) {
                              const auto* icmp = net::header_at<net::IcmpHeader>(packet, parsed.l4_offset);
                              return parsed.icmp != IcmpKind::NotIcmp && icmp->type == type && icmp->code == code;
                          });
}

PacketMatcher HasPayload(Bytes payload, ChecksumState checksum) {
    const std::string text = "with a payload of " + std::to_string(payload.size()) + " given bytes";
    return CheckedMatcher(text, checksum, [payload = std::move(payload)](PacketBytes packet, const Parsed&) {
        return std::ranges::equal(payload_of(packet), payload);
    });
}

PacketMatcher QuotesFromTo(std::string_view source, std::string_view destination) {
    const std::string text = "that quotes " + std::string(source) + " > " + std::string(destination);
    return CheckedMatcher(text, ChecksumState::Full,
                          [from = end_of(source), to = end_of(destination)](PacketBytes packet, const Parsed& parsed) {
                              if (parsed.icmp != IcmpKind::Error) return false;
                              const PacketBytes quote = payload_of(packet);
                              const auto inner =
                                  net::parse(quote, static_cast<std::uint32_t>(quote.size()), net::ParseAs::Quoted);
                              return inner && is_end(from, inner->source, inner->source_port) &&
                                     is_end(to, inner->destination, inner->destination_port);
                          });
}

std::string describe(PacketBytes packet) {
    const auto parsed = parse_leniently(packet);
    if (!parsed) return std::to_string(packet.size()) + " bytes: " + refused(parsed.error());
    return text_of(packet, *parsed);
}

PacketBytes payload_of(PacketBytes packet) {
    const auto parsed = parse_leniently(packet);
    return parsed ? packet.subspan(parsed->payload_offset) : PacketBytes{};
}

unsigned mss_of(PacketBytes packet) {
    const auto parsed = parse_leniently(packet);
    if (!parsed || parsed->protocol != net::kProtocolTcp) return 0;
    if (net::header_at<net::TcpHeader>(packet, parsed->l4_offset) == nullptr) return 0;
    const PacketBytes options = packet.first(parsed->payload_offset).subspan(parsed->l4_offset + net::TcpHeader::kSize);
    for (std::size_t at = 0; at < options.size();) {
        const auto kind = std::to_integer<std::uint8_t>(options[at]);
        if (kind == net::kTcpOptionEnd) return 0;
        const std::size_t size = kind == net::kTcpOptionNop ? 1
                                 : at + 1 < options.size()  ? std::to_integer<std::size_t>(options[at + 1])
                                                            : 0;
        if (size == 0 || at + size > options.size()) return 0;
        if (kind == net::kTcpOptionMss && size == net::kTcpOptionMssSize) {
            return std::to_integer<unsigned>(options[at + 2]) << 8 | std::to_integer<unsigned>(options[at + 3]);
        }
        at += size;
    }
    return 0;
}

}  // namespace weft::test
