# The appliance image for Ubuntu Server 24.04. build-image.sh checks the inputs, calls Packer with this template and
# versions.pkrvars.hcl, and does everything after it; what happens in the machine is in provision/.
#
# One source for both bases: the installer's ISO with an autoinstall seed, or Ubuntu's cloud image (disk_image). The seed is a
# small CD with the label cidata. The disk comes out raw; imagectl makes QCOW2 and OVA of it.
packer {
  required_version = ">= 1.11.0"
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.1.0"
    }
  }
}

# From versions.pkrvars.hcl.
variable "ubuntu_release" { type = string }
variable "ubuntu_iso_url" { type = string }
variable "ubuntu_iso_sha256" { type = string }
variable "ubuntu_cloud_image_url" { type = string }
variable "ubuntu_cloud_image_sha256" { type = string }
variable "ubuntu_base_date" { type = string }
variable "base_max_days" { type = string }
variable "debian_release" { type = string }
variable "k3s_version" { type = string }
variable "packer_version" { type = string }
variable "packer_qemu_version" { type = string }

# From build-image.sh, for each build.
variable "base" {
  type        = string
  description = "ubuntu-iso or ubuntu-cloud"
  validation {
    condition     = contains(["ubuntu-iso", "ubuntu-cloud"], var.base)
    error_message = "The base is ubuntu-iso or ubuntu-cloud."
  }
}
variable "mirror" {
  type        = string
  description = "Address of an Ubuntu mirror: the only thing on the network that a build needs."
}
variable "inputs" {
  type        = string
  description = "Folder that is handed to the machine: inputs.env, packages (*.deb), trust/."
}
variable "build_key" {
  type        = string
  description = "Private SSH key of this build; build-image.sh makes it, and removes it at the end."
}
variable "build_key_public" {
  type        = string
  description = "The line of its public half, for the seed."
}
variable "disk_name" { type = string }
variable "output_directory" { type = string }
variable "disk_size" { type = string }
variable "accelerator" {
  type        = string
  description = "kvm or tcg; build-image.sh probes."
}

locals {
  from_iso = var.base == "ubuntu-iso"
  seed     = local.from_iso ? "${path.root}/seed/autoinstall" : "${path.root}/seed/cloud-image"
  # In GRUB's command line of the installer: the word autoinstall leaves out its question.
  installer_keys = [
    "c<wait>",
    "linux /casper/vmlinuz --- autoinstall<enter><wait5>",
    "initrd /casper/initrd<enter><wait5>",
    "boot<enter>",
  ]
}

source "qemu" "ubuntu" {
  iso_url      = local.from_iso ? var.ubuntu_iso_url : var.ubuntu_cloud_image_url
  iso_checksum = local.from_iso ? "sha256:${var.ubuntu_iso_sha256}" : "sha256:${var.ubuntu_cloud_image_sha256}"
  disk_image   = !local.from_iso

  accelerator    = var.accelerator
  cpus           = 2
  memory         = 4096
  disk_size      = var.disk_size
  format         = "raw"
  disk_interface = "virtio"
  disk_discard   = "unmap"
  net_device     = "virtio-net"
  headless       = true

  cd_label = "cidata"
  cd_content = {
    "meta-data" = file("${local.seed}/meta-data")
    "user-data" = templatefile("${local.seed}/user-data", {
      mirror     = var.mirror
      public_key = var.build_key_public
    })
  }
  boot_wait    = "5s"
  boot_command = local.from_iso ? local.installer_keys : []

  ssh_username         = "builder"
  ssh_private_key_file = var.build_key
  ssh_timeout          = "2h"
  # Removes the builder and what a running machine leaves, then switches off.
  shutdown_command = "sudo /usr/local/sbin/appliance-seal"
  output_directory = var.output_directory
  vm_name          = var.disk_name
}

build {
  sources = ["source.qemu.ubuntu"]

  provisioner "shell" {
    # A cloud image is still setting itself up when SSH answers.
    inline = ["cloud-init status --wait > /dev/null || true", "mkdir -p /tmp/appliance-build"]
  }
  provisioner "file" {
    source      = "${path.root}/"
    destination = "/tmp/appliance-build/image"
  }
  provisioner "file" {
    source      = "${var.inputs}/"
    destination = "/tmp/appliance-build/inputs"
  }
  provisioner "shell" {
    inline = ["sudo /tmp/appliance-build/image/provision/provision.sh /tmp/appliance-build/inputs"]
  }
}
