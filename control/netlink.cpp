// SPDX-License-Identifier: Apache-2.0
#include "control/netlink.hpp"

#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "dataplane/base/check.hpp"

namespace weft::control {

namespace {

constexpr int kDumpTries = 5;

struct FreeBuffer {
    void operator()(unsigned char* buffer) const { std::free(buffer); }
};

// The kernel's own sentence about what it refused, in attributes after the error (NETLINK_EXT_ACK).
std::string refusal_text(const nlmsghdr* message) {
    if (!(message->nlmsg_flags & NLM_F_ACK_TLVS)) return {};
    const auto* refusal = static_cast<const nlmsgerr*>(nlmsg_data(message));
    // NETLINK_CAP_ACK: the request itself is not quoted, only its header, so the attributes follow at once... unless an
    // older kernel quotes it all the same.
    std::size_t offset = sizeof(nlmsgerr);
    if (!(message->nlmsg_flags & NLM_F_CAPPED)) offset += NLMSG_ALIGN(refusal->msg.nlmsg_len) - sizeof(nlmsghdr);
    if (message->nlmsg_len < NLMSG_HDRLEN + offset) return {};
    return NetlinkAttributes(message, offset).text(NLMSGERR_ATTR_MSG);
}

Error refused(std::string_view attempt, const nlmsghdr* message, int error_number) {
    const std::string text = refusal_text(message);
    return Error::system(text.empty() ? std::string(attempt) : fmt::format("{} ({})", attempt, text), error_number);
}

}  // namespace

void NetlinkMessage::Free::operator()(nl_msg* message) const {
    nlmsg_free(message);
}
void Netlink::Free::operator()(nl_sock* socket) const {
    nl_socket_free(socket);
}

NetlinkMessage::NetlinkMessage(std::uint16_t type, std::uint16_t flags)
    : message_(nlmsg_alloc_simple(type, NLM_F_REQUEST | flags)) {
    WEFT_CHECK(message_ != nullptr, "memory for a netlink message");
}

void NetlinkMessage::append(const void* data, std::size_t size) {
    WEFT_CHECK(nlmsg_append(message_.get(), const_cast<void*>(data), size, NLMSG_ALIGNTO) == 0,
               "a netlink message fits in its buffer");
}

NetlinkMessage& NetlinkMessage::bytes(int attribute, const void* data, std::size_t size) {
    WEFT_CHECK(nla_put(message_.get(), attribute, static_cast<int>(size), data) == 0,
               "a netlink message fits in its buffer");
    return *this;
}

NetlinkMessage& NetlinkMessage::nested(int attribute, const std::function<void(NetlinkMessage&)>& fill) {
    nlattr* nest = nla_nest_start(message_.get(), attribute);
    WEFT_CHECK(nest != nullptr, "a netlink message fits in its buffer");
    fill(*this);
    nla_nest_end(message_.get(), nest);
    return *this;
}

NetlinkAttributes::NetlinkAttributes(const nlmsghdr* message, std::size_t header_size) {
    nlattr* table[kMost + 1] = {};
    const int length = nlmsg_attrlen(message, static_cast<int>(header_size));
    if (length <= 0 || nla_parse(table, kMost, nlmsg_attrdata(message, static_cast<int>(header_size)), length, nullptr))
        return;
    for (int i = 0; i <= kMost; ++i)
        table_[i] = table[i];
}

NetlinkAttributes::NetlinkAttributes(const nlattr* nest) {
    nlattr* table[kMost + 1] = {};
    if (!nest || nla_parse_nested(table, kMost, const_cast<nlattr*>(nest), nullptr)) return;
    for (int i = 0; i <= kMost; ++i)
        table_[i] = table[i];
}

const nlattr* NetlinkAttributes::find(int attribute) const {
    return attribute >= 0 && attribute <= kMost ? table_[attribute] : nullptr;
}

std::uint32_t NetlinkAttributes::u32(int attribute, std::uint32_t otherwise) const {
    const nlattr* found = find(attribute);
    return found && nla_len(found) == sizeof(std::uint32_t) ? nla_get_u32(found) : otherwise;
}

std::string NetlinkAttributes::text(int attribute) const {
    const auto raw = bytes(attribute);
    std::string value;
    for (const std::byte b : raw) {
        if (b == std::byte{0}) break;
        value.push_back(static_cast<char>(b));
    }
    return value;
}

std::span<const std::byte> NetlinkAttributes::bytes(int attribute) const {
    const nlattr* found = find(attribute);
    if (!found) return {};
    return {static_cast<const std::byte*>(nla_data(found)), static_cast<std::size_t>(nla_len(found))};
}

net::IpAddress NetlinkAttributes::address(int attribute, int family) const {
    const auto raw = bytes(attribute);
    if (family == AF_INET && raw.size() == 4) return net::IpAddress::v4_from(raw.data());
    if (family == AF_INET6 && raw.size() == 16) return net::IpAddress::v6_from(raw.data());
    return {};
}

Result<Netlink> Netlink::open() {
    nl_sock* raw = nl_socket_alloc();
    WEFT_CHECK(raw != nullptr, "memory for a netlink socket");
    Netlink netlink(raw);
    if (const int error = nl_connect(raw, NETLINK_ROUTE); error < 0)
        return std::unexpected(
            Error(ErrorCode::System, fmt::format("open a route netlink socket: {}", nl_geterror(error))));
    const int on = 1;
    const int fd = nl_socket_get_fd(raw);
    // Better texts, and filtered dumps; older kernels answer all the same.
    (void)::setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    (void)::setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    (void)::setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    const timeval limit{.tv_sec = 5, .tv_usec = 0};
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
        return std::unexpected(Error::system("set the time limit of a netlink socket"));
    return netlink;
}

Result<void> Netlink::request(NetlinkMessage& message, std::string_view attempt) {
    nlmsghdr* header = nlmsg_hdr(message.message_.get());
    header->nlmsg_flags |= NLM_F_ACK;
    if (const int sent = nl_send_auto_complete(socket_.get(), message.message_.get()); sent < 0)
        return std::unexpected(Error(ErrorCode::System, fmt::format("{}: {}", attempt, nl_geterror(sent))));
    const auto answered = receive(header->nlmsg_seq, attempt, [](const nlmsghdr*) {});
    if (!answered) return std::unexpected(answered.error());
    return {};
}

Result<void> Netlink::query(const std::function<NetlinkMessage()>& message, std::string_view attempt,
                            const std::function<void()>& start, const std::function<void(const nlmsghdr*)>& visit) {
    for (int i = 0; i < kDumpTries; ++i) {
        start();
        NetlinkMessage question = message();
        // A question without NLM_F_DUMP is answered by one message and, asked for it, an acknowledgement: then both
        // kinds end with a message that says so.
        nlmsghdr* header = nlmsg_hdr(question.message_.get());
        if (!(header->nlmsg_flags & NLM_F_DUMP)) header->nlmsg_flags |= NLM_F_ACK;
        if (const int sent = nl_send_auto_complete(socket_.get(), question.message_.get()); sent < 0)
            return std::unexpected(Error(ErrorCode::System, fmt::format("{}: {}", attempt, nl_geterror(sent))));
        const auto undisturbed = receive(header->nlmsg_seq, attempt, visit);
        if (!undisturbed) return std::unexpected(undisturbed.error());
        if (*undisturbed) return {};
    }
    return std::unexpected(Error(ErrorCode::System, fmt::format("{}: changes faster than it can be read", attempt)));
}

// Until the end of the answer to `sequence`. False: the dump was disturbed by a change.
Result<bool> Netlink::receive(std::uint32_t sequence, std::string_view attempt,
                              const std::function<void(const nlmsghdr*)>& visit) {
    bool undisturbed = true;
    while (true) {
        sockaddr_nl from{};
        unsigned char* raw = nullptr;
        int remaining = nl_recv(socket_.get(), &from, &raw, nullptr);
        const std::unique_ptr<unsigned char, FreeBuffer> buffer(raw);
        if (remaining == 0 || remaining == -NLE_AGAIN)
            return std::unexpected(Error(ErrorCode::Timeout, fmt::format("{}: no answer from the kernel", attempt)));
        if (remaining < 0)
            return std::unexpected(Error(ErrorCode::System, fmt::format("{}: {}", attempt, nl_geterror(remaining))));

        const void* start = raw;
        for (auto* message = static_cast<nlmsghdr*>(const_cast<void*>(start)); nlmsg_ok(message, remaining);
             message = nlmsg_next(message, &remaining)) {
            // Left over from a request that was given up.
            if (message->nlmsg_seq != sequence) continue;
            if (message->nlmsg_flags & NLM_F_DUMP_INTR) undisturbed = false;
            if (message->nlmsg_type == NLMSG_DONE) return undisturbed;
            if (message->nlmsg_type != NLMSG_ERROR) {
                visit(message);
                continue;
            }
            const int error_number = -static_cast<const nlmsgerr*>(nlmsg_data(message))->error;
            if (error_number == 0) return undisturbed;
            return std::unexpected(refused(attempt, message, error_number));
        }
    }
}

}  // namespace weft::control
