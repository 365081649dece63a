// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include <emmintrin.h>

#include "overlay/mapping.hpp"

namespace weft::overlay {

// From a key's hash to its entry. Buckets of one cache line: eight 16-bit tags, compared at once, eight entry numbers,
// and a link to an overflow bucket. Sized for its load (<= 0.75) at creation, never grows; untouched parts are not
// resident. The table knows no keys: the caller compares.
//
// Threading: one thread. Errors: only creation fails; `insert` says false when the overflow buckets are used up, which
// a random secret makes as likely as winning a lottery twice.
class FlowIndex {
  public:
    static constexpr std::uint32_t kNone = 0xFFFFFFFF;

    static Result<FlowIndex> create(std::uint32_t entries);

    // The first entry with this hash's tag for which matches(entry) holds, or kNone.
    template <class Matches>
    [[nodiscard]] std::uint32_t find(std::uint64_t hash, Matches&& matches) const noexcept {
        const __m128i wanted = _mm_set1_epi16(static_cast<short>(tag_of(hash)));
        for (const Bucket* bucket = &main(hash);; bucket = &buckets_[bucket->overflow]) {
            for (unsigned hits = hits_in(*bucket, wanted); hits != 0; hits &= hits - 1) {
                const std::uint32_t entry = bucket->entry[static_cast<unsigned>(std::countr_zero(hits))];
                if (matches(entry)) return entry;
            }
            if (bucket->overflow == 0) return kNone;
        }
    }
    void prefetch(std::uint64_t hash) const noexcept {
        _mm_prefetch(static_cast<const char*>(static_cast<const void*>(&main(hash))), _MM_HINT_T0);
    }
    [[nodiscard]] bool insert(std::uint64_t hash, std::uint32_t entry) noexcept;
    void erase(std::uint64_t hash, std::uint32_t entry) noexcept;

    // Buckets in the longest chain; walks everything, for tests.
    [[nodiscard]] std::uint32_t longest_chain() const noexcept;
    [[nodiscard]] std::size_t bytes() const noexcept { return memory_.size(); }

  private:
    static constexpr std::size_t kSlots = 8;
    struct alignas(64) Bucket {
        std::uint16_t tag[kSlots];  // 0: free
        std::uint32_t entry[kSlots];
        std::uint32_t overflow;  // bucket number, 0: none (bucket 0 is a main bucket, nobody's overflow)
    };
    static_assert(sizeof(Bucket) == 64);

    static std::uint16_t tag_of(std::uint64_t hash) noexcept {
        const auto tag = static_cast<std::uint16_t>(hash);
        return tag != 0 ? tag : std::uint16_t{1};
    }
    // Bit i: slot i holds the wanted tag.
    static unsigned hits_in(const Bucket& bucket, __m128i wanted) noexcept {
        const __m128i tags = _mm_load_si128(static_cast<const __m128i*>(static_cast<const void*>(bucket.tag)));
        const __m128i equal = _mm_cmpeq_epi16(tags, wanted);
        return static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
    }
    [[nodiscard]] Bucket& main(std::uint64_t hash) const noexcept { return buckets_[(hash >> 32) * main_count_ >> 32]; }
    [[nodiscard]] std::uint32_t take_overflow() noexcept;

    Mapping memory_;
    Bucket* buckets_ = nullptr;         // main buckets, then overflow buckets
    std::uint64_t main_count_ = 0;      // at most 2^32
    std::uint32_t bucket_count_ = 0;    // both kinds
    std::uint32_t fresh_overflow_ = 0;  // the first overflow bucket never used
    std::uint32_t free_overflow_ = 0;   // chain of returned ones, 0: none
};

}  // namespace weft::overlay
