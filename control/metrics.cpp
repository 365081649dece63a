// SPDX-License-Identifier: Apache-2.0
#include "control/metrics.hpp"

#include <initializer_list>
#include <ranges>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace weft::control {

namespace {

using Labels = std::initializer_list<std::pair<const char*, std::string>>;

// Families in the order in which they are shown.
class Families {
  public:
    void counter(const char* name, const char* help, double value, Labels labels = {}) {
        add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
    }
    void gauge(const char* name, const char* help, double value, Labels labels = {}) {
        add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
    }
    [[nodiscard]] std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

  private:
    prometheus::ClientMetric& add(const char* name, const char* help, prometheus::MetricType type, Labels labels) {
        if (families_.empty() || families_.back().name != name) families_.push_back({name, help, type, {}});
        prometheus::ClientMetric metric;
        for (const auto& [key, value] : labels)
            metric.label.push_back({key, value});
        families_.back().metric.push_back(std::move(metric));
        return families_.back().metric.back();
    }

    std::vector<prometheus::MetricFamily> families_;
};

double number(const Counter& counter) {
    return static_cast<double>(counter.value());
}

}  // namespace

std::string render_metrics(const Forwarding& forwarding, const ServiceModel& services, std::size_t instances,
                           std::uint64_t unknown_services, std::chrono::nanoseconds uptime) {
    Families families;
    const Counters& counters = forwarding.counters();
    families.gauge("weft_build_info", "The running version.", 1, {{"version", std::string(WEFT_VERSION)}});
    families.gauge("weft_uptime_seconds", "Time since start.", std::chrono::duration<double>(uptime).count());
    families.counter("weft_packets_total", "Packets on a wire, by port and direction.", number(counters.tun.rx),
                     {{"port", "tun"}, {"direction", "rx"}});
    families.counter("weft_packets_total", "", number(counters.tun.tx), {{"port", "tun"}, {"direction", "tx"}});
    families.counter("weft_packets_total", "", number(counters.tunnel.rx), {{"port", "tunnel"}, {"direction", "rx"}});
    families.counter("weft_packets_total", "", number(counters.tunnel.tx), {{"port", "tunnel"}, {"direction", "tx"}});
    families.counter("weft_bytes_total", "Bytes, by port and direction.", number(counters.tun.rx_bytes),
                     {{"port", "tun"}, {"direction", "rx"}});
    families.counter("weft_bytes_total", "", number(counters.tun.tx_bytes), {{"port", "tun"}, {"direction", "tx"}});
    families.counter("weft_bytes_total", "", number(counters.tunnel.rx_bytes),
                     {{"port", "tunnel"}, {"direction", "rx"}});
    families.counter("weft_bytes_total", "", number(counters.tunnel.tx_bytes),
                     {{"port", "tunnel"}, {"direction", "tx"}});
    for (std::size_t i = 0; i < kDropCount; ++i)
        families.counter("weft_drops_total", "Packets that were dropped, by reason.", number(counters.drops[i]),
                         {{"reason", std::string(drop_name(static_cast<Drop>(i)))}});
    families.gauge("weft_flows", "Connections in the flow table.", static_cast<double>(forwarding.flows().size()));
    families.counter("weft_flow_inserts_total", "Connections begun.",
                     static_cast<double>(forwarding.flows().inserts()));
    for (const auto& service : services.services())
        for (const auto& instance : service.instances)
            if (instance.state)
                families.counter("weft_service_flows_total", "Connections begun, by service and instance.",
                                 static_cast<double>(instance.state->flows_total.load(std::memory_order_relaxed)),
                                 {{"service", service.name}, {"instance", std::to_string(instance.number)}});
    families.gauge("weft_instances", "Instances on this node.", static_cast<double>(instances));
    for (const auto& peer : std::views::values(services.peers())) {
        const bool up =
            peer.session || (peer.next && peer.next->confirmed()) || peer.security == overlay::Security::Bare;
        families.gauge("weft_peer_up", "A session with the peer stands.", up ? 1 : 0, {{"peer", peer.id}});
    }
    for (const auto& peer : std::views::values(services.peers()))
        families.gauge("weft_peer_rtt_seconds", "Smoothed round trip to the peer.",
                       static_cast<double>(peer.state->rtt_ns.load(std::memory_order_relaxed)) / 1e9,
                       {{"peer", peer.id}});
    for (const auto& peer : std::views::values(services.peers())) {
        families.counter("weft_tunnel_packets_total", "Inner packets, by peer.", number(peer.state->rx_packets),
                         {{"peer", peer.id}, {"direction", "rx"}});
        families.counter("weft_tunnel_packets_total", "", number(peer.state->tx_packets),
                         {{"peer", peer.id}, {"direction", "tx"}});
    }
    families.gauge("weft_registry_up", "The registry answers.", 1, {{"kind", "push"}});
    families.counter("weft_registry_lookups_total", "Packets to a service IP that nobody has, as told to control.",
                     static_cast<double>(unknown_services), {{"result", "unknown"}});
    families.counter("weft_events_lost_total", "Events that found their ring full.",
                     static_cast<double>(forwarding.events_lost()));
    return families.text();
}

}  // namespace weft::control
