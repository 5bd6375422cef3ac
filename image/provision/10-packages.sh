#!/bin/bash
# The distribution's packages and our own. The only step that uses the network.
set -euo pipefail
# Services are not started in an image under construction.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT

mapfile -t packages < <(sed 's/#.*//; /^ *$/d' "$IMAGE_DIR/provision/packages.txt")
apt-get -q update
apt-get -q -y -o Dpkg::Options::=--force-confold --no-install-recommends install "${packages[@]}" "$INPUTS"/*.deb
# What only makes traffic or wants an account.
for package in snapd ubuntu-pro-client unattended-upgrades motd-news-config apport popularity-contest landscape-common; do
    ! dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed ||
        apt-get -q -y purge "$package"
done
apt-get -q -y autoremove --purge
