// SPDX-License-Identifier: Apache-2.0
#include "control/deployment.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/failpoint.hpp"
#include "control/rollback.hpp"
#include "dataplane/base/check.hpp"

// A deploy is a transaction:
//
//   1 refuse what is plainly impossible          5 address from the pool
//   2 open the container's namespace             6 journal: intent, with everything that is needed to undo it
//   3 refuse a namespace that is attached        7 environment: veth, inside, rules
//   4 (2 made it, if it was absent)              8 same container as in 2? journal: running
//
// From each step on its inverse is held; leaving early runs them backwards, and the journal row goes last, so that a
// crash while undoing is found too. A namespace that weft is about to make is journalled before it is made. After a
// crash `reconcile` takes every row: Intent is undone by the same steps as an undeploy, Leaving is finished, Running is
// compared with the kernel and mended, or becomes Lost when its container is gone.
//
// Undeploy: journal: leaving; environment: rules, veth; own namespace; address to rest; row away. Every step takes
// "is gone already" for success, so it may stop anywhere and be called again.
namespace weft::control {

namespace {

std::int64_t unix_milliseconds() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

bool is_same_host_port(const PortMapping& a, const PortMapping& b) {
    return a.host_port == b.host_port && a.protocol == b.protocol;
}

std::string to_text(const PortMapping& mapping) {
    return fmt::format("{}/{}", mapping.host_port, mapping.protocol == L4::Tcp ? "tcp" : "udp");
}

// Readable means ended.
bool has_ended(const UniqueFd& pidfd) {
    pollfd wait{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, 0) > 0;
}

Error conflict(std::string text) {
    return Error(ErrorCode::Conflict, std::move(text));
}

}  // namespace

void Deployments::set_subnet(const net::Prefix& subnet, const std::optional<net::Prefix>& subnet_v6) {
    WEFT_CHECK(live_.empty(), "no instance runs when the subnet changes");
    const EnvironmentOptions& options = environment_.options();
    ipam_.emplace(subnet, subnet_v6, std::vector{options.tun_address, options.tun_address_v6});
}

Result<Deployment> Deployments::deploy(const DeploySpec& spec) {
    WEFT_CHECK(ipam_.has_value(), "a node deploys after it is registered");
    if (live_.contains(spec.id)) return std::unexpected(conflict("an instance " + spec.id + " exists"));
    if (auto free = check_host_ports(spec.port_mappings, forwards_); !free) return std::unexpected(free.error());

    Deployment record{.id = spec.id,
                      .container = spec.container,
                      .service = spec.service,
                      .number = spec.number,
                      .service_ips_json = spec.service_ips_json,
                      .advertised = spec.advertised,
                      .port_mappings = spec.port_mappings,
                      .veth = Environment::veth_name(spec.id),
                      .created_ms = unix_milliseconds()};

    // The row is there before the namespace is, or a crash between the two would leave a namespace of nobody's.
    record.owns_netns = will_create_netns(spec.container);
    if (auto noted = journal_.put_deployment(record); !noted) return std::unexpected(noted.error());
    Rollback row("forget the intent of " + record.id, [&] { return journal_.erase_deployment(record.id); });
    WEFT_FAILPOINT("deploy.intent");

    auto container = resolve_container(spec.container, spec.pid, IfAbsent::Create);
    if (!container) return std::unexpected(container.error());
    Rollback namespace_made("remove namespace " + spec.container.name, [&, made = container->was_created] {
        return made ? remove_netns(spec.container.name) : Result<void>{};
    });
    WEFT_FAILPOINT("deploy.netns");
    if (const Deployment* other = find_by_netns(container->netns.identity()))
        return std::unexpected(conflict(
            fmt::format("the container is attached already, to instance {} of {}", other->id, other->service)));

    const auto lease = ipam_->take(BootClock::now());
    if (!lease) return std::unexpected(lease.error());
    Rollback address_taken("free " + lease->address.to_string(), [&] {
        ipam_->release(lease->address, BootClock::now());
        return Result<void>{};
    });
    record.owns_netns = container->was_created;
    record.netns = container->netns.identity();
    record.pid = container->pid;
    record.pid_start = container->start_time;
    record.address = lease->address;
    record.address_v6 = lease->address_v6;
    WEFT_FAILPOINT("deploy.address");

    if (auto attached = attach(record, container->netns.fd()); !attached) return std::unexpected(attached.error());
    Rollback joined("detach " + record.id, [&] { return environment_.detach(record.id); });
    if (record.pid != 0 && !is_same_process(record.pid, record.pid_start))
        return std::unexpected(conflict(fmt::format("process {} ended during the deploy", record.pid)));
    WEFT_FAILPOINT("deploy.done");
    record.state = DeploymentState::Running;
    if (auto done = journal_.put_deployment(record); !done) return std::unexpected(done.error());

    for (Rollback* step : {&row, &namespace_made, &address_taken, &joined})
        step->keep();
    live_.insert_or_assign(record.id, Live{record, std::move(container->pidfd), true});
    return record;
}

Result<void> Deployments::attach(const Deployment& record, int netns_fd) {
    const auto attached = environment_.attach({.id = record.id,
                                               .netns_fd = netns_fd,
                                               .address = record.address,
                                               .address_v6 = record.address_v6,
                                               .port_mappings = record.port_mappings});
    if (!attached) return std::unexpected(attached.error());
    return {};
}

Result<void> Deployments::check_host_ports(const std::vector<PortMapping>& wanted,
                                           const std::vector<PortForward>& forwards) const {
    const PortMapping tunnel{environment_.options().tunnel_port, 0, L4::Udp};
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (is_same_host_port(wanted[i], tunnel))
            return std::unexpected(conflict(fmt::format("host port {} is the tunnel's own", to_text(wanted[i]))));
        for (std::size_t j = 0; j < i; ++j)
            if (is_same_host_port(wanted[i], wanted[j]))
                return std::unexpected(conflict(fmt::format("host port {} is asked for twice", to_text(wanted[i]))));
        for (const auto& [id, live] : live_)
            for (const PortMapping& taken : live.record.port_mappings)
                if (live.record.state != DeploymentState::Lost && is_same_host_port(wanted[i], taken))
                    return std::unexpected(conflict(fmt::format("host port {} leads to instance {} of {} already",
                                                                to_text(taken), id, live.record.service)));
        for (const PortForward& forward : forwards)
            if (is_same_host_port(wanted[i], forward.mapping))
                return std::unexpected(conflict(fmt::format("host port {} leads to instance {} already, by forward {}",
                                                            to_text(wanted[i]), forward.instance, forward.id)));
    }
    return {};
}

Result<void> Deployments::undeploy(const std::string& id) {
    const auto found = live_.find(id);
    if (found == live_.end()) return {};
    const Deployment record = found->second.record;
    if (auto noted = journal_.set_deployment_state(id, DeploymentState::Leaving); !noted) return noted;
    found->second.record.state = DeploymentState::Leaving;
    WEFT_FAILPOINT("undeploy.intent");
    if (auto removed = remove(record); !removed) return removed;
    release_address(found->second);
    live_.erase(id);
    return {};
}

// Once: by the time a lost instance is undeployed its address may be somebody else's.
void Deployments::release_address(Live& live) {
    if (!std::exchange(live.holds_address, false)) return;
    ipam_->release(live.record.address, BootClock::now());
}

// Everything of one row but its address, in whatever state it was left.
Result<void> Deployments::remove(const Deployment& record) {
    if (auto dropped = drop_forwards_to(record.id); !dropped) return dropped;
    if (auto detached = environment_.detach(record.id); !detached) return detached;
    if (record.owns_netns && !is_somebody_elses(record))
        if (auto removed = remove_netns(record.container.name); !removed) return removed;
    WEFT_FAILPOINT("undeploy.done");
    return journal_.erase_deployment(record.id);
}

Result<void> Deployments::drop_forwards_to(const std::string& id) {
    if (std::ranges::find(forwards_, id, &PortForward::instance) == forwards_.end()) return {};
    auto rest = forwards_;
    std::erase_if(rest, [&](const PortForward& forward) { return forward.instance == id; });
    if (auto kept = journal_.set_port_forwards(rest); !kept) return kept;
    forwards_ = std::move(rest);
    return {};
}

Result<void> Deployments::lose(const std::string& id) {
    const auto found = live_.find(id);
    if (found == live_.end() || found->second.record.state != DeploymentState::Running) return {};
    Deployment& record = found->second.record;
    if (auto dropped = drop_forwards_to(id); !dropped) return dropped;
    if (auto detached = environment_.detach(id); !detached) return detached;
    if (auto noted = journal_.set_deployment_state(id, DeploymentState::Lost); !noted) return noted;
    record.state = DeploymentState::Lost;
    found->second.pidfd.reset();
    release_address(found->second);
    return {};
}

std::vector<Deployment> Deployments::list() const {
    std::vector<Deployment> found;
    for (const auto& [id, live] : live_)
        found.push_back(live.record);
    return found;
}

const Deployment* Deployments::find(const std::string& id) const {
    const auto found = live_.find(id);
    return found == live_.end() ? nullptr : &found->second.record;
}

const Deployment* Deployments::find_by_netns(const NetnsIdentity& identity) const {
    for (const auto& [id, live] : live_)
        if (live.record.state == DeploymentState::Running && live.record.netns == identity) return &live.record;
    return nullptr;
}

Result<ReconcileReport> Deployments::reconcile() {
    ReconcileReport report;
    const auto rows = journal_.deployments();
    if (!rows) return std::unexpected(rows.error());
    auto forwards = journal_.port_forwards();
    if (!forwards) return std::unexpected(forwards.error());
    forwards_ = std::move(*forwards);

    if (auto settled = settle_interrupted(*rows, report); !settled) return std::unexpected(settled.error());
    if (auto taken = take_over(*rows, report); !taken) return std::unexpected(taken.error());

    // Forwards to what is not here any more make no rule, and go.
    const auto strays = std::erase_if(forwards_, [&](const auto& forward) { return !is_running(forward.instance); });
    if (strays != 0)
        if (auto kept = journal_.set_port_forwards(forwards_); !kept) return std::unexpected(kept.error());
    if (auto applied = environment_.set_port_forwards(forwards_); !applied) return std::unexpected(applied.error());

    auto removed = environment_.remove_strays();
    if (!removed) return std::unexpected(removed.error());
    std::ranges::move(*removed, std::back_inserter(report.repairs));
    if (auto restored = restore_all(report); !restored) return std::unexpected(restored.error());
    return report;
}

Result<void> Deployments::settle_interrupted(const std::vector<Deployment>& rows, ReconcileReport& report) {
    for (const Deployment& row : rows) {
        if (row.state == DeploymentState::Running || row.state == DeploymentState::Lost) continue;
        if (auto removed = remove(row); !removed) return std::unexpected(removed.error().during("clean up " + row.id));
        (row.state == DeploymentState::Intent ? report.rolled_back : report.finished).push_back(row.id);
    }
    return {};
}

// The rows of what should run become live again, with the addresses they hold. A row that contradicts the registration
// or another row costs that instance, not the start of the node.
Result<void> Deployments::take_over(const std::vector<Deployment>& rows, ReconcileReport& report) {
    std::vector<std::string> contradicting;
    for (const Deployment& row : rows) {
        if (row.state != DeploymentState::Running && row.state != DeploymentState::Lost) continue;
        Live& live = live_.insert_or_assign(row.id, Live{row, {}, false}).first->second;
        if (row.state == DeploymentState::Lost) continue;
        const auto claimed =
            ipam_ ? ipam_->claim(row.address) : std::unexpected(Error(ErrorCode::BadInput, "there is no registration"));
        if (!claimed) {
            report.repairs.push_back(fmt::format("instance {} is given up: {}", row.id, claimed.error().text()));
            contradicting.push_back(row.id);
            continue;
        }
        live.holds_address = true;
        live.pidfd = open_process(row);
        environment_.adopt(row.id, row.address, row.address_v6, row.port_mappings);
    }
    for (const std::string& id : contradicting) {
        if (auto gone = lose(id); !gone) return gone;
        report.lost.push_back(id);
    }
    return {};
}

bool Deployments::is_running(const std::string& id) const {
    const Deployment* found = find(id);
    return found && found->state == DeploymentState::Running;
}

Result<ReconcileReport> Deployments::repair() {
    ReconcileReport report;
    auto repaired = environment_.repair();
    if (!repaired) return std::unexpected(repaired.error());
    report.repairs = std::move(*repaired);
    if (auto restored = restore_all(report); !restored) return std::unexpected(restored.error());
    return report;
}

// Every running instance: its container lives and its veth stands, or it is lost.
Result<void> Deployments::restore_all(ReconcileReport& report) {
    std::vector<std::string> lost;
    for (auto& [id, live] : live_) {
        if (live.record.state != DeploymentState::Running) continue;
        const auto stands = restore(live, report);
        if (!stands) return std::unexpected(stands.error());
        if (!*stands) lost.push_back(id);
    }
    for (const std::string& id : lost) {
        if (auto gone = lose(id); !gone) return gone;
        report.lost.push_back(id);
    }
    return {};
}

// False: lost.
Result<bool> Deployments::restore(Live& live, ReconcileReport& report) {
    const Deployment& record = live.record;
    if (!is_alive(live)) return false;
    const auto attached = environment_.is_attached(record.id);
    if (!attached) return std::unexpected(attached.error());
    if (*attached) return true;

    const auto container = resolve_container(record.container, record.pid, IfAbsent::Fail);
    if (!container || container->netns.identity() != record.netns) return false;
    environment_.disown(record.id);
    if (auto cleared = environment_.apply_rules(); !cleared) return std::unexpected(cleared.error());
    if (auto again = attach(record, container->netns.fd()); !again) {
        report.repairs.push_back(
            fmt::format("instance {} could not be attached anew: {}", record.id, again.error().text()));
        return false;
    }
    report.repairs.push_back(fmt::format("instance {} was attached anew", record.id));
    return true;
}

std::vector<std::string> Deployments::check_alive() {
    std::vector<std::string> dead;
    for (const auto& [id, live] : live_)
        if (live.record.state == DeploymentState::Running && !is_alive(live)) dead.push_back(id);
    return dead;
}

bool Deployments::is_alive(const Live& live) const {
    const Deployment& record = live.record;
    if (record.container.kind != ContainerRef::Kind::Netns)
        return live.pidfd && !has_ended(live.pidfd) && is_same_process(record.pid, record.pid_start);
    const auto netns = Netns::open_name(record.container.name);
    return netns && netns->identity() == record.netns;
}

Result<void> Deployments::set_port_forwards(const std::vector<PortForward>& forwards) {
    std::vector<PortForward> seen;
    for (const PortForward& forward : forwards) {
        if (!is_running(forward.instance))
            return std::unexpected(Error(ErrorCode::NotFound, "no instance " + forward.instance + " runs here"));
        if (auto free = check_host_ports({forward.mapping}, seen); !free) return free;
        seen.push_back(forward);
    }
    const auto before = forwards_;
    if (auto kept = journal_.set_port_forwards(forwards); !kept) return kept;
    Rollback noted("restore the journal's port forwards", [&] { return journal_.set_port_forwards(before); });
    if (auto applied = environment_.set_port_forwards(forwards); !applied) return applied;
    noted.keep();
    forwards_ = forwards;
    return {};
}

Result<void> Deployments::teardown() {
    const auto rows = journal_.deployments();
    if (!rows) return std::unexpected(rows.error());
    // All devices at once; what remove() looks for below is gone then, which it takes for success.
    if (auto cleared = environment_.teardown(); !cleared) return cleared;
    for (const Deployment& row : *rows)
        if (auto removed = remove(row); !removed) return std::unexpected(removed.error().during("remove " + row.id));
    live_.clear();
    return {};
}

bool Deployments::will_create_netns(const ContainerRef& container) {
    return container.kind == ContainerRef::Kind::Netns && !Netns::open_name(container.name);
}

// The namespace that weft made is gone, and another has its name. An intent that was cut off knows none yet.
bool Deployments::is_somebody_elses(const Deployment& record) {
    if (record.netns == NetnsIdentity{}) return false;
    const auto present = Netns::open_name(record.container.name);
    return present && present->identity() != record.netns;
}

UniqueFd Deployments::open_process(const Deployment& record) {
    if (record.pid == 0) return {};
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, record.pid, 0)));
    return is_same_process(record.pid, record.pid_start) ? std::move(pidfd) : UniqueFd();
}

}  // namespace weft::control
