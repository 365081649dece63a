// SPDX-License-Identifier: Apache-2.0
//
// weftd: the node process. Wiring only: flags, configuration, one lock, the node, the API, signals.
// Exit codes (contracts C): 0 clean stop, 1 failed while running, 2 wrong flag or configuration, 3 missing privilege or
// kernel feature, 4 run_dir, device name or port in use.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config/loader.hpp"
#include "control/api_server.hpp"
#include "control/log_sink.hpp"
#include "control/node.hpp"
#include "control/run_lock.hpp"
#include "dataplane/base/log.hpp"
#include "overlay/tunnel_crypto.hpp"

namespace {

using namespace weft;

enum ExitCode : int { kClean = 0, kFailed = 1, kBadConfiguration = 2, kNoPrivilege = 3, kInUse = 4 };

constexpr const char* kDefaultConfig = "/etc/weft/weftd.yaml";

int exit_code_of(const Error& error) {
    if (error.code() == ErrorCode::BadInput) return kBadConfiguration;
    if (error.code() == ErrorCode::Conflict) return kInUse;
    switch (error.system_errno()) {
        case EPERM:
        case EACCES:
        case ENODEV:
        case ENOSYS:
            return kNoPrivilege;
        case EBUSY:
        case EADDRINUSE:
        case EEXIST:
            return kInUse;
        default:
            return kFailed;
    }
}

int complain(const Error& error) {
    std::cerr << "weftd: " << error.text() << '\n';
    return exit_code_of(error);
}

void set_up_logging(const config::Log& log) {
    spdlog::set_default_logger(control::make_stderr_logger(log));
    spdlog::set_level(static_cast<spdlog::level::level_enum>(log.level));
}

Result<void> reload(config::Config& current, const config::Config& after, control::Node& node,
                    control::ApiServer& server) {
    const auto changes = config::changes(current, after);
    for (const auto& key : changes.need_restart)
        logger("control").warn("reload: {} takes effect at the next start", key);
    auto effective = config::reloaded(current, after);
    if (const auto done = server.reload(effective); !done) return done;
    node.reload(effective);
    current = std::move(effective);
    logger("control").info("reloaded");
    return {};
}

int run(const config::Loaded& loaded, const std::string& file) {
    boost::asio::io_context io(1);
    auto node = control::Node::start(io, loaded.config);
    if (!node) return complain(node.error());
    auto server = control::ApiServer::start(io, loaded.config, **node);
    if (!server) return complain(server.error());

    config::Config current = loaded.config;
    boost::asio::signal_set stop(io, SIGTERM, SIGINT);
    stop.async_wait([&](const boost::system::error_code&, int) { io.stop(); });
    boost::asio::signal_set hangup(io, SIGHUP);
    std::function<void()> wait_for_reload = [&] {
        hangup.async_wait([&](const boost::system::error_code& error, int) {
            if (error) return;
            const auto fresh = file.empty() ? config::load_default() : config::load(file);
            const auto done = fresh ? reload(current, fresh->config, **node, **server) : std::unexpected(fresh.error());
            if (!done) logger("control").error("reload refused, nothing changed: {}", done.error().text());
            wait_for_reload();
        });
    };
    wait_for_reload();
    logger("control").info("weftd {} is ready node={} run_dir={}", WEFT_VERSION, loaded.config.node.id,
                           loaded.config.run_dir);
    io.run();
    (*node)->stop();
    logger("control").info("stopped; namespaces, addresses, rules and flows stay for the next start");
    return kClean;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"weftd: the node process of weft, a userspace virtual switch with a TUN-based overlay"};
    std::string file;
    bool check = false;
    bool print = false;
    bool teardown = false;
    app.add_option("--config", file, std::string("configuration file (default ") + kDefaultConfig + ")");
    app.add_flag("--check-config", check, "parse and check the configuration, touch nothing");
    app.add_flag("--print-config", print, "print the effective values and where each came from");
    app.add_flag("--teardown", teardown, "stop a weftd on this run_dir and remove everything it made");
    app.set_version_flag("--version", std::string("weftd ") + WEFT_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? kClean : kBadConfiguration;
    }

    const auto loaded = file.empty() ? config::load_default() : config::load(file);
    if (!loaded) {
        std::cerr << "weftd: " << loaded.error().text() << '\n';
        return kBadConfiguration;
    }
    if (print) std::cout << config::print(*loaded);
    if (check || print) return kClean;

    if (const auto ciphers = overlay::self_test(); !ciphers) return complain(ciphers.error());
    ::umask(0077);
    ::prctl(PR_SET_DUMPABLE, 0);
    std::signal(SIGPIPE, SIG_IGN);
    set_up_logging(loaded->config.log);
    const auto lock =
        teardown ? control::RunLock::take_over(loaded->config.run_dir) : control::RunLock::take(loaded->config.run_dir);
    if (!lock) return complain(lock.error());
    std::error_code made;
    std::filesystem::create_directories(loaded->config.state_dir, made);
    if (made) return complain(Error(ErrorCode::System, "create " + loaded->config.state_dir + ": " + made.message()));
    if (!teardown) return run(*loaded, file);
    const auto removed = control::Node::teardown(loaded->config);
    return removed ? kClean : complain(removed.error());
}
