#!/bin/bash
# Swap, timers, users, services. The files in /etc are of the package bundle-appliance.
set -euo pipefail

# kubelet and swap do not go together.
sed -i -E '/^[^#]\S*\s+\S+\s+swap\s/d' /etc/fstab
rm -f /swap.img /swapfile
systemctl mask swap.target > /dev/null

# Nothing fetches by itself.
systemctl mask apt-daily.timer apt-daily-upgrade.timer apt-news.service esm-cache.service motd-news.timer \
    fwupd-refresh.timer ua-timer.timer update-notifier-download.timer update-notifier-motd.timer man-db.timer > /dev/null 2>&1
[ ! -f /etc/default/motd-news ] || sed -i 's/^ENABLED=.*/ENABLED=0/' /etc/default/motd-news
systemctl disable systemd-networkd-wait-online.service > /dev/null 2>&1 || true

# The rules of /etc/nftables.d at every boot.
cat > /etc/nftables.conf << 'END'
#!/usr/sbin/nft -f
# Loads the rules of the appliance anew and leaves those of k3s alone.
table inet appliance
delete table inet appliance
include "/etc/nftables.d/*.nft"
END
systemctl enable nftables.service systemd-timesyncd.service ssh.service > /dev/null 2>&1

# The operator: no password. The site's seed brings a key, and if it wants a password for the console.
getent group appliance-ssh > /dev/null || groupadd --system appliance-ssh
id appliance > /dev/null 2>&1 ||
    useradd --create-home --shell /bin/bash --comment "Operator of the appliance" appliance
usermod --append --groups appliance-ssh,adm,systemd-journal --lock appliance
passwd --quiet --lock root
printf 'appliance ALL=(ALL) NOPASSWD:ALL\n' > /etc/sudoers.d/50-appliance
chmod 440 /etc/sudoers.d/50-appliance
