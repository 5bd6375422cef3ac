"""The root cases of theupdateframework/tuf-conformance against our verifier.

BUNDLE_TUF_CONFORMANCE names a checkout of the suite, BUNDLE_TUF_PYTHON a Python that has its requirements (tuf, pytest).
The lists are those of docs/trust-model.md.
"""

import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import tools

HERE = pathlib.Path(__file__).resolve().parent
SUITE = os.environ.get("BUNDLE_TUF_CONFORMANCE", "")
PYTHON = os.environ.get("BUNDLE_TUF_PYTHON", sys.executable)
CLIENT = tools.BIN / "tests" / "interop" / "tuf_client"

PASSED = ["test_root_rotation", "test_unsigned_metadata[root]", "test_invalid_initial_root", "test_unsigned_initial_root",
          "test_custom_fields", "test_keytype_and_scheme[ed25519/ed25519]", "test_expired_local_root"]
# We know one algorithm, on purpose.
FAILED = ["test_keytype_and_scheme[rsa/rsassa-pss-sha256]", "test_keytype_and_scheme[ecdsa/ecdsa-sha2-nistp256]"]
NEEDS_FAKETIME = ["test_expired_local_root"]


def suite_is_there():
    if not pathlib.Path(SUITE, "tuf_conformance", "conftest.py").exists() or not SUITE:
        return False
    return subprocess.run([PYTHON, "-c", "import tuf, pytest"], capture_output=True).returncode == 0


def section():
    return (tools.DOCS / "trust-model.md").read_text().split("## TUF conformance")[1].split("\n## ")[0]


class Conformance(unittest.TestCase):
    def run_cases(self, cases):
        """{case: outcome}"""
        suite = pathlib.Path(SUITE)
        files = {}
        for path in (suite / "tuf_conformance").glob("test_*.py"):
            for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M):
                files[name] = path
        ids = [f"{files[case.split('[')[0]]}::{case}" for case in cases]
        result = subprocess.run(
            [PYTHON, "-B", "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-p", "tuf_ed25519", "--entrypoint",
             str(CLIENT), *ids],
            cwd=suite, env={**os.environ, "PYTHONPATH": f"{HERE}:{suite}", "no_proxy": "localhost,127.0.0.1"},
            capture_output=True, text=True, timeout=600)
        outcomes = re.findall(r"^(PASSED|FAILED|ERROR) \S*::(test_[^\s]+)", result.stdout, re.M)
        self.assertTrue(outcomes, result.stdout + result.stderr)
        return {case: outcome for outcome, case in outcomes}, result.stdout

    @unittest.skipUnless(suite_is_there(), "tuf-conformance is not here (BUNDLE_TUF_CONFORMANCE)")
    def test_root_cases(self):
        wanted = [case for case in PASSED if case not in NEEDS_FAKETIME or shutil.which("faketime")]
        outcomes, text = self.run_cases(wanted)
        self.assertGreater(len(outcomes), 15)
        self.assertEqual({outcome for outcome in outcomes.values()}, {"PASSED"}, text)

    @unittest.skipUnless(suite_is_there(), "tuf-conformance is not here (BUNDLE_TUF_CONFORMANCE)")
    def test_what_fails_on_purpose_fails(self):
        outcomes, text = self.run_cases(FAILED)
        self.assertEqual(set(outcomes.values()), {"FAILED"}, text)

    @unittest.skipUnless(suite_is_there(), "tuf-conformance is not here (BUNDLE_TUF_CONFORMANCE)")
    def test_every_case_of_the_suite_has_a_row(self):
        rows = re.findall(r"`(test_[^`]+)`", section())
        for path in sorted((pathlib.Path(SUITE) / "tuf_conformance").glob("test_*.py")):
            for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M):
                self.assertTrue(any(fnmatch.fnmatch(name, row.split("[")[0]) for row in rows), name)

    def test_the_document_lists_them(self):
        rows = re.findall(r"^\| `([^`]+)` \| (\w[\w ]*) \|", section(), re.M)
        self.assertEqual([name for name, answer in rows if answer == "passed"], PASSED)
        self.assertEqual([name for name, answer in rows if answer == "failed"], FAILED)


if __name__ == "__main__":
    unittest.main()
