"""versions.pkrvars.hcl is the one place of versions, and a build stops at each one that is missing."""
import re

import image_support
from image_support import IMAGE, imagectl, imagectl_json, write

FULL = """ubuntu_release = "24.04.4"
ubuntu_iso_url = "https://mirror.example.com/ubuntu.iso"
ubuntu_iso_sha256 = "{hash}"
ubuntu_cloud_image_url = "https://mirror.example.com/ubuntu.img"
ubuntu_cloud_image_sha256 = "{hash}"
ubuntu_base_date = "2026-11-01"
base_max_days = "3000"
debian_release = "bookworm"
k3s_version = "v1.31.6+k3s1"
packer_version = ">= 1.11.0"
packer_qemu_version = ">= 1.1.0"
""".format(hash="0123456789abcdef" * 4)
BASES = ("ubuntu-iso", "ubuntu-cloud", "debian-test")


class Pins(image_support.TestCase):
    def problems(self, text, base, status=1):
        return imagectl_json("pins", "--base", base, "--pins", write(self.work / "pins.hcl", text), status=status)["problems"]

    def test_a_full_file_is_enough_for_every_base(self):
        for base in BASES:
            self.assertEqual([], self.problems(FULL, base, status=0))

    def test_each_missing_or_empty_value_is_named(self):
        from imaging import pins

        def problems_of(text):
            return list(pins.problems(pins.read(write(self.work / "pins.hcl", text)), base))

        for base in BASES:
            for name in pins.NEEDED[base]:
                with self.subTest(base=base, name=name):
                    without = re.sub(rf'(?m)^{name} = .*\n', "", FULL)
                    self.assertEqual([f"missing: {name}"], problems_of(without))
                    line = FULL[:FULL.index(f"{name} =")].count("\n") + 1
                    empty = re.sub(rf'(?m)^{name} = .*$', f'{name} = ""', FULL)
                    self.assertEqual([f"unpinned: {name} (line {line})"], problems_of(empty))

    def test_several_problems_come_together(self):
        text = FULL.replace('ubuntu_iso_sha256 = "0', 'ubuntu_iso_sha256 = "x').replace('"v1.31.6+k3s1"', '"1.31"')
        self.assertEqual(2, len(self.problems(text, "ubuntu-iso")))

    def test_an_old_base_is_refused(self):
        text = FULL.replace("2026-11-01", "2020-01-01").replace("3000", "365")
        self.assertRegex(self.problems(text, "ubuntu-cloud")[0], "^stale: .* at most 365 are allowed$")
        file = write(self.work / "pins.hcl", text)
        imagectl("pins", "--base", "ubuntu-cloud", "--pins", file, "--allow-stale")

    def test_what_is_not_a_pin(self):
        for line in ("ubuntu_release = 24", 'a = "${b}"', "include x", 'ubuntu_release = "24.04.5"'):
            with self.subTest(line):
                file = write(self.work / "pins.hcl", FULL + line + "\n")
                self.assertIn("line 12", imagectl("pins", "--base", "debian-test", "--pins", file, status=1).stderr)


class Template(image_support.TestCase):
    """The template against the pins and the seeds; Packer itself is not needed."""
    template = (IMAGE / "appliance.pkr.hcl").read_text()

    def test_the_test_base_is_pinned_in_the_repository(self):
        imagectl("pins", "--base", "debian-test")

    def test_every_pin_is_a_variable_and_every_variable_is_set(self):
        from imaging import pins
        declared = set(re.findall(r'^variable "(\w+)"', self.template, re.M))
        used = set(re.findall(r"\bvar\.(\w+)", self.template))
        given = set(re.findall(r'-var "(\w+)=', (IMAGE / "build-image.sh").read_text()))
        names = set(pins.read())
        self.assertEqual(set(), names - declared, "Packer refuses values of a var-file that are not declared")
        self.assertEqual(declared - names, given, "build-image.sh gives every other variable, and no more")
        self.assertEqual(set(), used - declared)

    def test_versions_of_the_packer_block(self):
        from imaging import pins
        values = pins.read()
        self.assertIn(f'required_version = "{values["packer_version"][0]}"', self.template)
        self.assertIn(f'version = "{values["packer_qemu_version"][0]}"', self.template)

    def test_braces_balance(self):
        text = re.sub(r'"(?:[^"\\$]|\\.|\$\{[^}]*\}|\$)*"|#.*', "", self.template)
        self.assertEqual(text.count("{"), text.count("}"))
        self.assertEqual(text.count("["), text.count("]"))

    def test_seeds(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("python3-yaml is missing")
        for name in ("autoinstall", "cloud-image"):
            with self.subTest(name):
                text = (IMAGE / "seed" / name / "user-data").read_text()
                self.assertTrue(text.startswith("#cloud-config\n"))
                placeholders = set(re.findall(r"\$\{(\w+)\}", text))
                self.assertEqual({"mirror", "public_key"}, placeholders)
                seed = yaml.safe_load(text)
                users = (seed["autoinstall"]["user-data"] if name == "autoinstall" else seed)["users"]
                self.assertTrue(all(user["lock_passwd"] for user in users))
                self.assertNotRegex(text, r"(?im)^\s*(?:hashed_|plain_text_)?(?:passwd|password):")
                self.assertIn("instance-id", (IMAGE / "seed" / name / "meta-data").read_text())
        installer = yaml.safe_load((IMAGE / "seed/autoinstall/user-data").read_text())["autoinstall"]
        self.assertEqual(1, installer["version"])
        self.assertEqual("abort", installer["apt"]["fallback"])


if __name__ == "__main__":
    image_support.main()
