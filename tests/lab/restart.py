#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""weftd dies, weftd is restarted: what was established goes on, and nothing in the kernel is missing or doubled."""
import lab as lab_
from lab import Fingerprint, equal
from scene import API, RR, api_and_client, instance_ips
from traffic import TcpServer, Transfer, connect, echo, greeting, who_answers


def with_all_connections(service_ip, count):
    connections = [connect("cli", service_ip) for _ in range(count)]
    return [(connection, greeting(connection)[0]) for connection in connections]


def still_with_their_instances(connections):
    for turn, (connection, _) in enumerate(connections):
        echo(connection, f"turn {turn}".encode())


def services_of(host):
    found = {}
    for service in host.get("/v1/services")["items"]:
        found[service["name"]] = sorted((i["number"], i.get("ns_address"), i.get("source")) for i in service["instances"])
    return found


def survives(lab, host, end):
    before, services, instances = Fingerprint(lab), services_of(host), host.instances()
    connections = with_all_connections(RR[0], 30)
    connection = connect("cli", instance_ips(1)[0])
    greeting(connection)
    transfer = Transfer(connection, 100_000_000)
    transfer.reaches(5_000_000)
    end()
    host.start()
    transfer.finish()
    still_with_their_instances(connections)
    equal(host.instances(), instances, f"instances of {host.name} afterwards")
    equal(services_of(host), services, f"services of {host.name} afterwards")
    before.check_equal(Fingerprint(lab), f"after the restart of {host.name}")
    for connection, _ in connections:
        connection.close()
    # New connections, and all that a later undeploy needs, work as before.
    equal({who_answers("cli", RR[0]) for _ in range(3)}, {"api0", "api1", "api2"}, "new connections")


def test(lab):
    a, b, c = api_and_client(lab)
    servers = [TcpServer(f"api{n}") for n in range(3)]
    survives(lab, a, a.kill)   # the client's node
    survives(lab, b, b.kill)   # the server's node
    survives(lab, a, a.stop)
    survives(lab, b, b.stop)
    # The address of an instance that is undeployed after a restart is free again: nothing was forgotten.
    c.kill()
    c.start()
    c.undeploy(API)
    equal(c.instances(), [], "instances of c after undeploy")
    equal(len(servers), 3, "servers")


lab_.run(test)
