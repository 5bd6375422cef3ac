"""The machine as the steps see it: the root of its files, its programs, its configuration."""
import os
import pathlib
import pty
import select
import subprocess
import time

from .outcome import Failed


class Context:
    """root: / in the appliance, a folder in tests. Programs are found in PATH."""

    def __init__(self, root="/", report=None):
        self.root = pathlib.Path(root)
        self.report = report
        self.site = {}  # site.yaml, after the step that reads it

    def path(self, name):
        """An absolute name of the appliance, as a path here."""
        return self.root / name.lstrip("/")

    @property
    def store(self):
        return self.path("/var/lib/bundle")

    def write(self, name, content, mode=0o644):
        """Writes a file whole or not at all; True when it was not there like this before."""
        path = self.path(name)
        data = content if isinstance(content, bytes) else content.encode()
        if path.is_file() and path.read_bytes() == data:
            os.chmod(path, mode)
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.new")
        # Made with its final mode: a secret is at no moment readable for others.
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, mode)
        replace(partial, path)
        return True

    def run(self, *command, check=True, seconds=600, input=None):
        """A program of the system; its output goes nowhere but into the message of a failure."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, input=input,
                                  stdin=None if input is not None else subprocess.DEVNULL)
        except FileNotFoundError:
            raise Failed(f"the program {words[0]} is not there", "This image is damaged: install it anew.") from None
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(words[:3])} was not done after {seconds} seconds") from None
        if check and done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or [""]
            raise Failed(f"{' '.join(words[:3])} ended with status {done.returncode}: {last[0]}")
        return done

    def run_with_progress(self, *command, show):
        """As run, with a terminal for its progress; show(text) gets the newest line now and then. (status, output)"""
        primary, secondary = pty.openpty()
        with subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=secondary) as process:
            os.close(secondary)
            output, shown = b"", time.monotonic()
            streams = [process.stdout.fileno(), primary]
            while streams:
                for stream in select.select(streams, [], [], 1)[0]:
                    try:
                        piece = os.read(stream, 65536)
                    except OSError:  # the other end of a terminal is closed
                        piece = b""
                    if not piece:
                        streams.remove(stream)
                    elif stream == primary:
                        if time.monotonic() - shown >= 5:
                            line = piece.decode(errors="replace").replace("\x1b[K", "\r").split("\r")[-1].strip()
                            if line:
                                show(line)
                                shown = time.monotonic()
                    else:
                        output += piece
            os.close(primary)
            return process.wait(), output.decode(errors="replace")


def replace(partial, path):
    """Moves a whole file to its name, durably."""
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
