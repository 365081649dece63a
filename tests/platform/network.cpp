// SPDX-License-Identifier: Apache-2.0
#include "tests/platform/network.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace weft::test {

namespace {

void require(bool done, const std::string& what) {
    if (done) return;
    std::fprintf(stderr, "test set-up failed: %s: %s\n", what.c_str(), std::strerror(errno));
    std::abort();
}

void configure(const std::string& device, unsigned long request, const std::function<void(ifreq&)>& fill) {
    const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq what{};
    device.copy(what.ifr_name, IFNAMSIZ - 1);
    fill(what);
    require(ioctl(socket_fd.get(), request, &what) == 0, "configure " + device);
}

}  // namespace

NetworkNamespace::NetworkNamespace() {
    std::thread([this] {
        require(unshare(CLONE_NEWNET) == 0, "unshare a network namespace");
        fd_ = UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
        require(static_cast<bool>(fd_), "open the namespace");
        set_up("lo");
        write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    }).join();
}

void NetworkNamespace::in(const std::function<void()>& job) const {
    std::thread([&] {
        require(setns(fd_.get(), CLONE_NEWNET) == 0, "enter a network namespace");
        job();
    }).join();
}

void set_up(const std::string& device) {
    configure(device, SIOCSIFFLAGS, [](ifreq& what) { what.ifr_flags = IFF_UP | IFF_RUNNING; });
}

void set_mtu(const std::string& device, int mtu) {
    configure(device, SIOCSIFMTU, [mtu](ifreq& what) { what.ifr_mtu = mtu; });
}

void set_address(const std::string& device, const std::string& address) {
    const auto fill = [](const std::string& text) {
        return [text](ifreq& what) {
            sockaddr_in v4{};
            v4.sin_family = AF_INET;
            require(inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1, "read address " + text);
            std::memcpy(&what.ifr_addr, &v4, sizeof v4);
        };
    };
    configure(device, SIOCSIFADDR, fill(address));
    configure(device, SIOCSIFNETMASK, fill("255.255.255.0"));
}

void delete_device(const std::string& device) {
    struct {
        nlmsghdr header;
        ifinfomsg link;
    } message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = RTM_DELLINK;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    message.link.ifi_index = static_cast<int>(if_nametoindex(device.c_str()));
    const UniqueFd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    require(send(netlink.get(), &message, sizeof message, 0) == sizeof message, "delete " + device);
    struct {
        nlmsghdr header;
        nlmsgerr answer;
    } reply{};
    require(recv(netlink.get(), &reply, sizeof reply, 0) > 0, "delete " + device);
    errno = -reply.answer.error;
    require(reply.answer.error == 0, "delete " + device);
}

void write_file(const std::string& path, std::string_view text) {
    std::ofstream file(path);
    file << text << std::flush;
    require(file.good(), "write " + path);
}

long kernel_counter(std::string_view protocol, std::string_view name) {
    std::ifstream file("/proc/thread-self/net/snmp");
    std::string names, values;
    while (std::getline(file, names) && std::getline(file, values)) {
        if (!names.starts_with(std::string(protocol) + ":")) continue;
        std::istringstream name_words(names), value_words(values);
        std::string word, value;
        while (name_words >> word && value_words >> value)
            if (word == name) return std::stol(value);
    }
    return -1;
}

bool eventually(const std::function<bool()>& condition) {
    const TimePoint deadline = BootClock::now() + std::chrono::seconds(10);
    while (!condition()) {
        if (BootClock::now() > deadline) return false;
        std::this_thread::yield();
    }
    return true;
}

long missing(const Counters& counters) {
    std::uint64_t left = counters.tun.rx.value() + counters.tunnel.rx.value();
    left -= counters.tun.tx.value() + counters.tunnel.tx.value();
    for (const Counter& drop : counters.drops)
        left -= drop.value();
    return static_cast<long>(left);
}

}  // namespace weft::test
