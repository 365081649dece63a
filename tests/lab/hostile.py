#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What brought the reference node down (contracts I, D1, D2, D4, D7) is served, or dropped under a name; nobody is disturbed."""
import random
import socket
import sys

import lab as lab_
from lab import check, equal, eventually, socket_in
from scene import api_and_client, instance_ips
from traffic import TcpServer, Transfer, UdpServer, connect, echo, greeting, who_answers


def edge_ports_are_served():
    for port in (1, 1023, 65535):
        with connect("cli", instance_ips(1)[0], source_port=port) as connection:
            equal(greeting(connection)[0], "api1", f"from source port {port}")
            echo(connection, b"edge")
    with socket_in("cli", kind=socket.SOCK_DGRAM) as client:
        client.bind(("", 65535))
        client.sendto(b"hello", (instance_ips(1)[0], 65535))
        equal(client.recv(100), b"api1:hello", "UDP from and to port 65535")


def equal_ports_do_not_mix(address):
    """Two clients on one host, same source and destination ports, same server."""
    first, second = connect("cli", address, source_port=40000), connect("cli2", address, source_port=40000)
    equal(greeting(first)[1], "10.30.0.2", "the first client")
    equal(greeting(second)[1], "10.30.0.3", "the second client")
    for turn in range(50):
        echo(first, f"first {turn}".encode())
        echo(second, f"second {turn}".encode())
    first.close()
    second.close()


def dropped_in_all(host):
    return host.get("/v1/counters")["drops"]["total"]


def tunnel_rx(host):
    return sum(worker["ports"]["tunnel"]["rx"] for worker in host.get("/v1/counters")["workers"])


def strangers_are_silent(host, source, count, rng):
    """Random datagrams, also empty ones and such that begin like a tunnel header, at the tunnel port."""
    sender = socket_in(source, kind=socket.SOCK_DGRAM) if source else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.settimeout(0)
    before_rx, before_drops = tunnel_rx(host), dropped_in_all(host)
    starts = [b"", b"\xf7\x16", b"\xf7\x14", b"\xf7\x11", b"\xf7", b"\x45\x00", b"\x60"]
    sent = 0
    for number in range(count):
        data = b"" if number % 1000 == 0 else rng.choice(starts) + rng.randbytes(rng.randrange(0, 1400))
        try:
            sender.sendto(data, (host.address, 50103))
            sent += 1
        except BlockingIOError:
            pass
    eventually(lambda: dropped_in_all(host) - before_drops >= sent // 2, 10, f"drops on {host.name} for {sent} datagrams")
    try:
        equal(sender.recv(2000), None, "a stranger must get no answer, but got")
    except BlockingIOError:
        pass
    check(tunnel_rx(host) - before_rx >= sent // 2, "they were counted as received")


def test(lab):
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed} (give it as argument to replay)")
    rng = random.Random(seed)
    a, b, _ = api_and_client(lab)
    lab.container(a, "cli2", "shop.default.cli.default", 1, [("InstanceNumber", "10.30.0.3", "fdff::3")])
    lab.publish()
    servers = [TcpServer("api1"), UdpServer("api1", 65535)]
    edge_ports_are_served()
    equal_ports_do_not_mix(instance_ips(1)[0])

    # While a transfer runs between a and b, a stranger on the wire and a known host bombard b.
    connection = connect("cli", instance_ips(1)[0])
    greeting(connection)
    transfer = Transfer(connection, 50_000_000)
    transfer.reaches(1)
    strangers_are_silent(b, None, 50_000, rng)
    strangers_are_silent(b, "c", 50_000, rng)
    transfer.finish()
    equal(who_answers("cli", instance_ips(1)[0]), "api1", "after all that")
    equal(len(servers), 2, "servers")


lab_.run(test)
