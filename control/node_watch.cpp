// SPDX-License-Identifier: Apache-2.0
//
// What a node looks after by itself: containers that die, things that vanish, sessions and distances.
#include <algorithm>
#include <ranges>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "control/node.hpp"
#include "control/service_json.hpp"
#include "dataplane/base/log.hpp"

namespace weft::control {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

spdlog::logger& log() {
    return logger("control");
}

constexpr auto kAliveInterval = std::chrono::milliseconds(500);
constexpr auto kMendInterval = std::chrono::seconds(2);
constexpr auto kPeerTick = std::chrono::milliseconds(100);

}  // namespace

// ---- Keeping watch --------------------------------------------------------------------------------------------------

void Node::start_timers() {
    asio::co_spawn(io_, watch_containers(), asio::detached);
    asio::co_spawn(io_, mend(), asio::detached);
    asio::co_spawn(io_, keep_peers(), asio::detached);
}

asio::awaitable<void> Node::watch_containers() {
    asio::steady_timer timer(io_);
    for (;;) {
        timer.expires_after(kAliveInterval);
        co_await timer.async_wait(asio::use_awaitable);
        if (deployed_.empty()) continue;
        auto look = [this] { return deployments_->check_alive(); };
        const auto dead = co_await on_side_thread(std::move(look));
        if (dead.empty()) continue;
        auto turn = co_await take_turn();
        if (!turn) continue;
        for (const auto& id : dead) {
            const Deployment* found = find_deployment(id);
            if (!found || found->state == DeploymentState::Lost) continue;
            announce_instance("instance.lost", *found);
            log().warn("its container is gone service={} instance={}", found->service, found->number);
            services_->remove_local(id);
            publish();
            auto take_down = [this, id] {
                if (const auto done = deployments_->lose(id); !done)
                    log().error("take down a dead container's network err=\"{}\"", done.error().text());
                return deployments_->list();
            };
            auto fresh = co_await on_side_thread(std::move(take_down));
            replace_deployments(std::move(fresh));
            publish();
        }
    }
}

asio::awaitable<void> Node::mend() {
    asio::steady_timer timer(io_);
    auto next_look = BootClock::now() + kMendInterval;
    for (;;) {
        timer.expires_after(std::chrono::milliseconds(250));
        co_await timer.async_wait(asio::use_awaitable);
        const bool tun_lost = forwarding_->tun_lost();
        if (!tun_lost && BootClock::now() < next_look) continue;
        next_look = BootClock::now() + kMendInterval;
        if (tun_lost) {
            const auto replaced = forwarding_->replace_tun();
            if (!replaced) {
                troubles_ = {"the TUN device is gone: " + replaced.error().text()};
                continue;
            }
            log().warn("the TUN device was gone and is back iface={}", config_.tun.name);
        }
        auto turn = co_await take_turn();
        if (!turn) continue;
        auto repair = [this]() -> Result<std::pair<ReconcileReport, std::vector<Deployment>>> {
            auto report = deployments_->repair();
            if (!report) return std::unexpected(report.error());
            return std::pair{std::move(*report), deployments_->list()};
        };
        auto mended = co_await on_side_thread(std::move(repair));
        troubles_.clear();
        if (!mended) {
            troubles_.push_back(mended.error().text());
            continue;
        }
        for (const auto& done : mended->first.repairs)
            log().warn("repaired: {}", done);
        if (!mended->first.repairs.empty() || !mended->first.lost.empty()) {
            replace_deployments(std::move(mended->second));
            publish();
        }
    }
}

// Workers' events as they come, and a tick for sessions and distances.
asio::awaitable<void> Node::keep_peers() {
    asio::co_spawn(
        io_,
        [this]() -> asio::awaitable<void> {
            asio::posix::stream_descriptor events(io_, ::dup(forwarding_->event_fd()));
            const Forwarding::Listener listener{
                [this](const overlay::Event& event) {
                    if (event.kind == overlay::Event::Kind::SessionWanted)
                        sessions_->want(event.peer, BootClock::now());
                    else
                        ++unknown_services_;  // kind push: there is nobody to ask
                },
                [this](const overlay::HandshakeFrame& frame) { sessions_->receive(frame, BootClock::now()); }};
            for (;;) {
                co_await events.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
                forwarding_->take_events(listener);
            }
        },
        asio::detached);
    asio::steady_timer timer(io_);
    for (std::uint64_t tick = 0;; ++tick) {
        timer.expires_after(services_->peers().empty() ? std::chrono::milliseconds(500) : kPeerTick);
        co_await timer.async_wait(asio::use_awaitable);
        if (services_->peers().empty()) continue;
        sessions_->tick(BootClock::now());
        if (tick % 10 == 0 && services_->sort_by_distance()) publish();
    }
}

}  // namespace weft::control
