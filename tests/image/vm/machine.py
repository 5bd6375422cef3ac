"""A virtual machine of the test: QEMU without any network, its consoles, its disks, its power."""
import os
import pathlib
import re
import socket
import subprocess
import time

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]")


def accelerator(probe):
    return subprocess.run([probe], capture_output=True, text=True, check=True).stdout.strip()


def fat_disk(path, files, label, mebibytes):
    """A disk with one FAT file system, made without mounting anything. files: {name: source or bytes}"""
    with open(path, "wb") as file:
        file.truncate(mebibytes << 20)
    tools = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(["mkfs.vfat", "-n", label, path], check=True, env=tools, stdout=subprocess.DEVNULL)
    for name, source in files.items():
        if isinstance(source, bytes):
            part = pathlib.Path(str(path) + ".part")
            part.write_bytes(source)
            source = part
        subprocess.run(["mcopy", "-i", path, source, f"::/{name}"], check=True, env=tools)
    return path


def overlay(base, path):
    """A disk that begins as `base` and leaves it as it is."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", disk_format(base), path], check=True)
    return path


def disk_format(path):
    with open(path, "rb") as file:
        magic = file.read(4)
    return {b"QFI\xfb": "qcow2", b"KDMV": "vmdk"}.get(magic, "raw")


class Machine:
    """disks: in their order, system disk first. spare: {name: path} that can be plugged in later."""

    def __init__(self, work, disks, spare=None, accel="tcg", memory=1024):
        self.log = pathlib.Path(work) / f"serial-{time.monotonic_ns()}.log"
        self.monitor_path = pathlib.Path(work) / f"monitor-{time.monotonic_ns() % 10**9}"
        self.input_path = pathlib.Path(work) / f"serial-{time.monotonic_ns() % 10**9}.sock"
        command = ["nice", "-n", os.environ.get("BUNDLE_QEMU_NICE", "5"), "qemu-system-x86_64", "-machine", "pc", "-accel", accel + (",thread=multi" if accel == "tcg" else ""),
                   "-smp", "2", "-m", str(memory), "-display", "none", "-vga", "std", "-no-reboot", "-nodefaults", "-nic", "none",
                   "-device", "virtio-rng-pci",
                   "-chardev", f"socket,id=tty,path={self.input_path},server=on,wait=off,logfile={self.log}",
                   "-serial", "chardev:tty", "-monitor", f"unix:{self.monitor_path},server=on,wait=off"]
        for number, disk in enumerate(disks):
            command += ["-drive", f"file={disk},format={disk_format(disk)},if=virtio,index={number},cache=unsafe"
                        if number == 0 else f"file={disk},format={disk_format(disk)},if=virtio,index={number}"]
        for name, disk in (spare or {}).items():
            command += ["-drive", f"file={disk},format={disk_format(disk)},if=none,id={name}"]
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.seen = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def cut(self):
        """The power goes."""
        self.process.kill()
        self.process.wait()

    def text(self):
        return ANSI.sub("", self.log.read_text(errors="replace")) if self.log.exists() else ""

    def wait_for(self, pattern, seconds, since=0):
        """Until the serial console shows it (from character `since`); gives the match."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            match = re.compile(pattern).search(self.text(), since)
            if match:
                return match
            if self.process.poll() is not None:
                raise AssertionError(f"QEMU ended: {self.process.stderr.read().decode()}\n{self.tail()}")
            time.sleep(0.5)
        raise AssertionError(f"no {pattern!r} within {seconds} s on the console:\n{self.tail()}")

    def tail(self):
        return "\n".join(self.text().splitlines()[-40:])

    def monitor(self, command):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self.monitor_path))
            answer = b""
            while not answer.endswith(b"(qemu) "):
                answer += connection.recv(65536)
            connection.sendall(command.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"(qemu) "):
                answer += connection.recv(65536)
            return answer.decode(errors="replace")

    def plug(self, name):
        answer = self.monitor(f"device_add virtio-blk-pci,drive={name},id=dev-{name}")
        assert "rror" not in answer, answer

    def unplug(self, name):
        self.monitor(f"device_del dev-{name}")

    def screenshot(self, path):
        self.monitor(f"screendump {path}")

    def type(self, text):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.input_path))
            for piece in text:
                connection.sendall(piece.encode())
                time.sleep(0.01)
            time.sleep(0.5)

    def shell(self, command, seconds=300):
        """Runs a command in the logged-in shell; gives (status, output)."""
        mark = f"m{time.monotonic_ns()}"
        since = len(self.text())
        # The mark in two parts, so that the echo of the command is not taken for its end.
        self.type(f"{command}; echo \"{mark[:4]}\"\"{mark[4:]} $?\"\n")
        match = self.wait_for(rf"{mark} (\d+)", seconds, since)
        return int(match[1]), self.text()[since:match.start()]
