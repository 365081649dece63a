// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/base/error.hpp"
#include "dataplane/net/address.hpp"

struct nl_msg;
struct nl_sock;
struct nlattr;
struct nlmsghdr;

// Route netlink in three layers: values and what is done with them (link.hpp, route.hpp), messages and the socket
// (here). Messages are built from attributes rather than from libnl's objects, because one message can then do what
// would take several (a veth whose far end is born in the container), and because libnl 3.7 lacks some attributes.
namespace weft::control {

// A request being built. Attributes are appended in order; what does not fit in a page is our defect, not the world's.
class NetlinkMessage {
  public:
    // `flags` beyond NLM_F_REQUEST, e.g. NLM_F_CREATE | NLM_F_EXCL. NLM_F_ACK is added by Netlink::request.
    NetlinkMessage(std::uint16_t type, std::uint16_t flags);

    template <class Header>
    NetlinkMessage& header(const Header& value) {
        append(&value, sizeof value);
        return *this;
    }
    NetlinkMessage& u8(int attribute, std::uint8_t value) { return bytes(attribute, &value, sizeof value); }
    NetlinkMessage& u32(int attribute, std::uint32_t value) { return bytes(attribute, &value, sizeof value); }
    NetlinkMessage& text(int attribute, const std::string& value) {
        return bytes(attribute, value.c_str(), value.size() + 1);
    }
    NetlinkMessage& address(int attribute, const net::IpAddress& value) {
        return bytes(attribute, value.data(), value.size());
    }
    NetlinkMessage& bytes(int attribute, const void* data, std::size_t size);
    // What `fill` appends lies inside the attribute.
    NetlinkMessage& nested(int attribute, const std::function<void(NetlinkMessage&)>& fill);

  private:
    friend class Netlink;
    struct Free {
        void operator()(nl_msg* message) const;
    };
    void append(const void* data, std::size_t size);

    std::unique_ptr<nl_msg, Free> message_;
};

// The attributes of one answer, by number; null where absent. Valid only inside the visit it was made in.
class NetlinkAttributes {
  public:
    NetlinkAttributes(const nlmsghdr* message, std::size_t header_size);
    explicit NetlinkAttributes(const nlattr* nest);

    [[nodiscard]] const nlattr* find(int attribute) const;
    [[nodiscard]] std::uint32_t u32(int attribute, std::uint32_t otherwise = 0) const;
    [[nodiscard]] std::string text(int attribute) const;
    [[nodiscard]] std::span<const std::byte> bytes(int attribute) const;
    // Unspecified if absent or of the wrong size.
    [[nodiscard]] net::IpAddress address(int attribute, int family) const;

  private:
    static constexpr int kMost = 80;
    const nlattr* table_[kMost + 1] = {};
};

// One socket, bound to the namespace of the thread that opened it.
//
// Threading: one thread at a time, any thread. Cost: a request is one system call each way and blocks for what the
// kernel needs, at most 5 s. Errors: System with the kernel's errno and its own sentence where it gives one.
class Netlink {
  public:
    static Result<Netlink> open();

    // Sends and waits for the acknowledgement.
    Result<void> request(NetlinkMessage& message, std::string_view attempt);
    // Sends and hands each answer to `visit`. A dump that the kernel says was disturbed is asked again; `start` is
    // called before each try, to forget what was gathered.
    Result<void> query(const std::function<NetlinkMessage()>& message, std::string_view attempt,
                       const std::function<void()>& start, const std::function<void(const nlmsghdr*)>& visit);

  private:
    struct Free {
        void operator()(nl_sock* socket) const;
    };
    explicit Netlink(nl_sock* socket) : socket_(socket) {}
    Result<bool> receive(std::uint32_t sequence, std::string_view attempt,
                         const std::function<void(const nlmsghdr*)>& visit);

    std::unique_ptr<nl_sock, Free> socket_;
};

// True for the answers that mean "already so" or "already gone", which an idempotent caller takes for success.
inline bool says_exists(const Error& error) {
    return error.system_errno() == EEXIST;
}
inline bool says_absent(const Error& error) {
    const int number = error.system_errno();
    return number == ENODEV || number == ENOENT || number == ESRCH || number == EADDRNOTAVAIL || number == ENXIO;
}

}  // namespace weft::control
