#!/bin/bash
# Prints kvm when a Linux guest really runs under KVM, else tcg. The device alone proves nothing, and neither does a boot
# sector: there are machines on which both work and every Linux guest hangs. So a kernel is booted, without any disk; it
# ends in "no root device" and, told so, in a reset, which ends QEMU.
#
#   probe-kvm.sh [KERNEL [SECONDS]]     the newest /boot/vmlinuz* and 20 seconds by default
#
# Without a kernel to try the answer is tcg: slow, and always right.
set -euo pipefail
kernel=${1-}
seconds=${2:-20}
if [ -z "$kernel" ]; then
    kernel=$(find /boot -maxdepth 1 -name 'vmlinuz*' -readable -type f 2> /dev/null | sort -V | tail -n 1)
fi
if [ -w /dev/kvm ] && [ -r "$kernel" ] && command -v qemu-system-x86_64 > /dev/null &&
    timeout --kill-after=2 "$seconds" qemu-system-x86_64 -accel kvm -cpu host -m 256 -display none -nodefaults \
        -no-reboot -kernel "$kernel" -append 'panic=-1 quiet' < /dev/null > /dev/null 2>&1; then
    echo kvm
else
    echo tcg
fi
