// SPDX-License-Identifier: Apache-2.0
#include "dataplane/eal.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/log.hpp"

// EAL is told as little as possible: one lcore (the calling thread, whose CPU affinity is given back afterwards), no
// bus scan, no telemetry, no shared configuration, its directory below run_dir. Hugepages only if enough are free *and*
// mounted; otherwise ordinary memory, which costs page-table misses and nothing else.

namespace weft {

namespace {

// rte_log writes lines to a stdio stream; this one hands them to the logger.
FILE* log_stream() {
    const cookie_io_functions_t functions{
        .read = nullptr,
        .write = [](void*, const char* text, std::size_t size) -> ssize_t {
            std::string_view line(text, size);
            while (line.ends_with('\n'))
                line.remove_suffix(1);
            if (!line.empty()) logger("dataplane").debug("DPDK says: {}", line);
            return static_cast<ssize_t>(size);
        },
        .seek = nullptr,
        .close = nullptr,
    };
    FILE* stream = fopencookie(nullptr, "w", functions);
    if (stream != nullptr) setvbuf(stream, nullptr, _IOLBF, BUFSIZ);
    return stream;
}

bool hugetlbfs_is_mounted() {
    std::ifstream mounts("/proc/self/mounts");
    std::string device, point, type, rest;
    while (mounts >> device >> point >> type && std::getline(mounts, rest))
        if (type == "hugetlbfs") return true;
    return false;
}

bool hugepages_are_free(unsigned wanted_mb) {
    std::error_code error;
    std::uint64_t free_kb = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", error)) {
        constexpr std::string_view kPrefix = "hugepages-";  // hugepages-2048kB
        const std::string name = entry.path().filename();
        if (!name.starts_with(kPrefix)) continue;
        std::uint64_t pages = 0;
        std::ifstream(entry.path() / "free_hugepages") >> pages;
        free_kb += pages * std::strtoull(name.c_str() + kPrefix.size(), nullptr, 10);
    }
    return free_kb >= std::uint64_t{wanted_mb} * 1024 && hugetlbfs_is_mounted();
}

// Names hugepage files, so it must differ between two weftd on one host.
std::string file_prefix(const std::string& run_dir) {
    std::string prefix = "weft";
    for (const char c : run_dir)
        prefix += c == '/' ? '-' : c;
    return prefix.substr(0, 64);
}

std::vector<std::string> arguments(const EalOptions& options, bool hugepages, int cpu) {
    std::vector<std::string> args{"weftd",
                                  "--no-pci",
                                  "--no-telemetry",
                                  "-m",
                                  std::to_string(options.memory_mb),
                                  "--lcores",
                                  "0@" + std::to_string(cpu),
                                  "--log-level",
                                  "warning",
                                  "--file-prefix",
                                  file_prefix(options.run_dir)};
    if (hugepages) {
        args.emplace_back("--in-memory");
    } else {
        args.emplace_back("--no-huge");
        args.emplace_back("--no-shconf");
    }
    args.insert(args.end(), options.extra_args.begin(), options.extra_args.end());
    return args;
}

int run_init(std::vector<std::string> args) {
    std::vector<char*> pointers;
    for (auto& arg : args)
        pointers.push_back(arg.data());
    pointers.push_back(nullptr);
    return rte_eal_init(static_cast<int>(args.size()), pointers.data());
}

// EAL pins the calling thread to its lcore and takes its directory from the environment; both are put back.
class Surroundings {
  public:
    explicit Surroundings(const std::string& run_dir) {
        sched_getaffinity(0, sizeof affinity_, &affinity_);
        if (const char* directory = getenv("RUNTIME_DIRECTORY")) directory_ = directory;
        setenv("RUNTIME_DIRECTORY", run_dir.c_str(), 1);
    }
    Surroundings(const Surroundings&) = delete;
    Surroundings& operator=(const Surroundings&) = delete;
    ~Surroundings() {
        sched_setaffinity(0, sizeof affinity_, &affinity_);
        if (directory_) {
            setenv("RUNTIME_DIRECTORY", directory_->c_str(), 1);
        } else {
            unsetenv("RUNTIME_DIRECTORY");
        }
    }
    [[nodiscard]] int first_cpu() const {
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
            if (CPU_ISSET(cpu, &affinity_)) return cpu;
        return 0;
    }

  private:
    cpu_set_t affinity_{};
    std::optional<std::string> directory_;
};

// EAL makes a directory that nobody uses without shared configuration; only what is empty goes.
void remove_empty_directory(const std::string& run_dir) {
    std::error_code ignored;
    std::filesystem::remove(run_dir + "/dpdk/" + file_prefix(run_dir), ignored);
    std::filesystem::remove(run_dir + "/dpdk", ignored);
}

Error refused(const std::string& attempt) {
    return Error(ErrorCode::Internal, attempt + ": " + rte_strerror(rte_errno));
}

}  // namespace

Buffer::~Buffer() {
    if (mbuf_ != nullptr) rte_pktmbuf_free(mbuf_);
}

Result<Eal> Eal::start(const EalOptions& options) {
    Eal eal;
    static FILE* const stream = log_stream();  // EAL keeps it for as long as the process lives
    if (stream != nullptr) rte_openlog_stream(stream);
    {
        const Surroundings surroundings(options.run_dir);
        eal.hugepages_ = options.hugepages == EalOptions::Hugepages::WhenFree && hugepages_are_free(options.memory_mb);
        int lcores = run_init(arguments(options, eal.hugepages_, surroundings.first_cpu()));
        if (lcores < 0 && eal.hugepages_) {
            logger("dataplane")
                .warn("hugepages are free but EAL could not use them; going on without err={}",
                      rte_strerror(rte_errno));
            eal.hugepages_ = false;
            lcores = run_init(arguments(options, false, surroundings.first_cpu()));
        }
        if (lcores < 0) return std::unexpected(refused("start DPDK's EAL"));
        remove_empty_directory(options.run_dir);
    }
    eal.started_ = true;
    // No per-thread cache: a port takes its buffers once. The jumbo's headroom is the mbuf's private area, which lies
    // directly before its data; inside it would not fit into 16 bits together with 64 KB.
    eal.packet_pool_ =
        rte_pktmbuf_pool_create("packet", options.packet_buffers, 0, 0, kHeadroom + kPacketRoom, SOCKET_ID_ANY);
    if (eal.packet_pool_ == nullptr) return std::unexpected(refused("create the packet pool"));
    eal.jumbo_pool_ = rte_pktmbuf_pool_create("jumbo", options.jumbo_buffers, 0, kHeadroom, kJumboRoom, SOCKET_ID_ANY);
    if (eal.jumbo_pool_ == nullptr) return std::unexpected(refused("create the jumbo pool"));
    return eal;
}

Eal::~Eal() {
    rte_mempool_free(packet_pool_);
    rte_mempool_free(jumbo_pool_);
    if (started_) rte_eal_cleanup();
}

Result<Buffer> Eal::take_packet() {
    return take(packet_pool_, "packet", kPacketRoom, kHeadroom);
}

Result<Buffer> Eal::take_jumbo() {
    return take(jumbo_pool_, "jumbo", kJumboRoom, 0);
}

Result<Buffer> Eal::take(rte_mempool* pool, const char* name, std::uint32_t room, std::uint32_t headroom) {
    Buffer buffer;
    buffer.mbuf_ = rte_pktmbuf_alloc(pool);
    if (buffer.mbuf_ == nullptr)
        return std::unexpected(Error(ErrorCode::Exhausted, std::string("no buffer left in the pool ") + name));
    buffer.mbuf_->data_off = static_cast<std::uint16_t>(headroom);  // allocation sets 128, whatever the pool
    buffer.data_ = rte_pktmbuf_mtod(buffer.mbuf_, std::byte*);
    buffer.size_ = room;
    buffer.headroom_ = kHeadroom;
    return buffer;
}

EalThread::EalThread() : registered_(rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() == 0) {}

EalThread::~EalThread() {
    if (registered_) rte_thread_unregister();
}

}  // namespace weft
