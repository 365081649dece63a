// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/error.hpp"

struct rte_mbuf;
struct rte_mempool;

namespace weft {

// One mbuf taken from a pool, seen as plain memory. Ports take theirs once, when they are made, and use them again in
// every burst, so nothing is allocated per packet. Must not outlive the Eal it came from. Move-only.
class Buffer {
  public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept { *this = std::move(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(mbuf_, other.mbuf_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(headroom_, other.headroom_);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer();

    [[nodiscard]] std::byte* data() const { return data_; }
    [[nodiscard]] std::uint32_t size() const { return size_; }
    // Writable bytes before data().
    [[nodiscard]] std::uint32_t headroom() const { return headroom_; }

  private:
    friend class Eal;
    rte_mbuf* mbuf_ = nullptr;
    std::byte* data_ = nullptr;
    std::uint32_t size_ = 0;
    std::uint32_t headroom_ = 0;
};

struct EalOptions {
    std::string run_dir = "/run/weft";    // must exist; EAL's own files go to its sub-directory "dpdk"
    std::vector<std::string> extra_args;  // `dpdk.args`, after ours, so that they win
    unsigned memory_mb = 32;              // address space for the pools; resident only as far as it is touched
    unsigned packet_buffers = 64;         // one worker: a TUN burst
    unsigned jumbo_buffers = 72;          // one worker: the tails of a TUN burst and 8 socket slots
    enum class Hugepages : std::uint8_t { WhenFree, Never } hugepages = Hugepages::WhenFree;
};

// DPDK's environment and the two pools. Starts with or without hugepages, scans no bus, keeps no thread busy.
// Threading: start and destroy on the control thread; buffers are taken before the workers run.
// Errors: start answers what EAL refused. DPDK allows one start per process, also after the destructor.
class Eal {
  public:
    static constexpr std::uint32_t kHeadroom = 128;
    static constexpr std::uint32_t kPacketRoom = 2048;   // behind the headroom
    static constexpr std::uint32_t kJumboRoom = 65'520;  // an mbuf's length has 16 bits, so its headroom lies outside

    static Result<Eal> start(const EalOptions& options);
    Eal(Eal&& other) noexcept
        : packet_pool_(std::exchange(other.packet_pool_, nullptr)),
          jumbo_pool_(std::exchange(other.jumbo_pool_, nullptr)),
          started_(std::exchange(other.started_, false)),
          hugepages_(other.hugepages_) {}
    Eal& operator=(Eal&&) = delete;
    ~Eal();

    [[nodiscard]] Result<Buffer> take_packet();
    [[nodiscard]] Result<Buffer> take_jumbo();
    [[nodiscard]] bool uses_hugepages() const { return hugepages_; }

  private:
    Eal() = default;
    static Result<Buffer> take(rte_mempool* pool, const char* name, std::uint32_t room, std::uint32_t headroom);

    rte_mempool* packet_pool_ = nullptr;
    rte_mempool* jumbo_pool_ = nullptr;
    bool started_ = false;
    bool hugepages_ = false;
};

// Makes the calling thread known to EAL, for as long as this lives; otherwise DPDK's per-thread caches are bypassed.
// Harmless where EAL does not run.
class EalThread {
  public:
    EalThread();
    ~EalThread();
    EalThread(const EalThread&) = delete;
    EalThread& operator=(const EalThread&) = delete;

  private:
    bool registered_ = false;
};

}  // namespace weft
