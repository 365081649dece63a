// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "config/config.hpp"
#include "control/deployment.hpp"
#include "control/docker_client.hpp"
#include "control/environment.hpp"
#include "control/event_log.hpp"
#include "control/forwarding.hpp"
#include "control/journal.hpp"
#include "control/node_api.hpp"
#include "control/service_model.hpp"
#include "control/session_keeper.hpp"
#include "overlay/host_cache.hpp"
#include "overlay/route.hpp"

namespace weft::control {

// The life of one node: what was registered and deployed, kept in step between the journal, the kernel, the tables and
// the API. Everything that blocks (kernel, SQLite) runs on one side thread, one job at a time; the rest is on the
// control thread.
//
// Threading: control, but for the jobs named above. Errors: Problem for clients, Error for start-up.
class Node final : public NodeApi {
  public:
    // Start-up in the order of reliability: journal, tables, flows, TUN, socket, worker, handshakes, kernel, then
    // ready.
    static Result<std::unique_ptr<Node>> start(boost::asio::io_context& io, const config::Config& config);
    ~Node() override;
    // A clean stop: the worker ends, everything else stays for the next start.
    void stop();
    // Reload: what takes effect without a restart. `fresh` was loaded and checked.
    void reload(const config::Config& fresh);
    // Removes everything that this node made. Needs no running node.
    static Result<void> teardown(const config::Config& config);

    Task<void> register_node(RegisterRequest request) override;
    Task<DeployAnswer> deploy(DeployRequest request) override;
    Task<void> undeploy(UndeployRequest request) override;

    [[nodiscard]] bool is_healthy() const override;
    Json status_view() override;
    Json node_view() override;
    Task<void> unregister_node() override;
    Json services_view() override;
    Answer<Json> service_view(const std::string& name) override;
    Answer<bool> put_service(ServicePush push) override;
    Answer<void> delete_service(const std::string& name) override;
    Json instances_view() override;
    Answer<Json> instance_view(const std::string& id) override;
    Task<void> undeploy_id(std::string id) override;
    Json flows_view(const FlowQuery& query) override;
    Answer<void> delete_flow(const std::string& id) override;
    Json peers_view() override;
    Answer<Json> peer_view(const std::string& id) override;
    Answer<bool> put_peer(PeerPush push) override;
    Answer<void> delete_peer(const std::string& id) override;
    Json port_forwards_view() override;
    Task<Json> add_port_forward(PortForwardRequest request) override;
    Task<void> delete_port_forward(std::string id) override;
    Json counters_view() override;
    Json drops_view() override;
    Answer<Json> trace(const TraceRequest& request) override;
    std::string metrics_text() override;
    Events events_after(std::uint64_t after) override { return events_.after(after); }
    [[nodiscard]] std::uint64_t last_event() const override { return events_.last(); }
    std::uint64_t subscribe(std::function<void()> wait) override { return events_.subscribe(std::move(wait)); }
    void unsubscribe(std::uint64_t subscription) override { events_.unsubscribe(subscription); }

  private:
    Node(boost::asio::io_context& io, const config::Config& config);

    // Start-up, in order.
    Result<void> open_journal();
    Result<void> open_environment();
    Result<void> restore_services();
    Result<void> start_forwarding();
    Result<void> restore_kernel();
    void start_timers();

    // One job on the side thread, awaited without blocking control.
    // g++ 12 destroys closures twice that are written inside a co_await expression: give `work` a name first.
    template <class Work>
    auto on_side_thread(Work work) -> boost::asio::awaitable<decltype(work())>;
    // Only one change of registration or deployments at a time; 503 `busy` when too many wait.
    class Turn {
      public:
        explicit Turn(Node& node) : node_(&node) {}
        Turn(Turn&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;
        ~Turn() {
            if (node_) node_->give_turn();
        }

      private:
        Node* node_;
    };
    void give_turn();
    boost::asio::awaitable<Answer<Turn>> take_turn();

    Answer<Registration> check_registration(const RegisterRequest& request) const;
    void adopt_registration(const Registration& registration);
    void adopt_deployment(const Deployment& deployment);
    boost::asio::awaitable<Answer<DeployAnswer>> deploy_in_turn(DeployRequest request, int docker_pid);
    std::optional<Answer<DeployAnswer>> settle_with_existing(DeployRequest& request, int docker_pid,
                                                             std::string& replaces);
    boost::asio::awaitable<Answer<void>> undeploy_in_turn(std::string id);
    [[nodiscard]] DeployAnswer answer_for(const Deployment& deployment) const;
    [[nodiscard]] std::vector<const Deployment*> matching(const UndeployRequest& request) const;
    void replace_deployments(std::vector<Deployment> fresh);
    [[nodiscard]] const Deployment* find_deployment(const std::string& id) const;
    [[nodiscard]] net::Endpoint advertised() const;
    [[nodiscard]] Json render(const Deployment& deployment) const;
    [[nodiscard]] Json render(const PeerEntry& peer) const;

    boost::asio::awaitable<void> watch_containers();
    boost::asio::awaitable<void> mend();
    boost::asio::awaitable<void> keep_peers();
    void publish();
    void announce(const std::string& type, Json data);
    void announce_instance(const std::string& type, const Deployment& deployment);
    void persist(std::function<Result<void>(Journal&)> change);

    boost::asio::io_context& io_;
    config::Config config_;
    net::IpAddress tunnel_address_;
    std::uint16_t inner_mtu_ = 1440;
    std::uint32_t underlay_mtu_ = 1500;
    bool has_key_ = false;

    std::unique_ptr<Journal> journal_;          // side thread
    std::unique_ptr<Environment> environment_;  // side thread
    std::unique_ptr<Deployments> deployments_;  // side thread
    std::vector<Deployment> deployed_;          // control's copy, as of the last change
    std::vector<PortForward> forwards_;         // control's copy
    std::optional<Registration> registration_;

    std::unique_ptr<ServiceModel> services_;
    std::unique_ptr<Forwarding> forwarding_;
    std::unique_ptr<SessionKeeper> sessions_;
    std::unique_ptr<DockerClient> docker_;
    EventLog events_;
    std::uint64_t unknown_services_ = 0;

    boost::asio::thread_pool side_{1};
    bool turn_taken_ = false;
    std::deque<std::shared_ptr<boost::asio::steady_timer>> turn_queue_;
    std::vector<std::string> troubles_;   // what is degraded now, for status
    overlay::HostCache nothing_learned_;  // a trace knows the tables only
    TimePoint started_;
    bool stopping_ = false;
};

template <class Work>
auto Node::on_side_thread(Work work) -> boost::asio::awaitable<decltype(work())> {
    struct Job {
        boost::asio::steady_timer alarm;
        std::optional<decltype(work())> outcome;
        bool is_done = false;  // control's: the outcome is complete
    };
    auto job = std::make_shared<Job>(
        Job{boost::asio::steady_timer(io_, boost::asio::steady_timer::time_point::max()), {}, false});
    boost::asio::post(side_, [this, job, work = std::move(work)]() mutable {
        job->outcome.emplace(work());
        boost::asio::post(io_, [job] {
            job->is_done = true;
            job->alarm.cancel();
        });
    });
    boost::system::error_code woken;
    while (!job->is_done)
        co_await job->alarm.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, woken));
    co_return std::move(*job->outcome);
}

}  // namespace weft::control
