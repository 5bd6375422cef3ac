"""The scan finds secrets of every kind in a finished file system and nothing in a clean one (R25).

The secrets are made here, by the programs that make real ones where there are such, so that no file of the project holds any.
"""
import base64
import gzip
import hashlib
import os
import random
import subprocess

import image_support
from image_support import imagectl, imagectl_json, write

WORDS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def letters(count, alphabet=WORDS):
    return bytes(random.SystemRandom().choice(alphabet) for _ in range(count)).decode()


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout


def clean_tree(root):
    """A small machine with much that looks like secrets and is none."""
    write(root / "etc/shadow", "root:*:20000:0:99999:7:::\nappliance:!:20000:0:99999:7:::\nsshd:!*:20000::::::\n")
    write(root / "etc/gshadow", "root:*::\nadm:!::syslog\nusers::\n")
    write(root / "etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    write(root / "etc/machine-id", "")
    write(root / "etc/ssh/sshd_config", "PasswordAuthentication no\n#HostKey /etc/ssh/ssh_host_rsa_key\n")
    write(root / "etc/bundle/trust/vendor.pub",
          "untrusted comment: minisign public key 0123456789ABCDEF\nRWQBI0VniavN7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
    write(root / "etc/pam.d/common-password", "password requisite pam_pwquality.so retry=3\n")
    write(root / "etc/app.conf", "token_file: /etc/app/token\npassword = ${APP_PASSWORD}\nsecret_name=bundle-registry-auth\n"
                                 "tokens: tokens\npassword_hash_algorithm: sha512crypt\napi-key: <your key>\n")
    write(root / "usr/share/doc/app/README", "Connect to postgres://user:$PASSWORD@db/app. -----BEGIN PRIVATE KEY----- begins one.\n")
    write(root / "root/.bashrc", "export HISTSIZE=0\n")
    write(root / "root/.bash_history", "")
    write(root / "var/log/dpkg.log", "2026-11-01 status installed libsecret-1-0:amd64 0.20.5-3\n")
    write(root / "usr/bin/tool", b"\x7fELF\0\0" + bytes(5000) + b"password=hunter2\0token=%s\0")
    # A package with an example key, unchanged: everybody has it.
    example = openssl("genpkey", "-algorithm", "ED25519")
    write(root / "usr/share/python/test/key.pem", example)
    write(root / "var/lib/dpkg/info/python3-test.md5sums",
          f"{hashlib.md5(example).hexdigest()}  usr/share/python/test/key.pem\n")
    return root


def ssh_keygen(root):
    write(root / "etc/ssh/x", "").unlink()
    key = openssl("genpkey", "-algorithm", "ED25519")
    write(root / "etc/ssh/ssh_host_ed25519_key", key)


def minisign_key(root):
    secret = b"EdSc" + b"B2" + os.urandom(152)
    write(root / "opt/vendor.key", b"untrusted comment: minisign encrypted secret key\n" + base64.b64encode(secret) + b"\n")


# kind: (rule that must see it, what plants it)
SECRETS = {
    "host key": ("ssh-host-key", ssh_keygen),
    "private key in a folder of certificates": ("private-key", lambda root: write(
        root / "etc/ssl/site.pem", openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))),
    "vendor's signing key": ("minisign-secret-key", minisign_key),
    "authorized key of the builder": ("authorized-keys", lambda root: write(
        root / "home/builder/.ssh/authorized_keys", "ssh-ed25519 AAAA builder\n")),
    "password hash": ("shadow-hash", lambda root: write(
        root / "etc/shadow", "root:*:1::::::\nappliance:" + openssl("passwd", "-6", letters(12)).decode().strip() + ":1::::::\n")),
    "login without a password": ("shadow-hash", lambda root: write(root / "etc/shadow", "root::1::::::\n")),
    "kubeconfig": ("kubeconfig", lambda root: write(
        root / "home/appliance/.kube/config",
        "kind: Config\nusers:\n- user:\n    client-key-data: " + base64.b64encode(os.urandom(90)).decode() + "\n")),
    "k3s token": ("k3s-token", lambda root: write(
        root / "srv/join.txt", f"K10{os.urandom(32).hex()}::server:{letters(24)}\n")),
    "k3s server state": ("cluster-state", lambda root: write(root / "var/lib/rancher/k3s/server/cred/passwd", "x")),
    "shell history": ("history", lambda root: write(root / "root/.bash_history", "curl -u admin:x https://registry.example.com\n")),
    "cloud key": ("aws-access-key", lambda root: write(
        root / "opt/deploy.sh", "export AWS_ACCESS_KEY_ID=AKIA" + letters(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") + "\n")),
    "forge token in a binary": ("github-token", lambda root: write(
        root / "usr/local/bin/fetch", b"\x7fELF\0" + b"ghp_" + letters(36).encode() + b"\0")),
    "login of a registry": ("registry-login", lambda root: write(
        root / "etc/containers.json", '{"auths": {"registry.example.com": {"auth": "%s"}}}' %
        base64.b64encode(letters(20).encode()).decode())),
    "login in an address": ("password-in-address", lambda root: write(
        root / "etc/apt/sources.list", f"deb https://mirror:{letters(14)}@packages.example.com/ubuntu noble main\n")),
    "web token": ("json-web-token", lambda root: write(root / "var/lib/app/session", ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=") for part in
        (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","admin":true}', os.urandom(32))))),
    "random value of a password": ("high-entropy", lambda root: write(
        root / "etc/app/app.env", "DB_HOST=localhost\nDB_PASSWORD=" + "aB3" + letters(21) + "\n")),
    "password in a compressed log": ("high-entropy", lambda root: write(
        root / "var/log/install.log.1.gz", gzip.compress(f"setting api_key=zQ7{letters(29)} now\n".encode()))),
    "state of the build's cloud-init": ("machine-identity", lambda root: write(
        root / "var/lib/cloud/instances/appliance-build/user-data.txt", "#cloud-config\n")),
    "identity of the build machine": ("machine-identity", lambda root: write(
        root / "etc/machine-id", os.urandom(16).hex() + "\n")),
}


class SecretScan(image_support.TestCase):
    def test_clean_tree_passes(self):
        report = imagectl_json("scan", "--root", clean_tree(self.work / "root"))
        self.assertEqual([], report["findings"])
        self.assertEqual(1, report["unchanged_packaged_files"])
        self.assertGreater(report["files"], 10)

    def test_every_kind_is_found_and_not_shown(self):
        self.assertGreaterEqual(len(SECRETS), 12)
        for kind, (rule, plant) in SECRETS.items():
            with self.subTest(kind):
                root = clean_tree(self.work / kind.replace(" ", "-"))
                before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
                plant(root)
                planted = [path for path in root.rglob("*") if path.is_file() and before.get(path) != path.read_bytes()]
                self.assertEqual(1, len(planted))
                report = imagectl_json("scan", "--root", root, status=1)
                self.assertIn(rule, [finding["rule"] for finding in report["findings"]])
                self.assertEqual({str(planted[0].relative_to(root))}, {finding["path"] for finding in report["findings"]})
                for finding in report["findings"]:
                    self.assertLess(len(finding["shown"]), 90)

    def test_all_at_once(self):
        root = clean_tree(self.work / "root")
        for _, plant in SECRETS.values():
            plant(root)
        report = imagectl_json("scan", "--root", root, status=1)
        self.assertEqual({rule for rule, _ in SECRETS.values()}, {finding["rule"] for finding in report["findings"]}
                         & {rule for rule, _ in SECRETS.values()})

    def test_a_changed_file_of_a_package_is_read(self):
        root = clean_tree(self.work / "root")
        key = root / "usr/share/python/test/key.pem"
        key.write_bytes(key.read_bytes() + b"\n")
        report = imagectl_json("scan", "--root", root, status=1)
        self.assertEqual(["private-key"], [finding["rule"] for finding in report["findings"]])

    def test_the_projects_own_packages_are_read(self):
        root = clean_tree(self.work / "root")
        listing = root / "var/lib/dpkg/info/python3-test.md5sums"
        listing.rename(listing.with_name("bundle-tools.md5sums"))
        imagectl("scan", "--root", root, status=1)

    def test_a_secret_across_two_pieces(self):
        from imaging import secret_scan
        root = clean_tree(self.work / "root")
        token = f"ghp_{letters(36)}".encode()
        write(root / "opt/large.bin", bytes(secret_scan.PIECE - 20) + token + b"\n" + bytes(1000))
        report = imagectl_json("scan", "--root", root, status=1)
        self.assertEqual([("github-token", "opt/large.bin")],
                         [(finding["rule"], finding["path"]) for finding in report["findings"]])

    def test_exceptions_have_reasons_and_are_needed(self):
        root = clean_tree(self.work / "root")
        ssh_keygen(root)
        allow = write(self.work / "allow", "ssh-host-key etc/ssh/*\n")
        self.assertIn("REASON", imagectl("scan", "--root", root, "--allow", allow, status=1).stderr)
        allow.write_text("# for a test\nssh-host-key etc/ssh/ssh_host_* a test\nprivate-key etc/ssh/* a test\n"
                         "history root/.bash_history nothing needs it\n")
        report = imagectl_json("scan", "--root", root, "--allow", allow)
        self.assertEqual(2, len(report["allowed"]))
        self.assertEqual(["history root/.bash_history nothing needs it"], report["unused"])

    def test_what_is_no_file_system(self):
        self.assertIn("no etc/", imagectl("scan", "--root", self.work, status=1).stderr)

    def test_links_are_not_followed(self):
        root = clean_tree(self.work / "root")
        outside = write(self.work / "outside/key.pem", openssl("genpkey", "-algorithm", "ED25519"))
        os.symlink(outside, root / "etc/key.pem")
        os.symlink(outside.parent, root / "etc/keys")
        self.assertEqual([], imagectl_json("scan", "--root", root)["findings"])


if __name__ == "__main__":
    image_support.main()
