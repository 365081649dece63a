// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/deployment_record.hpp"
#include "control/link.hpp"
#include "control/requests.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/net/address.hpp"

struct nft_ctx;

// weft's own nft tables, `inet weft` and `bridge weft`. Rules are written from state, never edited: the tables are
// replaced whole in one transaction, and an instance that comes or goes is one transaction of set elements. Nobody
// else's table is touched, all chains accept by policy.
namespace weft::control {

// What the rules know of one container.
struct GuardedPort {
    std::string veth;
    MacAddress mac;
    net::IpAddress address;
    net::IpAddress address_v6;  // unspecified: none
    std::vector<PortMapping> port_mappings;
    friend bool operator==(const GuardedPort&, const GuardedPort&) = default;
};

// Everything the tables are made from.
struct RuleState {
    std::string tun_name;
    std::string bridge_name;
    std::uint16_t tunnel_port = 0;
    std::vector<net::Prefix> service_ranges;
    std::vector<net::Prefix> node_ranges;
    std::optional<net::Prefix> subnet;  // none before registration
    std::optional<net::Prefix> subnet_v6;
    std::map<std::string, GuardedPort> ports;  // by instance id
    std::vector<PortForward> forwards;
};

// libnftables commands (JSON). Pure functions: the tests compare their text.
std::string render_tables(const RuleState& state);
std::string render_removal();
std::string render_port_added(const GuardedPort& port);
std::string render_port_removed(const GuardedPort& port, const std::vector<PortMapping>& mappings);

// What differs between a listing of weft's tables by the kernel and `state`; empty if nothing does. `skeleton` is
// listing_skeleton() of a listing made right after the tables were replaced.
std::vector<std::string> compare_listing(const RuleState& state, std::string_view listing, std::string_view skeleton);
// Chains and rules of a listing, without handles and counters: what does not change with the instances.
std::string listing_skeleton(std::string_view listing);

// Runs commands in the namespace of the thread that opened it. Threading: one thread.
class Nft {
  public:
    static Result<Nft> open();
    Result<void> run(const std::string& commands, std::string_view attempt);
    // weft's two tables as JSON; empty where a table is missing.
    Result<std::string> list();

  private:
    struct Free {
        void operator()(nft_ctx* context) const;
    };
    explicit Nft(nft_ctx* context) : context_(context) {}
    std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace weft::control
