"""OVA: a tar of OVF envelope, manifest and disk, as ESXi and VirtualBox import it (DSP0243 version 1).

The common set of both: SCSI controller lsilogic, network card E1000, hardware family vmx-13; what only VMware knows carries
ovf:required="false".
"""
import hashlib
import pathlib
import re
import tarfile
import xml.etree.ElementTree as xml
from xml.sax.saxutils import quoteattr

from . import vmdk
from .failure import Failure

OVF = "http://schemas.dmtf.org/ovf/envelope/1"
RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
VSSD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
STREAM_OPTIMIZED = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
USTAR_LIMIT = 8 << 30  # a file of a USTAR archive is smaller
PROCESSORS, MEMORY_MIB = 4, 8192


def _item(**elements):
    """A piece of hardware; its elements must come in alphabetical order."""
    lines = "".join(f"        <rasd:{name}>{value}</rasd:{name}>\n" for name, value in sorted(elements.items()))
    return f"      <Item>\n{lines}      </Item>\n"


def _hardware():
    return "".join((
        _item(AllocationUnits="hertz * 10^6", Description="Number of virtual CPUs", ElementName=f"{PROCESSORS} virtual CPUs",
              InstanceID=1, ResourceType=3, VirtualQuantity=PROCESSORS),
        _item(AllocationUnits="byte * 2^20", Description="Memory size", ElementName=f"{MEMORY_MIB} MiB of memory",
              InstanceID=2, ResourceType=4, VirtualQuantity=MEMORY_MIB),
        _item(Address=0, Description="SCSI controller", ElementName="SCSI controller 0", InstanceID=3,
              ResourceSubType="lsilogic", ResourceType=6),
        _item(AddressOnParent=0, ElementName="System disk", HostResource="ovf:/disk/vmdisk1", InstanceID=4, Parent=3,
              ResourceType=17),
        _item(AddressOnParent=7, AutomaticAllocation="true", Connection="VM Network", Description="Network card",
              ElementName="Network card 1", InstanceID=5, ResourceSubType="E1000", ResourceType=10),
    ))


def envelope(name, product, version, disk, capacity):
    """Text of the OVF descriptor for one disk file."""
    size = pathlib.Path(disk).stat().st_size
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="{OVF}" xmlns:ovf="{OVF}" xmlns:rasd="{RASD}" xmlns:vssd="{VSSD}" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:href={quoteattr(pathlib.Path(disk).name)} ovf:id="file1" ovf:size="{size}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="{STREAM_OPTIMIZED}"/>
  </DiskSection>
  <NetworkSection>
    <Info>Logical networks</Info>
    <Network ovf:name="VM Network">
      <Description>Network of the site</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id={quoteattr(name)}>
    <Info>The appliance</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="94" vmw:osType="ubuntu64Guest">
      <Info>Guest operating system</Info>
      <Description>Ubuntu Linux (64-bit)</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>
      </System>
{_hardware()}      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="bios"/>
    </VirtualHardwareSection>
    <ProductSection>
      <Info>The product</Info>
      <Product>{product}</Product>
      <Version>{version}</Version>
    </ProductSection>
  </VirtualSystem>
</Envelope>
"""


def _plain(info, time):
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mode = 0o644
    info.mtime = time
    return info


def pack(target, files, time):
    """A USTAR archive of the files in this order."""
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in map(pathlib.Path, files):
            if path.stat().st_size >= USTAR_LIMIT:
                raise Failure(f"{path.name} has {path.stat().st_size} bytes; a file of an OVA must stay below 8 GiB",
                              "Make the system disk smaller: data belongs on the data disk.")
            archive.add(path, path.name, filter=lambda info: _plain(info, time))


def make(raw, target, name, product, version, time, work):
    """Writes target (an .ova); work is a folder for the parts, which stay there."""
    disk = pathlib.Path(work) / f"{name}-disk1.vmdk"
    vmdk.convert(raw, disk, vmdk.sha256_of(raw))
    capacity, _, _ = vmdk.describe(disk)
    descriptor = pathlib.Path(work) / f"{name}.ovf"
    descriptor.write_text(envelope(name, product, version, disk, capacity))
    manifest = pathlib.Path(work) / f"{name}.mf"
    # No spaces before the bracket: ESXi refuses them.
    manifest.write_text("".join(f"SHA256({path.name})= {vmdk.sha256_of(path)}\n" for path in (descriptor, disk)))
    pack(target, [descriptor, manifest, disk], time)


# --- reading -----------------------------------------------------------------

def _attribute(element, name):
    return element.get(f"{{{OVF}}}{name}")


def _check_envelope(root, sizes):
    """Problems of the XML against the files of the archive."""
    if root.tag != f"{{{OVF}}}Envelope":
        yield f"the root element is {root.tag}"
        return
    files = {_attribute(file, "id"): file for file in root.iterfind(f"{{{OVF}}}References/{{{OVF}}}File")}
    for file in files.values():
        href = _attribute(file, "href")
        if href not in sizes:
            yield f"References name {href}, which is not in the archive"
        elif str(sizes[href]) != _attribute(file, "size"):
            yield f"{href} has {sizes[href]} bytes, References say {_attribute(file, 'size')}"
    disks = {_attribute(disk, "diskId"): disk for disk in root.iterfind(f"{{{OVF}}}DiskSection/{{{OVF}}}Disk")}
    for disk in disks.values():
        if _attribute(disk, "fileRef") not in files:
            yield f"disk {_attribute(disk, 'diskId')} is of a file that References do not name"
        if _attribute(disk, "format") != STREAM_OPTIMIZED:
            yield f"disk {_attribute(disk, 'diskId')} is not streamOptimized"
    networks = {_attribute(network, "name") for network in root.iter(f"{{{OVF}}}Network")}
    parents = {item.findtext(f"{{{RASD}}}InstanceID") for item in root.iter(f"{{{OVF}}}Item")}
    for item in root.iter(f"{{{OVF}}}Item"):
        names = [child.tag for child in item]
        if names != sorted(names):
            yield f"the elements of item {item.findtext(f'{{{RASD}}}InstanceID')} are not in alphabetical order"
        resource = item.findtext(f"{{{RASD}}}HostResource", "")
        if resource and resource.removeprefix("ovf:/disk/") not in disks:
            yield f"an item uses {resource}, which DiskSection does not have"
        connection = item.findtext(f"{{{RASD}}}Connection")
        if connection and connection not in networks:
            yield f"an item uses the network {connection}, which NetworkSection does not have"
        parent = item.findtext(f"{{{RASD}}}Parent")
        if parent and parent not in parents:
            yield f"an item hangs on item {parent}, which is not there"
    kinds = {item.findtext(f"{{{RASD}}}ResourceType") for item in root.iter(f"{{{OVF}}}Item")}
    for kind, words in (("3", "processor"), ("4", "memory"), ("6", "SCSI controller"), ("17", "disk"), ("10", "network card")):
        if kind not in kinds:
            yield f"no item is a {words}"


def problems(path):
    """What is wrong with an OVA, one line each. Everything that is read back is read from the archive itself."""
    with open(path, "rb") as file:
        if file.read(265)[257:] != b"ustar\x0000":
            yield "it is no USTAR archive"
            return
    with tarfile.open(path, "r:") as archive:
        members = archive.getmembers()
        names = [member.name for member in members]
        endings = [pathlib.PurePosixPath(name).suffix for name in names]
        if endings[:2] != [".ovf", ".mf"] or len(names) < 3:
            yield f"the order is {', '.join(names)}; it must be .ovf, .mf, then the files of References"
            return
        if any("/" in name or not member.isreg() for name, member in zip(names, members)):
            yield "only plain files without folders may be in it"
            return
        digests = {member.name: hashlib.file_digest(archive.extractfile(member), "sha256").hexdigest() for member in members}
        manifest = archive.extractfile(names[1]).read().decode()
        wanted = dict(re.findall(r"^SHA256\(([^)\s]+)\)= ([0-9a-f]{64})$", manifest, re.M))
        if len(wanted) != len(manifest.splitlines()) or set(wanted) != set(names) - {names[1]}:
            yield "the manifest has not exactly one line SHA256(FILE)= HEX for each file"
        for name, digest in wanted.items():
            if digests.get(name) not in (None, digest):
                yield f"{name} does not match its digest in the manifest"
        try:
            root = xml.fromstring(archive.extractfile(names[0]).read())
        except xml.ParseError as error:
            yield f"{names[0]} is no XML: {error}"
            return
        sizes = {member.name: member.size for member in members}
        order = [_attribute(file, "href") for file in root.iterfind(f"{{{OVF}}}References/{{{OVF}}}File")]
        if order != names[2:]:
            yield "the files are not in the order of References"
        yield from _check_envelope(root, sizes)
