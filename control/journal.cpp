// SPDX-License-Identifier: Apache-2.0
#include "control/journal.hpp"

#include <array>
#include <charconv>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include "dataplane/base/check.hpp"
#include "dataplane/base/unique_fd.hpp"

namespace weft::control {

namespace {

constexpr int kSchemaVersion = 1;
// "weft" in the database header, so that somebody else's SQLite file is not taken for ours.
constexpr int kApplicationId = 0x77656674;

constexpr const char* kSchema = R"(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE registration (
    one INTEGER PRIMARY KEY CHECK (one = 1), subnet TEXT NOT NULL, subnet_v6 TEXT NOT NULL,
    client_id TEXT NOT NULL, cluster_address TEXT NOT NULL);
CREATE TABLE deployments (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, container_kind INTEGER NOT NULL, container_name TEXT NOT NULL,
    container_pid INTEGER NOT NULL, pid INTEGER NOT NULL, pid_start INTEGER NOT NULL, netns_device INTEGER NOT NULL,
    netns_inode INTEGER NOT NULL, owns_netns INTEGER NOT NULL, service TEXT NOT NULL, number INTEGER NOT NULL,
    service_ips TEXT NOT NULL, advertised TEXT NOT NULL, address TEXT NOT NULL, address_v6 TEXT NOT NULL,
    veth TEXT NOT NULL, created_ms INTEGER NOT NULL, ports TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE services (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE peers (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE port_forwards (id TEXT PRIMARY KEY, instance TEXT NOT NULL, port TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sysctls (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
)";

std::string read_boot_id() {
    const UniqueFd file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    std::array<char, 64> buffer{};
    const auto size = file ? ::read(file.get(), buffer.data(), buffer.size()) : 0;
    std::string id(buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!id.empty() && id.back() == '\n')
        id.pop_back();
    return id;
}

// "tcp:8080:80", several joined by ";".
std::string write_ports(const std::vector<PortMapping>& mappings) {
    std::string text;
    for (const PortMapping& mapping : mappings)
        text += fmt::format("{}{}:{}:{}", text.empty() ? "" : ";", mapping.protocol == L4::Tcp ? "tcp" : "udp",
                            mapping.host_port, mapping.container_port);
    return text;
}

std::optional<std::uint16_t> read_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
    return port;
}

std::optional<std::vector<PortMapping>> read_ports(std::string_view text) {
    std::vector<PortMapping> mappings;
    while (!text.empty()) {
        const auto item = text.substr(0, text.find(';'));
        text.remove_prefix(std::min(text.size(), item.size() + 1));
        if (item.size() < 5 || item[3] != ':') return std::nullopt;
        const auto protocol = item.substr(0, 3);
        if (protocol != "tcp" && protocol != "udp") return std::nullopt;
        const auto numbers = item.substr(4);
        const auto colon = numbers.find(':');
        if (colon == numbers.npos) return std::nullopt;
        const auto host = read_port(numbers.substr(0, colon)), inside = read_port(numbers.substr(colon + 1));
        if (!host || !inside) return std::nullopt;
        mappings.push_back({*host, *inside, protocol == "tcp" ? L4::Tcp : L4::Udp});
    }
    return mappings;
}

// "" stands for none.
bool read_address(const std::string& text, int version, net::IpAddress& address) {
    if (text.empty()) {
        address = {};
        return true;
    }
    const auto parsed = net::IpAddress::parse(text);
    if (!parsed || parsed->version() != version) return false;
    address = *parsed;
    return true;
}

std::string write_address(const net::IpAddress& address) {
    return address.is_unspecified() ? std::string() : address.to_string();
}

}  // namespace

// One prepared statement; columns are read after next() said there is a row.
class Journal::Statement {
  public:
    Statement(Journal& journal, sqlite3_stmt* statement) : journal_(journal), statement_(statement) {}

    Statement& text(std::string_view value) {
        WEFT_CHECK(sqlite3_bind_text64(statement_.get(), ++bound_, value.data(), value.size(), SQLITE_TRANSIENT,
                                       SQLITE_UTF8) == SQLITE_OK,
                   "a statement has a place for each value");
        return *this;
    }
    Statement& number(std::int64_t value) {
        WEFT_CHECK(sqlite3_bind_int64(statement_.get(), ++bound_, value) == SQLITE_OK,
                   "a statement has a place for each value");
        return *this;
    }
    // True: there is a row. False: done.
    Result<bool> next() {
        const int status = sqlite3_step(statement_.get());
        if (status == SQLITE_ROW) return true;
        if (status == SQLITE_DONE) return false;
        return std::unexpected(journal_.failure(sqlite3_sql(statement_.get())));
    }
    Result<void> finish() {
        const auto stepped = next();
        if (!stepped) return std::unexpected(stepped.error());
        return {};
    }
    [[nodiscard]] std::string text_at(int column) const {
        const void* bytes = sqlite3_column_blob(statement_.get(), column);
        const int size = sqlite3_column_bytes(statement_.get(), column);
        return bytes ? std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size)) : std::string();
    }
    [[nodiscard]] std::int64_t number_at(int column) const { return sqlite3_column_int64(statement_.get(), column); }

  private:
    // Statements stay prepared with the journal; leaving the scope makes this one ready for its next use.
    struct Reset {
        void operator()(sqlite3_stmt* statement) const {
            sqlite3_reset(statement);
            sqlite3_clear_bindings(statement);
        }
    };
    Journal& journal_;
    std::unique_ptr<sqlite3_stmt, Reset> statement_;
    int bound_ = 0;
};

void Journal::CloseDatabase::operator()(sqlite3* database) const {
    while (sqlite3_stmt* statement = sqlite3_next_stmt(database, nullptr))
        sqlite3_finalize(statement);
    sqlite3_close(database);
}

Journal::~Journal() = default;

Error Journal::failure(const std::string& attempt) const {
    return Error(ErrorCode::System, fmt::format("journal {}: {}: {}", path_, attempt,
                                                database_ ? sqlite3_errmsg(database_.get()) : "not open"));
}

Result<std::unique_ptr<Journal>> Journal::open(const std::string& path) {
    std::unique_ptr<Journal> journal(new Journal(path));
    if (auto attached = journal->attach(); !attached) {
        journal->statements_.clear();
        journal->database_.reset();
        if (attached.error().code() != ErrorCode::BadInput) return std::unexpected(attached.error());
        // Better a node that begins anew and says so than one that does not start: what the old journal knew of links
        // is found again by their group, and the file is kept for a human.
        std::string aside;
        for (int i = 1; aside.empty() || std::filesystem::exists(aside); ++i)
            aside = fmt::format("{}.set-aside-{}", path, i);
        if (std::rename(path.c_str(), aside.c_str()) != 0)
            return std::unexpected(Error::system(fmt::format("set {} aside", path)));
        for (const char* part : {"-wal", "-shm"})
            (void)std::rename((path + part).c_str(), (aside + part).c_str());
        journal->complaints_.push_back(fmt::format(
            "{}; it is kept as {}, and a new journal begins: registration, instances and pushed services are forgotten",
            attached.error().text(), aside));
        if (auto again = journal->attach(); !again) return std::unexpected(again.error());
    }
    if (auto noted = journal->note_start(); !noted) return std::unexpected(noted.error());
    return journal;
}

// BadInput: the file is not a journal of ours; anything else is the system's fault and leaves the file where it is.
Result<void> Journal::attach() {
    sqlite3* raw = nullptr;
    const int opened = sqlite3_open_v2(path_.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    database_.reset(raw);
    if (opened != SQLITE_OK) return std::unexpected(failure("open"));
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, 2000);

    const auto number = [&](const char* sql) -> Result<std::int64_t> {
        auto statement = prepare(sql);
        if (!statement) return std::unexpected(statement.error());
        const auto row = statement->next();
        if (!row) return std::unexpected(row.error());
        return *row ? statement->number_at(0) : 0;
    };
    const auto not_ours = [&](const Error& error) -> Error {
        const int code = sqlite3_errcode(raw) & 0xFF;
        if (code != SQLITE_NOTADB && code != SQLITE_CORRUPT) return error;
        return Error(ErrorCode::BadInput, error.text());
    };
    const auto tables = number("SELECT count(*) FROM sqlite_master");
    if (!tables) return std::unexpected(not_ours(tables.error()));
    // NORMAL: a commit is in the page cache, so it outlives kill -9, and the log makes sure that a power failure loses
    // the last commits at most, never the file. What those told of the kernel a power failure has undone as well.
    for (const char* pragma : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON"})
        if (auto set = execute(pragma); !set) return std::unexpected(not_ours(set.error()));

    if (*tables == 0) {
        const auto create = fmt::format("BEGIN IMMEDIATE;{}PRAGMA application_id={};PRAGMA user_version={};COMMIT",
                                        kSchema, kApplicationId, kSchemaVersion);
        return execute(create.c_str());
    }
    const auto application = number("PRAGMA application_id"), version = number("PRAGMA user_version");
    if (!application) return std::unexpected(application.error());
    if (!version) return std::unexpected(version.error());
    if (*application != kApplicationId)
        return std::unexpected(Error(ErrorCode::BadInput, fmt::format("{} is a database of another program", path_)));
    if (*version != kSchemaVersion)
        return std::unexpected(Error(ErrorCode::BadInput, fmt::format("{} has schema version {}, this weftd knows {}",
                                                                      path_, *version, kSchemaVersion)));
    auto check = prepare("PRAGMA quick_check(1)");
    if (!check) return std::unexpected(not_ours(check.error()));
    const auto checked = check->next();
    if (!checked) return std::unexpected(not_ours(checked.error()));
    if (check->text_at(0) != "ok")
        return std::unexpected(Error(ErrorCode::BadInput, fmt::format("{} is damaged: {}", path_, check->text_at(0))));
    return {};
}

Result<void> Journal::note_start() {
    const auto before = meta("start_number"), boot = meta("boot_id");
    if (!before) return std::unexpected(before.error());
    if (!boot) return std::unexpected(boot.error());
    std::uint64_t number = 0;
    if (*before) std::from_chars((*before)->data(), (*before)->data() + (*before)->size(), number);
    start_number_ = number + 1;
    const std::string boot_id = read_boot_id();
    is_new_boot_ = boot->has_value() && **boot != boot_id;
    if (auto put = put_meta("start_number", fmt::format("{}", start_number_)); !put) return put;
    return put_meta("boot_id", boot_id);
}

Result<void> Journal::execute(const char* sql) {
    if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
    return std::unexpected(failure(std::string(sql).substr(0, 40)));
}

Result<Journal::Statement> Journal::prepare(const char* sql) {
    auto& kept = statements_[sql];
    if (!kept && sqlite3_prepare_v3(database_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &kept, nullptr) != SQLITE_OK)
        return std::unexpected(failure(sql));
    return Statement(*this, kept);
}

Result<void> Journal::run(const char* sql, std::initializer_list<std::string_view> values) {
    auto statement = prepare(sql);
    if (!statement) return std::unexpected(statement.error());
    for (const auto value : values)
        statement->text(value);
    return statement->finish();
}

Result<std::optional<Registration>> Journal::registration() {
    auto statement = prepare("SELECT subnet, subnet_v6, client_id, cluster_address FROM registration");
    if (!statement) return std::unexpected(statement.error());
    const auto row = statement->next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return std::nullopt;
    const auto subnet = net::Prefix::parse(statement->text_at(0));
    const auto subnet_v6 = net::Prefix::parse(statement->text_at(1));
    const bool sound = subnet && subnet->address.is_v4() && subnet->length >= 16 && subnet->length <= 29 &&
                       (statement->text_at(1).empty() || (subnet_v6 && subnet_v6->address.is_v6()));
    if (!sound) {
        complaints_.push_back(fmt::format("journal {}: the registration makes no sense and is left out", path_));
        return std::nullopt;
    }
    return Registration{*subnet, subnet_v6, statement->text_at(2), statement->text_at(3)};
}

Result<void> Journal::put_registration(const Registration& registration) {
    return run("INSERT OR REPLACE INTO registration VALUES (1, ?, ?, ?, ?)",
               {registration.subnet.to_string(), registration.subnet_v6 ? registration.subnet_v6->to_string() : "",
                registration.client_id, registration.cluster_address});
}

Result<void> Journal::erase_registration() {
    return run("DELETE FROM registration", {});
}

std::optional<Deployment> Journal::read_deployment(const Statement& row) {
    Deployment deployment{.id = row.text_at(0)};
    const auto state = parse_deployment_state(row.text_at(1));
    const auto kind = row.number_at(2);
    const auto number = row.number_at(11);
    const std::string advertised = row.text_at(13);
    const auto ports = read_ports(row.text_at(18));
    const bool sound = !deployment.id.empty() && state && kind >= 0 && kind <= 2 && number >= 0 &&
                       number <= UINT32_MAX && std::in_range<int>(row.number_at(4)) &&
                       std::in_range<int>(row.number_at(5)) && ports &&
                       read_address(row.text_at(14), 4, deployment.address) &&
                       read_address(row.text_at(15), 6, deployment.address_v6) &&
                       (advertised.empty() || net::Endpoint::parse(advertised)) &&
                       (kind != static_cast<int>(ContainerRef::Kind::Netns) || is_netns_name(row.text_at(3)));
    if (!sound) {
        complaints_.push_back(
            fmt::format("journal {}: deployment {} makes no sense and is left out", path_, deployment.id));
        return std::nullopt;
    }
    deployment.state = *state;
    deployment.container = {static_cast<ContainerRef::Kind>(kind), row.text_at(3), static_cast<int>(row.number_at(4))};
    deployment.pid = static_cast<int>(row.number_at(5));
    deployment.pid_start = static_cast<std::uint64_t>(row.number_at(6));
    deployment.netns = {static_cast<std::uint64_t>(row.number_at(7)), static_cast<std::uint64_t>(row.number_at(8))};
    deployment.owns_netns = row.number_at(9) != 0;
    deployment.service = row.text_at(10);
    deployment.number = static_cast<std::uint32_t>(number);
    deployment.service_ips_json = row.text_at(12);
    deployment.advertised = net::Endpoint::parse(advertised);
    deployment.veth = row.text_at(16);
    deployment.created_ms = row.number_at(17);
    deployment.port_mappings = *ports;
    return deployment;
}

Result<std::vector<Deployment>> Journal::deployments() {
    auto statement = prepare(
        "SELECT id, state, container_kind, container_name, container_pid, pid, pid_start, netns_device, netns_inode, "
        "owns_netns, service, number, service_ips, advertised, address, address_v6, veth, created_ms, ports "
        "FROM deployments ORDER BY id");
    if (!statement) return std::unexpected(statement.error());
    std::vector<Deployment> found;
    while (true) {
        const auto row = statement->next();
        if (!row) return std::unexpected(row.error());
        if (!*row) return found;
        if (auto deployment = read_deployment(*statement)) found.push_back(std::move(*deployment));
    }
}

Result<void> Journal::put_deployment(const Deployment& d) {
    auto statement = prepare(
        "INSERT OR REPLACE INTO deployments (id, state, container_kind, container_name, container_pid, pid, pid_start, "
        "netns_device, netns_inode, owns_netns, service, number, service_ips, advertised, address, address_v6, veth, "
        "created_ms, ports) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    if (!statement) return std::unexpected(statement.error());
    statement->text(d.id).text(to_string(d.state)).number(static_cast<int>(d.container.kind)).text(d.container.name);
    statement->number(d.container.pid).number(d.pid).number(static_cast<std::int64_t>(d.pid_start));
    statement->number(static_cast<std::int64_t>(d.netns.device)).number(static_cast<std::int64_t>(d.netns.inode));
    statement->number(d.owns_netns ? 1 : 0).text(d.service).number(d.number).text(d.service_ips_json);
    statement->text(d.advertised ? d.advertised->to_string() : "").text(write_address(d.address));
    statement->text(write_address(d.address_v6)).text(d.veth).number(d.created_ms).text(write_ports(d.port_mappings));
    return statement->finish();
}

Result<void> Journal::set_deployment_state(const std::string& id, DeploymentState state) {
    return run("UPDATE deployments SET state = ? WHERE id = ?", {to_string(state), id});
}

Result<void> Journal::erase_deployment(const std::string& id) {
    return run("DELETE FROM deployments WHERE id = ?", {id});
}

Result<std::vector<NamedJson>> Journal::pairs(const char* sql) {
    auto statement = prepare(sql);
    if (!statement) return std::unexpected(statement.error());
    std::vector<NamedJson> found;
    while (true) {
        const auto row = statement->next();
        if (!row) return std::unexpected(row.error());
        if (!*row) return found;
        found.push_back({statement->text_at(0), statement->text_at(1)});
    }
}

Result<std::vector<NamedJson>> Journal::services() {
    return pairs("SELECT name, json FROM services ORDER BY name");
}
Result<void> Journal::put_service(const NamedJson& service) {
    return run("INSERT OR REPLACE INTO services VALUES (?, ?)", {service.name, service.json});
}
Result<void> Journal::erase_service(const std::string& name) {
    return run("DELETE FROM services WHERE name = ?", {name});
}

Result<std::vector<NamedJson>> Journal::peers() {
    return pairs("SELECT name, json FROM peers ORDER BY name");
}
Result<void> Journal::put_peer(const NamedJson& peer) {
    return run("INSERT OR REPLACE INTO peers VALUES (?, ?)", {peer.name, peer.json});
}
Result<void> Journal::erase_peer(const std::string& id) {
    return run("DELETE FROM peers WHERE name = ?", {id});
}

Result<std::vector<PortForward>> Journal::port_forwards() {
    auto statement = prepare("SELECT id, instance, port FROM port_forwards ORDER BY id");
    if (!statement) return std::unexpected(statement.error());
    std::vector<PortForward> found;
    while (true) {
        const auto row = statement->next();
        if (!row) return std::unexpected(row.error());
        if (!*row) return found;
        const auto ports = read_ports(statement->text_at(2));
        if (ports && ports->size() == 1)
            found.push_back({statement->text_at(0), statement->text_at(1), ports->front()});
        else
            complaints_.push_back(fmt::format("journal {}: port forward {} makes no sense and is left out", path_,
                                              statement->text_at(0)));
    }
}

Result<void> Journal::set_port_forwards(const std::vector<PortForward>& forwards) {
    const auto replace = [&]() -> Result<void> {
        if (auto cleared = run("DELETE FROM port_forwards", {}); !cleared) return cleared;
        for (const PortForward& forward : forwards)
            if (auto put = run("INSERT INTO port_forwards VALUES (?, ?, ?)",
                               {forward.id, forward.instance, write_ports({forward.mapping})});
                !put)
                return put;
        return execute("COMMIT");
    };
    if (auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
    auto replaced = replace();
    if (!replaced) (void)execute("ROLLBACK");
    return replaced;
}

Result<std::vector<NamedJson>> Journal::sysctls() {
    return pairs("SELECT name, json FROM sysctls ORDER BY name");
}
Result<void> Journal::remember_sysctl(const std::string& path, const std::string& before) {
    return run("INSERT OR IGNORE INTO sysctls VALUES (?, ?)", {path, before});
}
Result<void> Journal::forget_sysctls() {
    return run("DELETE FROM sysctls", {});
}

Result<std::optional<std::string>> Journal::meta(const std::string& key) {
    auto statement = prepare("SELECT value FROM meta WHERE key = ?");
    if (!statement) return std::unexpected(statement.error());
    const auto row = statement->text(key).next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return std::nullopt;
    return statement->text_at(0);
}

Result<void> Journal::put_meta(const std::string& key, const std::string& value) {
    return run("INSERT OR REPLACE INTO meta VALUES (?, ?)", {key, value});
}

}  // namespace weft::control
