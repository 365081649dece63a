// SPDX-License-Identifier: Apache-2.0
#include "control/api.hpp"

// What Oakestra's orchestrators call, in the forms of 2021 and of today. Success is always 200.
namespace weft::control {

namespace asio = boost::asio;
using Answering = asio::awaitable<http::Response>;

namespace {

http::Response render(const DeployAnswer& answer) {
    return to_response(
        200,
        {{"serviceName", answer.service}, {"nsAddress", answer.ns_address}, {"nsAddressv6", answer.ns_address_v6}});
}

Answering handle_register(NodeApi& node, ReadDefaults defaults, http::Request request) {
    auto read = read_register(request.body, defaults);
    if (!read) co_return to_response(read.error());
    const auto done = co_await node.register_node(std::move(*read));
    if (!done) co_return to_response(done.error());
    co_return http::Response{};
}

Answering handle_deploy(NodeApi& node, ReadDefaults defaults, DeployForm form, http::Request request) {
    auto read = read_deploy(request.body, form, defaults);
    if (!read) co_return to_response(read.error());
    const auto deployed = co_await node.deploy(std::move(*read));
    if (!deployed) co_return to_response(deployed.error());
    co_return render(*deployed);
}

Answering handle_undeploy(NodeApi& node, DeployForm form, http::Request request) {
    auto read = read_undeploy(request.body, form);
    if (!read) co_return to_response(read.error());
    const auto done = co_await node.undeploy(std::move(*read));
    if (!done) co_return to_response(done.error());
    co_return http::Response{};
}

Answering handle_unikernel(http::Request) {
    co_return http::error_response(501, "not_implemented", "",
                                   "unikernels are not in this version; use /container/deploy");
}

}  // namespace

void add_reference_routes(http::Router& router, NodeApi& node, const ReadDefaults& defaults) {
    const auto post = [&](const char* path, http::Handler handler) {
        router.add("POST", path, kReferenceBody, std::move(handler));
    };
    post("/register",
         [&node, defaults](http::Request request) { return handle_register(node, defaults, std::move(request)); });
    for (const auto& [prefix, form] :
         {std::pair("/docker", DeployForm::Docker), std::pair("/container", DeployForm::Container)}) {
        post((std::string(prefix) + "/deploy").c_str(), [&node, defaults, form](http::Request request) {
            return handle_deploy(node, defaults, form, std::move(request));
        });
        post((std::string(prefix) + "/undeploy").c_str(),
             [&node, form](http::Request request) { return handle_undeploy(node, form, std::move(request)); });
    }
    post("/unikernel/deploy", handle_unikernel);
    post("/unikernel/undeploy", handle_unikernel);
}

}  // namespace weft::control
