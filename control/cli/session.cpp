// SPDX-License-Identifier: Apache-2.0
#include "control/cli/session.hpp"

#include <cerrno>
#include <ostream>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "control/cli/client.hpp"
#include "control/cli/json_text.hpp"
#include "control/cli/table.hpp"

namespace weft::cli {

namespace json = boost::json;

namespace {

Failure unreachable(const ServerAddress& server, const Error& error) {
    std::string next = "is weftd running there? Another one is named by --server or WEFT_SERVER";
    if (error.system_errno() == EACCES || error.system_errno() == EPERM)
        next = "sudo weft ..., or become a member of the socket's group (api.group, by default weft)";
    else if (error.code() == ErrorCode::Timeout)
        next = "look at weftd's log; its control thread seems to be busy";
    return {ExitCode::Failed, "cannot talk to weftd at " + server.to_string(), error.text(), next};
}

std::string advice(const std::string& word) {
    if (word == "not_registered") return "weft register 10.18.0.0";
    if (word == "unauthorized" || word == "forbidden")
        return "use the unix socket, which needs no token: --server unix:PATH";
    if (word == "no_addresses") return "undeploy what is not needed; the addresses come back";
    if (word == "busy" || word == "registry_unavailable" || word == "runtime_unavailable")
        return "try again; weft status says more";
    if (word == "internal") return "weft status, and weftd's log";
    return "";
}

Failure refused(std::string_view method, std::string_view path, const Reply& reply) {
    boost::system::error_code code;
    const json::value problem = json::parse(reply.body, code);
    Failure failure{ExitCode::Failed,
                    std::string(method) + " " + std::string(path) + " was refused with " + std::to_string(reply.status),
                    "", ""};
    if (code) return failure;
    const std::string field = text_or_empty(problem, "field");
    failure.why = text_or_empty(problem, "detail");
    if (!field.empty()) failure.why = field + ": " + failure.why;
    failure.next = advice(text_or_empty(problem, "error"));
    return failure;
}

}  // namespace

Outcome<json::value> Session::get(std::string_view path) {
    return call("GET", path, nullptr);
}

Outcome<json::value> Session::call(std::string_view method, std::string_view path, const json::value* body) {
    const auto address = ServerAddress::parse(server);
    if (!address)
        return std::unexpected(
            Failure{ExitCode::Usage, "--server", address.error(), "weft --server unix:/run/weft/weftd.sock ..."});
    const auto reply = exchange(*address, method, path, body != nullptr ? json::serialize(*body) : "");
    if (!reply) return std::unexpected(unreachable(*address, reply.error()));
    if (reply->status >= 400) return std::unexpected(refused(method, path, *reply));
    if (reply->body.empty()) return json::value();
    boost::system::error_code code;
    json::value answer = json::parse(reply->body, code);
    if (code)
        return std::unexpected(
            Failure{ExitCode::Failed, std::string(method) + " " + std::string(path) + " got an answer that is not JSON",
                    code.message(), "is it a weftd that listens at " + address->to_string() + "?"});
    return answer;
}

std::string Session::paint(std::string_view word) const {
    if (!colour) return std::string(word);
    const std::string_view start = word == "OK" ? "\033[32m" : word == "WARN" ? "\033[33m" : "\033[31m";
    return std::string(start) + std::string(word) + "\033[0m";
}

void Session::print_json(const json::value& value) {
    out << json::serialize(value) << "\n";
}

std::string url_encoded(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string encoded;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '_' || c == '.' || c == '~';
        if (plain)
            encoded += c;
        else
            (encoded += '%') += {digits[byte >> 4U], digits[byte & 15U]};
    }
    return encoded;
}

}  // namespace weft::cli
