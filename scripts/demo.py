# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo shows, once everything is built. It drives the nodes by their REST API alone, as an orchestrator would."""
import collections
import http.client
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

REPOSITORY = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(REPOSITORY, "tests/lab"))
sys.dont_write_bytecode = True
import lab as lab_  # noqa: E402  (the path had to come first)

DIRECTORY = "/var/lib/weft-demo"
PID_FILE = os.path.join(DIRECTORY, "pid")
API, CLIENT = "shop.default.nginx.default", "shop.default.client.default"
SERVICE_IP = "10.30.0.10"
REQUESTS = 300


def done(text):
    print(f" ✔ {text}", flush=True)


# Inside the namespaces.

def start_nginx(lab, container, host):
    """nginx that says who it is, in the container's network."""
    directory = os.path.join(lab.directory, container)
    os.makedirs(directory)
    with open(os.path.join(directory, "nginx.conf"), "w") as conf:
        conf.write(f"""daemon off; master_process off; user root; pid {directory}/pid;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
    uwsgi_temp_path {directory}; scgi_temp_path {directory};
    server {{
        listen 80; listen [::]:80;
        location / {{ add_header X-Instance {container}; return 200 "{container} on host {host}\\n"; }}
    }}
}}
""")
    subprocess.Popen(["nsenter", f"--net={lab_.netns_path(container)}", "nginx", "-c", f"{directory}/nginx.conf", "-e", f"{directory}/log"],
                     stdin=subprocess.DEVNULL)


def request(address):
    """(instance, milliseconds) of one HTTP request on a connection of its own."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection(address, 80)
    connection.sock = lab_.socket_in("client")
    connection.sock.connect((address, 80))
    connection.request("GET", "/")
    reply = connection.getresponse()
    reply.read()
    connection.close()
    lab_.equal(reply.status, 200, "HTTP status")
    return reply.headers["X-Instance"], (time.perf_counter() - began) * 1000


def is_serving(address):
    try:
        return request(address)
    except OSError:
        return None


def build_up():
    lab_.own_run()
    lab = lab_.Lab(DIRECTORY)
    lab.make_key()
    hosts = lab.three_hosts()
    done("3 hosts on one wire, a weftd on each, the tunnel sealed with a key made for this demo")
    done("registered: " + ", ".join(f"{h.name} has {h.get('/v1/node')['subnetwork']}" for h in hosts))
    lab.container(hosts[0], "client", CLIENT, 0, [("InstanceNumber", "10.30.0.2")])
    for number, host in enumerate(hosts):
        lab.container(host, f"nginx{number}", API, number, [("RR", SERVICE_IP), ("InstanceNumber", f"10.30.0.{11 + number}")])
        start_nginx(lab, f"nginx{number}", host.name)
    done(f"deployed: nginx three times behind the one service IP {SERVICE_IP}, and a client on host a")
    lab.publish()
    done("routes pushed: every node knows the instances of the others")
    for number in range(len(hosts)):
        lab_.eventually(lambda n=number: is_serving(f"10.30.0.{11 + n}"), 20, f"nginx{number} serving")
    modes = {peer["security"] for host in hosts for peer in host.get("/v1/peers")["items"]}
    done(f"all three instances answer; tunnel security: {', '.join(sorted(modes))}")
    return lab, hosts


def show(hosts):
    times = collections.defaultdict(list)
    for _ in range(REQUESTS):
        instance, milliseconds = request(SERVICE_IP)
        times[instance].append(milliseconds)
    done(f"{REQUESTS} HTTP requests from the client to http://{SERVICE_IP}/\n")
    print("   INSTANCE  HOST  REQUESTS  P50 MS  P99 MS")
    for number, host in enumerate(hosts):
        mine = sorted(times[f"nginx{number}"])
        p99 = mine[min(len(mine) - 1, int(0.99 * len(mine)))] if mine else 0
        print(f"   nginx{number}    {host.name:<4}  {len(mine):>8}  {statistics.median(mine or [0]):>6.2f}  {p99:>6.2f}")
    print(flush=True)


def play():
    lab, hosts = build_up()
    show(hosts)
    for host in hosts:
        host.check_conservation()
    done("every packet is accounted for: received = sent + dropped by a named reason, on every node")
    if "--keep" in sys.argv:
        os.write(int(os.environ["WEFT_DEMO_READY"]), b"up")
        signal.pause()
    lab.tear_down()
    done("torn down; nothing is left behind")


# Outside.

def try_next(first_process):
    enter = f"sudo nsenter --net=/proc/{first_process}/root/run/netns/client"
    weft = f"sudo build/bin/weft --server unix:{DIRECTORY}/a/run/weftd.sock"
    print(f"""
 It is up. Try:
   {enter} curl http://{SERVICE_IP}/
   {enter} ping -c 3 {SERVICE_IP}
   {weft} status
   {weft} services
   {weft} flows
   {weft} trace netns:client {SERVICE_IP}:80
   {weft} drops
 Hosts b and c have their sockets in {DIRECTORY}/b/run and {DIRECTORY}/c/run.
 End it with: sudo scripts/demo --stop""")


def start_time(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[19]


def running():
    """The pid of a demo that --keep left, or None. A pid used again by somebody else has another start time."""
    try:
        with open(PID_FILE) as handle:
            pid, started = handle.read().split()
        return int(pid) if start_time(pid) == started else None
    except (OSError, ValueError):
        return None


def clean_up():
    shutil.rmtree(DIRECTORY, ignore_errors=True)


def stop():
    pid = running()
    if pid is None:
        clean_up()
        print("demo: none is up")
        return 0
    os.kill(pid, signal.SIGKILL)  # its namespaces, and all in them, go with it
    lab_.eventually(lambda: not os.path.exists(f"/proc/{pid}"), 10, "end of the demo")
    clean_up()
    print("demo: ended; nothing is left behind")
    return 0


def keep(process, ready):
    """Waits until it is up, leaves a note for --stop, and lets it be."""
    if os.read(ready, 2) != b"up":
        return process.wait() or 1
    with open(PID_FILE, "w") as handle:
        handle.write(f"{process.pid} {start_time(process.pid)}\n")
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
        try_next(children.read().split()[0])
    return 0


def main():
    if "--stop" in sys.argv:
        return stop()
    if running():
        print("demo: one is up already; end it with: sudo scripts/demo --stop", file=sys.stderr)
        return 1
    clean_up()
    keeping = "--keep" in sys.argv
    ready, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    os.environ["WEFT_DEMO_READY"] = str(write_end)
    process = lab_.enter_namespaces([os.path.realpath(__file__), *sys.argv[1:]], pass_fds=(write_end,), start_new_session=keeping)
    os.close(write_end)
    code = 1
    try:
        code = keep(process, ready) if keeping else process.wait()
        return code
    except KeyboardInterrupt:
        print("\ndemo: interrupted; nothing is left behind", file=sys.stderr)
        return 130
    finally:
        if not keeping or code != 0:
            process.kill()
            process.wait()
            clean_up()
        if not keeping and code == 0:
            print("\n To look around in it yourself: sudo scripts/demo --keep   All tests: sudo scripts/test")


if lab_.is_inside():
    try:
        play()
    except KeyboardInterrupt:
        sys.exit(130)
    except (lab_.Failed, OSError) as problem:
        print(f" ✘ {problem}", file=sys.stderr)
        sys.exit(1)
else:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
