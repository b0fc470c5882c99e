#!/bin/bash
# The pair by which small updates are measured: five versions of a system of 368 Debian packages (bookworm, arm64), unpacked without
# running anything, and the boot volumes of two of them. The same bytes wherever it runs: *.sha256 has each package.
#
#   make.sh OUTDIR
#
#   OUTDIR/v1/system    bookworm as of its release 12.15
#   OUTDIR/v2/system    the same with 87 packages from -updates and -security, as of 2026-11-29: kernel, OpenSSL, Python, Perl, PAM, Django …
#   OUTDIR/v3/system    v1 with git-lfs (a program of 10 MB) and Django of v2: a small change
#   OUTDIR/v4/system    v1 with 300,000 more bytes in the middle of git-lfs
#   OUTDIR/v5/system    v1 and one new file of 5,000 bytes
#   OUTDIR/v[12]/bare   links to v1 and v2 without /boot: what a product ships that has its kernel on the boot volume
#   OUTDIR/v[12]/boot   kernel8.img (gzip) and initramfs8 (zstd; drivers of the usual buses, and udev), as Raspberry Pi OS has them
#   OUTDIR/cache/       downloaded packages, for later runs
#
# Translations and manual pages are left out. Once the mirror no longer has a version, snapshot.debian.org has it: MIRROR=URL names another one.
set -euo pipefail
export LC_ALL=C TZ=UTC
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
epoch=1764547200

die() { echo "make.sh: $*" >&2; exit 1; }
[ $# -eq 1 ] || die "usage: make.sh OUTDIR"
for tool in curl dpkg-deb cpio zstd sha256sum; do command -v $tool >/dev/null || die "$tool is needed: install it"; done

# shellcheck disable=SC2016  # apt fills these in
# The mirror of this machine's own sources, without the name of the archive at its end.
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)' 'Created-By: Packages' |
    sed -n 's,/debian/*|bookworm$,,p' | head -n 1)}
[ -n "$mirror" ] || die "this machine's apt sources do not name bookworm: set MIRROR to a URL below which debian/ and debian-security/ lie"

mkdir -p "$1/cache"
cd "$1"

fetch() { # LIST: what is not in the cache yet
    local digest path name
    while read -r digest path; do
        name=${path##*/}
        [ -f "cache/$name" ] && continue
        printf 'url = "%s/%s"\noutput = "cache/%s.part"\n' "$mirror" "${path//+/%2B}" "$name"
    done <"$1" >cache/wanted
    [ -s cache/wanted ] && curl -fsS --retry 3 --parallel --parallel-max 8 --config cache/wanted
    while read -r digest path; do
        name=${path##*/}
        [ -f "cache/$name" ] && continue
        echo "$digest  cache/$name.part" | sha256sum --check --quiet || die "$path: the mirror has other bytes; see MIRROR in make.sh"
        mv "cache/$name.part" "cache/$name"
    done <"$1"
    rm -f cache/wanted
}

unpack() { # DIR LIST...
    local dir=$1 name
    shift
    mkdir -p "$dir"
    cut -d ' ' -f 3 "$@" | sed 's,.*/,,' | sort | while read -r name; do
        dpkg-deb --fsys-tarfile "cache/$name" | tar -x -C "$dir" --no-same-owner --keep-directory-symlink \
            --exclude='./usr/share/locale/*' --exclude='./usr/share/man/*'
    done
}

# Drivers that a distribution puts there, programs that load them, and what those need.
initramfs() { # SYSTEM
    (
        cd "$1"
        find . -depth \( -path './lib/modules/*/kernel/drivers/net/usb/*' -o -path './lib/modules/*/kernel/drivers/net/phy/*' -o -path './lib/modules/*/kernel/drivers/usb/*' \
            -o -path './lib/modules/*/kernel/drivers/md/*' -o -path './lib/modules/*/kernel/drivers/scsi/*' \
            -o -path './lib/modules/*/kernel/drivers/mmc/*' -o -path './lib/modules/*/kernel/fs/btrfs/*' \
            -o -path './lib/modules/*/kernel/fs/xfs/*' -o -path './lib/modules/*/kernel/fs/ext4/*' \
            -o -path './bin/busybox' -o -path './bin/udevadm' -o -path './lib/aarch64-linux-gnu/libc.so*' \
            -o -path './usr/lib/aarch64-linux-gnu/libcrypto.so*' -o -path './usr/lib/aarch64-linux-gnu/libzstd.so*' \) | sort |
            cpio --quiet -o -H newc --reproducible --owner=0:0
    )
}

boot() { # VERSION
    mkdir -p "$1/boot"
    gzip -9n <"$(echo "$1"/system/boot/vmlinuz-*)" >"$1/boot/kernel8.img"
    initramfs "$1/system" | zstd -19 -T0 -q >"$1/boot/initramfs8"
    printf 'arm_64bit=1\ninitramfs initramfs8 followkernel\n' >"$1/boot/config.txt"
    echo 'console=tty1 rootwait' >"$1/boot/cmdline.txt"
    cp -al "$1/system" "$1/bare"
    rm -rf "$1/bare/boot"
}

for list in both v1 v2; do fetch "$here/$list.sha256"; done
rm -rf v1 v2 v3 v4 v5
unpack v1/system "$here"/{both,v1}.sha256
unpack v2/system "$here"/{both,v2}.sha256
for version in v3 v4 v5; do mkdir $version && cp -al v1/system $version/system; done

grep -E '/(git-lfs|python3-django)_' "$here/v2.sha256" >cache/small
rm -rf v3/system/usr/lib/python3/dist-packages/django
unpack v3/system cache/small
rm cache/small

lfs=usr/bin/git-lfs
rm v4/system/$lfs
{ head -c 4000000 v1/system/$lfs; head -c 300000 v2/system/usr/bin/perl; tail -c +4000001 v1/system/$lfs; } >v4/system/$lfs
chmod 755 v4/system/$lfs
head -c 5000 v2/system/usr/bin/perl >v5/system/usr/share/misc/new

for version in v1 v2; do boot $version; done
# Links share their times; what is later than the build time is set to it anyway.
find v1 v2 v3 v4 v5 -newermt "@$epoch" -exec touch -h -d "@$epoch" {} +
du -sm --apparent-size v1/system v2/system
