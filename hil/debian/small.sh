#!/bin/bash
# A small real Debian bookworm arm64 system with systemd, for the emulated Pi and for the suite `real` in short:
#
#   small.sh OUTDIR [v1|v2]     v1 (the default) is bookworm as released; v2 has the suites -updates and -security too
#
#   OUTDIR/system.tar   the root file system, read-only at run time
#   OUTDIR/boot/        kernel8.img (gzipped), bcm2837-rpi-3-b.dtb
#   OUTDIR/packages     package and version per line, for people
#   OUTDIR/log          what mmdebstrap said; there only if it failed or still runs
#   OUTDIR/apt-cache/   downloaded packages, for later runs
#
# Small, so that installing it takes seconds under emulation: no documentation, no locales, of the kernel's modules those
# that the two emulated boards and the file systems need. Everything else is Debian's own: packages, maintainer scripts,
# units. Only the initramfs is left out: a distribution's starts hundreds of programs, which takes half of an emulated boot,
# so the rig makes a small one itself.
# The hook merged-usr is mmdebstrap's own: with it, the package that merges /usr, and all of Perl with it, stay away.
# Hooks are texts for another shell.
# shellcheck disable=SC2016,SC2034
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
arch=arm64
suite=bookworm
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1764547200}
export LC_ALL=C TZ=UTC
# shellcheck source=mechanics.sh
. "$here/mechanics.sh"

packages=(systemd systemd-sysv udev kmod mount linux-image-arm64)

# Below kernel/ in the modules' folder.
modules=(
    drivers/mmc/host/{bcm2835.,sdhci.,sdhci-pltfm.,sdhci-iproc.} drivers/mmc/core/ drivers/watchdog/{bcm2835_wdt.,softdog.,i6300esb.}
    drivers/virtio/virtio_{mmio.,pci} drivers/block/virtio_blk. drivers/dma/{bcm2835,virt-dma}
    drivers/i2c/{i2c-dev.,busses/i2c-bcm2835.} drivers/char/hw_random/{bcm2835,virtio}
    fs/{ext4/,jbd2/,mbcache.,fat/,autofs/} fs/nls/nls_{ascii.,cp437.,iso8859-1.}
    lib/{crc16.,libcrc32c.} crypto/crc32 arch/arm64/crypto/crc
)

# The product is the caller's; here only what ties the system to this machine goes, and what no program reads.
customize_hook='
    set -e
    mkdir -p "$1/persistent"
    echo rig >"$1/etc/hostname"
    : >"$1/etc/machine-id"
    printf "127.0.0.1 localhost rig\n" >"$1/etc/hosts"
    chroot "$1" systemctl mask getty@.service serial-getty@.service getty-static.service systemd-networkd.service \
        systemd-resolved.service systemd-timesyncd.service systemd-hwdb-update.service systemd-update-utmp.service \
        systemd-pstore.service systemd-binfmt.service systemd-update-utmp-runlevel.service e2scrub_reap.service
    chroot "$1" systemctl disable apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer 2>/dev/null || true
    rm -rf "$1"/usr/lib/aarch64-linux-gnu/gconv "$1"/usr/share/i18n "$1"/usr/share/zoneinfo "$1"/usr/share/bash-completion \
        "$1"/usr/lib/udev/hwdb.d "$1"/usr/lib/udev/hwdb.bin "$1"/etc/udev/hwdb.bin "$1"/usr/share/perl5 "$1"/usr/share/common-licenses \
        "$1"/var/cache/* "$1"/var/lib/apt/* "$1"/var/log/* "$1"/etc/apt/apt.conf.d/99mmdebstrap \
        "$1"/usr/lib/linux-image-* "$1"/var/lib/dpkg/*-old "$1"/etc/*- "$1"/etc/.pwd.lock "$1"/usr/lib/systemd/catalog "$1"/var/lib/systemd/catalog \
        "$1"/var/lib/dpkg/info/*.symbols "$1"/var/lib/dpkg/info/*.md5sums
'

[ $# -eq 1 ] || [ $# -eq 2 ] || die "usage: $0 OUTDIR [v1|v2]"
suites=("$suite")
case "${2:-v1}" in
v1) ;;
v2) suites+=("$suite-updates" "$suite-security") ;;
*) die "there is no version $2; known: v1 v2" ;;
esac
enter_namespace "$@"
mkdir -p "$1/apt-cache"
out=$(cd "$1" && pwd)
case "$out" in *"'"*) die "$out: a quote in the name of the folder is not supported; choose another OUTDIR" ;; esac
export TMPDIR=${TMPDIR:-/var/tmp}
choose_mode

include=$(IFS=,; echo "${packages[*]}")
sources "${suites[@]}" >"$out/sources.list"
aptopts=()
while IFS= read -r line; do aptopts+=("--aptopt=$line"); done < <(apt_options)
dpkgopts=()
for module in "${modules[@]}"; do dpkgopts+=("--dpkgopt=path-include=/lib/modules/*/kernel/$module*"); done
say "building in mode $mode; takes some minutes, see $out/log"
# The text of the hooks is passed, not their path: in a user namespace "root" may not read this folder.
# Without the last line break of a hook: with it, mmdebstrap takes the text for the name of a program.
mmdebstrap --mode="$mode" --architectures="$arch" --variant=essential --format=tar --skip=check/qemu \
    --skip=download/empty --skip=essential/unlink \
    --include="$include" "${aptopts[@]}" \
    --aptopt='Acquire::Languages "none";' --aptopt='APT::Install-Recommends "false";' \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/lintian/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/lib/modules/*/kernel/*' "${dpkgopts[@]}" \
    --dpkgopt='path-exclude=/etc/kernel/postinst.d/initramfs-tools' \
    --dpkgopt='path-exclude=/usr/lib/linux-image-*/*' --dpkgopt='path-include=/usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb' \
    --setup-hook="${setup_hook%$'\n'}" --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
    --setup-hook="sync-in '$out/apt-cache' /var/cache/apt/archives" \
    --customize-hook="sync-out /var/cache/apt/archives '$out/apt-cache'" \
    --customize-hook='mkdir "$1/rig-boot"; cp "$1"/boot/vmlinuz-* "$1/rig-boot/kernel8.img"; cp "$1"/usr/lib/linux-image-*/broadcom/*.dtb "$1/rig-boot/"; rm -rf "$1"/boot/* "$1"/vmlinuz*' \
    --customize-hook="sync-out /rig-boot '$out/boot.part'" \
    --customize-hook='rm -r "$1/rig-boot"' \
    --customize-hook="download /var/lib/dpkg/status '$out/status'" \
    --customize-hook="${customize_hook%$'\n'}" \
    "$suite" "$out/system.tar.part" - <"$out/sources.list" 2>"$out/log" || {
    tail -n 40 "$out/log" >&2
    die "mmdebstrap failed; all that it said is in $out/log"
}
# U-Boot unpacks it by itself, and so does the Pi's firmware.
gzip -9n "$out/boot.part/kernel8.img"
mv "$out/boot.part/kernel8.img.gz" "$out/boot.part/kernel8.img"
awk '/^Package: /{name=$2} /^Version: /{print name, $2}' "$out/status" | sort >"$out/packages"
rm -rf "$out/status" "$out/sources.list" "$out/boot"
# Last: a system is there when its tar is.
mv "$out/boot.part" "$out/boot"
mv "$out/system.tar.part" "$out/system.tar"
rm -f "$out/log"
say "$(stat -c %s "$out/system.tar") bytes system.tar, $(du -sb "$out/boot" | cut -f1) bytes boot, $(wc -l <"$out/packages") packages, $SECONDS s"
