// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_udp.hpp"

#include <cstring>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>

#include "dataplane/base/check.hpp"
#include "dataplane/base/log.hpp"
#include "dataplane/socket_address.hpp"

// In: one recvmmsg for up to 8 trains, each into 64 KB; the stride comes from the UDP_GRO control message. Out:
// datagrams are queued as trains and leave at flush() by one sendmmsg, a train a message, in the order they were
// opened. Nothing is copied but by those who write into the slab. Errors of sending are dealt with in recover(), a row
// each.

namespace weft {

namespace {

#ifndef UDP_GRO
constexpr int UDP_SEGMENT = 103;
constexpr int UDP_GRO = 104;
#endif

constexpr std::uint32_t kOldTrainLimit = 64;
constexpr auto kGsoPause = std::chrono::seconds(60);

bool set_option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// Beyond the system's limit if we may, else up to it.
void size_buffer(int fd, int force, int plain, int size, const char* name) {
    if (set_option(fd, SOL_SOCKET, force, size)) return;
    set_option(fd, SOL_SOCKET, plain, size);
    int got = 0;
    socklen_t length = sizeof got;
    getsockopt(fd, SOL_SOCKET, plain, &got, &length);
    if (got < size)
        logger("dataplane").warn("the tunnel socket's {} buffer stays at {} bytes, bursts may be lost", name, got);
}

template <class T>
void put_control(msghdr& message, std::size_t& used, int level, int type, T value) {
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(sizeof value);
    header.cmsg_level = level;
    header.cmsg_type = type;
    auto* const at = static_cast<std::byte*>(message.msg_control) + used;
    std::memcpy(at, &header, sizeof header);
    std::memcpy(at + CMSG_LEN(0), &value, sizeof value);
    used += CMSG_SPACE(sizeof value);
    message.msg_controllen = used;
}

// An int or, for IP_TOS, one byte.
int control_value(const cmsghdr& header) {
    int value = 0;
    std::memcpy(&value, CMSG_DATA(&header), header.cmsg_len >= CMSG_LEN(sizeof value) ? sizeof value : 1);
    return value;
}

}  // namespace

UdpPort::UdpPort(Counters& counters)
    : counters_(counters),
      incoming_(kSlots),
      outgoing_(TrainQueue::kMaxTrains),
      outgoing_messages_(TrainQueue::kMaxTrains),
      slab_(std::make_unique_for_overwrite<std::byte[]>(kSlab)) {}

Result<std::unique_ptr<UdpPort>> UdpPort::create(const UdpOptions& options, Eal& eal, Counters& counters) {
    std::unique_ptr<UdpPort> port(new UdpPort(counters));
    const std::string attempt = "open the tunnel socket " + options.bind.to_string();
    if (auto opened = port->open_socket(options); !opened) return std::unexpected(opened.error().during(attempt));
    for (Incoming& slot : port->incoming_) {
        auto buffer = eal.take_jumbo();
        if (!buffer) return std::unexpected(buffer.error().during(attempt));
        slot.buffer = std::move(*buffer);
        slot.part = {slot.buffer.data(), slot.buffer.size()};
    }
    return port;
}

Result<void> UdpPort::open_socket(const UdpOptions& options) {
    const bool is_v6 = options.bind.address.is_v6();
    fd_ = UniqueFd(socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd_) return std::unexpected(Error::system("socket"));
    const int fd = fd_.get();

    if (is_v6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.bind.address.is_unspecified() ? 0 : 1);
    sockaddr_storage address{};
    const socklen_t length = to_socket_address(options.bind, is_v6 ? AF_INET6 : AF_INET, address);
    if (bind_socket(fd, address, length) < 0) return std::unexpected(Error::system("bind"));
    const auto bound = local_endpoint(fd);
    if (!bound) return std::unexpected(Error::system("getsockname"));
    endpoint_ = *bound;

    size_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer, "receive");
    size_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer, "send");
    // Never fragmented, and not held to a path MTU that a forged ICMP may have set: we find it ourselves.
    set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
    if (is_v6) {
        set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    }
    has_gro_ = options.wants_gro && set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
    // A size of 0 changes nothing, but only a kernel that can cut knows the option.
    gso_ = options.wants_gso && set_option(fd, IPPROTO_UDP, UDP_SEGMENT, 0) ? GsoState::On : GsoState::Absent;
    if (gso_ == GsoState::Absent) queue_.limit(1);
    return {};
}

std::size_t UdpPort::rx_burst(std::span<Train> trains) {
    const std::size_t slots = std::min(trains.size(), kSlots);
    for (std::size_t i = 0; i < slots; ++i) {
        Incoming& slot = incoming_[i];
        msghdr& message = incoming_messages_[i].msg_hdr;
        message = {};
        message.msg_name = &slot.from;
        message.msg_namelen = sizeof slot.from;
        message.msg_iov = &slot.part;
        message.msg_iovlen = 1;
        message.msg_control = &slot.control;
        message.msg_controllen = sizeof slot.control;
    }
    const int got = recvmmsg(fd_.get(), incoming_messages_.data(), static_cast<unsigned>(slots),
                             MSG_WAITFORONE | MSG_DONTWAIT, nullptr);
    counters_.tunnel_rx_calls.add();
    std::size_t count = 0;
    for (int i = 0; i < got; ++i)
        if (receive(incoming_messages_[static_cast<std::size_t>(i)], incoming_[static_cast<std::size_t>(i)],
                    trains[count]))
            ++count;
    return count;
}

// True if `train` is now a view of what lies in `slot`; false if it was dropped.
bool UdpPort::receive(const mmsghdr& message, Incoming& slot, Train& train) {
    const std::uint32_t length = message.msg_len;
    std::uint32_t stride = length;
    train.tos = 0;
    msghdr header = message.msg_hdr;
    for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
        const int value = control_value(*control);
        if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
            if (value > 0 && static_cast<std::uint32_t>(value) < length) stride = static_cast<std::uint32_t>(value);
        } else if ((control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) ||
                   (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS)) {
            train.tos = static_cast<std::uint8_t>(value);
        }
    }
    const std::uint32_t datagrams = length == 0 ? 1 : (length + stride - 1) / stride;
    counters_.tunnel.rx.add(datagrams);
    counters_.tunnel.rx_bytes.add(length);
    if (length == 0 || (header.msg_flags & MSG_TRUNC) != 0) {
        counters_.drop(length == 0 ? Drop::TunnelFormat : Drop::Truncated, datagrams);
        return false;
    }
    train.bytes = {slot.buffer.data(), length};
    train.stride = stride;
    train.headroom = slot.buffer.headroom();
    train.from = from_socket_address(slot.from);
    return true;
}

void UdpPort::append(const net::Endpoint& to, std::uint8_t tos, std::span<const Slice> datagram) {
    if (queue_.add(to, tos, datagram)) return;
    // The slab is not begun anew: this very datagram may lie in it.
    send_queued();
    WEFT_CHECK(queue_.add(to, tos, datagram), "an empty queue has no room");
}

std::byte* UdpPort::scratch(std::size_t size) {
    WEFT_CHECK(size <= 65'535, "scratch of more than a datagram");
    if (slab_used_ + size > kSlab) flush();
    std::byte* const memory = slab_.get() + slab_used_;
    slab_used_ += size;
    return memory;
}

void UdpPort::flush() {
    send_queued();
    slab_used_ = 0;
}

void UdpPort::send_queued() {
    const auto trains = queue_.trains();
    if (trains.empty()) return;
    for (std::size_t i = 0; i < trains.size(); ++i) {
        outgoing_messages_[i].msg_hdr = message_for(trains[i], trains[i].count, outgoing_[i]);
        // sendmsg only reads them.
        outgoing_messages_[i].msg_hdr.msg_iov = const_cast<iovec*>(trains[i].parts.data());
        outgoing_messages_[i].msg_hdr.msg_iovlen = trains[i].part_count;
    }
    std::size_t next = 0;
    while (next < trains.size()) {
        const int sent = sendmmsg(fd_.get(), outgoing_messages_.data() + next,
                                  static_cast<unsigned>(trains.size() - next), MSG_DONTWAIT);
        counters_.tunnel_tx_calls.add();
        if (sent < 0 && errno == EINTR) continue;
        for (int i = 0; i < sent; ++i, ++next)
            count_sent(trains[next].count, trains[next].bytes);
        if (sent <= 0) recover(trains[next++], errno);
    }
    queue_.clear();
    if (gso_ == GsoState::OffForNow) try_gso_again();
}

msghdr UdpPort::message_for(const OutgoingTrain& train, std::uint32_t count, Outgoing& slot) const {
    msghdr message{};
    message.msg_name = &slot.to;
    message.msg_namelen = to_socket_address(train.to, endpoint_.address.is_v6() ? AF_INET6 : AF_INET, slot.to);
    message.msg_control = &slot.control;
    std::size_t used = 0;
    if (count > 1)
        put_control(message, used, IPPROTO_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(train.datagram_size));
    if (train.tos != 0 && train.to.address.is_v4()) put_control(message, used, IPPROTO_IP, IP_TOS, int{train.tos});
    if (train.tos != 0 && train.to.address.is_v6())
        put_control(message, used, IPPROTO_IPV6, IPV6_TCLASS, int{train.tos});
    if (used == 0) message.msg_control = nullptr;
    return message;
}

// Datagrams [first, first + count) of a train by a call of their own. 0, or errno.
int UdpPort::send_part(const OutgoingTrain& train, std::uint32_t first, std::uint32_t count) {
    Outgoing slot;
    std::array<iovec, OutgoingTrain::kMaxParts> parts;
    msghdr message = message_for(train, count, slot);
    message.msg_iov = parts.data();
    message.msg_iovlen = train.gather(first, count, parts);
    counters_.tunnel_tx_calls.add();
    if (sendmsg(fd_.get(), &message, MSG_DONTWAIT) < 0) return errno;
    count_sent(count, train.bytes_of(first, count));
    return 0;
}

// A whole train was refused. Never the same train again, but where waiting or another's error explains it.
void UdpPort::recover(const OutgoingTrain& train, int error) {
    if (train.count == 1) return resend_once(train, 0, 1, error);
    switch (error) {
        case EINVAL:
            if (train.count > kOldTrainLimit) {
                train_limit_ = kOldTrainLimit;
                if (gso_ == GsoState::On) queue_.limit(train_limit_);
                return resend_in_pieces(train, kOldTrainLimit);
            }
            return resend_in_pieces(train, 1);
        case EMSGSIZE:  // the device's MTU shrank
            return resend_in_pieces(train, 1);
        case EIO:  // the way out cannot sum or cut what we ask for
            gso_ = GsoState::OffForNow;
            gso_again_ = BootClock::now() + kGsoPause;
            queue_.limit(1);
            return resend_in_pieces(train, 1);
        default:
            return resend_once(train, 0, train.count, error);
    }
}

void UdpPort::resend_in_pieces(const OutgoingTrain& train, std::uint32_t piece) {
    for (std::uint32_t first = 0; first < train.count; first += piece) {
        const std::uint32_t count = std::min(piece, train.count - first);
        const int error = send_part(train, first, count);
        if (error != 0) resend_once(train, first, count, error);
    }
}

void UdpPort::resend_once(const OutgoingTrain& train, std::uint32_t first, std::uint32_t count, int error) {
    switch (error) {
        case EAGAIN:
        case ENOBUFS:
            sched_yield();  // whoever empties the buffer may be waiting for this very CPU
            [[fallthrough]];
        case ECONNREFUSED:  // these may be the answer to an earlier datagram, to somebody else
        case EHOSTUNREACH:
        case ENETUNREACH:
        case ENETDOWN:
            error = send_part(train, first, count);
            break;
        default:
            break;
    }
    if (error != 0) give_up(train, first, count, error);
}

void UdpPort::give_up(const OutgoingTrain& train, std::uint32_t first, std::uint32_t count, int error) {
    switch (error) {
        case EAGAIN:
        case ENOBUFS:
            return counters_.drop(Drop::QueueFull, count);
        case EMSGSIZE:
            note_too_big({train.to, train.bytes_of(first, 1)});
            return counters_.drop(Drop::TooBig, count);
        case ECONNREFUSED:
        case EHOSTUNREACH:
        case ENETUNREACH:
        case ENETDOWN:
            return counters_.drop(Drop::PeerDown, count);
        default:
            return counters_.drop(Drop::DeviceError, count);
    }
}

void UdpPort::note_too_big(const TooBig& refused) {
    // A refused train comes here datagram by datagram; one line for it is enough.
    if (too_big_count_ > 0 && too_big_[too_big_count_ - 1].to == refused.to) return;
    if (too_big_count_ < too_big_.size()) too_big_[too_big_count_++] = refused;
}

void UdpPort::count_sent(std::uint32_t datagrams, std::uint32_t bytes) {
    counters_.tunnel.tx.add(datagrams);
    counters_.tunnel.tx_bytes.add(bytes);
}

void UdpPort::try_gso_again() {
    if (BootClock::now() < gso_again_) return;
    gso_ = GsoState::On;
    queue_.limit(train_limit_);
}

Result<void> UdpPort::send_now(const net::Endpoint& to, std::span<const std::byte> datagram) const {
    sockaddr_storage address{};
    const socklen_t length = to_socket_address(to, endpoint_.address.is_v6() ? AF_INET6 : AF_INET, address);
    if (send_to(fd_.get(), datagram, address, length) < 0)
        return std::unexpected(Error::system("send to " + to.to_string()));
    return {};
}

}  // namespace weft
