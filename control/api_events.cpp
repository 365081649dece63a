// SPDX-License-Identifier: Apache-2.0
#include "control/api_events.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "config/codec.hpp"
#include "control/api.hpp"

namespace weft::control {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kHeartbeat{15};

std::string render(const NodeApi::Events& events) {
    std::string text;
    if (events.lost > 0) text += "event: lost\ndata: {\"lost\":" + std::to_string(events.lost) + "}\n\n";
    for (const auto& event : events.items) {
        text += "id: " + std::to_string(event.id) + "\nevent: " + event.type + "\ndata: " + event.data + "\n\n";
    }
    return text;
}

asio::awaitable<void> stream_events(NodeApi& node, std::uint64_t after, http::Stream& stream) {
    // The node may call back after this coroutine ended; the timer is then nobody's, and harmless.
    auto wake = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor);
    std::string text = ": weft events\n\n";
    for (;;) {
        if (!co_await stream.send(std::move(text))) co_return;
        wake->expires_after(kHeartbeat);
        const auto subscription = node.subscribe([wake] { wake->cancel(); });
        NodeApi::Events events = node.events_after(after);
        if (events.items.empty() && events.lost == 0) {
            co_await wake->async_wait(asio::as_tuple(asio::use_awaitable));
            events = node.events_after(after);
        }
        node.unsubscribe(subscription);
        if (!events.items.empty()) after = events.items.back().id;
        text = render(events);
        if (text.empty()) text = ":\n\n";
    }
}

}  // namespace

asio::awaitable<http::Response> handle_events(NodeApi& node, http::Request request) {
    std::uint64_t after = node.last_event();
    if (!request.last_event_id.empty()) {
        const auto id = config::parse_integer(request.last_event_id);
        if (!id)
            co_return to_response(
                Problem::bad_field("Last-Event-ID", "'" + config::shown(request.last_event_id) + "' is not a number"));
        after = *id;
    }
    http::Response response;
    response.content_type = "text/event-stream";
    response.headers.emplace_back("Cache-Control", "no-store");
    response.stream = [&node, after](http::Stream& stream) { return stream_events(node, after, stream); };
    co_return response;
}

}  // namespace weft::control
