"""What counts as a secret in a finished file system (R25).

Three kinds of rule: a name that must not exist, bytes that must not occur, a line that gives something a value of high
entropy. A rule never keeps what it found: only its place and a masked start.
"""
import collections
import fnmatch
import math
import re

# rule: patterns of paths, from the root of the file system, that must not exist with content.
PATHS = {
    "ssh-host-key": ["etc/ssh/ssh_host_*_key", "etc/dropbear/dropbear_*_host_key"],
    "ssh-user-key": ["root/.ssh/id_*", "home/*/.ssh/id_*"],
    "authorized-keys": ["root/.ssh/authorized_keys*", "home/*/.ssh/authorized_keys*"],
    "history": ["*/.bash_history", "*/.zsh_history", "*/.ash_history", "*/.python_history", "*/.psql_history",
                "*/.mysql_history", "*/.lesshst", "*/.viminfo", "*/.node_repl_history"],
    "cluster-state": ["var/lib/rancher/k3s/server/*", "var/lib/rancher/k3s/agent/*.key", "etc/rancher/node/password",
                      "etc/rancher/k3s/k3s.yaml", "var/lib/kubelet/pki/*"],
    "credentials-file": ["*/.netrc", "*/.pgpass", "*/.my.cnf", "*/.git-credentials", "*/.aws/credentials",
                         "*/.docker/config.json", "*/.config/containers/auth.json"],
    "machine-identity": ["var/lib/systemd/random-seed", "var/lib/systemd/credential.secret",
                         "var/lib/dbus/machine-id", "var/lib/cloud/instances/*", "var/lib/cloud/instance/*"],
}

# rule: bytes that must not occur in any file.
CONTENT = {
    "private-key": rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----\r?\n(?:[A-Za-z-]+: [^\n]*\r?\n)*"
                   rb"\s*[A-Za-z0-9+/=]{16}",
    "minisign-secret-key": rb"untrusted comment: [^\n]*\n(?:RWRTY0Iy|RWQAAEIy)[A-Za-z0-9+/]{100}",
    "putty-key": rb"PuTTY-User-Key-File-[23]: ",
    "kubeconfig": rb"client-key-data: [A-Za-z0-9+/]{32}",
    "k3s-token": rb"\bK10[0-9a-f]{64}::[a-z]+:[^\s]{8}",
    "bootstrap-token": rb"\btoken-secret: [A-Za-z0-9]{16}",
    "aws-access-key": rb"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "github-token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})",
    "gitlab-token": rb"\bglpat-[A-Za-z0-9_-]{20}",
    "slack-token": rb"\bxox[abprs]-[0-9A-Za-z-]{20}",
    "google-api-key": rb"\bAIza[0-9A-Za-z_-]{35}\b",
    "npm-token": rb"\bnpm_[A-Za-z0-9]{36}\b",
    "json-web-token": rb"\beyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{20}",
    "registry-login": rb'"auth"\s*:\s*"[A-Za-z0-9+/]{12}',
    "password-in-address": rb"\b[a-z][a-z0-9+.-]{1,15}://[^\s/:@\"'<>]{1,64}:[^\s/:@\"'<>${}%]{6,}@[A-Za-z0-9]",
    "wifi-password": rb"(?m)^\s*(?:psk|wpa-psk)\s*=\s*\"?[^\s\"]{8}",
}

# Names that are given a secret: PASSWORD=..., api-key: "...".
ASSIGNMENT = re.compile(
    rb"(?i)([a-z0-9_.-]{0,40}(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|private[_-]?key|credential)[a-z0-9_-]{0,20})"
    rb"[\"']?\s*(?:=>|:=|=|:)\s*[\"']?([A-Za-z0-9+/=_.!@#$%^&*~-]{12,200})")
SHADOW_FILES = ("etc/shadow", "etc/shadow-", "etc/gshadow", "etc/gshadow-")
# A locked or empty-but-locked entry; "x" is of passwd. An empty field would be a login without a password.
LOCKED = re.compile(r"^(?:[!*]+|!\*|x)$")
# Bits a character: English words and identifiers are below, base64 and hexadecimal keys of this length above.
WEAKEST_ENTROPY = 3.3

Finding = collections.namedtuple("Finding", "rule path line shown")
_content = {rule: re.compile(pattern) for rule, pattern in CONTENT.items()}


def entropy(text):
    """Bits a character of the text by itself."""
    counts = collections.Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def mask(value):
    """Enough to find the place again, too little to use."""
    text = value.decode("ascii", "replace").split("\n")[0]
    return f"{text[:4]}... ({len(value)} characters)"


def path_findings(path, size):
    if size == 0:
        return
    for rule, patterns in PATHS.items():
        if any(fnmatch.fnmatchcase("/" + path, "/" + pattern) or fnmatch.fnmatchcase(path, pattern)
               for pattern in patterns):
            if rule == "ssh-user-key" and path.endswith(".pub"):
                continue
            yield Finding(rule, path, 0, f"{size} bytes")


def _line(data, offset, first_line):
    return first_line + data.count(b"\n", 0, offset)


def content_findings(path, data, first_line=1):
    for rule, pattern in _content.items():
        for match in pattern.finditer(data):
            yield Finding(rule, path, _line(data, match.start(), first_line), mask(match[0]))


def _is_random(value):
    """A made key or password, not a word, a path, a version, a reference to a variable, or an option's name."""
    text = value.decode("ascii")
    if re.search(r"[${}<>]|\.\.|^[/.]|^(?:[A-Za-z]+[-_./])+[A-Za-z]+$", text):
        return False
    kinds = sum(bool(re.search(kind, text)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9_.-]"))
    return kinds >= 2 and re.search("[0-9]", text) is not None and entropy(text) >= WEAKEST_ENTROPY


def entropy_findings(path, data, first_line=1):
    for match in ASSIGNMENT.finditer(data):
        if _is_random(match[2]):
            yield Finding("high-entropy", path, _line(data, match.start(), first_line),
                          f"{match[1].decode('ascii')} = {mask(match[2])}")


def shadow_findings(path, data):
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        fields = line.split(":")
        if len(fields) < 2 or line.startswith("#"):
            continue
        if "gshadow" in path and fields[1] == "":
            continue
        if not LOCKED.match(fields[1]):
            what = "a password hash" if fields[1] else "an empty password"
            yield Finding("shadow-hash", path, number, f"{fields[0]} has {what}")


def identity_findings(path, data):
    if path == "etc/machine-id" and data.strip() not in (b"", b"uninitialized"):
        yield Finding("machine-identity", path, 1, mask(data))
