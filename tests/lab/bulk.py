#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Much data arrives whole: TCP both ways by hash, large datagrams, pings of many sizes, and the path MTU is told.

Without --full 200 MB each way, which keeps the whole suite short; with it 1 GB."""
import socket
import sys

import lab as lab_
from lab import check, equal, socket_in
from scene import api_and_client, instance_ips
from traffic import TcpServer, Transfer, UdpServer, connect, greeting, ping

SIZE = (1000 if "--full" in sys.argv else 200) * 1000 * 1000


def transfer(address, size):
    connection = connect("cli", address)
    greeting(connection)
    Transfer(connection, size).finish()
    connection.close()


def datagrams_arrive_whole(address):
    with socket_in("cli", lab_.family_of(address), socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        for size in (0, 1, 1392, 1393, 1440, 1472, 1473, 4000, 9000):
            data = bytes(i * 7 & 255 for i in range(size))
            client.sendto(data, (address, 53))
            equal(client.recv(1 << 16), b"api1:" + data, f"the answer to {size} bytes from {address}")


def the_path_mtu_is_told(a):
    mtu = a.get("/v1/node")["tunnel"]["mtu"]
    received, output = ping("cli", instance_ips(1)[0], count=2, size=mtu - 28, dont_fragment=True)
    equal(received, 2, f"a packet of exactly the inner MTU {mtu}\n{output}")
    received, output = ping("cli", instance_ips(1)[0], count=2, size=mtu - 27, dont_fragment=True)
    check(received == 0 and str(mtu) in output, f"one byte more is answered with the MTU {mtu}:\n{output}")


def test(lab):
    a, *_ = api_and_client(lab)
    servers = [TcpServer(f"api{n}") for n in range(3)] + [UdpServer("api1")]
    transfer(instance_ips(1)[0], SIZE)       # other host
    transfer(instance_ips(0)[0], SIZE // 2)  # same host
    transfer(instance_ips(2)[1], SIZE // 2)  # IPv6
    for family in (0, 1):
        datagrams_arrive_whole(instance_ips(1)[family])
    for size in (0, 1, 56, 1000, 1412, 1413, 2000, 8000):
        received, output = ping("cli", instance_ips(1)[0], count=2, size=size)
        equal(received, 2, f"answers to pings of {size} bytes\n{output}")
    the_path_mtu_is_told(a)
    equal(len(servers), 4, "servers")


lab_.run(test, limit=(600 if "--full" in sys.argv else 60) * lab_.SLOW)
