// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>

#include "dataplane/base/clock.hpp"
#include "dataplane/net/address.hpp"
#include "overlay/tables.hpp"

namespace weft::overlay {

// Which peer an address was last heard from, so that answers find their way before any table tells it. A fixed array of
// sets; a full set forgets whom it heard longest ago.
//
// Threading: one worker. Allocates at construction only.
class HostCache {
  public:
    static constexpr std::size_t kEntries = 4096;
    static constexpr auto kLife = std::chrono::minutes(5);

    HostCache();

    void learn(const net::IpAddress& address, PeerIndex peer, TimePoint now) noexcept;
    [[nodiscard]] std::optional<PeerIndex> find(const net::IpAddress& address, TimePoint now) const noexcept;

  private:
    static constexpr std::size_t kWays = 4;
    static constexpr std::size_t kSets = kEntries / kWays;
    struct Entry {
        TimePoint heard{};
        net::IpAddress address;
        PeerIndex peer = kLocal;  // kLocal: free
    };
    using Set = std::array<Entry, kWays>;

    [[nodiscard]] static std::size_t set_of(const net::IpAddress& address) noexcept;

    std::unique_ptr<Set[]> sets_;
};

}  // namespace weft::overlay
