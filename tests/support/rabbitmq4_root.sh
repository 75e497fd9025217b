#!/usr/bin/env bash
# Makes a Debian 13 root with RabbitMQ 4 in RABBITMQ4_ROOT, unless it is there. Tests enter it by chroot.
# Needs root, debootstrap and a Debian mirror; takes a minute or two and 500 MB.
set -euo pipefail

root="${RABBITMQ4_ROOT:-/var/cache/workerrmq/rabbitmq4}"
mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
[ -e "$root/usr/lib/rabbitmq/bin/rabbitmq-server" ] && exit

# Build beside it: an interrupted run leaves no root that looks complete.
new="$root.new"
rm -rf --one-file-system "$new"
mkdir -p "$new"
debootstrap --variant=minbase --include=ca-certificates trixie "$new" "$mirror"
printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d" # no package starts a service
chmod +x "$new/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive
chroot "$new" apt-get install -q -y --no-install-recommends rabbitmq-server
chroot "$new" apt-get clean
# debootstrap leaves /proc mounted where it may mount.
umount "$new/proc" 2>/dev/null || true
umount "$new/sys" 2>/dev/null || true
rm -rf --one-file-system "$root"
mv "$new" "$root"
