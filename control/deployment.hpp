// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/container.hpp"
#include "control/deployment_record.hpp"
#include "control/environment.hpp"
#include "control/ipam.hpp"
#include "control/journal.hpp"
#include "dataplane/base/error.hpp"

namespace weft::control {

// A deploy that the node has accepted: names checked, numbers and service IPs free.
struct DeploySpec {
    std::string id;
    ContainerRef container;
    int pid = 0;  // for Docker: the container's process, as the engine says
    std::string service;
    std::uint32_t number = 0;
    std::string service_ips_json = "[]";
    std::optional<net::Endpoint> advertised;
    std::vector<PortMapping> port_mappings;
};

struct ReconcileReport {
    std::vector<std::string> rolled_back;  // ids of deploys that were cut off; nothing is left of them
    std::vector<std::string> finished;     // ids of undeploys that were cut off; now done
    std::vector<std::string> lost;         // ids whose container is gone; state Lost
    std::vector<std::string> repairs;      // sentences
};

// The instances of this node: every deploy is a transaction over the journal and the kernel. It knows nothing of
// services, policies or peers.
//
// Threading: the environment thread. Errors: NotFound, Conflict, Exhausted, BadInput as the API tells them; System if a
// kernel step failed, and then everything was undone. An undeploy that failed may be called again and goes on.
class Deployments {
  public:
    Deployments(Environment& environment, Journal& journal) : environment_(environment), journal_(journal) {}

    // After registration, before the first deploy or reconcile(): where addresses come from.
    void set_subnet(const net::Prefix& subnet, const std::optional<net::Prefix>& subnet_v6);

    // Conflict: a host port is taken, the namespace is the host's or is attached to another deployment, or has an
    // interface weft0. NotFound: no such container. Exhausted: no address.
    Result<Deployment> deploy(const DeploySpec& spec);
    // Success if there is no such deployment. Forwards to it go too.
    Result<void> undeploy(const std::string& id);
    // Its container died: address, rules and veth go, the row stays with state Lost.
    Result<void> lose(const std::string& id);

    // Everything that runs, is lost, or could not be removed entirely (Leaving); by id.
    [[nodiscard]] std::vector<Deployment> list() const;
    [[nodiscard]] const Deployment* find(const std::string& id) const;
    [[nodiscard]] const Deployment* find_by_netns(const NetnsIdentity& identity) const;
    [[nodiscard]] const Ipam* ipam() const { return ipam_ ? &*ipam_ : nullptr; }

    // At start, once, after Environment::prepare_tun() and prepare_bridge(): brings journal and kernel together.
    Result<ReconcileReport> reconcile();
    // Running deployments whose container has died since. Cheap: to be asked often.
    std::vector<std::string> check_alive();
    // Environment::repair(), and veths that vanished are attached anew. Where that fails the deployment becomes Lost.
    Result<ReconcileReport> repair();

    // The whole set. Conflict if a host port is taken, NotFound if an instance does not run here; then nothing changed.
    Result<void> set_port_forwards(const std::vector<PortForward>& forwards);
    [[nodiscard]] const std::vector<PortForward>& port_forwards() const { return forwards_; }

    // Removes all instances, the namespaces that weft made, and the environment. May be repeated.
    Result<void> teardown();

  private:
    struct Live {
        Deployment record;
        UniqueFd pidfd;
        bool holds_address = false;
    };

    Result<void> check_host_ports(const std::vector<PortMapping>& wanted,
                                  const std::vector<PortForward>& forwards) const;
    Result<void> attach(const Deployment& record, int netns_fd);
    Result<void> remove(const Deployment& record);
    void release_address(Live& live);
    Result<void> drop_forwards_to(const std::string& id);
    Result<void> settle_interrupted(const std::vector<Deployment>& rows, ReconcileReport& report);
    Result<void> take_over(const std::vector<Deployment>& rows, ReconcileReport& report);
    Result<void> restore_all(ReconcileReport& report);
    Result<bool> restore(Live& live, ReconcileReport& report);
    [[nodiscard]] bool is_running(const std::string& id) const;
    static bool is_somebody_elses(const Deployment& record);
    static bool will_create_netns(const ContainerRef& container);
    static UniqueFd open_process(const Deployment& record);
    bool is_alive(const Live& live) const;

    Environment& environment_;
    Journal& journal_;
    std::optional<Ipam> ipam_;
    std::map<std::string, Live> live_;
    std::vector<PortForward> forwards_;
};

}  // namespace weft::control
