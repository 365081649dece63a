// SPDX-License-Identifier: Apache-2.0
#include "control/ipam.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "dataplane/base/check.hpp"

namespace weft::control {

Ipam::Ipam(net::Prefix subnet, std::optional<net::Prefix> subnet_v6, std::vector<net::IpAddress> reserved)
    : subnet_(subnet), subnet_v6_(subnet_v6), reserved_(std::move(reserved)) {
    WEFT_CHECK(subnet_.address.is_v4() && subnet_.length >= 8 && subnet_.length <= 30,
               "a node subnet is IPv4, /8 to /30");
    last_ = (1U << (32 - subnet_.length)) - 2;  // the last one of all is the broadcast address
}

Result<Ipam::Lease> Ipam::take(TimePoint now) {
    while (!resting_.empty() && now - resting_.front().since >= kRest) {
        rested_.insert(resting_.front().offset);
        resting_.pop_front();
    }
    if (!rested_.empty()) return lease(rested_.extract(rested_.begin()).value());
    while (next_fresh_ <= last_) {
        const std::uint32_t offset = next_fresh_++;
        if (!is_reserved(offset) && !held_.contains(offset)) return lease(offset);
    }
    if (resting_.empty())
        return std::unexpected(Error(
            ErrorCode::Exhausted, fmt::format("all {} addresses of {} are in use", capacity(), subnet_.to_string())));
    const Resting oldest = resting_.front();
    resting_.pop_front();
    if (now - oldest.since < kShortRest) ++hurried_;
    return lease(oldest.offset);
}

Result<void> Ipam::claim(const net::IpAddress& address) {
    if (!subnet_.contains(address))
        return std::unexpected(Error(ErrorCode::BadInput, fmt::format("{} is not in the node's subnet {}",
                                                                      address.to_string(), subnet_.to_string())));
    const std::uint32_t offset = offset_of(address);
    if (offset < 2 || offset > last_ || is_reserved(offset) || held_.contains(offset))
        return std::unexpected(
            Error(ErrorCode::Conflict, fmt::format("address {} is reserved or in use", address.to_string())));
    rested_.erase(offset);
    std::erase_if(resting_, [&](const Resting& resting) { return resting.offset == offset; });
    held_.insert(offset);
    return {};
}

void Ipam::release(const net::IpAddress& address, TimePoint now) {
    if (!subnet_.contains(address)) return;
    const std::uint32_t offset = offset_of(address);
    if (held_.erase(offset) != 0) resting_.push_back({offset, now});
    // What was claimed ahead of the fresh ones and is free again rests like any other; it must not be met as fresh too.
    while (next_fresh_ <= offset) {
        const std::uint32_t skipped = next_fresh_++;
        if (skipped != offset && !is_reserved(skipped) && !held_.contains(skipped)) rested_.insert(skipped);
    }
}

std::size_t Ipam::capacity() const {
    const auto inside = std::ranges::count_if(reserved_, [&](const net::IpAddress& address) {
        return subnet_.contains(address) && offset_of(address) >= 2 && offset_of(address) <= last_;
    });
    return last_ - 1 - static_cast<std::size_t>(inside);
}

net::IpAddress Ipam::address_v6_for(const net::IpAddress& address) const {
    if (!subnet_v6_) return {};
    const net::IpAddress found = subnet_v6_->address.plus(offset_of(address));
    return subnet_v6_->contains(found) && std::ranges::find(reserved_, found) == reserved_.end() ? found
                                                                                                 : net::IpAddress();
}

std::uint32_t Ipam::offset_of(const net::IpAddress& address) const {
    return address.v4_value() - subnet_.address.v4_value();
}

bool Ipam::is_reserved(std::uint32_t offset) const {
    const net::IpAddress address = subnet_.address.plus(offset);
    return std::ranges::find(reserved_, address) != reserved_.end();
}

Ipam::Lease Ipam::lease(std::uint32_t offset) {
    held_.insert(offset);
    const net::IpAddress address = subnet_.address.plus(offset);
    return {address, address_v6_for(address)};
}

}  // namespace weft::control
