"""The SBOM lists what rpm has installed, from rpm's own database and from the two older forms."""

import json
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import rpm_world  # noqa: E402
import small_release  # noqa: E402
import tools  # noqa: E402
from test_supply import check_spdx, needs, write_members  # noqa: E402

OS_RELEASE = 'ID="rocky"\nVERSION_ID="9.4"\n'
IMAGES = ("sqlite", "ndb", "berkeley", "damaged", "journal")


def databases(folder):
    """Files of each image, from one database that rpm made; and what rpm says that it has."""
    made = rpm_world.make_sqlite(folder)
    headers = rpm_world.headers_of(made) + [rpm_world.key_header()]
    rpm_world.write_ndb(folder / "Packages.db", headers)
    rpm_world.write_berkeley(folder / "Packages", headers)
    sqlite = (made / "rpmdb.sqlite").read_bytes()
    return rpm_world.query(made), {
        "sqlite": {"var/lib/rpm/rpmdb.sqlite": sqlite},
        "ndb": {"usr/lib/sysimage/rpm/Packages.db": (folder / "Packages.db").read_bytes()},
        "berkeley": {"var/lib/rpm/Packages": (folder / "Packages").read_bytes()},
        "damaged": {"var/lib/rpm/rpmdb.sqlite": sqlite[:4096] + b"\xff" * (len(sqlite) - 4096)},
        "journal": {"var/lib/rpm/rpmdb.sqlite": sqlite, "var/lib/rpm/rpmdb.sqlite-wal": b"frames"},
    }


def make_release(folder, files):
    yaml = small_release.make_release(folder)
    layout = small_release.Layout(folder / "rpms")
    lines = ""
    for name in IMAGES:
        members = {"etc/os-release": OS_RELEASE, **files[name]}
        layer = layout.add_layer(lambda out, members=members: write_members(out, members), 6)
        layout.name(layout.add_image([layer]), f"{name}:1")
        lines += f'- {{name: "registry.example.com/{name}:1", source: "oci:rpms:{name}:1"}}\n'
    layout.finish()
    yaml.write_text(yaml.read_text().replace("images:\n", "images:\n" + lines))
    return yaml


def read_sbom(store):
    for path in (store / "blobs/sha256").iterdir():
        data = path.read_bytes()
        if data.startswith(b'{"spdxVersion"'):
            return json.loads(data)
    raise AssertionError(f"no SBOM in {store}")


def url(row):
    name, version, architecture, epoch = row[:4]
    return (f"pkg:rpm/rocky/{name.replace('+', '%2B')}@{version}?arch={architecture}&distro=rocky-9.4" +
            (f"&epoch={epoch}" if epoch else ""))


@needs("rpm", "rpmbuild")
@unittest.skipUnless(rpm_world.db_load(), "db_load is not installed")
class RpmDatabases(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle-rpm-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        (cls.folder / "rpm").mkdir()
        cls.installed, files = databases(cls.folder / "rpm")
        key, pub = tools.make_key(cls.folder)
        release = make_release(cls.folder / "release", files)
        bundle = tools.make_bundle(release, cls.folder / "bundle", key, "--fast")
        tools.import_bundle([bundle], cls.folder / "store", pub, check=0)
        cls.sbom = read_sbom(cls.folder / "store")
        cls.elements = {element["SPDXID"]: element for element in cls.sbom["packages"]}

    def image(self, name):
        return next(element for element in self.sbom["packages"] if element["name"] == f"registry.example.com/{name}:1")

    def packages(self, name):
        owner = self.image(name)["SPDXID"]
        found = [self.elements[relation["relatedSpdxElement"]] for relation in self.sbom["relationships"]
                 if relation["spdxElementId"] == owner and relation["relationshipType"] == "CONTAINS"]
        return {element["externalRefs"][0]["referenceLocator"]: element for element in found}

    def test_each_form_lists_what_rpm_lists(self):
        self.assertEqual(len(self.installed), len(rpm_world.SPECS))
        for name in ("sqlite", "ndb", "berkeley", "journal"):
            with self.subTest(name):
                self.assertEqual(sorted(self.packages(name)), sorted(url(row) for row in self.installed))
        for name in ("sqlite", "ndb", "berkeley"):
            self.assertNotIn("annotations", self.image(name))

    def test_what_the_packages_say_of_themselves(self):
        for row in self.installed:
            element = self.packages("sqlite")[url(row)]
            license_text, vendor, source = row[4:]
            self.assertEqual(element["licenseComments"], f"as packaged: {license_text}")
            self.assertEqual(element["sourceInfo"], f"built from {source}")
            self.assertEqual(element.get("supplier"), vendor and "Organization: Example Org [packaging]")
            self.assertEqual(element["licenseDeclared"], "NOASSERTION")

    def test_spdx_tools_find_it_valid(self):
        path = self.folder / "sbom.spdx.json"
        path.write_text(json.dumps(self.sbom))
        check_spdx(self, path)

    def test_what_cannot_be_read_is_told_and_stops_nothing(self):
        for name, path in (("damaged", "rpmdb.sqlite: "), ("journal", "rpmdb.sqlite-wal: ")):
            comments = [note["comment"] for note in self.image(name)["annotations"]]
            self.assertEqual(len(comments), 1)
            self.assertTrue(comments[0].startswith(f"packages may be missing: var/lib/rpm/{path}"), comments)


if __name__ == "__main__":
    unittest.main()
