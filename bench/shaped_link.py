"""A line between two network namespaces with a rate, a delay and loss, packet by packet. It does what tc's netem does, in a process of
its own, because not every kernel has netem. Root only; everything is gone when the context ends.

    with ShapedLink(rate=100e6, delay=0.04, loss=0.01) as link:
        link.run_far([...])       in the namespace of the server, whose address is link.far
        link.run_near([...])      in that of the client
"""
import collections
import ctypes
import fcntl
import os
import random
import select
import signal
import struct
import subprocess
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
MTU = 1500
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    with open(f"/run/netns/{namespace}") as file:
        if LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


def open_tun(namespace, name):
    """In a child this would be lost: the caller is the relay, which needs no network of its own."""
    enter(namespace)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


class Direction:
    """A queue in front of the line's rate, then the delay."""

    def __init__(self, source, target, rate, delay, loss, seed):
        self.source, self.target, self.rate, self.delay, self.loss = source, target, rate, delay, loss
        self.packets = collections.deque()
        self.free_at = 0.0
        self.longest = max(4 * rate / 8 * delay, 64 * MTU) / (rate / 8)  # seconds of queue
        self.random = random.Random(seed)

    def take(self, now):
        while True:
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            if self.loss and self.random.random() < self.loss:
                continue
            start = max(now, self.free_at)
            if start - now > self.longest:
                continue  # the queue is full
            self.free_at = start + len(packet) * 8 / self.rate
            self.packets.append((self.free_at + self.delay, packet))

    def give(self, now):
        """Returns when the next one is due."""
        while self.packets and self.packets[0][0] <= now:
            try:
                os.write(self.target, self.packets.popleft()[1])
            except OSError:
                pass
        return self.packets[0][0] if self.packets else None


def relay(near, far, rate, delay, loss, ready):
    tuns = [open_tun(near, "line0"), open_tun(far, "line0")]
    os.write(ready, b"x")
    os.nice(-10)  # a line does not wait for the processor
    ways = [Direction(tuns[0], tuns[1], rate, delay, loss, 1), Direction(tuns[1], tuns[0], rate, delay, loss, 2)]
    poll = select.epoll()
    for tun in tuns:
        poll.register(tun, select.EPOLLIN)
    due = None
    while True:
        poll.poll(-1 if due is None else max(0.0, due - time.monotonic()))
        now = time.monotonic()
        for way in ways:
            way.take(now)
        times = [at for at in (way.give(time.monotonic()) for way in ways) if at is not None]
        due = min(times) if times else None


class ShapedLink:
    near_address, far = "192.0.2.1", "192.0.2.2"

    def __init__(self, rate, delay, loss=0.0):
        self.rate, self.delay, self.loss = rate, delay, loss
        self.names = [f"line-near-{os.getpid()}", f"line-far-{os.getpid()}"]
        self.children = []

    def __enter__(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                relay(*self.names, self.rate, self.delay, self.loss, tell)
            finally:
                os._exit(1)
        os.close(tell)
        if os.read(ready, 1) != b"x":
            self.__exit__()
            raise OSError("no TUN device: root and /dev/net/tun are needed")
        os.close(ready)
        for name, own, other in zip(self.names, (self.near_address, self.far), (self.far, self.near_address)):
            inside = ["ip", "-n", name]
            subprocess.run([*inside, "link", "set", "lo", "up"], check=True)
            subprocess.run([*inside, "link", "set", "line0", "up", "mtu", str(MTU)], check=True)
            subprocess.run([*inside, "addr", "add", own, "peer", other, "dev", "line0"], check=True)
        return self

    def far_command(self, command):
        return ["ip", "netns", "exec", self.names[1], *map(str, command)]

    def near_command(self, command):
        return ["ip", "netns", "exec", self.names[0], *map(str, command)]

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)
