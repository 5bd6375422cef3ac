"""What the tests of image/ share: where it is, and how to run its commands."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else
                      pathlib.Path(__file__).resolve().parents[2])
IMAGE = SOURCE / "image"
sys.path.insert(0, str(IMAGE))


def imagectl(*arguments, status=0):
    """Output of a command; fails when it ends otherwise than with `status`."""
    done = subprocess.run([sys.executable, "-B", IMAGE / "imagectl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != status:
        raise AssertionError(f"imagectl {' '.join(map(str, arguments))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def imagectl_json(*arguments, status=0):
    return json.loads(imagectl(*arguments, "--json", status=status).stdout)


class TestCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="image-test-")
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    return path


def main():
    unittest.main(verbosity=1)
