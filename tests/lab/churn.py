#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand rounds of deploy and undeploy leave nothing behind: namespaces, links, routes, rules, descriptors, files, memory.

churn.py [ROUNDS]"""
import concurrent.futures
import sys

import lab as lab_
from lab import Fingerprint, check

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
# As many as there are addresses to rest and to be given out again in a /24.
TOGETHER = 8


def round_trip(host, number):
    service = f"churn.default.s{number % TOGETHER}.default"
    host.ask("POST", "/docker/deploy", {"containerId": f"netns:churn{number}", "appName": service, "instanceNumber": 0,
                                        "serviceIp": [{"IpType": "RR", "Address": f"10.30.9.{number % TOGETHER}"}],
                                        "portMappings": f"{20000 + number % TOGETHER}:80"})
    host.ask("POST", "/docker/undeploy", {"serviceName": f"netns:churn{number}" if number % 2 else service})


def resident_kib(host):
    with open(f"/proc/{host.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def rounds(host, count, first):
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        # One thread for each residue, so that rounds of one service do not overlap.
        lanes = [range(first + lane, first + count, TOGETHER) for lane in range(TOGETHER)]
        list(pool.map(lambda lane: [round_trip(host, number) for number in lane], lanes))


def test(lab):
    host = lab.host("a")
    host.ask("POST", "/register", {"subnetwork": "10.18.0.0/20"})
    rounds(host, 40, 0)  # warm up: whatever is made once is made now
    before, memory = Fingerprint(lab, processes=True), resident_kib(host)
    rounds(host, ROUNDS, 1000)
    before.check_equal(Fingerprint(lab, processes=True), f"after {ROUNDS} rounds")
    grown = resident_kib(host) - memory
    check(grown < 8192, f"weftd grew by {grown} KiB in {ROUNDS} rounds")


lab_.run(test, limit=60 * lab_.SLOW if ROUNDS <= 1000 else None)
