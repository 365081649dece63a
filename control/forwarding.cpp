// SPDX-License-Identifier: Apache-2.0
#include "control/forwarding.hpp"

#include <fstream>

#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base/log.hpp"
#include "dataplane/eal.hpp"
#include "dataplane/port_tun.hpp"
#include "dataplane/port_udp.hpp"
#include "dataplane/ring.hpp"
#include "dataplane/snapshot.hpp"
#include "dataplane/worker.hpp"
#include "overlay/proxy.hpp"

namespace weft::control {

namespace {

constexpr unsigned kEvents = 4096;
constexpr unsigned kFrames = 256;
constexpr unsigned kCommands = 1024;

SpinMode spin_mode(config::Spin spin) {
    switch (spin) {
        case config::Spin::Off:
            return SpinMode::Off;
        case config::Spin::Always:
            return SpinMode::Always;
        case config::Spin::Auto:
            break;
    }
    return SpinMode::Auto;
}

Result<std::string> boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    if (!std::getline(file, id))
        return std::unexpected(Error(ErrorCode::System, "read /proc/sys/kernel/random/boot_id: nothing there"));
    return id;
}

// The rings and the snapshot between control and the one worker. Its worker side is a ControlChannel.
class Channel final : public overlay::ControlChannel {
  public:
    explicit Channel(std::shared_ptr<const overlay::Tables> first)
        : cell_(std::move(first)), reader_(cell_.reader(0)), fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

    // The worker's side.
    const overlay::Tables& tables() override {
        reader_.online();
        return *reader_.read();
    }
    void quiescent() override {
        reader_.offline();
        if (std::exchange(has_news_, false)) wake_control();
    }
    bool report(const overlay::Event& event) override {
        const bool queued = events_.push(event);
        if (!queued) lost_.add();
        has_news_ = true;
        return queued;
    }
    bool hand_over(const overlay::HandshakeFrame& frame) override {
        has_news_ = true;
        return frames_.push(frame);
    }
    bool next(overlay::Command& command) override {
        const auto taken = commands_.pop();
        if (taken) command = *taken;
        return taken.has_value();
    }

    // Control's side.
    void publish(std::shared_ptr<const overlay::Tables> tables) {
        cell_.publish(std::move(tables));
        cell_.reclaim();
    }
    void reclaim() { cell_.reclaim(); }
    const std::shared_ptr<const overlay::Tables>& current() const { return cell_.current(); }
    [[nodiscard]] bool command(const overlay::Command& command) { return commands_.push(command); }
    std::optional<overlay::Event> event() { return events_.pop(); }
    std::optional<overlay::HandshakeFrame> frame() { return frames_.pop(); }
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] std::uint64_t lost() const { return lost_.value(); }
    void drain_fd() {
        std::uint64_t count = 0;
        (void)!::read(fd_.get(), &count, sizeof(count));
    }

  private:
    void wake_control() {
        const std::uint64_t one = 1;
        (void)!::write(fd_.get(), &one, sizeof(one));
    }

    SnapshotCell<overlay::Tables> cell_;
    SnapshotCell<overlay::Tables>::Reader reader_;
    Ring<overlay::Event> events_{kEvents};
    Ring<overlay::HandshakeFrame> frames_{kFrames};
    Ring<overlay::Command> commands_{kCommands};
    UniqueFd fd_;
    Counter lost_;
    bool has_news_ = false;  // the worker's
};

class RunningForwarding final : public Forwarding {
  public:
    RunningForwarding(Options options, Eal eal) : options_(std::move(options)), eal_(std::move(eal)) {}
    ~RunningForwarding() override { stop(); }

    Result<void> open() {
        auto id = boot_id();
        if (!id) return std::unexpected(id.error());
        auto flows = overlay::FlowTable::open({.file = options_.run_dir + "/flows",
                                               .capacity = options_.flows_max,
                                               .node_id = options_.node_id,
                                               .boot_id = *id},
                                              BootClock::now());
        if (!flows) return std::unexpected(flows.error());
        flows_ = std::move(*flows);
        const auto& report = flows_->attach_report();
        if (!report.set_aside.empty())
            logger("control").warn("the flow file is set aside, flows start empty: {}", report.set_aside);
        if (report.kept + report.torn > 0)
            logger("control").info("flows found again: {}, torn: {}", report.kept, report.torn);
        auto tun = TunPort::create({.name = options_.tun_name}, eal_, counters_);
        if (!tun) return std::unexpected(tun.error());
        tun_ = std::move(*tun);
        auto udp = UdpPort::create({.bind = options_.tunnel}, eal_, counters_);
        if (!udp) return std::unexpected(udp.error());
        udp_ = std::move(*udp);
        return {};
    }

    void run(std::shared_ptr<const overlay::Tables> tables) override {
        channel_ = std::make_unique<Channel>(tables);
        // Slots and peer numbers were given anew at this start; what a flow was balanced to is known by its address.
        flows_->revalidate(
            [&](const overlay::Flow& opener) -> std::optional<std::pair<overlay::InstanceRef, overlay::PeerIndex>> {
                const auto* found = tables->by_namespace_ip.find(opener.rewrite.destination);
                if (!found) return std::nullopt;
                const bool inbound = opener.key.direction == overlay::Direction::Inbound;
                if (!inbound) return std::pair{(*found)->ref, (*found)->next_hop};
                const auto from = peer_of(*tables, opener.key.source);
                if (!from) return std::nullopt;
                return std::pair{(*found)->ref, *from};
            });
        proxy_ = std::make_unique<overlay::Proxy>(*channel_, *flows_, *tun_, *udp_, counters_);
        start_worker();
    }

    void stop() override { worker_.reset(); }

    void publish(std::shared_ptr<const overlay::Tables> tables) override {
        if (!channel_ || channel_->current() == tables) return;
        channel_->publish(std::move(tables));
        if (worker_) worker_->wake();
    }

    [[nodiscard]] int event_fd() const override { return channel_->fd(); }

    void take_events(const Listener& listener) override {
        channel_->drain_fd();
        while (const auto frame = channel_->frame())
            listener.handshake(*frame);
        while (const auto event = channel_->event())
            listener.event(*event);
        channel_->reclaim();
    }

    void probe(overlay::PeerIndex peer) override {
        command({.kind = overlay::Command::Kind::Probe, .peer = peer, .key = {}});
    }
    void erase_flow(const overlay::FlowKey& opener) override {
        command({.kind = overlay::Command::Kind::EraseFlow, .peer = overlay::kLocal, .key = opener});
    }
    void send(const net::Endpoint& to, std::span<const std::byte> datagram) override {
        // A handshake that cannot be sent is one that was lost: the handshaker tries again.
        if (const auto sent = udp_->send_now(to, datagram); !sent)
            logger("control").debug("handshake not sent: {}", sent.error().text());
    }

    [[nodiscard]] bool tun_lost() const override { return worker_ && worker_->is_tun_lost(); }

    Result<void> replace_tun() override {
        worker_->stop();
        const auto reopened = tun_->reopen();
        start_worker();
        return reopened;
    }

    [[nodiscard]] const Counters& counters() const override { return counters_; }
    [[nodiscard]] const overlay::FlowTable& flows() const override { return *flows_; }
    [[nodiscard]] std::uint64_t events_lost() const override { return channel_->lost(); }
    [[nodiscard]] std::string offloads() const override {
        return tun_->offloads().to_string() + (udp_->has_gso() ? ", udp_segment" : "") +
               (udp_->has_gro() ? ", udp_gro" : "");
    }

  private:
    static std::optional<overlay::PeerIndex> peer_of(const overlay::Tables& tables, const net::IpAddress& source) {
        if (const auto* instance = tables.by_namespace_ip.find(source)) return (*instance)->next_hop;
        if (const auto* face = tables.addresses.find(source); face && face->instance) return face->instance->next_hop;
        return tables.subnets.find(source);
    }

    void start_worker() {
        worker_ =
            std::make_unique<Worker>(*proxy_, *tun_, *udp_, WorkerOptions{.id = 0, .spin = spin_mode(options_.spin)});
        if (const auto started = worker_->start(); !started)
            logger("control").critical("the worker does not start: {}", started.error().text());
    }

    void command(const overlay::Command& command) {
        if (channel_->command(command)) worker_->wake();
    }

    Options options_;
    Eal eal_;
    Counters counters_;
    std::unique_ptr<overlay::FlowTable> flows_;
    std::unique_ptr<TunPort> tun_;
    std::unique_ptr<UdpPort> udp_;
    std::unique_ptr<Channel> channel_;
    std::unique_ptr<overlay::Proxy> proxy_;
    std::unique_ptr<Worker> worker_;
};

}  // namespace

Result<std::unique_ptr<Forwarding>> Forwarding::create(Options options) {
    auto eal = Eal::start({.run_dir = options.run_dir, .extra_args = options.eal_args});
    if (!eal) return std::unexpected(eal.error());
    auto running = std::make_unique<RunningForwarding>(std::move(options), std::move(*eal));
    if (const auto opened = running->open(); !opened) return std::unexpected(opened.error());
    return running;
}

}  // namespace weft::control
