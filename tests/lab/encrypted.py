#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""With a key nothing readable is on the wire; the same test in clear mode finds the marker, so the detector sees."""
import collections
import os
import socket
import sys

import lab as lab_
from lab import check, equal
from scene import RR, api_and_client, instance_ips
from traffic import TcpServer, Transfer, connect, echo, greeting, ping

MARKER = b"weft-marker-" + os.urandom(8).hex().encode()
ETH_P_ALL = 3


def on_the_wire(action):
    """How often the marker was on the wire between the hosts while `action` ran."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    tap.bind(("w-b", ETH_P_ALL))
    tap.settimeout(0)
    action()
    frames = hits = 0
    while True:
        try:
            frame = tap.recv(1 << 17)
        except BlockingIOError:
            break
        frames += 1
        hits += MARKER in frame
    tap.close()
    check(frames > 0, "the tap saw no frame at all")
    return hits


def talk():
    for address in (instance_ips(1)[0], instance_ips(1)[1]):
        with connect("cli", address) as connection:
            equal(greeting(connection)[0], "api1", "who answers")
            for _ in range(10):
                echo(connection, MARKER)


def test(lab):
    lab.make_key()
    hosts = api_and_client(lab)
    servers = [TcpServer(f"api{n}") for n in range(3)]
    equal(on_the_wire(talk), 0, "markers on the wire of a sealed tunnel")
    for host in hosts:
        for peer in host.get("/v1/peers")["items"]:
            equal(peer["security"], "aead", f"security of {peer['id']} on {host.name}")
    turns = collections.Counter(greeting(connect("cli", RR[0]))[0] for _ in range(30))
    equal(set(turns.values()), {10}, "round robin over the sealed tunnel")
    connection = connect("cli", instance_ips(1)[0])
    greeting(connection)
    Transfer(connection, 100_000_000).finish()
    received, output = ping("cli", instance_ips(2)[1])
    equal(received, 3, f"ping over the sealed tunnel\n{output}")
    # A restart makes new keys; who was connected stays so.
    with connect("cli", instance_ips(1)[0]) as connection:
        greeting(connection)
        hosts[1].kill()
        hosts[1].start()
        echo(connection, b"after the restart")
    equal(len(servers), 3, "servers")


def twin(lab):
    """The same in clear mode, on a lab of its own: here the marker must be found."""
    api_and_client(lab)
    servers = [TcpServer("api1")]
    check(on_the_wire(talk) > 0, "the detector did not see the marker in clear mode")
    equal(len(servers), 1, "servers")


if "clear" in sys.argv:
    lab_.run(twin)
lab_.run(test)
