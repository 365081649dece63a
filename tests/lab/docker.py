#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Docker engine: a container made with --network none gets its network by POST /docker/deploy with its id, and reaches
a service on another host. The image is imported from busybox-static, so nothing is downloaded."""
import os
import shutil
import subprocess

import lab as lab_
from lab import cgroup_name, check, equal, eventually, netns_path, sh
from scene import API, CLIENT
from traffic import TcpServer


class Engine:
    """dockerd of our own: its roots and its socket under the lab's directory, no bridge, no firewall."""

    def __init__(self, directory, host):
        self.directory = os.path.join(directory, "docker")
        self.socket = os.path.join(self.directory, "docker.sock")
        os.makedirs("/run/docker", exist_ok=True)
        os.makedirs(self.directory)
        self.log = open(os.path.join(self.directory, "log"), "w")
        arguments = ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--storage-driver=vfs",
                     f"--data-root={self.directory}/data", f"--exec-root={self.directory}/exec", f"--pidfile={self.directory}/pid",
                     f"--host=unix://{self.socket}", f"--cgroup-parent=/{cgroup_name()}"]
        self.process = subprocess.Popen(["nsenter", f"--net={netns_path(host)}", "dockerd", *arguments], stdout=self.log, stderr=self.log)

    def docker(self, *arguments, **options):
        return sh("docker", "-H", f"unix://{self.socket}", *arguments, **options).strip()

    def is_up(self):
        check(self.process.poll() is None, lambda: f"dockerd ended:\n{self.log_tail()}")
        return subprocess.run(["docker", "-H", f"unix://{self.socket}", "version"], capture_output=True).returncode == 0

    def log_tail(self):
        with open(self.log.name) as log:
            return "".join(log.readlines()[-15:])

    def import_busybox(self):
        root = os.path.join(self.directory, "image")
        os.makedirs(os.path.join(root, "bin"))
        shutil.copy("/bin/busybox", os.path.join(root, "bin/busybox"))
        archive = os.path.join(self.directory, "image.tar")
        sh("tar", "-C", root, "-cf", archive, ".")
        self.docker("import", archive, "busybox:lab")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def test(lab):
    a = lab.host("a", docker={"socket": os.path.join(lab.directory, "docker/docker.sock")})
    b = lab.host("b")
    a.register()
    b.register()
    engine = Engine(lab.directory, "a")
    eventually(engine.is_up, 30, "dockerd up")
    engine.import_busybox()
    identity = engine.docker("run", "-d", "--network", "none", "--name", "client", "busybox:lab", "/bin/busybox", "sleep", "1000")

    answer = a.deploy(identity, CLIENT, 0, [("InstanceNumber", "10.30.0.2")])
    equal(answer["nsAddress"], "10.18.0.2", "the container's address")
    lab.container(b, "api0", API, 0, [("RR", "10.30.0.10"), ("InstanceNumber", "10.30.0.11")])
    lab.publish()
    server = TcpServer("api0")

    def greeting():
        return engine.docker("exec", "client", "/bin/busybox", "timeout", "5", "/bin/busybox", "nc", "10.30.0.10", "80", input="")
    check("api0 10.30.0.2" in greeting(), "the container reaches the service on the other host")
    equal(server.connections, 1, "connections")
    interfaces = engine.docker("exec", "client", "/bin/busybox", "ip", "addr")
    check("weft0" in interfaces and "10.18.0.2/26" in interfaces, f"weft0 with its address:\n{interfaces}")
    equal(a.deploy(identity[:12], CLIENT, 0, [("InstanceNumber", "10.30.0.2")])["nsAddress"], "10.18.0.2", "the same by its short id")
    equal(a.deploy("client", CLIENT, 0, [("InstanceNumber", "10.30.0.2")])["nsAddress"], "10.18.0.2", "the same by its name")

    unknown = a.call("POST", "/docker/deploy", {"containerId": "nobody", "appName": "a.b.c.d", "instanceNumber": 0, "serviceIp": []})
    equal(unknown.status, 404, f"an unknown container; got {unknown!r}")
    engine.docker("run", "-d", "--network", "none", "--name", "brief", "busybox:lab", "/bin/busybox", "true")
    eventually(lambda: engine.docker("inspect", "-f", "{{.State.Running}}", "brief") == "false", 10, "the brief container has ended")
    stopped = a.call("POST", "/docker/deploy", {"containerId": "brief", "appName": "a.b.c.d", "instanceNumber": 0, "serviceIp": []})
    equal(stopped.status, 409, f"a stopped container; got {stopped!r}")

    # A container that dies: its instance becomes lost, or goes; undeploy by its id is 200 either way.
    engine.docker("kill", "client")
    eventually(lambda: all(i["state"] != "running" for i in a.instances()), 10, "the instance of a dead container is not running")
    a.undeploy(identity)
    equal(a.instances(), [], "instances after undeploy")
    engine.docker("rm", "-f", "client", "brief")
    engine.stop()


lab_.run(test, needs=["dockerd", "docker"])
