// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <sys/socket.h>

#include "dataplane/base/clock.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/base/unique_fd.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/eal.hpp"
#include "dataplane/port.hpp"
#include "dataplane/train_queue.hpp"

namespace weft {

struct UdpOptions {
    net::Endpoint bind;  // port 0: the kernel picks. [::] takes IPv4 too.
    int receive_buffer = 32 * 1024 * 1024;
    int send_buffer = 8 * 1024 * 1024;  // a train is charged up to 90 KB
    bool wants_gso = true;              // off: to walk the ways of an old kernel
    bool wants_gro = true;
};

// The tunnel's UDP socket: trains in (UDP_GRO), trains out (UDP_SEGMENT).
// Threading: one worker, but for create, endpoint, fd and send_now, which any thread may call.
// Errors: what cannot be sent is counted as a drop. A datagram that is larger than the path shows in too_big().
class UdpPort final : public OutsidePort {
  public:
    static constexpr std::size_t kSlots = 8;
    static constexpr std::size_t kSlab = 1024 * 1024;

    static Result<std::unique_ptr<UdpPort>> create(const UdpOptions& options, Eal& eal, Counters& counters);

    std::size_t rx_burst(std::span<Train> trains) override;
    void append(const net::Endpoint& to, std::uint8_t tos, std::span<const Slice> datagram) override;
    std::byte* scratch(std::size_t size) override;
    void flush() override;

    // One datagram at once, beside the queue; for the control thread (handshakes). Counts nothing: counters have one
    // writer, the worker.
    Result<void> send_now(const net::Endpoint& to, std::span<const std::byte> datagram) const;
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const net::Endpoint& endpoint() const { return endpoint_; }  // as bound
    [[nodiscard]] bool has_gso() const { return gso_ != GsoState::Absent; }
    [[nodiscard]] bool has_gro() const { return has_gro_; }

    // Datagrams the kernel refused as larger than the way to that peer, since the last clear; at most 16 are kept.
    struct TooBig {
        net::Endpoint to;
        std::uint32_t size = 0;
    };
    [[nodiscard]] std::span<const TooBig> too_big() const { return {too_big_.data(), too_big_count_}; }
    void clear_too_big() { too_big_count_ = 0; }

  private:
    enum class GsoState : std::uint8_t { On, OffForNow, Absent };
    struct alignas(cmsghdr) ControlBytes {
        std::array<std::byte, 128> bytes;
    };
    struct Incoming {
        Buffer buffer;
        sockaddr_storage from;
        iovec part;
        ControlBytes control;
    };
    struct Outgoing {
        sockaddr_storage to;
        ControlBytes control;
    };

    explicit UdpPort(Counters& counters);
    Result<void> open_socket(const UdpOptions& options);
    bool receive(const mmsghdr& message, Incoming& slot, Train& train);
    void send_queued();
    int send_part(const OutgoingTrain& train, std::uint32_t first, std::uint32_t count);
    void recover(const OutgoingTrain& train, int error);
    void resend_in_pieces(const OutgoingTrain& train, std::uint32_t piece);
    void resend_once(const OutgoingTrain& train, std::uint32_t first, std::uint32_t count, int error);
    void give_up(const OutgoingTrain& train, std::uint32_t first, std::uint32_t count, int error);
    void note_too_big(const TooBig& refused);
    void count_sent(std::uint32_t datagrams, std::uint32_t bytes);
    void try_gso_again();
    msghdr message_for(const OutgoingTrain& train, std::uint32_t count, Outgoing& slot) const;

    Counters& counters_;
    UniqueFd fd_;
    net::Endpoint endpoint_;
    bool has_gro_ = false;
    GsoState gso_ = GsoState::Absent;
    std::uint32_t train_limit_ = TrainQueue::kMaxDatagrams;  // 64 on kernels before 6.9; learnt from their EINVAL
    TimePoint gso_again_{};

    std::vector<Incoming> incoming_;
    std::array<mmsghdr, kSlots> incoming_messages_{};
    TrainQueue queue_;
    std::vector<Outgoing> outgoing_;
    std::vector<mmsghdr> outgoing_messages_;
    std::unique_ptr<std::byte[]> slab_;
    std::size_t slab_used_ = 0;
    std::array<TooBig, 16> too_big_{};
    std::size_t too_big_count_ = 0;
};

}  // namespace weft
