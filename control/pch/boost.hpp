// SPDX-License-Identifier: Apache-2.0
// Precompiled, for build time only: every source includes what it uses. Never included, so it needs no guard.

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
