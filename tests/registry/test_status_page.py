"""The status page as a person sees it: screenshots by Chromium, which are skipped where it is not installed."""

import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import small_release  # noqa: E402
import tools  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
GREEN, RED, WHITE = (0x1A, 0x7F, 0x37), (0xCF, 0x22, 0x2E), (255, 255, 255)


def pixels(path):
    """Rows of (r, g, b) of a PNG file of eight bits a channel."""
    data = path.read_bytes()
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    assert depth == 8 and colour in (2, 6) and not interlaced, (depth, colour)
    step = 3 if colour == 2 else 4
    raw, above, rows = zlib.decompress(packed), bytearray(width * step), []
    for number in range(height):
        start = number * (width * step + 1)
        kind, line = raw[start], bytearray(raw[start + 1 : start + 1 + width * step])
        for i in range(len(line) if kind else 0):
            left = line[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            if kind == 4:
                guess = left + above[i] - corner
                nearest = min((abs(guess - left), 0, left), (abs(guess - above[i]), 1, above[i]), (abs(guess - corner), 2, corner))[2]
            line[i] = (line[i] + (left, above[i], (left + above[i]) // 2, nearest if kind == 4 else 0)[kind - 1]) & 255
        above = line
        rows.append([tuple(line[x : x + 3]) for x in range(0, len(line), step)])
    return rows


def count(rows, colour):
    return sum(row.count(colour) for row in rows)


@unittest.skipUnless(CHROMIUM, "chromium is not installed")
class StatusPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(tempfile.mkdtemp(dir=os.environ.get("BUNDLE_SCRATCH")))
        cls.addClassCleanup(shutil.rmtree, cls.scratch, True)
        key, pub = tools.make_key(cls.scratch)
        bundle = tools.make_bundle(small_release.make_release(cls.scratch / "release"), cls.scratch / "bundle", key, "--fast")
        cls.store = cls.scratch / "store"
        tools.import_bundle([bundle], cls.store, pub, check=0)
        tools.run(tools.IMPORT, "activate", "1.0.0", "--store", cls.store, check=0)

    def screenshot(self, name, width, height=700):
        # $BUNDLE_SCREENSHOTS: a folder that keeps the pictures.
        out = pathlib.Path(os.environ.get("BUNDLE_SCREENSHOTS") or self.scratch, f"status-{name}.png").resolve()
        with tools.Registry(self.store, "--scrub-days", "0") as address:
            subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                            f"--window-size={width},{height}", f"--user-data-dir={self.scratch}/profile", f"--screenshot={out}",
                            f"http://{address}/"], check=True, capture_output=True, timeout=120)
        rows = pixels(out)
        self.assertEqual((len(rows[0]), len(rows)), (width, height))
        return rows

    def check_layout(self, rows):
        self.assertGreater(len({pixel for row in rows for pixel in row}), 20)  # text, not an empty page
        for row in rows:  # nothing runs out of the window
            self.assertEqual(row[-8:], [WHITE] * 8)

    def test_a_ready_site_is_green(self):
        rows = self.screenshot("ready", 1000)
        self.check_layout(rows)
        self.assertGreater(count(rows[:120], GREEN), 300)  # the badge beside the title
        self.assertGreater(count(rows[120:], GREEN), 300)  # that of the active release
        self.assertEqual(count(rows, RED), 0)

    def test_a_damaged_site_is_red(self):
        victim = max((self.store / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        content = victim.read_bytes()
        victim.unlink()
        self.addCleanup(victim.write_bytes, content)
        rows = self.screenshot("damaged", 1000)
        self.check_layout(rows)
        self.assertGreater(count(rows[:120], RED), 300)
        self.assertEqual(count(rows[:120], GREEN), 0)

    def test_it_fits_a_narrow_window(self):
        self.check_layout(self.screenshot("narrow", 600, 900))


if __name__ == "__main__":
    unittest.main()
