// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace weft::overlay {

// A persistent hash map: copying it is cheap (kFanOut pointers), and a change copies one bucket only, so that a
// snapshot of the tables costs the same however many services there are. Lookup: root, bucket, a scan of a few entries.
//
// Threading: a const map may be read by any thread; one that is being built belongs to one thread.
template <class Key, class Value>
class AddressMap {
  public:
    using Entry = std::pair<Key, Value>;

    [[nodiscard]] const Value* find(const Key& key) const noexcept {
        const auto& bucket = root_[slot(key)];
        if (!bucket) return nullptr;
        for (const Entry& entry : *bucket)
            if (entry.first == key) return &entry.second;
        return nullptr;
    }

    void put(const Key& key, Value value) {
        auto fresh = copy_of(slot(key));
        const auto place = std::ranges::find(*fresh, key, &Entry::first);
        if (place != fresh->end()) {
            place->second = std::move(value);
        } else {
            fresh->emplace_back(key, std::move(value));
            ++size_;
        }
        root_[slot(key)] = std::move(fresh);
    }

    void erase(const Key& key) {
        if (!find(key)) return;
        auto fresh = copy_of(slot(key));
        std::erase_if(*fresh, [&](const Entry& entry) { return entry.first == key; });
        --size_;
        root_[slot(key)] = fresh->empty() ? nullptr : std::move(fresh);
    }

    [[nodiscard]] std::size_t size() const { return size_; }

    template <class Visit>
    void for_each(Visit&& visit) const {
        for (const auto& bucket : root_)
            if (bucket)
                for (const Entry& entry : *bucket)
                    visit(entry.first, entry.second);
    }

  private:
    static constexpr std::size_t kFanOut = 4096;
    using Bucket = std::vector<Entry>;

    static std::size_t slot(const Key& key) noexcept { return std::hash<Key>{}(key) % kFanOut; }
    [[nodiscard]] std::shared_ptr<Bucket> copy_of(std::size_t index) const {
        return root_[index] ? std::make_shared<Bucket>(*root_[index]) : std::make_shared<Bucket>();
    }

    std::vector<std::shared_ptr<const Bucket>> root_ = std::vector<std::shared_ptr<const Bucket>>(kFanOut);
    std::size_t size_ = 0;
};

}  // namespace weft::overlay
