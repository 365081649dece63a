// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_tun.hpp"

#include <cstring>
#include <utility>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "dataplane/net/parse.hpp"
#include "dataplane/segment.hpp"

// In: one readv per packet or superpacket into {vnet header, 2 KB, 64 KB}; so all headers lie in the first buffer, and
// what an ordinary packet touches is small. Out: one writev gathers {vnet header, head, tails}. The kernel is asked for
// each offload; what it does not grant is done here by the Segmenter, slowly but rightly.
//
// A TUN descriptor's errors: EBADFD, the device was deleted; EIO, it is down; EINVAL, our vnet header is wrong.

namespace weft {

namespace {

// TUNSETOFFLOAD's bits; the last two are younger than Debian 12's headers.
constexpr unsigned kOffloadChecksum = 0x01;
constexpr unsigned kOffloadTso4 = 0x02;
constexpr unsigned kOffloadTso6 = 0x04;
constexpr unsigned kOffloadTsoEcn = 0x08;
constexpr unsigned kOffloadUso4 = 0x20;
constexpr unsigned kOffloadUso6 = 0x40;

struct Offload {
    bool TunOffloads::* granted;
    unsigned bit;
    const char* name;
};

// Asked for together, then one less from the end until the kernel agrees: the youngest go first, and none stays
// without those before it (segmentation needs the checksum; the kernel takes both USO bits or none).
constexpr std::array kOffloads{
    Offload{&TunOffloads::checksum, kOffloadChecksum, "checksum"},
    Offload{&TunOffloads::tso4, kOffloadTso4, "tso4"},
    Offload{&TunOffloads::tso6, kOffloadTso6, "tso6"},
    Offload{&TunOffloads::tso_ecn, kOffloadTsoEcn, "tso_ecn"},
    Offload{&TunOffloads::uso4, kOffloadUso4, "uso4"},
    Offload{&TunOffloads::uso6, kOffloadUso6, "uso6"},
};

TunOffloads request_offloads(int fd, const TunOffloads& wanted) {
    TunOffloads granted = wanted;
    granted.vnet_header = true;
    for (std::size_t left = kOffloads.size();; --left) {
        unsigned bits = 0;
        for (const Offload& offload : kOffloads)
            if (granted.*offload.granted) bits |= offload.bit;
        if (ioctl(fd, TUNSETOFFLOAD, bits) == 0 || left == 0) return granted;
        granted.*kOffloads[left - 1].granted = false;
    }
}

}  // namespace

std::string TunOffloads::to_string() const {
    if (!vnet_header) return "none";
    std::string text;
    for (const Offload& offload : kOffloads) {
        if (!(this->*offload.granted)) continue;
        if (!text.empty()) text += ' ';
        text += offload.name;
    }
    return text.empty() ? "none" : text;
}

Result<std::unique_ptr<TunPort>> TunPort::create(const TunOptions& options, Eal& eal, Counters& counters) {
    std::unique_ptr<TunPort> port(new TunPort(options, counters));
    auto fd = open_device();
    if (!fd) return std::unexpected(fd.error());
    port->fd_ = std::move(*fd);
    if (auto attached = port->attach(); !attached) return std::unexpected(attached.error());
    for (std::size_t i = 0; i < kBurst; ++i) {
        auto packet = eal.take_packet();
        if (!packet) return std::unexpected(packet.error().during("create TUN port " + options.name));
        auto jumbo = eal.take_jumbo();
        if (!jumbo) return std::unexpected(jumbo.error().during("create TUN port " + options.name));
        port->slots_.push_back({std::move(*packet), std::move(*jumbo), {}});
    }
    return port;
}

Result<void> TunPort::reopen() {
    // Under the same number, so that whoever polls the port need not learn another; this also ends the old attachment.
    auto fresh = open_device();
    if (!fresh) return std::unexpected(fresh.error());
    if (dup3(fresh->get(), fd_.get(), O_CLOEXEC) < 0)
        return std::unexpected(Error::system("replace the descriptor of TUN " + options_.name));
    fresh->reset();
    return attach();
}

Result<UniqueFd> TunPort::open_device() {
    UniqueFd fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return std::unexpected(Error::system("open /dev/net/tun"));
    return fd;
}

Result<void> TunPort::attach() {
    const auto failed = [this](const char* attempt) {
        return std::unexpected(Error::system(std::string(attempt) + " TUN " + options_.name));
    };
    if (options_.name.size() >= IFNAMSIZ)
        return std::unexpected(Error(ErrorCode::BadInput, "TUN name too long: " + options_.name));

    ifreq request{};
    std::memcpy(request.ifr_name, options_.name.data(), options_.name.size());
    // Without a vnet header the kernel itself shall coalesce what we write: that is what IFF_NAPI is for.
    const auto flags_with = [](int more) { return static_cast<short>(IFF_TUN | IFF_NO_PI | more); };
    bool has_vnet_header = options_.wanted.vnet_header;
    request.ifr_flags = flags_with(has_vnet_header ? IFF_VNET_HDR : IFF_NAPI);
    if (ioctl(fd_.get(), TUNSETIFF, &request) < 0) {
        if (errno != EINVAL || !has_vnet_header) return failed("attach to");
        has_vnet_header = false;
        request.ifr_flags = flags_with(IFF_NAPI);
        if (ioctl(fd_.get(), TUNSETIFF, &request) < 0) return failed("attach to");
    }
    name_ = request.ifr_name;
    is_lost_ = false;
    offloads_ = TunOffloads{};
    if (ioctl(fd_.get(), TUNSETPERSIST, options_.is_persistent ? 1 : 0) < 0) return failed("make persistent the");
    if (!has_vnet_header) return {};

    // The size belongs to the device: an earlier owner of a persistent one may have left another.
    int header_size = sizeof(VnetHeader);
    if (ioctl(fd_.get(), TUNSETVNETHDRSZ, &header_size) < 0) return failed("set the vnet header size of");
    if (ioctl(fd_.get(), TUNGETVNETHDRSZ, &header_size) < 0) return failed("read the vnet header size of");
    if (header_size != sizeof(VnetHeader))
        return std::unexpected(Error(ErrorCode::Conflict, "TUN " + name_ + " insists on another vnet header size"));
    offloads_ = request_offloads(fd_.get(), options_.wanted);
    return {};
}

std::size_t TunPort::rx_burst(std::span<Packet> packets) {
    const std::size_t most = std::min(packets.size(), kBurst);
    std::size_t count = 0;
    std::size_t bytes = 0;
    while (count < most && bytes < kBurstBytes) {
        Slot& slot = slots_[count];
        const std::array<iovec, 3> parts{{{&slot.header, sizeof slot.header},
                                          {slot.packet.data(), slot.packet.size()},
                                          {slot.jumbo.data(), slot.jumbo.size()}}};
        const std::size_t skip = offloads_.vnet_header ? 0 : 1;
        const ssize_t got = readv(fd_.get(), parts.data() + skip, static_cast<int>(parts.size() - skip));
        counters_.tun_calls.add();
        if (got < 0) {
            if (errno == EINTR) continue;
            if (errno == EBADFD) is_lost_ = true;
            break;
        }
        const std::size_t header_size = offloads_.vnet_header ? sizeof(VnetHeader) : 0;
        bytes += static_cast<std::size_t>(got);
        if (!offloads_.vnet_header) slot.header = {};
        if (static_cast<std::size_t>(got) >= header_size &&
            receive(slot, static_cast<std::size_t>(got) - header_size, packets[count]))
            ++count;
    }
    return count;
}

// True if `packet` is now a view of what lies in `slot`; false if it was dropped.
bool TunPort::receive(Slot& slot, std::size_t size, Packet& packet) {
    const auto in_head = static_cast<std::uint32_t>(std::min<std::size_t>(size, slot.packet.size()));
    packet.reset(slot.packet.data(), in_head, slot.packet.headroom());
    if (size > in_head) packet.append({slot.jumbo.data(), static_cast<std::uint32_t>(size) - in_head});
    const auto applied = apply_vnet_header(slot.header, packet);
    counters_.tun.rx.add(packet.segments);
    counters_.tun.rx_bytes.add(packet.size);
    if (!applied) counters_.drop(applied.error(), packet.segments);
    return applied.has_value();
}

void TunPort::tx(const Packet& packet) {
    const bool plain = packet.gso == Gso::None && packet.checksum == ChecksumState::Full;
    if (plain) return write({}, packet);
    const bool is_v4 = packet.head.size > 0 && std::to_integer<unsigned>(packet.head.data[0]) >> 4 == 4;
    if (!takes(packet.gso, is_v4)) return tx_cut(packet);
    const auto header = make_vnet_header(packet);
    if (!header) return counters_.drop(header.error(), packet.segments);
    write(*header, packet);
}

bool TunPort::takes(Gso gso, bool is_v4) const {
    switch (gso) {
        case Gso::None:
            return offloads_.vnet_header;
        case Gso::Tcp:
            return is_v4 ? offloads_.tso4 : offloads_.tso6;
        case Gso::Udp:
            return is_v4 ? offloads_.uso4 : offloads_.uso6;
    }
    return false;
}

void TunPort::tx_cut(const Packet& packet) {
    const auto as = packet.gso == Gso::None ? net::ParseAs::Packet : net::ParseAs::Superpacket;
    const auto parsed = net::parse(packet.bytes(), packet.size, as);
    if (!parsed) return counters_.drop(parsed.error(), packet.segments);
    const Segmenter segmenter(packet, *parsed);
    std::array<std::byte, Segmenter::kMaxHeader> header_bytes;
    for (std::uint32_t k = 0; k < segmenter.count(); ++k) {
        const auto segment = segmenter.cut(k, header_bytes.data());
        cut_.reset(header_bytes.data(), segment.header_size, 0);
        for (std::uint32_t i = 0; i < segment.payload_count; ++i)
            cut_.append(segment.payload[i]);
        cut_.checksum = packet.checksum;
        VnetHeader header;
        if (offloads_.vnet_header) {
            const auto made = make_vnet_header(cut_);
            if (!made) {
                counters_.drop(made.error());
                continue;
            }
            header = *made;
        } else if (cut_.checksum == ChecksumState::Partial) {
            finish_checksum(cut_, *parsed);
        }
        write(header, cut_);
    }
}

void TunPort::write(const VnetHeader& header, const Packet& packet) {
    std::array<iovec, 2 + Packet::kMaxTail> parts;
    std::size_t count = 0;
    VnetHeader own = header;
    if (offloads_.vnet_header) parts[count++] = {&own, sizeof own};
    parts[count++] = {packet.head.data, packet.head.size};
    for (const Slice& slice : packet.tails())
        parts[count++] = {slice.data, slice.size};

    ssize_t written = 0;
    do {
        written = writev(fd_.get(), parts.data(), static_cast<int>(count));
        counters_.tun_calls.add();
    } while (written < 0 && errno == EINTR);
    if (written >= 0) {
        counters_.tun.tx.add(packet.segments);
        counters_.tun.tx_bytes.add(packet.size);
        return;
    }
    if (errno == EBADFD) is_lost_ = true;
    counters_.drop(errno == EAGAIN ? Drop::QueueFull : Drop::DeviceError, packet.segments);
}

}  // namespace weft
