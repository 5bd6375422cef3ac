"""image-metadata.json and the SPDX list of packages: what is in an image, inside it and beside it."""
import datetime
import hashlib
import json
import pathlib
import re
import urllib.parse

from .failure import Failure

INSIDE = "usr/share/appliance"
# Component: packages of which the first installed one gives the version.
COMPONENTS = {
    "kernel": ["linux-image-generic", "linux-image-virtual", "linux-image-cloud-amd64", "linux-image-amd64"],
    "systemd": ["systemd"], "cloud-init": ["cloud-init"], "openssh": ["openssh-server"], "nftables": ["nftables"],
    "bundle-tools": ["bundle-tools"], "bundle-appliance": ["bundle-appliance"],
}


def time_text(seconds):
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def installed_packages(root):
    """[(name, version, architecture)] of dpkg's status, sorted."""
    status = pathlib.Path(root) / "var/lib/dpkg/status"
    if not status.exists():
        raise Failure(f"{status} is not there", "An image of Debian or Ubuntu is needed.")
    found = []
    for paragraph in status.read_text(errors="replace").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", paragraph, re.M))
        if fields.get("Status", "").endswith(" installed"):
            found.append((fields["Package"], fields["Version"], fields["Architecture"]))
    return sorted(found)


def spdx(packages, name, distribution, time):
    """SPDX 2.3 document: one package for the image, one for each Debian package in it."""
    namespace = hashlib.sha256(json.dumps([name, packages]).encode()).hexdigest()
    listed = [{
        "SPDXID": f"SPDXRef-{number}", "name": package, "versionInfo": version, "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
            "referenceLocator": f"pkg:deb/{distribution}/{urllib.parse.quote(package)}@{urllib.parse.quote(version)}?arch={arch}"}],
    } for number, (package, version, arch) in enumerate(packages, 1)]
    image = {"SPDXID": "SPDXRef-image", "name": name, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
             "primaryPackagePurpose": "OPERATING-SYSTEM", "licenseConcluded": "NOASSERTION",
             "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION"}
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{namespace}",
        "creationInfo": {"created": time, "creators": ["Tool: imagectl"]},
        "packages": [image, *listed],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                           "relatedSpdxElement": "SPDXRef-image"}] +
                         [{"spdxElementId": "SPDXRef-image", "relationshipType": "CONTAINS",
                           "relatedSpdxElement": package["SPDXID"]} for package in listed],
    }


def os_release(root):
    text = (pathlib.Path(root) / "etc/os-release").read_text()
    return {key: value.strip('"') for key, value in re.findall(r"^([A-Z_]+)=(.*)$", text, re.M)}


def read_inputs(path):
    """inputs.env of build-image.sh."""
    values = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", pathlib.Path(path).read_text(), re.M))
    for name in ("APPLIANCE_PRODUCT", "APPLIANCE_VERSION", "APPLIANCE_BUILD_ID", "APPLIANCE_BASE", "APPLIANCE_K3S_VERSION",
                 "SOURCE_DATE_EPOCH"):
        if not values.get(name):
            raise Failure(f"{path} has no {name}", "build-image.sh writes this file.")
    return values


def write_inside(root, inputs, trust):
    """Describes the file system `root` in itself."""
    root = pathlib.Path(root)
    packages = installed_packages(root)
    versions = {package: version for package, version, _ in packages}
    release = os_release(root)
    name = f"{inputs['APPLIANCE_PRODUCT']}-{inputs['APPLIANCE_VERSION']}-{inputs['APPLIANCE_BUILD_ID']}"
    time = time_text(inputs["SOURCE_DATE_EPOCH"])
    components = {component: next((versions[choice] for choice in choices if choice in versions), None)
                  for component, choices in COMPONENTS.items()}
    folder = root / INSIDE
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(spdx(packages, name, release["ID"], time), indent=1) + "\n"
    (folder / "image-packages.spdx.json").write_text(document)
    # The form that release.yaml takes as os.packages.
    (folder / "image-packages.txt").write_text("".join(f"{package}\t{version}\n" for package, version, _ in packages))
    (folder / "image-metadata.json").write_text(json.dumps({
        "schema": "appliance-image/v1", "name": name, "product": inputs["APPLIANCE_PRODUCT"],
        "version": inputs["APPLIANCE_VERSION"], "buildId": inputs["APPLIANCE_BUILD_ID"], "buildTime": time,
        "base": {"name": inputs["APPLIANCE_BASE"], "os": f"{release['ID']}-{release.get('VERSION_ID', '')}"},
        "components": {**{key: value for key, value in components.items() if value}, "k3s": inputs["APPLIANCE_K3S_VERSION"]},
        "trust": [{"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
                  for path in sorted(pathlib.Path(trust).iterdir())],
        "packages": {"file": "image-packages.spdx.json", "count": len(packages),
                     "sha256": hashlib.sha256(document.encode()).hexdigest()},
    }, indent=1) + "\n")
    return name
