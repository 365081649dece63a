# SPDX-License-Identifier: Apache-2.0
"""Servers and clients for lab tests: threads of the test, with sockets inside the containers' namespaces."""
import collections
import hashlib
import socket
import subprocess
import threading

from lab import SLOW, check, eventually, family_of, netns_path, socket_in


class TcpServer:
    """Tells each client its own name and the client's address in one line, then echoes. Counts connections."""

    def __init__(self, container, port=80, address=""):
        self.container, self.connections, self.clients = container, 0, []
        self.listener = socket_in(container, socket.AF_INET6)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(512)
        self.listener.settimeout(None)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, client = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            address = client[0].removeprefix("::ffff:")
            self.clients.append((address, client[1]))
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, connection, address):
        with connection:
            try:
                connection.sendall(f"{self.container} {address}\n".encode())
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class UdpServer:
    """Answers each datagram with its name, a colon and the datagram."""

    def __init__(self, container, port=53):
        self.container = container
        self.socket = socket_in(container, socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.bind(("", port))
        self.socket.settimeout(None)
        self.seen = collections.Counter()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            data, client = self.socket.recvfrom(1 << 16)
            self.seen[client[0].removeprefix("::ffff:")] += 1
            self.socket.sendto(self.container.encode() + b":" + data, client)


def connect(container, address, port=80, source_port=0):
    made = socket_in(container, family_of(address))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if source_port:
        made.bind(("", source_port))
    made.connect((address, port))
    return made


def greeting(connection):
    """(server's name, the client's address as the server saw it)"""
    line = b""
    while not line.endswith(b"\n"):
        piece = connection.recv(1)
        check(piece, "the server closed the connection before its first line")
        line += piece
    return tuple(line.decode().split())


def echo(connection, data):
    connection.sendall(data)
    received = b""
    while len(received) < len(data):
        piece = connection.recv(1 << 16)
        check(piece, "connection closed while the echo was awaited")
        received += piece
    check(received == data, "the echo differs from what was sent")


def who_answers(container, address, port=80):
    with connect(container, address, port) as connection:
        return greeting(connection)[0]


def ping(container, address, count=3, size=56, dont_fragment=False):
    """(answers received, output)"""
    command = ["nsenter", f"--net={netns_path(container)}", "ping", "-n", "-c", str(count), "-i", "0.05", "-W", "2", "-s", str(size)]
    done = subprocess.run([*command, *(["-M", "do"] if dont_fragment else []), address], capture_output=True, text=True, timeout=30 * SLOW)
    output = done.stdout + done.stderr
    received = [line for line in output.splitlines() if "received" in line]
    return (int(received[0].split(",")[1].split()[0]) if received else 0), output


class Transfer:
    """Bulk over one connection to a TcpServer that echoes: both ways at once, hashed at both ends."""

    CHUNK = 1 << 18

    def __init__(self, connection, size):
        self.connection, self.size, self.sent, self.received = connection, size, 0, 0
        self.error = None
        self.hashes = hashlib.blake2b(), hashlib.blake2b()
        self.threads = [threading.Thread(target=self._guard, args=(f,), daemon=True) for f in (self._send, self._receive)]
        for thread in self.threads:
            thread.start()

    def _guard(self, work):
        try:
            work()
        except OSError as error:
            self.error = error

    def _send(self):
        # Different in every chunk, cheap to make: a counter before a fixed block.
        block = bytes(range(256)) * (self.CHUNK // 256)
        while self.sent < self.size:
            chunk = (self.sent.to_bytes(8, "big") + block)[:min(self.CHUNK, self.size - self.sent)]
            self.connection.sendall(chunk)
            self.hashes[0].update(chunk)
            self.sent += len(chunk)

    def _receive(self):
        while self.received < self.size:
            piece = self.connection.recv(1 << 20)
            if not piece:
                raise OSError("closed by the other side")
            self.hashes[1].update(piece)
            self.received += len(piece)

    def reaches(self, size, deadline=20):
        def enough():
            check(self.error is None, f"transfer: {self.error} after {self.received} bytes")
            return self.received >= size
        eventually(enough, deadline, f"{size} bytes echoed")

    def finish(self, deadline=50):
        self.reaches(self.size, deadline)
        for thread in self.threads:
            thread.join()
        check(self.hashes[0].digest() == self.hashes[1].digest(), "the hash of what came back differs")
