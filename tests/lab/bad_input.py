#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every refused call: a 4xx at once that says what was wrong, and state and kernel exactly as before (contracts A.3, reliability C)."""
import json
import os
import socket
import subprocess
import time

import lab as lab_
from lab import Fingerprint, check, equal

GOOD = {"containerId": "netns:x0", "appName": "shop.default.x.default", "instanceNumber": 7,
        "serviceIp": [{"IpType": "RR", "Address": "10.30.1.1"}]}


HOST_PID = 987654321  # stands for a process in the host's own network: weftd


def deploy(**changes):
    body = {**GOOD, **changes}
    return "POST", "/docker/deploy", {k: v for k, v in body.items() if v is not ...}


def register(**body):
    return "POST", "/register", body


def ip(address, kind="RR", **more):
    return {"IpType": kind, "Address": address, **more}


def attach(**changes):
    return "POST", "/container/deploy", {"pid": HOST_PID, "serviceName": "shop.default.x.default", "instanceNumber": 0, "portMappings": "", **changes}


# What is asked, the status, and a word that the answer's `error` (or for bad_field its `field`) must be.
UNREGISTERED = [
    (deploy(), 400, "not_registered"),
    (attach(pid=os.getpid()), 400, "not_registered"),
    (register(), 400, None),
    (register(subnetwork="10.18.0"), 400, "subnetwork"),
    (register(subnetwork="10.18.0.1/26"), 400, "subnetwork"),
    (register(subnetwork="10.18.0.0/0"), 400, "subnetwork"),
    (register(subnetwork="10.18.0.0/31"), 400, "subnetwork"),
    (register(subnetwork="8.8.8.0/26"), 400, "subnetwork"),
    (register(subnetwork="127.0.0.0/26"), 400, "subnetwork"),
    (register(subnetwork="224.0.0.0/26"), 400, "subnetwork"),
    (register(subnetwork="fc00::/120"), 400, "subnetwork"),
    (register(subnetwork=18), 400, "subnetwork"),
    (register(subnetwork=None), 400, None),
    (register(subnetwork="10.30.0.0"), (400, 409), None),       # the service range
    (register(subnetwork="192.168.77.0/26"), (400, 409), None),  # an address of the host
    (register(client_id="65f000000000000000000001", cluster_address="x"), 400, None),
]
BODIES = [(b"", 400), (b"{", 400), (b"null", 400), (b"[]", 400), (b'"x"', 400), (b"{} {}", 400), (b"\xef\xbb\xbf{}", 400), (b"\xff\xfe{\x00}\x00", 400),
          (b'{"subnetwork":"10.18.0.0","SubNetwork":"10.18.0.64"}', 400), (b'{"a":' * 17 + b"1" + b"}" * 17, 400), (b"[" * 100000, (400, 413)),
          (b'{"x":"' + b"a" * (1 << 20) + b'"}', 413)]
REGISTERED = [
    (register(subnetwork="10.18.0.64"), 409, "conflict"),
    # names
    *((deploy(appName=name), 400, "appName") for name in
      ("", "a.b.c", "a.b.c.d.e", "a..c.d", ".b.c.d", "a.b.c." + "x" * 64, "a.b.c.d e", "-a.b.c.d", "a.b.c.d\n", "a.b.c.\u202ed", 5, True, [], {})),
    (deploy(appName=...), 400, "appName"),
    # containers
    *((deploy(containerId="netns:" + name), 400, "containerId") for name in
      ("", "../../etc", "/", ".", "..", "%2e%2e%2f", ";reboot", "$(id)", "a\nb", "-x", "x" * 256, "a?b", "a#b", "a\u0000b", "a\r\nb")),
    (deploy(containerId=...), 400, "containerId"),
    (deploy(containerId=7), 400, "containerId"),
    (deploy(containerId="pid:999999999"), (400, 404), None),
    (deploy(containerId="pid:4000000"), 404, "not_found"),
    (deploy(containerId=f"pid:{HOST_PID}"), 409, "conflict"),  # lives in the host's network
    (deploy(containerId="0123456789ab"), (404, 503), None),  # no Docker here
    # numbers
    *((deploy(instanceNumber=number), 400, "instanceNumber") for number in (-1, 3.5, 3.0, 1e300, "0", True, 1 << 63, 1 << 64)),
    *((deploy(nodeIp="192.168.77.11", nodePort=port), 400, "nodePort") for port in (-1, 65536, "80", True, 3.9)),
    (deploy(nodeIp="here", nodePort=50103), 400, "nodeIp"),
    # service IPs
    (deploy(serviceIp="10.30.0.1"), 400, "serviceIp"),
    (deploy(serviceIp=[ip("10.31.0.1")]), 400, "serviceIp[0].Address"),
    (deploy(serviceIp=[ip("10.30.1.1"), ip("10.18.0.2")]), 400, "serviceIp[1].Address"),
    (deploy(serviceIp=[ip("10.30.1.1"), ip("10.30.1.1", "Closest")]), 400, None),
    (deploy(serviceIp=[ip("10.30.1.1", "Random")]), 400, "serviceIp[0].IpType"),
    (deploy(serviceIp=[ip("10.30.1")]), 400, "serviceIp[0].Address"),
    (deploy(serviceIp=[ip("10.30.1.1", Address_v6="fe80::1")]), 400, "serviceIp[0].Address_v6"),
    (deploy(serviceIp=[ip(f"10.30.2.{n}") for n in range(65)]), 400, "serviceIp"),
    (deploy(serviceIp=[ip("10.30.0.10")]), 409, "conflict"),  # another service's
    # ports
    *((deploy(portMappings=text), 400, "portMappings") for text in (" ", "hello", "80:80-80", "80;", "0:80", "80:0", "65536", "80/sctp", "8080:80/TCPX", 80)),
    (deploy(portMappings="8080:80"), 409, "conflict"),       # taken by x9
    (deploy(portMappings="50103:80/udp"), 409, "conflict"),  # the tunnel's own
    # one container, one service; one number, one container
    (deploy(containerId="netns:x9"), 409, "conflict"),
    (deploy(containerId="netns:x6", appName="shop.default.y.default", instanceNumber=0, serviceIp=[]), 409, "conflict"),
    (attach(pid=0), 400, "pid"),
    (attach(pid="12"), 400, "pid"),
    (attach(), 409, "conflict"),
    # transport
    (("GET", "/docker/deploy", None), 405, "method_not_allowed"),
    (("GET", "/nothing/here", None), 404, "not_found"),
    (("PATCH", "/v1/status", None), 405, "method_not_allowed"),
    (("GET", "/v1/instances/i000000", None), 404, "not_found"),
    (("GET", "/v1/services/a.b.c.d", None), 404, "not_found"),
    (("GET", "/v1/flows?limit=0", None), 400, "limit"),
    (("GET", "/v1/flows?limit=x", None), 400, "limit"),
    # /v1 knows its keys exactly
    (("PUT", "/v1/services/a.b.c.d", {"instances": [], "colour": "red"}), 400, "colour"),
    (("PUT", "/v1/services/a.b.c", {"instances": []}), 400, None),
    (("PUT", "/v1/services/a.b.c.d", {"instances": [{"number": 0, "host_address": "192.168.77.12"}]}), 400, None),
    (("PUT", "/v1/services/a.b.c.d", {"instances": [{"number": 0, "host_address": "x", "ns_address": "10.18.0.66"}]}), 400, "instances[0].host_address"),
    (("PUT", "/v1/services/a.b.c.d", {"service_ips": [{"type": "RR", "address": "10.30.0.10"}], "instances": []}), 409, "conflict"),
    (("PUT", "/v1/peers/z", {"address": "192.168.77.99", "security": "none"}), 400, "security"),
    (("POST", "/v1/trace", {"source": "netns:x9", "destination": "10.30.0.10", "protocol": "carrier pigeon"}), 400, "protocol"),
    (("DELETE", "/v1/node/registration", None), 409, "conflict"),
]
# Repeating is no error.
FINE = [
    (register(subnetwork="10.18.0.0"), 200),
    (register(SUBNETWORK="10.18.0.0/26", unknown={"x": 1}), 200),
    (("POST", "/docker/undeploy", {"serviceName": "no.such.service.here"}), 200),
    (("POST", "/docker/undeploy", {"servicename": "netns:nobody"}), 200),
    (("POST", "/container/undeploy", {"serviceName": "no.such.service.here", "instanceNumber": 3, "pid": -1, "portMappings": ""}), 200),
    (("DELETE", "/v1/instances/i000000", None), 204),
    (("DELETE", "/v1/services/a.b.c.d", None), 204),
    (("DELETE", "/v1/peers/nobody", None), 204),
]


def state_of(host):
    return {path: host.get(path) for path in ("/v1/node", "/v1/services", "/v1/instances", "/v1/peers", "/v1/port-forwards")}


class Refusals:
    """Collects every wrong answer, so that one run shows them all."""

    def __init__(self, host):
        self.host, self.wrong = host, []

    def ask(self, name, expected, word, **call):
        began = time.monotonic()
        answer = self.host.call(**call)
        problem = self._problem(answer, expected if isinstance(expected, tuple) else (expected,), word)
        if time.monotonic() - began > 1.0 * lab_.SLOW:
            problem = problem or "it took more than a second"
        if problem:
            self.wrong.append(f"{name[:150]}: {problem}; got {answer!r}")

    @staticmethod
    def _problem(answer, expected, word):
        if answer.status not in expected:
            return f"expected {expected}"
        if answer.status < 400:
            return None
        try:
            body = answer.json
        except ValueError:
            return "the body is not JSON"
        if not isinstance(body, dict) or not body.get("error") or not body.get("detail"):
            return "no error or no detail"
        if word and word not in (body["error"], body.get("field")):
            return f"expected {word} as error or field"
        return "no Allow header" if answer.status == 405 and "Allow" not in answer.headers else None

    def all(self, cases):
        for (method, path, body), expected, word in cases:
            body = json.loads(json.dumps(body).replace(str(HOST_PID), str(self.host.pid)))
            self.ask(f"{method} {path} {json.dumps(body)}", expected, word, method=method, path=path, body=body)

    def bodies(self, path):
        for raw, expected in BODIES:
            self.ask(f"POST {path} {raw[:60]!r} ({len(raw)} bytes)", expected, None, method="POST", path=path, raw=raw)


def raw_http(host, data):
    """The first line of what comes back; empty if the connection is closed without."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(12 * lab_.SLOW)
        connection.connect(host.socket_path)
        try:
            connection.sendall(data)
            return connection.recv(4096).split(b"\r\n")[0].decode(errors="replace")
        except OSError:
            return ""


def broken_http(host):
    for data in (b"GET / HTTP/0.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"nonsense\r\n\r\n", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10000 + b"\r\n",
                 b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n{",
                 b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                 b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"):
        line = raw_http(host, data)
        check(line == "" or line.split()[1:2] and line.split()[1].startswith("4"), f"{data[:60]!r} got {line!r}")


def test(lab):
    host = lab.host("a")
    refusals = Refusals(host)
    kernel, state = Fingerprint(lab), state_of(host)
    refusals.all(UNREGISTERED)
    refusals.bodies("/register")
    kernel.check_equal(Fingerprint(lab), "after refused calls before /register")
    equal(state_of(host), state, "state after refused calls before /register")

    host.register()
    lab.container(host, "x9", "shop.default.other.default", 0, [("RR", "10.30.0.10")], portMappings="8080:80/tcp")
    lab.container(host, "x8", "shop.default.y.default", 1)
    lab.container(host, "x7", "shop.default.y.default", 0)
    kernel, state = Fingerprint(lab), state_of(host)
    refusals.all(REGISTERED)
    for path in ("/docker/deploy", "/container/deploy", "/docker/undeploy"):
        refusals.bodies(path)
    for (method, path, body), status in FINE:
        refusals.ask(f"{method} {path} {json.dumps(body)}", status, None, method=method, path=path, body=body)
    # The same deploy again is the same answer.
    again = host.deploy("netns:x9", "shop.default.other.default", 0, [("RR", "10.30.0.10")], portMappings="8080:80/tcp")
    equal(again["nsAddress"], "10.18.0.2", "the address in the repeated answer")
    broken_http(host)
    check(not refusals.wrong, lambda: f"{len(refusals.wrong)} wrong answers:\n" + "\n".join(refusals.wrong))
    kernel.check_equal(Fingerprint(lab), "after refused calls")
    equal(state_of(host), state, "state after refused calls")
    exhaustion(lab)
    wrong_configurations(lab, host)


def exhaustion(lab):
    """61 addresses in a /26: the 62nd container is refused with 503, and an undeploy makes room."""
    host = lab.host("b")
    host.ask("POST", "/register", {"subnetwork": "10.18.0.64/29"})
    for number in range(5):
        lab.container(host, f"full{number}", "full.default.s.default", number)
    answer = host.call("POST", "/docker/deploy", {"containerId": "netns:full9", "appName": "full.default.s.default", "instanceNumber": 9, "serviceIp": []})
    equal((answer.status, answer.json["error"]), (503, "no_addresses"), "a deploy into a full subnet")
    check("Retry-After" in answer.headers, "503 without Retry-After")


def wrong_configurations(lab, host):
    """weftd refuses a wrong file with exit 2 and its place, and a second weftd on the same run_dir with exit 4."""
    for text, words in (("tunel: {port: 1}\n", ("1:1", "tunel", "tunnel")), ("tunnel:\n  port: 70000\n", ("2:9", "tunnel.port")), ("a: [\n", ("wrong.yaml:",))):
        path = os.path.join(lab.directory, "wrong.yaml")
        with open(path, "w") as handle:
            handle.write(text)
        done = subprocess.run([lab_.program("weftd"), "--config", path, "--check-config"], capture_output=True, text=True)
        equal(done.returncode, 2, f"exit code for {text!r}; it said {done.stderr}")
        for word in words:
            check(word in done.stderr, f"{word!r} is missing in {done.stderr!r}")
    second = subprocess.run(host.command(), capture_output=True, text=True, timeout=10 * lab_.SLOW)
    equal(second.returncode, 4, f"exit code of a second weftd; it said {second.stderr}")


lab_.run(test)
