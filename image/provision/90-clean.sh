#!/bin/bash
# Takes out what belongs to the build machine: identity, keys, logs, caches. Packer's machine goes on running afterwards, so
# appliance-seal does the rest while it shuts down.
set -euo pipefail
install -m 755 "$IMAGE_DIR/provision/appliance-seal" /usr/local/sbin/appliance-seal
/usr/local/sbin/appliance-seal --files-only
