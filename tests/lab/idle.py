#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An idle node costs nothing to speak of: under 1 % of a core, and 64 MiB beside its flow table."""
import os
import time

import lab as lab_
from lab import check
from scene import api_and_client

FLOW_TABLE_MIB = 38  # flows.max 262144: file, index and both families, as far as they are resident


def cpu_seconds(host):
    with open(f"/proc/{host.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(host):
    """Private memory: pages of the flow table's file are shared and counted apart."""
    values = {}
    with open(f"/proc/{host.pid}/status") as status:
        for line in status:
            if line.startswith("Rss"):
                values[line.split(":")[0]] = int(line.split()[1]) / 1024
    return values


def test(lab):
    hosts = api_and_client(lab)
    window = 5.0
    began = [cpu_seconds(host) for host in hosts]
    start = time.monotonic()
    lab_.eventually(lambda: time.monotonic() - start >= window, window + 1, "the window of time")
    for host, before in zip(hosts, began):
        share = (cpu_seconds(host) - before) / window
        check(share < 0.01 * lab_.SLOW, f"{host.name}: {share:.1%} of a core while idle")
        memory = resident_mib(host)
        private = memory["RssAnon"] + memory["RssFile"]
        print(f"{host.name}: {share:.2%} of a core, resident {memory}")
        check(private < (64 + FLOW_TABLE_MIB) * lab_.SLOW, f"{host.name}: {memory} MiB resident while idle")


lab_.run(test)
