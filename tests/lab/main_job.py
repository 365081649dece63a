#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three hosts, one service IP, an instance on each: the whole point of weft."""
import collections

import lab as lab_
from lab import equal
from scene import CLOSEST, RR, api_and_client, instance_ips
from traffic import TcpServer, connect, echo, greeting, ping, who_answers


def spreads_evenly_and_sticks(service_ip, client_ip):
    turns = collections.Counter()
    connections = []
    for _ in range(300):
        connection = connect("cli", service_ip)
        equal(connection.getpeername()[0], service_ip, "the address that answers")
        server, seen_as = greeting(connection)
        equal(seen_as, client_ip, "the client's address as the server sees it")
        turns[server] += 1
        connections.append(connection)
    equal(dict(turns), {"api0": 100, "api1": 100, "api2": 100}, f"300 connections to {service_ip}")
    # Each connection is still with the instance that greeted it: another would have no such connection and reset it.
    for connection in connections:
        echo(connection, b"still there?")
        connection.close()


def test(lab):
    api_and_client(lab)
    servers = [TcpServer(f"api{n}") for n in range(3)]
    spreads_evenly_and_sticks(RR[0], "10.30.0.2")
    spreads_evenly_and_sticks(RR[1], "fdff::2")
    equal(sum(s.connections for s in servers), 600, "connections in all")
    for address in CLOSEST:
        equal({who_answers("cli", address) for _ in range(10)}, {"api0"}, f"who answers at the Closest address {address}")
    for number in range(3):
        for address in instance_ips(number):
            equal({who_answers("cli", address) for _ in range(4)}, {f"api{number}"}, f"who answers at {address}")
    for address in (*RR, *CLOSEST, *instance_ips(2)):
        received, output = ping("cli", address)
        equal(received, 3, f"answers to ping {address}\n{output}")


lab_.run(test)
