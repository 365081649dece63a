// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <optional>
#include <type_traits>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "dataplane/base/check.hpp"

namespace weft {

// A bounded queue between two threads, one that pushes and one that pops; rte_ring on memory of its own, so it works
// without EAL. Full: push says false and the caller counts, nobody waits. Who pushes also tells the other side
// (eventfd). Threading: one producer and one consumer. Allocates at construction only.
template <class T>
class Ring {
    static_assert(std::is_trivially_copyable_v<T>, "elements are copied as bytes");
    static_assert(sizeof(T) % 4 == 0, "rte_ring moves elements in words of four bytes");

  public:
    explicit Ring(unsigned capacity) {
        // Room for exactly `capacity`: rte_ring keeps one slot of its power of two free.
        const unsigned slots = rte_align32pow2(capacity + 1);
        const ssize_t size = rte_ring_get_memsize_elem(sizeof(T), slots);
        WEFT_CHECK(size > 0, "a ring of an impossible capacity");
        const auto bytes =
            (static_cast<std::size_t>(size) + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE;
        ring_.reset(static_cast<rte_ring*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, bytes)));
        WEFT_CHECK(ring_ != nullptr, "no memory for a ring");
        const int made = rte_ring_init(ring_.get(), "", capacity, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
        WEFT_CHECK(made == 0, "rte_ring refused its memory");
    }

    // False: full.
    [[nodiscard]] bool push(const T& element) noexcept {
        return rte_ring_sp_enqueue_bulk_elem(ring_.get(), &element, sizeof(T), 1, nullptr) == 1;
    }
    [[nodiscard]] std::optional<T> pop() noexcept {
        T element;
        if (rte_ring_sc_dequeue_bulk_elem(ring_.get(), &element, sizeof(T), 1, nullptr) == 0) return std::nullopt;
        return element;
    }
    [[nodiscard]] std::size_t size() const noexcept { return rte_ring_count(ring_.get()); }
    [[nodiscard]] std::size_t capacity() const noexcept { return rte_ring_get_capacity(ring_.get()); }

  private:
    struct Free {
        void operator()(rte_ring* ring) const { std::free(ring); }
    };
    std::unique_ptr<rte_ring, Free> ring_;
};

}  // namespace weft
