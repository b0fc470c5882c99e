#!/bin/bash
# Installs what build.sh and the suite `real` need, from the machine's own Debian packages. Needs root; prints the list.
#
#   setup.sh [--list]      --list only prints it
set -euo pipefail

# mmdebstrap makes the systems; qemu-user-static runs arm64 maintainer scripts and arch-test says whether that works;
# uidmap (newuidmap) and util-linux (unshare) are what an ordinary user needs to be root in a namespace of their own;
# the last ones are what the suite `real` proves and measures with.
packages=(mmdebstrap qemu-user-static arch-test uidmap util-linux debian-archive-keyring e2fsprogs dosfstools zstd)

if [ "${1:-}" = --list ]; then
    printf '%s\n' "${packages[@]}"
    exit
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "setup.sh: installing packages needs root; run: sudo $0" >&2
    exit 1
fi
printf '%s\n' "${packages[@]}"
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends install "${missing[@]}"
fi
