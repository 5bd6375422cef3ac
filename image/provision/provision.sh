#!/bin/bash
# Makes the machine that this runs on into the appliance: in a virtual machine of Packer, or in a chroot.
#
#   provision.sh INPUTS      INPUTS: folder with inputs.env, *.deb and trust/ (build-image.sh makes it)
#
# Runs the steps beside it in the order of their names; each may be run again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
INPUTS=$(realpath "${1:?usage: provision.sh INPUTS}")
IMAGE_DIR=$(dirname "$here")
export INPUTS IMAGE_DIR DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
set -a
# shellcheck source=/dev/null # written by build-image.sh
. "$INPUTS/inputs.env"
set +a

for step in "$here"/[0-9][0-9]-*.sh; do
    echo "-- ${step##*/}"
    bash "$step" || { echo "provision.sh: error: ${step##*/} has failed" >&2; exit 1; }
done
