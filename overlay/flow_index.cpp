// SPDX-License-Identifier: Apache-2.0
#include "overlay/flow_index.hpp"

#include <algorithm>

namespace weft::overlay {

Result<FlowIndex> FlowIndex::create(std::uint32_t entries) {
    // Six entries per bucket on average. About 15 % of buckets then hold more than eight; a quarter and some is room
    // that random keys do not use up, however small the table.
    const std::uint32_t main_count = std::max(entries / 6 + 1, 1U);
    const std::uint32_t bucket_count = main_count + main_count / 4 + 64;
    auto memory = Mapping::anonymous(std::size_t{bucket_count} * sizeof(Bucket));
    if (!memory) return std::unexpected(memory.error().during("create flow index"));
    ::madvise(memory->data(), memory->size(), MADV_HUGEPAGE);  // only faster; may be refused

    FlowIndex index;
    index.memory_ = std::move(*memory);
    index.buckets_ = index.memory_.at<Bucket>(0);
    index.main_count_ = main_count;
    index.bucket_count_ = bucket_count;
    index.fresh_overflow_ = main_count;
    return index;
}

bool FlowIndex::insert(std::uint64_t hash, std::uint32_t entry) noexcept {
    Bucket* bucket = &main(hash);
    for (;;) {
        const unsigned free_slots = hits_in(*bucket, _mm_setzero_si128());
        if (free_slots != 0) {
            const auto slot = static_cast<unsigned>(std::countr_zero(free_slots));
            bucket->tag[slot] = tag_of(hash);
            bucket->entry[slot] = entry;
            return true;
        }
        if (bucket->overflow == 0) {
            bucket->overflow = take_overflow();
            if (bucket->overflow == 0) return false;
        }
        bucket = &buckets_[bucket->overflow];
    }
}

void FlowIndex::erase(std::uint64_t hash, std::uint32_t entry) noexcept {
    const __m128i wanted = _mm_set1_epi16(static_cast<short>(tag_of(hash)));
    Bucket* before = nullptr;
    for (Bucket* bucket = &main(hash);; before = bucket, bucket = &buckets_[bucket->overflow]) {
        for (unsigned hits = hits_in(*bucket, wanted); hits != 0; hits &= hits - 1) {
            const auto slot = static_cast<unsigned>(std::countr_zero(hits));
            if (bucket->entry[slot] != entry) continue;
            bucket->tag[slot] = 0;
            const bool empty = hits_in(*bucket, _mm_setzero_si128()) == 0xFF;
            if (before != nullptr && empty) {
                const std::uint32_t number = before->overflow;
                before->overflow = bucket->overflow;
                bucket->overflow = free_overflow_;
                free_overflow_ = number;
            }
            return;
        }
        if (bucket->overflow == 0) return;
    }
}

std::uint32_t FlowIndex::take_overflow() noexcept {
    if (free_overflow_ != 0) {
        const std::uint32_t number = free_overflow_;
        free_overflow_ = buckets_[number].overflow;
        buckets_[number].overflow = 0;
        return number;
    }
    return fresh_overflow_ < bucket_count_ ? fresh_overflow_++ : 0;
}

std::uint32_t FlowIndex::longest_chain() const noexcept {
    std::uint32_t longest = 0;
    for (std::uint64_t i = 0; i < main_count_; ++i) {
        std::uint32_t length = 1;
        for (const Bucket* bucket = &buckets_[i]; bucket->overflow != 0; bucket = &buckets_[bucket->overflow])
            ++length;
        longest = std::max(longest, length);
    }
    return longest;
}

}  // namespace weft::overlay
