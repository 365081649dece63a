# SPDX-License-Identifier: Apache-2.0
"""The scene most lab tests play in: one service with an instance on each of three hosts, and a client on the first.

    host a: cli (10.30.0.2), api0      host b: api1      host c: api2
"""
API, CLIENT = "shop.default.api.default", "shop.default.cli.default"
RR, CLOSEST = ("10.30.0.10", "fdff:2000::10"), ("10.30.0.110", "fdff:1000::10")


def instance_ips(number):
    return f"10.30.0.{11 + number}", f"fdff::{11 + number:x}"


def api_and_client(lab, instances_on="abc", **config):
    """Answers the three hosts. Every node knows both services afterwards."""
    hosts = lab.three_hosts(**config)
    by_name = {host.name: host for host in hosts}
    lab.container(hosts[0], "cli", CLIENT, 0, [("InstanceNumber", "10.30.0.2", "fdff::2")])
    for number, place in enumerate(instances_on):
        ips = [("RR", *RR), ("Closest", *CLOSEST), ("InstanceNumber", *instance_ips(number))]
        lab.container(by_name[place], f"api{number}", API, number, ips)
    lab.publish()
    return hosts
