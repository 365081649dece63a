// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "control/node_api.hpp"

namespace weft::control {

// The last events of this node, for GET /v1/events: bounded, numbered from 1, the oldest fall out.
// Threading: control.
class EventLog {
  public:
    static constexpr std::size_t kHeld = 1024;

    // `data` is a JSON object's text.
    void add(std::string type, std::string data) {
        items_.push_back({++last_, std::move(type), std::move(data)});
        if (items_.size() > kHeld) items_.pop_front();
        for (const auto& [id, wake] : waiting_)
            wake();
    }
    [[nodiscard]] NodeApi::Events after(std::uint64_t id) const {
        NodeApi::Events events;
        const std::uint64_t oldest = items_.empty() ? last_ + 1 : items_.front().id;
        if (id + 1 < oldest) events.lost = oldest - id - 1;
        for (const auto& item : items_)
            if (item.id > id) events.items.push_back(item);
        return events;
    }
    [[nodiscard]] std::uint64_t last() const { return last_; }
    std::uint64_t subscribe(std::function<void()> wake) {
        waiting_.emplace(++next_subscription_, std::move(wake));
        return next_subscription_;
    }
    void unsubscribe(std::uint64_t subscription) { waiting_.erase(subscription); }

  private:
    std::deque<NodeApi::Event> items_;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, std::function<void()>> waiting_;
    std::uint64_t next_subscription_ = 0;
};

}  // namespace weft::control
