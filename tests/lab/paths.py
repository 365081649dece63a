#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every way a packet may go: same host, other host, to itself, from a client without an instance IP, and from one who lies."""
import socket

import lab as lab_
from lab import equal, eventually, socket_in
from scene import API, RR, api_and_client, instance_ips
from traffic import TcpServer, UdpServer, connect, echo, greeting


def reach(client, address, expected_server, expected_client):
    with connect(client, address) as connection:
        server, seen_as = greeting(connection)
        equal(server, expected_server, f"who answers {client} at {address}")
        equal(seen_as, expected_client or seen_as, f"as whom {expected_server} sees {client}")
        echo(connection, b"x" * 20000)


def a_lie_is_dropped(lab, a, b):
    """Host b is told that the client's service has no instance on a: what a sends in its name is then nobody's."""
    service = "shop.default.cli.default"
    document = dict(lab.services[service], instances=[])
    b.ask("PUT", f"/v1/services/{service}", document)
    before = b.drops().get("peer_source", 0)
    with socket_in("cli", kind=socket.SOCK_DGRAM) as sender:
        def dropped():
            sender.sendto(b"in whose name?", (instance_ips(1)[0], 53))
            return b.drops().get("peer_source", 0) > before
        eventually(dropped, 5, "a drop as peer_source")
    lab.publish(service)


def test(lab):
    a, b, _ = api_and_client(lab)
    # A client without an instance IP: seen with its namespace IP, answered by the learned host cache.
    plain = lab.container(a, "plain", "shop.default.plain.default")
    lab.publish()
    servers = [TcpServer(f"api{n}") for n in range(3)]
    datagrams = [UdpServer(f"api{n}") for n in range(3)]
    for family in (0, 1):
        client = ("10.30.0.2", "fdff::2")[family]
        reach("cli", instance_ips(0)[family], "api0", client)   # same host
        reach("cli", instance_ips(1)[family], "api1", client)   # other host
        reach("api1", instance_ips(1)[family], "api1", instance_ips(1)[family])  # itself, by its own service IP
        namespace_ip = plain["nsAddress" if family == 0 else "nsAddressv6"]
        reach("plain", instance_ips(2)[family], "api2", namespace_ip)
        # On the same host the server must not see that address: it would answer straight over the bridge.
        reach("plain", instance_ips(0)[family], "api0", None)
    # Itself by the RR address: its turn comes within three tries.
    equal({greeting(connect("api2", RR[0]))[0] for _ in range(3)}, {"api0", "api1", "api2"}, "whom api2 reaches at its own RR address")
    a_lie_is_dropped(lab, a, b)
    equal(len(servers) + len(datagrams), 6, "servers")
    # Without instances: told at once, not by a timeout.
    for host in lab.hosts:
        host.ask("DELETE", f"/v1/services/{API}")
    for host in lab.hosts:
        host.undeploy(API)
    with socket_in("cli") as attempt:
        attempt.settimeout(3)
        try:
            attempt.connect((RR[0], 80))
            found = "connected"
        except TimeoutError:
            found = "timeout"
        except OSError as error:
            found = "refused at once" if error.errno in (101, 111, 113) else str(error)
        equal(found, "refused at once", "a connection to a service that is gone")


lab_.run(test)
