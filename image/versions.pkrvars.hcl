# Every version and checksum that an image is made of. Packer reads this file (-var-file), imagectl and build-image.sh read it,
# and there is no other place. A value that is empty is not pinned: a build that needs it stops and says its name.

# Release of Ubuntu Server. The checksum is of the file at the address; take it from SHA256SUMS beside it, after you have
# checked SHA256SUMS.gpg with Ubuntu's key.
ubuntu_release            = "24.04.4"
ubuntu_iso_url            = "https://releases.ubuntu.com/24.04/ubuntu-24.04.4-live-server-amd64.iso"
ubuntu_iso_sha256         = "e907d92eeec9df64163a7e454cbc8d7755e8ddc7ed42f99dbc80c40f1a138433"

# The same system as a ready disk image: builds in minutes instead of an hour. A dated folder, because "current" changes.
ubuntu_cloud_image_url    = ""
ubuntu_cloud_image_sha256 = ""

# The day on which the base was published (its SHA256SUMS is dated); builds refuse a base that is older than base_max_days.
ubuntu_base_date          = ""
base_max_days             = "365"

# Debian release of the test appliance; its packages come from the machine's own apt sources.
debian_release            = "bookworm"

# k3s that releases for this image line bring; first boot takes binary and images from the signed release only.
k3s_version               = "v1.31.6+k3s1"

# The template's packer block must repeat these literally; a test compares.
packer_version            = ">= 1.11.0"
packer_qemu_version       = ">= 1.1.0"
