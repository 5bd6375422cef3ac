#!/bin/bash
# The trust root that this image pins, and the services of the appliance.
set -euo pipefail
install -d -m 755 /etc/bundle /usr/share/appliance/trust
# One key or root, under one name: first boot takes no other.
mapfile -t roots < <(find "$INPUTS/trust" -type f)
[ ${#roots[@]} = 1 ] || { echo "exactly one trust root is pinned, not ${#roots[@]}" >&2; exit 1; }
install -m 444 "${roots[0]}" /usr/share/appliance/trust/vendor
systemctl enable appliance-data.service appliance-first-boot.service > /dev/null 2>&1
# Started by first boot, when there is something to serve.
systemctl disable bundle-registry.socket bundle-registry.service > /dev/null 2>&1 || true
