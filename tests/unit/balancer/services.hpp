// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "overlay/balancer.hpp"

namespace weft::overlay::test {

// A service whose instances have IPv4 namespace IPs and nothing in front of them.
class ServiceBuilder {
  public:
    explicit ServiceBuilder(std::vector<std::uint32_t> numbers) {
        for (const std::uint32_t number : numbers) {
            Instance instance;
            instance.number = number;
            instance.namespace_ip[0] = net::IpAddress::v4(0x0A130000U + number);
            instance.state = std::make_shared<InstanceState>();
            instances_.push_back(std::move(instance));
        }
    }
    ServiceBuilder& unusable(std::uint32_t number) { return of(number).usable = false, *this; }
    ServiceBuilder& only_ipv6(std::uint32_t number) {
        of(number).namespace_ip = {net::IpAddress(), net::IpAddress::parse("fc00::1").value()};
        return *this;
    }
    ServiceBuilder& active(std::uint32_t number, std::int64_t flows) {
        return of(number).state->active_flows = flows, *this;
    }
    ServiceBuilder& by_distance(std::vector<std::uint32_t> places) { return by_distance_ = std::move(places), *this; }

    [[nodiscard]] ServiceAddress address(Policy policy) const {
        auto service = std::make_shared<Service>();
        service->name = "shop.web";
        for (const Instance& instance : instances_)
            service->instances.push_back(std::make_shared<Instance>(instance));
        service->by_distance = by_distance_;
        service->state = state_;
        return {.policy = policy, .service = std::move(service), .instance = nullptr};
    }

  private:
    Instance& of(std::uint32_t number) {
        return *std::ranges::find_if(instances_, [&](const Instance& i) { return i.number == number; });
    }
    std::vector<Instance> instances_;
    std::vector<std::uint32_t> by_distance_;
    std::shared_ptr<ServiceState> state_ = std::make_shared<ServiceState>();
};

inline FlowKey flow(std::uint32_t n) {
    return {.source = net::IpAddress::v4(0x0A120002U + (n >> 14)),
            .destination = net::IpAddress::v4(0x0A1E0001U),
            .source_port = static_cast<std::uint16_t>(1024 + (n & 0x3FFF)),
            .destination_port = 80,
            .protocol = 6,
            .direction = Direction::Outbound};
}

inline FlowKey ipv6_flow() {
    FlowKey key = flow(1);
    key.source = net::IpAddress::parse("fc00::2").value();
    key.destination = net::IpAddress::parse("fdff::1").value();
    return key;
}

// The number of whom was picked, -1 for nobody.
inline int number(const Instance* instance) {
    return instance ? static_cast<int>(instance->number) : -1;
}

}  // namespace weft::overlay::test
