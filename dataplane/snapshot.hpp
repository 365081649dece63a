// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <utility>

#include <rte_rcu_qsbr.h>

#include "dataplane/base/check.hpp"

namespace weft {

// An immutable value that one thread replaces and workers read by plain pointer. Replaced values live until every
// reader has said since then that it holds none (quiescent-state RCU), so readers never wait, lock or count references.
// Memory of its own; works without EAL.
// Threading: publish, current and reclaim by the control thread; each Reader by one worker. The cell outlives its
// readers.
template <class T>
class SnapshotCell {
  public:
    static constexpr unsigned kMaxReaders = 64;

    class Reader {
      public:
        Reader(Reader&& other) noexcept
            : cell_(std::exchange(other.cell_, nullptr)), id_(other.id_), is_online_(other.is_online_) {}
        Reader& operator=(Reader&&) = delete;
        ~Reader() {
            if (cell_ == nullptr) return;
            offline();
            rte_rcu_qsbr_thread_unregister(cell_->rcu_.get(), id_);
        }
        // The newest value; valid until the next quiescent() or offline(). Only while online.
        [[nodiscard]] const T* read() const noexcept { return cell_->current_.load(std::memory_order_acquire); }
        // I hold no value that I read before now.
        void quiescent() noexcept { rte_rcu_qsbr_quiescent(cell_->rcu_.get(), id_); }
        // Before waiting: nobody need wait for this reader. Idempotent, like online().
        void offline() noexcept {
            if (std::exchange(is_online_, false)) rte_rcu_qsbr_thread_offline(cell_->rcu_.get(), id_);
        }
        void online() noexcept {
            if (!std::exchange(is_online_, true)) rte_rcu_qsbr_thread_online(cell_->rcu_.get(), id_);
        }

      private:
        friend class SnapshotCell;
        Reader(SnapshotCell& cell, unsigned id) : cell_(&cell), id_(id) {
            rte_rcu_qsbr_thread_register(cell.rcu_.get(), id);
        }

        SnapshotCell* cell_;
        unsigned id_;
        bool is_online_ = false;
    };

    explicit SnapshotCell(std::shared_ptr<const T> first) : owner_(std::move(first)), current_(owner_.get()) {
        const std::size_t size = rte_rcu_qsbr_get_memsize(kMaxReaders);
        const std::size_t bytes = (size + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE;
        rcu_.reset(static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, bytes)));
        WEFT_CHECK(rcu_ != nullptr && rte_rcu_qsbr_init(rcu_.get(), kMaxReaders) == 0, "no memory for a snapshot cell");
    }

    // A reader that is offline; each `id` below kMaxReaders at most once at a time. Before the worker runs.
    [[nodiscard]] Reader reader(unsigned id) {
        WEFT_CHECK(id < kMaxReaders, "too many readers of a snapshot");
        return Reader(*this, id);
    }

    [[nodiscard]] const std::shared_ptr<const T>& current() const noexcept { return owner_; }

    void publish(std::shared_ptr<const T> next) {
        current_.store(next.get(), std::memory_order_seq_cst);
        retired_.push_back({rte_rcu_qsbr_start(rcu_.get()), std::exchange(owner_, std::move(next))});
    }

    // Frees replaced values that no reader can hold any more; never waits. Says how many are left.
    std::size_t reclaim() {
        while (!retired_.empty() && rte_rcu_qsbr_check(rcu_.get(), retired_.front().token, false) == 1)
            retired_.pop_front();
        return retired_.size();
    }

  private:
    struct Retired {
        std::uint64_t token;
        std::shared_ptr<const T> value;
    };
    struct Free {
        void operator()(rte_rcu_qsbr* rcu) const { std::free(rcu); }
    };

    std::unique_ptr<rte_rcu_qsbr, Free> rcu_;
    std::shared_ptr<const T> owner_;
    std::atomic<const T*> current_;
    std::deque<Retired> retired_;
};

}  // namespace weft
