// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "control/http/router.hpp"
#include "control/node_api.hpp"
#include "control/readers.hpp"

// The calls of the API as routes. Each handler validates, acts, answers: one return per refusal. The node must outlive
// the coroutines that the handlers start.
namespace weft::control {

inline constexpr std::size_t kReferenceBody = std::size_t{64} * 1024;
inline constexpr std::size_t kOwnBody = std::size_t{1024} * 1024;

// `/register`, `/docker/...`, `/container/...`, `/unikernel/...`: what the orchestrator calls.
void add_reference_routes(http::Router& router, NodeApi& node, const ReadDefaults& defaults);

// `/v1/...` and `/healthz`.
void add_own_routes(http::Router& router, NodeApi& node, const ReadDefaults& defaults);

http::Response to_response(const Problem& problem);
http::Response to_response(unsigned status, const boost::json::object& body);

// docs/api/openapi.yaml, as served.
std::string_view openapi_text();

}  // namespace weft::control
