"""An origin in a private bucket: requests signed by AWS's rules of version 4. The store here is a server of this test that works the
signature out by itself, from what it was asked, and answers 403 to any other."""

import datetime
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import tempfile
import unittest

from origin_world import Liar, Vendor, tools

MIRROR = tools.BIN / "tools" / "mirror-sync"
ACCESS, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-central-1"
AUTH_FAILED, CONFIG_INVALID, USAGE = 82, 21, 2


def hmac_sha256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret, region, date, scope, request):
    """The last steps of the rules: the key is drawn from the secret for one day, region and service."""
    key = ("AWS4" + secret).encode()
    for part in (date[:8], region, "s3", "aws4_request"):
        key = hmac_sha256(key, part)
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()])
    return hmac_sha256(key, text).hex()


class Bucket(Liar):
    """Serves a folder as a bucket; `refused` tells why a request was."""

    def __init__(self, root, **more):
        super().__init__(root, **more)
        self.refused, self.accepted = [], 0

    def answer(self, handler):
        problem = self.problem(handler)
        if not problem:
            self.accepted += 1
            return super().answer(handler)
        self.refused.append(problem)
        handler.send_response(403)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return None

    def problem(self, handler):
        headers = {}
        for name, value in handler.headers.items():
            if name.lower() in headers:
                return f"{name} is there twice"
            headers[name.lower()] = " ".join(value.split())
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?"
                             r"Signature=([0-9a-f]{64})", headers.get("authorization", ""))
        if not found:
            return "no signature"
        access, day, region, names, given = found.groups()
        names = names.split(";")
        if names != sorted(names) or not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names):
            return f"signed headers {names}"
        if "range" in headers and "range" not in names:
            return "the range is not signed"
        if headers["host"] != f"127.0.0.1:{self.server.server_address[1]}":
            return "host " + headers["host"]
        if headers["x-amz-content-sha256"] != hashlib.sha256(b"").hexdigest():
            return "digest of the body"
        date = headers["x-amz-date"]
        now = datetime.datetime.now(datetime.timezone.utc)
        then = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs((now - then).total_seconds()) > 900 or date[:8] != day:
            return "date " + date
        path, _, query = handler.path.partition("?")
        lines = [handler.command, path, query, *(f"{name}:{headers[name]}" for name in names), "", ";".join(names),
                 headers["x-amz-content-sha256"]]
        scope = f"{day}/{region}/s3/aws4_request"
        if (access, region) != (ACCESS, REGION):
            return f"{access} in {region}"
        return "" if given == signature(SECRET, REGION, date, scope, "\n".join(lines)) else "signature of " + handler.path


def setUpModule():
    global SCRATCH, VENDOR, ORIGIN
    SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="bundle-s3-", dir=os.environ.get("BUNDLE_SCRATCH")))
    VENDOR = Vendor(SCRATCH, image_bytes=300_000, disk_bytes=1 << 20)
    ORIGIN = SCRATCH / "bucket"
    VENDOR.promote("1.0.0")
    VENDOR.publish(ORIGIN / "app", VENDOR.bundle("1.0.0"))


def tearDownModule():
    shutil.rmtree(SCRATCH, ignore_errors=True)


class ObjectStore(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.store = self.work / "store"
        self.keys = self.work / "keys"
        self.keys.write_text(f"{ACCESS}:{SECRET}\n")

    def take(self, url, *options, check=0, region=REGION):
        return tools.run(tools.IMPORT, "import", url, "--channel", "stable", "--store", self.store, "--trust", VENDOR.pub, "--quiet",
                         "--origin-region", region, *(options or ["--origin-credentials", self.keys]), check=check)

    def test_the_rules_by_an_example_of_their_document(self):
        # GET of an object with a range, from the documentation of S3's header-based authentication.
        request = "\n".join([
            "GET", "/test.txt", "", "host:examplebucket.s3.amazonaws.com", "range:bytes=0-9",
            "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "x-amz-date:20130524T000000Z", "",
            "host;range;x-amz-content-sha256;x-amz-date", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])
        self.assertEqual(
            signature("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", "20130524T000000Z",
                      "20130524/us-east-1/s3/aws4_request", request),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")

    def test_a_release_out_of_a_private_bucket(self):
        with Bucket(ORIGIN) as bucket:
            self.take(f"{bucket.url}/app")
            self.assertEqual(bucket.refused, [])
            self.assertGreater(bucket.accepted, 3)
        tools.assert_clean_store(self, self.store, ["1.0.0"])

    def test_other_keys_and_regions(self):
        with Bucket(ORIGIN) as bucket:
            self.keys.write_text(f"{ACCESS}:another\n")
            result = self.take(f"{bucket.url}/app", check=AUTH_FAILED)
            self.assertNotIn("another", result.stdout + result.stderr)
            self.keys.write_text(f"{ACCESS}:{SECRET}\n")
            self.take(f"{bucket.url}/app", check=AUTH_FAILED, region="us-east-1")
            self.assertEqual(bucket.accepted, 0)
            self.keys.write_text("nothing\n")
            self.take(f"{bucket.url}/app", check=CONFIG_INVALID)
            self.take(f"{bucket.url}/app", "--limit-rate", "100M", check=USAGE)

    def test_no_signature_goes_to_another_host(self):
        with Bucket(ORIGIN) as other:
            def spoil(path, status, headers, body):
                return 302, {"Location": other.url + path}, b"", None

            with Bucket(ORIGIN, spoil=spoil) as bucket:
                self.take(f"{bucket.url}/app", check=AUTH_FAILED)
                self.assertEqual((bucket.refused, set(other.refused)), ([], {"no signature"}))

    def test_mirror_sync(self):
        config = self.work / "mirror.yaml"
        with Bucket(ORIGIN) as bucket:
            config.write_text(json.dumps({
                "apiVersion": "bundle/v1", "kind": "Mirror", "state": str(self.work / "state"),
                "origins": [{"name": "bucket", "address": f"{bucket.url}/app", "s3Region": REGION, "credentials": str(self.keys)}],
                "stores": [{"name": "site", "path": str(self.store), "trust": str(VENDOR.pub)}],
                "mirrors": [{"origin": "bucket", "stores": ["site"], "channels": ["stable"]}]}))
            states = [json.loads(tools.run(MIRROR, "run", "--config", config, "--quiet", "--json", check=0).stdout)["releases"][0]["state"]
                      for _ in range(2)]
            self.assertEqual((states, bucket.refused), (["synced", "current"], []))
        tools.assert_clean_store(self, self.store, ["1.0.0"])


if __name__ == "__main__":
    unittest.main()
