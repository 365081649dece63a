// SPDX-License-Identifier: Apache-2.0
#include "control/http/access.hpp"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "dataplane/base/check.hpp"

namespace weft::http {

namespace {

std::array<std::uint8_t, 32> sha256(std::string_view text) {
    std::array<std::uint8_t, 32> digest{};
    unsigned size = 0;
    const int done = EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
    WEFT_CHECK(done == 1 && size == digest.size(), "SHA-256 is always there");
    return digest;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

// "host", "host:port", "[v6]:port": is it a name of this end? A missing port is fine: a browser always sends ours.
bool is_own_authority(std::string_view authority, const net::Endpoint& local,
                      const std::vector<std::string>& host_names) {
    std::string_view host = authority;
    std::string_view l4_port;
    const auto colon = authority.rfind(':');
    if (colon != std::string_view::npos && !authority.ends_with(']')) {
        host = authority.substr(0, colon);
        l4_port = authority.substr(colon + 1);
        if (l4_port != std::to_string(local.l4_port)) return false;
    }
    if (equals_ignoring_case(host, "localhost")) return true;
    if (std::ranges::any_of(host_names, [&](const auto& name) { return equals_ignoring_case(host, name); }))
        return true;
    if (host.size() > 2 && host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    return net::IpAddress::parse(host) == local.address;
}

Response forbidden(std::string_view field, std::string_view detail) {
    return error_response(403, "forbidden", field, detail);
}

}  // namespace

Token::Token(std::string_view secret) : digest_(sha256(secret)) {}

bool Token::matches(std::string_view presented) const {
    const auto digest = sha256(presented);
    return CRYPTO_memcmp(digest.data(), digest_.data(), digest.size()) == 0;
}

std::optional<Response> refuse_access(const Caller& caller, const std::optional<Token>& token,
                                      const std::vector<std::string>& host_names) {
    if (caller.origin) {
        constexpr std::string_view kScheme = "http://";
        const bool is_own = caller.local && caller.origin->starts_with(kScheme) &&
                            is_own_authority(caller.origin->substr(kScheme.size()), *caller.local, host_names);
        if (!is_own) return forbidden("Origin", "calls made by pages of another origin are refused");
    }
    if (!caller.local) return std::nullopt;
    if (caller.host && !is_own_authority(*caller.host, *caller.local, host_names)) {
        return forbidden("Host", "the request names another host; expected " + caller.local->to_string());
    }
    if (!token) return std::nullopt;
    constexpr std::string_view kBearer = "Bearer ";
    const bool has_bearer =
        caller.authorization && equals_ignoring_case(caller.authorization->substr(0, kBearer.size()), kBearer);
    if (has_bearer && token->matches(caller.authorization->substr(kBearer.size()))) return std::nullopt;
    Response response =
        error_response(401, "unauthorized", "Authorization", "this listener needs 'Authorization: Bearer TOKEN'");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
}

}  // namespace weft::http
