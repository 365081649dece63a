// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/deployment_record.hpp"
#include "dataplane/base/error.hpp"
#include "dataplane/net/address.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace weft::control {

struct Registration {
    net::Prefix subnet;
    std::optional<net::Prefix> subnet_v6;
    std::string client_id;
    std::string cluster_address;
    friend bool operator==(const Registration&, const Registration&) = default;
};

// A name and the JSON document that was put under it.
struct NamedJson {
    std::string name;
    std::string json;
    friend bool operator==(const NamedJson&, const NamedJson&) = default;
};

// What this node meant to do and did, in `state_dir`/journal.db: it is what makes a deploy a transaction and a restart
// unnoticed. Every call is one committed change.
//
// The file is input like any other: what is read is checked, and a row that makes no sense is left out and told by
// `complaints()`. A file that is no journal, damaged, or of another version is set aside under another name (never
// deleted), a new one is begun, and that is told too.
//
// Threading: one thread (the environment's). Errors: System with SQLite's own words.
class Journal {
  public:
    static Result<std::unique_ptr<Journal>> open(const std::string& path);
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    // Counts the starts on this journal, from 1; raised by open().
    [[nodiscard]] std::uint64_t start_number() const { return start_number_; }
    // The kernel was booted since the last open(): every namespace, link and rule in here is history.
    [[nodiscard]] bool is_new_boot() const { return is_new_boot_; }
    // One sentence each, for the log. Grows while reading.
    [[nodiscard]] const std::vector<std::string>& complaints() const { return complaints_; }

    Result<std::optional<Registration>> registration();
    Result<void> put_registration(const Registration& registration);
    Result<void> erase_registration();

    Result<std::vector<Deployment>> deployments();  // by id
    Result<void> put_deployment(const Deployment& deployment);
    Result<void> set_deployment_state(const std::string& id, DeploymentState state);
    Result<void> erase_deployment(const std::string& id);

    Result<std::vector<NamedJson>> services();  // pushed services
    Result<void> put_service(const NamedJson& service);
    Result<void> erase_service(const std::string& name);

    Result<std::vector<NamedJson>> peers();  // pushed peers
    Result<void> put_peer(const NamedJson& peer);
    Result<void> erase_peer(const std::string& id);

    Result<std::vector<PortForward>> port_forwards();
    Result<void> set_port_forwards(const std::vector<PortForward>& forwards);  // the whole set

    // Kernel settings as they were before weft changed them. The first remembered value of a path stays.
    Result<std::vector<NamedJson>> sysctls();  // name: path below /proc/sys, json: the value
    Result<void> remember_sysctl(const std::string& path, const std::string& before);
    Result<void> forget_sysctls();

    Result<std::optional<std::string>> meta(const std::string& key);
    Result<void> put_meta(const std::string& key, const std::string& value);

  private:
    class Statement;
    struct CloseDatabase {
        void operator()(sqlite3* database) const;
    };

    explicit Journal(std::string path) : path_(std::move(path)) {}
    Result<void> attach();  // opens, checks, brings the schema up; the caller sets a bad file aside
    Result<void> note_start();
    Result<void> execute(const char* sql);
    Result<Statement> prepare(const char* sql);
    Result<void> run(const char* sql, std::initializer_list<std::string_view> values);
    Result<std::vector<NamedJson>> pairs(const char* sql);
    Error failure(const std::string& attempt) const;
    std::optional<Deployment> read_deployment(const Statement& row);

    std::string path_;
    std::unique_ptr<sqlite3, CloseDatabase> database_;
    std::map<const char*, sqlite3_stmt*> statements_;  // prepared once; by the text's own place. Owned by database_
    std::uint64_t start_number_ = 0;
    bool is_new_boot_ = false;
    std::vector<std::string> complaints_;
};

}  // namespace weft::control
