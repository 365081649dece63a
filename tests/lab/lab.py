# SPDX-License-Identifier: Apache-2.0
"""A lab: hosts and wires in namespaces, a real weftd on each host, driven by its REST API as an orchestrator would.

    lab.run(test)        called by each test file: enters fresh namespaces, calls test(lab), cleans up, checks

    host a, b, c         network namespaces a, b, c; each runs one weftd
        eth0 ─ veth ─┐
    bridge "wire"    ├─  in the lab's own first namespace, 192.168.77.1 and fd77::1
        eth0 ─ veth ─┘

Everything lives in network, mount and pid namespaces of its own, with a private /run: nothing of this machine is
touched, several labs may run side by side, and killing the first process ends all of it. Containers are network
namespaces too; a test makes its sockets inside them (`socket_in`) and uses them from its one process.

Waiting is always for a condition with a deadline (`eventually`). After each test: every packet has its named fate on every
node, and after undeploy and teardown the kernel is as it was before (`Fingerprint`).
"""
import base64
import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

REPOSITORY = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
SLOW = float(os.environ.get("WEFT_TEST_SLOW", "1"))
LIMIT = 60 * SLOW
SKIP = 77

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Failed(AssertionError):
    """What the test found to be wrong."""


def check(condition, message):
    if not condition:
        raise Failed(message() if callable(message) else message)


def equal(found, expected, what):
    check(found == expected, lambda: f"{what}: expected {expected!r}, found {found!r}")


def eventually(condition, deadline=5.0, what="condition"):
    """Polls until the condition answers something true, and returns that; at the deadline it fails with the last answer."""
    end = time.monotonic() + deadline * SLOW
    while True:
        last = condition()
        if last:
            return last
        check(time.monotonic() < end, lambda: f"{what}: not within {deadline} s; last answer {last!r}")
        time.sleep(0.01)  # poll interval


def sh(*command, **options):
    """Runs a program; fails loudly. Answers what it printed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    check(done.returncode == 0, lambda: f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def program(name):
    path = os.environ.get(name.upper()) or os.path.join(REPOSITORY, "build/bin", name)
    check(os.path.exists(path), f"{path} is missing; try: scripts/build")
    return path


def netns_path(name):
    return f"/run/netns/{name}"


@contextlib.contextmanager
def inside(name):
    """This thread works in the named network namespace for a while; sockets made here stay there."""
    with open("/proc/thread-self/ns/net") as home, open(netns_path(name)) as target:
        check(libc.setns(target.fileno(), CLONE_NEWNET) == 0, f"setns {name}: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            check(libc.setns(home.fileno(), CLONE_NEWNET) == 0, "setns back")


def socket_in(name, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
    with inside(name):
        made = socket.socket(family, kind, protocol)
    made.settimeout(10 * SLOW)
    return made


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    def __repr__(self):
        return f"{self.status} {self.body[:400].decode(errors='replace')}"


class Host:
    """One host: a namespace on the wire with a weftd in it. Number 0 is .11 with subnet 10.18.0.0/26, 1 is .12 ..."""

    def __init__(self, lab, name, number, config):
        self.lab, self.name, self.number = lab, name, number
        self.address, self.address_v6 = f"192.168.77.{11 + number}", f"fd77::{11 + number:x}"
        self.subnet = f"10.18.{number // 4}.{number % 4 * 64}"
        self.directory = os.path.join(lab.directory, name)
        self.run_dir, self.state_dir = (os.path.join(self.directory, d) for d in ("run", "state"))
        self.socket_path = os.path.join(self.run_dir, "weftd.sock")
        self.log_path = os.path.join(self.directory, "log")
        self.process = None
        os.makedirs(self.directory)
        self.config = {"node": {"id": name}, "state_dir": self.state_dir, "run_dir": self.run_dir,
                       "tunnel": {"address": self.address}, "log": {"level": "info"}}
        for section, values in config.items():
            self.config.setdefault(section, {}).update(values) if isinstance(values, dict) else self.config.update({section: values})
        self.config_path = os.path.join(self.directory, "weftd.yaml")
        with open(self.config_path, "w") as handle:
            json.dump(self.config, handle)  # JSON is YAML
        lab.plug_in(self)

    # The process.
    def command(self, *arguments):
        return ["nsenter", f"--net={netns_path(self.name)}", program("weftd"), "--config", self.config_path, *arguments]

    def start(self):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self._is_up, 10, f"weftd {self.name} up")

    def _is_up(self):
        code = self.process.poll()
        check(code is None, lambda: f"weftd {self.name} ended with {code}:\n{self.log_tail()}")
        try:
            return self.call("GET", "/v1/status").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self):
        """A clean stop; traffic goes on flowing in nobody's hands."""
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(10 * SLOW)
            self.process = None
            equal(code, 0, f"exit code of weftd {self.name} after SIGTERM")

    def kill(self):
        self.process.kill()
        self.process.wait(10 * SLOW)
        self.process = None

    def teardown(self):
        sh(*self.command("--teardown"), timeout=20 * SLOW)
        self.process = None

    @property
    def pid(self):
        return self.process.pid  # nsenter executes weftd in its own place

    def log_tail(self, lines=25):
        with open(self.log_path, errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    # The API.
    def call(self, method, path, body=None, raw=None):
        connection = UnixConnection(self.socket_path, timeout=10 * SLOW)
        try:
            data = raw if raw is not None else None if body is None else json.dumps(body)
            try:
                connection.request(method, path, body=data, headers={"Content-Type": "application/json"} if data is not None else {})
                reply = connection.getresponse()
            except BrokenPipeError:  # refused before all of the body was read; the answer is there all the same
                reply = http.client.HTTPResponse(connection.sock, method=method)
                reply.begin()
            return Answer(reply.status, dict(reply.getheaders()), reply.read())
        finally:
            connection.close()

    def ask(self, method, path, body=None):
        """A call that must succeed; answers its JSON."""
        answer = self.call(method, path, body)
        check(answer.status < 300, lambda: f"{self.name}: {method} {path} {json.dumps(body)}: {answer!r}\n{self.log_tail()}")
        return answer.json

    def get(self, path):
        return self.ask("GET", path)

    def register(self):
        self.ask("POST", "/register", {"subnetwork": self.subnet})

    def deploy(self, container, service, number=0, ips=(), **more):
        """ips: (type, address) or (type, address, address_v6). The answer's addresses are remembered for `lab.publish`."""
        body = {"containerId": container, "appName": service, "instanceNumber": number, "nodeIp": self.address, "nodePort": 50103,
                "serviceIp": [dict(zip(("IpType", "Address", "Address_v6"), ip)) for ip in ips], **more}
        answer = self.ask("POST", "/docker/deploy", body)
        self.lab.remember(self, service, number, ips, answer)
        return answer

    def undeploy(self, name):
        self.ask("POST", "/docker/undeploy", {"serviceName": name})

    def instances(self):
        return self.get("/v1/instances")["items"]

    def drops(self):
        return self.get("/v1/counters")["drops"]["by_reason"]

    def check_conservation(self):
        def balanced():
            c = self.get("/v1/counters")
            return c["rx"] == c["tx"] + c["drops"]["total"] + c["waiting"] and c["waiting"] == 0
        try:
            eventually(balanced, 3, "rx = tx + drops with nothing waiting")
        except Failed:
            raise Failed(f"{self.name}: not conserved: {json.dumps(self.get('/v1/counters'))}") from None


class Lab:
    def __init__(self, directory="/run/lab"):
        self.directory = directory
        os.makedirs(directory, mode=0o700, exist_ok=True)  # weftd takes keys only from a closed folder
        self.hosts, self.services, self.undo = [], {}, []
        self.key_file = None
        for setting in ("net/ipv6/conf/all/accept_dad", "net/ipv6/conf/default/accept_dad"):
            with open(f"/proc/sys/{setting}", "w") as handle:
                handle.write("0")
        sh("ip", "-batch", "-", input="link set lo up\nlink add wire type bridge\naddr add 192.168.77.1/24 dev wire\n"
                                      "addr add fd77::1/64 dev wire nodad\nlink set wire up\n")

    def plug_in(self, host):
        """Gives a host its namespace and its end of the wire. The bench has another wire and overrides this."""
        sh("ip", "netns", "add", host.name)
        sh("ip", "link", "add", f"w-{host.name}", "master", "wire", "type", "veth", "peer", "name", "eth0", "netns", host.name)
        sh("ip", "link", "set", f"w-{host.name}", "up")
        self.configure(host.name, host.address, host.address_v6, "route add default via 192.168.77.1\n")

    @staticmethod
    def configure(name, address, address_v6, more=""):
        batch = f"link set lo up\naddr add {address}/24 dev eth0\naddr add {address_v6}/64 dev eth0 nodad\nlink set eth0 up\n"
        sh("ip", "-n", name, "-batch", "-", input=batch + more)

    def make_key(self):
        self.key_file = os.path.join(self.directory, "psk")
        with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as handle:
            handle.write(base64.b64encode(os.urandom(32)).decode() + "\n")
        return self.key_file

    def host(self, name, **config):
        if self.key_file:
            config.setdefault("tunnel", {}).setdefault("psk_file", self.key_file)
        made = Host(self, name, len(self.hosts), config)
        self.hosts.append(made)
        made.before = Fingerprint(self)
        made.start()
        return made

    def three_hosts(self, **config):
        """a, b and c, started and registered."""
        hosts = [self.host(name, **json.loads(json.dumps(config))) for name in "abc"]
        for host in hosts:
            host.register()
        return hosts

    def remember(self, host, service, number, ips, answer):
        document = self.services.setdefault(service, {"service_ips": [], "instances": []})
        instance = {"number": number, "host_address": host.address, "host_port": 50103, "ns_address": answer["nsAddress"]}
        if answer.get("nsAddressv6"):
            instance["ns_address_v6"] = answer["nsAddressv6"]
        for kind, *addresses in ips:
            keyed = dict(zip(("address", "address_v6"), addresses))
            if kind == "InstanceNumber":
                instance.update(zip(("instance_ip", "instance_ip_v6"), addresses))
            elif {"type": kind, **keyed} not in document["service_ips"]:
                document["service_ips"].append({"type": kind, **keyed})
        document["instances"] = [i for i in document["instances"] if i["number"] != number] + [instance]

    def publish(self, *services):
        """Tells every node of these services, or of all: one document for all nodes, as a cluster manager would push it."""
        for service in services or self.services:
            for host in self.hosts:
                host.ask("PUT", f"/v1/services/{service}", self.services[service])

    def container(self, host, name, service, number=0, ips=(), **more):
        return host.deploy(f"netns:{name}", service, number, ips, **more)

    # The end of a test.
    def check_conservation(self):
        for host in self.hosts:
            if host.process:
                host.check_conservation()

    def tear_down(self):
        """Undeploys, stops and tears down every host; the kernel must then be as it was before weftd came."""
        for host in self.hosts:
            if not host.process:
                continue
            for instance in host.instances():
                host.ask("DELETE", f"/v1/instances/{instance['id']}")
        for host in reversed(self.hosts):
            host.stop()
            host.teardown()
            after = Fingerprint(self)
            host.before.check_equal(after, f"after the teardown of {host.name}", only=host.name)


class Fingerprint:
    """What the kernel, and optionally a weftd, hold; two of them must be equal where nothing may be left behind."""

    VOLATILE = {"ifindex", "link_index", "handle", "packets", "bytes", "valid_life_time", "preferred_life_time", "expires", "metainfo",
                "link_netnsid", "flags", "operstate", "linkmode", "dynamic", "cache", "txqlen", "tentative", "gc_timer", "hello_timer",
                "tcn_timer", "topology_change_timer"}

    def __init__(self, lab, processes=False):
        self.state = {"namespaces": sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []}
        for host in lab.hosts:
            self.state[host.name] = self._of_namespace(host.name)
            if processes and host.process:
                self.state[f"{host.name} weftd"] = {
                    "descriptors": sorted(self._kind(host.pid, fd) for fd in os.listdir(f"/proc/{host.pid}/fd")),
                    "threads": len(os.listdir(f"/proc/{host.pid}/task")),
                    "files": sorted(os.path.join(d, f) for top in (host.run_dir, host.state_dir) for d, _, fs in os.walk(top) for f in fs
                                    if not f.endswith(("-wal", "-shm", "-journal")))}

    @staticmethod
    def _kind(pid, fd):
        try:
            return os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0]
        except OSError:
            return "gone"

    def _of_namespace(self, name):
        def ip(*arguments):
            return self._plain(json.loads(sh("ip", "-j", "-d", "-n", name, *arguments) or "[]"))
        rules = json.loads(sh("nsenter", f"--net={netns_path(name)}", "nft", "-j", "list", "ruleset"))["nftables"]
        return {"links": ip("link"), "addresses": ip("addr"), "routes": ip("-4", "route", "show", "table", "all"),
                "routes6": ip("-6", "route", "show", "table", "all"), "rules": ip("-4", "rule"), "rules6": ip("-6", "rule"),
                "neighbours": ip("neigh", "show", "nud", "permanent"), "nft": self._plain(rules)}

    def _plain(self, value):
        if isinstance(value, dict):
            return {k: self._plain(v) for k, v in sorted(value.items()) if k not in self.VOLATILE}
        if isinstance(value, list):
            # The kernel's own link-local routes come when it has made sure of the address, some time after the link.
            kept = (v for v in value if v and not (isinstance(v, dict) and str(v.get("dst", "")).startswith("fe80:")))
            return sorted((self._plain(v) for v in kept), key=lambda v: json.dumps(v, sort_keys=True))
        return value

    def check_equal(self, other, when, only=None):
        def lines(fingerprint):
            kept = fingerprint.state if only is None else {only: fingerprint.state.get(only)}
            found = []
            for place, parts in kept.items():
                for part, items in (parts.items() if isinstance(parts, dict) else [("", parts)]):
                    for item in items if isinstance(items, list) else [items]:
                        found.append(f"{place} {part}: {json.dumps(item, sort_keys=True)}")
            return sorted(found)
        mine, theirs = lines(self), lines(other)
        missing, extra = list(mine), []
        for line in theirs:
            missing.remove(line) if line in missing else extra.append(line)
        check(not missing and not extra,
              lambda: f"fingerprint differs {when}:\n" + "".join(f"  - {m}\n" for m in missing) + "".join(f"  + {e}\n" for e in extra))


def enter_namespaces(arguments, **options):
    """Executes a script as the first process of fresh network, mount and pid namespaces. Answers its process."""
    flags = ["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    environment = dict(os.environ, WEFT_LAB="inside", WEFT_LAB_CGROUP=cgroup_name())
    return subprocess.Popen(["unshare", *flags, sys.executable, *arguments], env=environment, **options)


def cgroup_name():
    """The one thing that no namespace hides: control groups of containers lie below this name, for the first process to remove."""
    return os.environ.get("WEFT_LAB_CGROUP") or f"weft-lab-{os.getpid()}"


def remove_cgroups():
    for tree in (path for path, names, _ in os.walk("/sys/fs/cgroup") if cgroup_name() in names):
        for path, _, _ in os.walk(os.path.join(tree, cgroup_name()), topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def is_inside():
    return os.environ.get("WEFT_LAB") == "inside"


def own_run():
    """A private /run, so that /run/netns and all sockets there are ours."""
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    os.makedirs("/run/netns")


def run(test, limit=LIMIT, needs=()):
    """The main program of a test file. Exit 0 passed, 1 failed, 77 skipped with a reason."""
    if is_inside():
        sys.exit(_run_inside(test))
    if os.geteuid() != 0:
        print("skipped: needs root")
        sys.exit(SKIP)
    for name in needs:
        if subprocess.run(["which", name], capture_output=True).returncode != 0:
            print(f"skipped: needs {name}; try: scripts/setup")
            sys.exit(SKIP)
    process = enter_namespaces([os.path.realpath(sys.argv[0]), *sys.argv[1:]])
    # A kill from outside (meson's own limit, Ctrl-C) must not leave the namespaces alive.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: (process.kill(), sys.exit(1)))
    try:
        sys.exit(process.wait(limit))
    except subprocess.TimeoutExpired:
        print(f"failed: not done after {limit} s")
        sys.exit(1)
    finally:
        process.kill()  # and with it, everything inside
        process.wait()
        remove_cgroups()


def _run_inside(test):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    own_run()
    lab = Lab()
    try:
        test(lab)
        lab.check_conservation()
        lab.tear_down()
    except Exception as problem:  # whatever it is, the nodes' state explains it
        import traceback
        traceback.print_exc()
        for host in lab.hosts:
            print(f"--- {host.name}: last lines of its log\n{host.log_tail() if os.path.exists(host.log_path) else ''}")
            with contextlib.suppress(Exception):
                print(json.dumps(host.get("/v1/counters")))
        print(f"failed: {problem}")
        return 1
    finally:
        sys.stdout.flush()
    return 0
