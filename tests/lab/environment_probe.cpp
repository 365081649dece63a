// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/environment_probe.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/link.hpp"
#include "control/netns.hpp"
#include "control/nft.hpp"
#include "control/route.hpp"
#include "control/sysctl.hpp"

namespace weft::control::probe {

namespace {

bool is_link_local(const net::IpAddress& address) {
    return address.is_v6() && (address.data()[0] == 0xFF || (address.data()[0] == 0xFE && address.data()[1] >= 0x80));
}

std::string ruleset() {
    nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
    nft_ctx_buffer_output(context);
    nft_ctx_output_set_flags(context, NFT_CTX_OUTPUT_STATELESS);
    std::string text = nft_run_cmd_from_buffer(context, "list ruleset") == 0 ? nft_ctx_get_output_buffer(context) : "?";
    nft_ctx_free(context);
    // Elements of a set are listed in no order.
    static const std::regex kList(R"(\{ ([^{}]*) \})");
    std::string sorted;
    auto at = text.cbegin();
    for (std::smatch found; std::regex_search(at, text.cend(), found, kList); at = found[0].second) {
        sorted.append(at, found[0].first);
        std::set<std::string> items;
        const std::string list = found[1];
        static const std::regex kComma(R"(,\s*)");
        for (std::sregex_token_iterator item(list.begin(), list.end(), kComma, -1), end; item != end; ++item)
            items.insert(*item);
        for (const auto& item : items)
            sorted += item + " ";
    }
    return sorted.append(at, text.cend());
}

std::string describe_namespace() {
    auto netlink = Netlink::open();
    const auto links = *list_links(*netlink);
    const auto addresses = *list_addresses(*netlink);
    const auto routes = *list_routes(*netlink);
    std::map<int, std::string> names;
    for (const Link& link : links)
        names[link.index] = link.name;
    std::set<std::string> lines;
    for (const Link& link : links)
        lines.insert(fmt::format("link {} {} {} mtu {} {} master {}", link.name, link.kind, link.mac.to_string(),
                                 link.mtu, link.is_up ? "up" : "down", names[link.master]));
    for (const InterfaceAddress& address : addresses)
        if (!is_link_local(address.address))
            lines.insert(fmt::format("address {}/{} {}", address.address.to_string(), address.prefix_length,
                                     names[address.link]));
    for (const Route& route : routes)
        if (!is_link_local(route.destination.address))
            lines.insert(fmt::format("route {} {} via {} table {} type {}", route.destination.to_string(),
                                     names[route.link], route.gateway.to_string(), route.table, route.type));
    std::string text;
    for (const std::string& line : lines)
        text += line + "\n";
    text += ruleset();
    for (const char* path : {"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/eth9/accept_ra",
                             "net/ipv6/conf/eth9/forwarding", "net/ipv4/conf/all/rp_filter"})
        text += fmt::format("{} {}\n", path, read_sysctl(path).value_or("-"));
    return text;
}

void inside(const std::string& netns, const std::function<void()>& work) {
    const auto opened = Netns::open_name(netns);
    ASSERT_TRUE(opened) << opened.error().text();
    const auto done = run_in(opened->fd(), [&] {
        work();
        return Result<void>{};
    });
    ASSERT_TRUE(done) << done.error().text();
}

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    SocketAddress(const net::IpAddress& address, std::uint16_t port) {
        if (address.is_v4()) {
            sockaddr_in v4{};
            v4.sin_family = AF_INET;
            v4.sin_port = htons(port);
            std::memcpy(&v4.sin_addr, address.data(), 4);
            std::memcpy(&storage, &v4, size = sizeof v4);
        } else {
            sockaddr_in6 v6{};
            v6.sin6_family = AF_INET6;
            v6.sin6_port = htons(port);
            std::memcpy(&v6.sin6_addr, address.data(), 16);
            std::memcpy(&storage, &v6, size = sizeof v6);
        }
    }
    [[nodiscard]] const sockaddr* get() const {
        return static_cast<const sockaddr*>(static_cast<const void*>(&storage));
    }
};

bool becomes(int fd, short events, std::chrono::milliseconds patience) {
    pollfd wait{.fd = fd, .events = events, .revents = 0};
    return ::poll(&wait, 1, static_cast<int>(patience.count())) == 1;
}

std::uint16_t internet_checksum(const void* data, std::size_t size) {
    std::uint32_t sum = 0;
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    for (std::size_t i = 0; i + 1 < size; i += 2)
        sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return htons(static_cast<std::uint16_t>(~sum));
}

bool pings_from_here(const net::IpAddress& to, const std::optional<net::IpAddress>& from,
                     std::chrono::milliseconds patience) {
    const bool v6 = to.is_v6();
    const UniqueFd socket(
        ::socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP}));
    if (!socket) return false;
    if (from && ::bind(socket.get(), SocketAddress(*from, 0).get(), SocketAddress(*from, 0).size) != 0) return false;
    icmphdr echo{};
    echo.type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
    echo.un.echo.id = htons(4711);
    if (!v6) echo.checksum = internet_checksum(&echo, sizeof echo);
    const SocketAddress target(to, 0);
    if (::sendto(socket.get(), &echo, sizeof echo, 0, target.get(), target.size) != sizeof echo) return false;
    while (becomes(socket.get(), POLLIN, patience)) {
        std::array<std::uint8_t, 1500> answer{};
        const auto size = ::recv(socket.get(), answer.data(), answer.size(), 0);
        const std::size_t header = v6 ? 0 : std::size_t{20};
        if (size >= static_cast<ssize_t>(header + 8) && answer[header] == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
            return true;
    }
    return false;
}

}  // namespace

std::string fingerprint() {
    std::string text = describe_namespace();
    std::error_code error;
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator("/run/netns", error))
        names.insert(entry.path().filename());
    for (const std::string& name : names)
        inside(name, [&] { text += fmt::format("--- {}\n{}", name, describe_namespace()); });
    return text;
}

std::size_t open_descriptors() {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator()));
}

void add_device(const std::string& name) {
    auto netlink = Netlink::open();
    NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    message.header(ifinfomsg{}).text(IFLA_IFNAME, name).nested(IFLA_LINKINFO, [](NetlinkMessage& info) {
        info.text(IFLA_INFO_KIND, "bridge");  // not every kernel has "dummy"
    });
    const auto made = netlink->request(message, "make device " + name);
    ASSERT_TRUE(made) << made.error().text();
}

void add_device_inside(const std::string& netns, const std::string& name) {
    inside(netns, [&] { add_device(name); });
}

void make_underlay() {
    add_device("eth9");
    auto netlink = Netlink::open();
    ASSERT_TRUE(change_link(*netlink, "lo", {.up = true}));
    ASSERT_TRUE(change_link(*netlink, "eth9", {.mtu = 1400, .up = true}));
    const int index = (*find_link(*netlink, "eth9"))->index;
    ASSERT_TRUE(add_address(*netlink, {index, *net::IpAddress::parse("192.168.77.11"), 24}));
    ASSERT_TRUE(add_route(*netlink, *net::Prefix::parse("0.0.0.0/0"), index, *net::IpAddress::parse("192.168.77.1")));
    ASSERT_TRUE(add_route(*netlink, *net::Prefix::parse("172.20.0.0/16"), index, {}));
}

void make_tun(const std::string& name) {
    const UniqueFd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(tun);
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    ASSERT_EQ(::ioctl(tun.get(), TUNSETIFF, &request), 0);
    ASSERT_EQ(::ioctl(tun.get(), TUNSETPERSIST, 1), 0);
}

void add_inside(const std::string& netns, const net::IpAddress& address) {
    inside(netns, [&] {
        auto netlink = Netlink::open();
        const int index = (*find_link(*netlink, "weft0"))->index;
        ASSERT_TRUE(add_address(*netlink, {index, address, address.is_v6() ? 120 : 26}));
    });
}

void route_loopback_out_of(const std::string& netns) {
    inside(netns, [] {
        auto netlink = Netlink::open();
        const int index = (*find_link(*netlink, "weft0"))->index;
        ASSERT_TRUE(write_sysctl("net/ipv4/conf/weft0/route_localnet", "1"));
        // Without the local table's 127.0.0.0/8 the address is like any other.
        const int lo = (*find_link(*netlink, "lo"))->index;
        ASSERT_TRUE(remove_address(*netlink, {lo, *net::IpAddress::parse("127.0.0.1"), 8}));
        const auto added =
            add_route(*netlink, *net::Prefix::parse("127.0.0.0/8"), index, *net::IpAddress::parse("10.18.0.1"));
        ASSERT_TRUE(added) << added.error().text();
    });
}

bool pings(const std::string& netns, const net::IpAddress& to, std::optional<net::IpAddress> from,
           std::chrono::milliseconds patience) {
    bool answered = false;
    inside(netns, [&] { answered = pings_from_here(to, from, patience); });
    return answered;
}

bool connects(const net::IpAddress& to, std::uint16_t port, std::chrono::milliseconds patience) {
    const UniqueFd socket(::socket(to.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const SocketAddress target(to, port);
    if (::connect(socket.get(), target.get(), target.size) != 0 && errno != EINPROGRESS) return false;
    char greeting = 0;
    return becomes(socket.get(), POLLIN, patience) && ::recv(socket.get(), &greeting, 1, 0) == 1;
}

bool connects_from(const std::string& netns, const net::IpAddress& to, std::uint16_t port,
                   std::chrono::milliseconds patience) {
    bool connected = false;
    inside(netns, [&] { connected = connects(to, port, patience); });
    return connected;
}

Listener::Listener(const std::string& netns, std::uint16_t port) {
    inside(netns, [&] { open(port); });
    serve();
}

Listener::Listener(Here, std::uint16_t port) {
    open(port);
    serve();
}

void Listener::open(std::uint16_t port) {
    socket_ = UniqueFd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress any(*net::IpAddress::parse("::"), port);
    ASSERT_EQ(::bind(socket_.get(), any.get(), any.size), 0);
    ASSERT_EQ(::listen(socket_.get(), 16), 0);
}

void Listener::serve() {
    thread_ = std::thread([fd = socket_.get()] {
        while (true) {
            const UniqueFd client(::accept(fd, nullptr, nullptr));
            if (!client) return;
            (void)::send(client.get(), "!", 1, MSG_NOSIGNAL);
        }
    });
}

Listener::~Listener() {
    ::shutdown(socket_.get(), SHUT_RDWR);  // wakes accept
    thread_.join();
}

Sleeper::Sleeper() {
    std::array<int, 2> ready{};
    EXPECT_EQ(::pipe2(ready.data(), O_CLOEXEC), 0);
    const UniqueFd read_end(ready[0]);
    UniqueFd write_end(ready[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::unshare(CLONE_NEWNET) != 0 || ::write(ready[1], "!", 1) != 1) ::_exit(1);
        while (true)
            ::pause();
    }
    write_end.reset();
    char signal = 0;
    EXPECT_EQ(::read(read_end.get(), &signal, 1), 1);
}

void Sleeper::end() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
}

}  // namespace weft::control::probe
