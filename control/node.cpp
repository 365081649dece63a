// SPDX-License-Identifier: Apache-2.0
//
// The life of a node.
//
//   start     journal, environment's sockets, tables from the journal, flow file and ports, worker runs, handshakes,
//             then the kernel is compared with the journal, and only then the API opens (main.cpp)
//   register  checked against the host's addresses, bridge made, journal, tables
//   deploy    checked against the tables; the container's namespace found; one transaction on the side thread
//             (deployment.cpp); tables; event; answer
//   undeploy  tables first, so that nothing new is sent to it; then the kernel, then the journal
//
// Calls that change registration or deployments take turns: what one call checked cannot be changed by another before
// it acts. Reading calls and traffic never wait for a turn.
#include "control/node.hpp"

#include <algorithm>
#include <ranges>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "config/secret_file.hpp"
#include "control/service_json.hpp"
#include "dataplane/base/log.hpp"

namespace weft::control {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::size_t kMaxWaitingCalls = 1024;
constexpr std::uint32_t kTunnelOverheadV4 = 60;  // sealed, whatever the mode: a peer may change it and nobody notices
constexpr std::uint32_t kTunnelOverheadV6 = 80;
constexpr std::uint32_t kMaxUdpPayload = 65507;

spdlog::logger& log() {
    return logger("control");
}

Problem busy() {
    return {503, "busy", "", "too many calls are waiting; try again in a moment"};
}

overlay::Security to_overlay(config::Security security, bool has_key) {
    switch (security) {
        case config::Security::Aead:
            return overlay::Security::Aead;
        case config::Security::Clear:
            return overlay::Security::Clear;
        case config::Security::Bare:
            return overlay::Security::Bare;
        case config::Security::Auto:
            break;
    }
    return has_key ? overlay::Security::Aead : overlay::Security::Clear;
}

PeerPush push_of(const config::Peer& peer, bool has_key) {
    PeerPush push{peer.id, {peer.address, peer.port}, peer.subnets, std::nullopt};
    if (peer.security != config::Security::Auto) push.security = to_overlay(peer.security, has_key);
    return push;
}

}  // namespace

// ---- Start ----------------------------------------------------------------------------------------------------------

Node::Node(asio::io_context& io, const config::Config& config) : io_(io), config_(config), started_(BootClock::now()) {}

Node::~Node() {
    stop();
}

Result<std::unique_ptr<Node>> Node::start(asio::io_context& io, const config::Config& config) {
    std::unique_ptr<Node> node(new Node(io, config));
    for (const auto step : {&Node::open_journal, &Node::open_environment, &Node::restore_services,
                            &Node::start_forwarding, &Node::restore_kernel})
        if (const auto done = ((*node).*step)(); !done) return std::unexpected(done.error());
    node->start_timers();
    return node;
}

Result<void> Node::open_journal() {
    auto journal = Journal::open(config_.state_dir + "/journal.db");
    if (!journal) return std::unexpected(journal.error());
    journal_ = std::move(*journal);
    auto registration = journal_->registration();
    if (!registration) return std::unexpected(registration.error());
    registration_ = *registration;
    for (const auto& complaint : journal_->complaints())
        log().warn("journal: {}", complaint);
    return {};
}

Result<void> Node::open_environment() {
    EnvironmentOptions options;
    options.tun_name = config_.tun.name;
    options.tun_address = config_.tun.address;
    options.tun_address_v6 = config_.tun.address_v6;
    options.bridge_name = config_.bridge.name;
    options.service_ranges = {config_.overlay.service_range, config_.overlay.service_range_v6};
    options.node_ranges = config_.overlay.node_range.prefixes();
    for (const auto& prefix : config_.overlay.node_range_v6.prefixes())
        options.node_ranges.push_back(prefix);
    options.tunnel_port = config_.tunnel.port;

    // The MTU needs the underlay, the underlay needs a netlink socket: a first look with the options as they are.
    auto probe = Environment::create(options, *journal_);
    if (!probe) return std::unexpected(probe.error());
    if (config_.tunnel.address) {
        tunnel_address_ = *config_.tunnel.address;
    } else if (auto found = (*probe)->default_address(); found) {
        tunnel_address_ = *found;
    } else {
        return std::unexpected(
            found.error().during("find the tunnel's address (set tunnel.address in the configuration)"));
    }
    const auto underlay = (*probe)->underlay_mtu(tunnel_address_);
    if (!underlay) return std::unexpected(underlay.error().during("tunnel.address " + tunnel_address_.to_string()));
    underlay_mtu_ = std::min<std::uint32_t>(*underlay, 65535);
    const std::uint32_t overhead = tunnel_address_.is_v4() ? kTunnelOverheadV4 : kTunnelOverheadV6;
    inner_mtu_ = config_.tunnel.mtu.value_or(static_cast<std::uint16_t>(underlay_mtu_ - overhead));

    options.mtu = inner_mtu_;
    options.gso_max_segs = kMaxUdpPayload / (underlay_mtu_ - (tunnel_address_.is_v4() ? 28U : 48U));
    auto environment = Environment::create(options, *journal_);
    if (!environment) return std::unexpected(environment.error());
    environment_ = std::move(*environment);
    deployments_ = std::make_unique<Deployments>(*environment_, *journal_);
    docker_ = std::make_unique<DockerClient>(io_, config_.docker.socket);
    return {};
}

// What was pushed and deployed before, so that the first packet after a restart already finds its service.
Result<void> Node::restore_services() {
    has_key_ = !config_.tunnel.psk_file.empty();
    ServiceModel::Node node;
    node.service_ranges = {config_.overlay.service_range, config_.overlay.service_range_v6};
    node.node_ranges = config_.overlay.node_range.prefixes();
    for (const auto& prefix : config_.overlay.node_range_v6.prefixes())
        node.node_ranges.push_back(prefix);
    node.tun_address = config_.tun.address;
    node.tun_address_v6 = config_.tun.address_v6;
    node.tunnel = {tunnel_address_, config_.tunnel.port};
    node.inner_mtu = inner_mtu_;
    node.default_security = to_overlay(config_.tunnel.security, has_key_);
    services_ = std::make_unique<ServiceModel>(node);
    if (registration_) adopt_registration(*registration_);

    for (const auto& peer : config_.peers) {
        if (const auto put = services_->put_peer(push_of(peer, has_key_), PeerSource::Config); !put)
            return std::unexpected(Error(ErrorCode::BadInput, "peer " + peer.id + ": " + put.error().detail));
    }
    const auto peers = journal_->peers();
    const auto pushed = journal_->services();
    const auto deployments = journal_->deployments();
    if (!peers) return std::unexpected(peers.error());
    if (!pushed) return std::unexpected(pushed.error());
    if (!deployments) return std::unexpected(deployments.error());
    for (const auto& deployment : *deployments)
        if (deployment.state == DeploymentState::Running) adopt_deployment(deployment);
    for (const auto& peer : *peers) {
        auto push = parse_peer(peer.name, peer.json);
        const auto put = push ? services_->put_peer(*push, PeerSource::Api) : std::unexpected(push.error());
        if (!put) log().warn("a peer in the journal is left out: {} peer={}", put.error().detail, peer.name);
    }
    for (const auto& service : *pushed) {
        auto push = parse_service(service.name, service.json);
        const auto put = push ? services_->put_pushed(std::move(*push)) : std::unexpected(push.error());
        if (!put) log().warn("a service in the journal is left out: {} service={}", put.error().detail, service.name);
    }
    return {};
}

Result<void> Node::start_forwarding() {
    overlay::Handshaker::Options handshakes;
    handshakes.node_id = config_.node.id;
    handshakes.start_number = journal_->start_number();
    if (has_key_) {
        const auto key = config::read_psk(config_.tunnel.psk_file);
        if (!key) return std::unexpected(key.error());
        handshakes.key.emplace();
        std::ranges::copy(std::as_bytes(std::span(*key)), handshakes.key->begin());
    }
    Forwarding::Options options;
    options.tun_name = config_.tun.name;
    options.tunnel = {tunnel_address_, config_.tunnel.port};
    options.run_dir = config_.run_dir;
    options.node_id = config_.node.id;
    options.flows_max = config_.flows.max;
    options.spin = config_.spin;
    options.eal_args = config_.dpdk.args;
    auto forwarding = Forwarding::create(std::move(options));
    if (!forwarding) return std::unexpected(forwarding.error());
    forwarding_ = std::move(*forwarding);
    sessions_ = std::make_unique<SessionKeeper>(
        std::move(handshakes), *services_,
        SessionKeeper::World{
            [this](const net::Endpoint& to, std::span<const std::byte> datagram) { forwarding_->send(to, datagram); },
            [this] { publish(); }, [this](overlay::PeerIndex peer) { forwarding_->probe(peer); }});
    forwarding_->run(services_->tables());
    sessions_->want_all(BootClock::now());
    return {};
}

Result<void> Node::restore_kernel() {
    if (const auto done = environment_->prepare_tun(); !done) return std::unexpected(done.error());
    if (!registration_ && config_.node.subnetwork) {
        const auto wanted = check_registration({config_.node.subnetwork, config_.node.subnetwork_v6, "", ""});
        if (!wanted) return std::unexpected(Error(ErrorCode::BadInput, "node.subnetwork: " + wanted.error().detail));
        if (const auto put = journal_->put_registration(*wanted); !put) return std::unexpected(put.error());
        registration_ = *wanted;
        adopt_registration(*registration_);
    }
    if (registration_) {
        if (const auto done = environment_->prepare_bridge(registration_->subnet, registration_->subnet_v6); !done)
            return std::unexpected(done.error());
        deployments_->set_subnet(registration_->subnet, registration_->subnet_v6);
    }
    const auto report = deployments_->reconcile();
    if (!report) return std::unexpected(report.error());
    for (const auto& id : report->rolled_back)
        log().warn("a deploy that was cut off is undone instance={}", id);
    for (const auto& id : report->finished)
        log().info("an undeploy that was cut off is finished instance={}", id);
    for (const auto& id : report->lost)
        log().warn("its container is gone instance={}", id);
    for (const auto& repair : report->repairs)
        log().info("repaired: {}", repair);
    replace_deployments(deployments_->list());
    publish();
    return {};
}

void Node::adopt_registration(const Registration& registration) {
    auto node = services_->node();
    node.own_subnets = {registration.subnet};
    node.bridge_ip = registration.subnet.address.plus(1);
    node.bridge_ip_v6 = {};
    if (registration.subnet_v6) {
        node.own_subnets.push_back(*registration.subnet_v6);
        node.bridge_ip_v6 = registration.subnet_v6->address.plus(1);
    }
    services_->set_node(std::move(node));
}

void Node::adopt_deployment(const Deployment& deployment) {
    auto service_ips = parse_service_ips(deployment.service_ips_json);
    if (!service_ips)
        log().error("its service IPs in the journal cannot be read instance={} err={}", deployment.id,
                    service_ips.error().detail);
    services_->add_local({deployment.id, deployment.service, deployment.number, deployment.address,
                          deployment.address_v6, service_ips.value_or(std::vector<ServiceIpRequest>{})});
}

// Control's copy follows the side thread's list; the tables follow the copy.
void Node::replace_deployments(std::vector<Deployment> fresh) {
    const auto runs_in = [](const std::vector<Deployment>& list, const std::string& id) {
        return std::ranges::any_of(
            list, [&](const Deployment& d) { return d.id == id && d.state == DeploymentState::Running; });
    };
    for (const auto& old : deployed_)
        if (old.state == DeploymentState::Running && !runs_in(fresh, old.id)) services_->remove_local(old.id);
    for (const auto& deployment : fresh)
        if (deployment.state == DeploymentState::Running && !runs_in(deployed_, deployment.id))
            adopt_deployment(deployment);
    // Restored from the journal at start, before the kernel was asked.
    if (deployed_.empty())
        for (const auto& deployment : fresh)
            if (deployment.state != DeploymentState::Running) services_->remove_local(deployment.id);
    deployed_ = std::move(fresh);
    sessions_->peers_changed();
}

void Node::stop() {
    if (std::exchange(stopping_, true)) return;
    for (const auto& waiting : turn_queue_)
        waiting->cancel();
    if (forwarding_) forwarding_->stop();
    side_.join();
}

Result<void> Node::teardown(const config::Config& config) {
    asio::io_context io;
    Node node(io, config);
    if (const auto done = node.open_journal(); !done) return done;
    // No address, no MTU: removing needs neither.
    if (!node.config_.tunnel.address) node.config_.tunnel.address = *net::IpAddress::parse("127.0.0.1");
    if (const auto done = node.open_environment(); !done) {
        node.config_.tunnel.address = *net::IpAddress::parse("127.0.0.1");
        if (const auto again = node.open_environment(); !again) return again;
    }
    if (node.registration_) node.deployments_->set_subnet(node.registration_->subnet, node.registration_->subnet_v6);
    return node.deployments_->teardown();
}

void Node::reload(const config::Config& fresh) {
    for (const auto& peer : fresh.peers)
        if (const auto put = services_->put_peer(push_of(peer, has_key_), PeerSource::Config); !put)
            log().error("reload: a peer is refused: {} peer={}", put.error().detail, peer.id);
    for (const auto& peer : config_.peers)
        if (std::ranges::find(fresh.peers, peer.id, &config::Peer::id) == fresh.peers.end())
            (void)services_->erase_peer(peer.id, PeerSource::Config);
    const auto& was = config_.tunnel;
    if (was.mtu != fresh.tunnel.mtu || was.security != fresh.tunnel.security || was.psk_file != fresh.tunnel.psk_file)
        log().warn("reload: tunnel.mtu, tunnel.security and tunnel.psk_file take effect at the next start");
    spdlog::set_level(static_cast<spdlog::level::level_enum>(fresh.log.level));
    config_ = fresh;
    sessions_->peers_changed();
    publish();
}

// ---- Threads and turns ----------------------------------------------------------------------------------------------

void Node::give_turn() {
    turn_taken_ = false;
    if (!turn_queue_.empty()) turn_queue_.front()->cancel();
}

asio::awaitable<Answer<Node::Turn>> Node::take_turn() {
    if (turn_queue_.size() >= kMaxWaitingCalls) co_return std::unexpected(busy());
    if (turn_taken_ || !turn_queue_.empty()) {
        auto alarm = std::make_shared<asio::steady_timer>(io_, asio::steady_timer::time_point::max());
        turn_queue_.push_back(alarm);
        while (!stopping_ && (turn_taken_ || turn_queue_.front() != alarm)) {
            boost::system::error_code woken;
            co_await alarm->async_wait(asio::redirect_error(asio::use_awaitable, woken));
        }
        std::erase(turn_queue_, alarm);
    }
    if (stopping_) co_return std::unexpected(busy());
    turn_taken_ = true;
    co_return Turn(*this);
}

void Node::publish() {
    if (forwarding_) forwarding_->publish(services_->tables());
}

void Node::announce(const std::string& type, Json data) {
    events_.add(type, json::serialize(data));
}

void Node::announce_instance(const std::string& type, const Deployment& deployment) {
    announce(type, {{"id", deployment.id},
                    {"service", deployment.service},
                    {"number", deployment.number},
                    {"ns_address", deployment.address.to_string()}});
}

// Changes that a client need not wait for: written in order, a failure is logged.
void Node::persist(std::function<Result<void>(Journal&)> change) {
    asio::post(side_, [this, change = std::move(change)] {
        if (const auto done = change(*journal_); !done)
            log().error("the journal could not be written err=\"{}\"", done.error().text());
    });
}

}  // namespace weft::control
