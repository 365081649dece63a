// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <vector>

#include "dataplane/base/clock.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/net/address.hpp"

namespace weft::control {

// Hands out the addresses of this node's subnet: the lowest free one from subnet + 2. A freed address rests, so that a
// packet or a cache that still means its last holder does not reach the next one: 240 s as a rule, and when no rested
// one is left the one that rested longest is given, however short that was. So a busy pool never fails while an address
// is free; `hurried()` counts those that rested less than 5 s.
//
// The IPv6 address is the same offset in the IPv6 subnet, or unspecified where that subnet is absent or too small.
//
// Threading: one thread. No clock inside: `now` is handed in.
class Ipam {
  public:
    static constexpr std::chrono::seconds kRest{240};
    static constexpr std::chrono::seconds kShortRest{5};

    struct Lease {
        net::IpAddress address;
        net::IpAddress address_v6;
        friend bool operator==(const Lease&, const Lease&) = default;
    };

    // `reserved` are never given, whatever subnet they lie in (the TUN's addresses, for one).
    Ipam(net::Prefix subnet, std::optional<net::Prefix> subnet_v6, std::vector<net::IpAddress> reserved);

    // Exhausted if every address is held.
    Result<Lease> take(TimePoint now);
    // Marks an address as held, e.g. after a restart. BadInput outside the subnet, Conflict if it is held or reserved.
    Result<void> claim(const net::IpAddress& address);
    // Unknown or free addresses are ignored: freeing twice is freeing once.
    void release(const net::IpAddress& address, TimePoint now);

    [[nodiscard]] std::size_t held() const { return held_.size(); }
    [[nodiscard]] std::size_t capacity() const;
    [[nodiscard]] std::uint64_t hurried() const { return hurried_; }
    [[nodiscard]] const net::Prefix& subnet() const { return subnet_; }
    [[nodiscard]] const std::optional<net::Prefix>& subnet_v6() const { return subnet_v6_; }
    [[nodiscard]] net::IpAddress address_v6_for(const net::IpAddress& address) const;

  private:
    struct Resting {
        std::uint32_t offset;
        TimePoint since;
    };

    [[nodiscard]] std::uint32_t offset_of(const net::IpAddress& address) const;
    [[nodiscard]] bool is_reserved(std::uint32_t offset) const;
    Lease lease(std::uint32_t offset);

    net::Prefix subnet_;
    std::optional<net::Prefix> subnet_v6_;
    std::vector<net::IpAddress> reserved_;
    std::uint32_t last_;            // offset of the last address that may be given
    std::uint32_t next_fresh_ = 2;  // from here on nothing was ever given, but for what was claimed
    std::set<std::uint32_t> rested_;
    std::deque<Resting> resting_;  // oldest first
    std::set<std::uint32_t> held_;
    std::uint64_t hurried_ = 0;
};

}  // namespace weft::control
