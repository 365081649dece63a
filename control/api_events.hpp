// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/awaitable.hpp>

#include "control/http/message.hpp"
#include "control/node_api.hpp"

namespace weft::control {

// `GET /v1/events`: server-sent events, from now on or from `Last-Event-ID`. How many were missed stands in an event
// `lost`. A comment every 15 s keeps the connection known to be alive.
boost::asio::awaitable<http::Response> handle_events(NodeApi& node, http::Request request);

}  // namespace weft::control
