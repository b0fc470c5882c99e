#!/bin/bash
# Two versions of a real Debian bookworm arm64 system, as a small Pi product would have it:
#
#   build.sh OUTDIR [VERSION...]        VERSION: v1 v2 (default: both)
#
#   OUTDIR/v1/system.tar   the root file system: owners, modes, links, device nodes, capabilities (PAX)
#   OUTDIR/v1/boot/        kernel, initramfs, device trees, config.txt, cmdline-{a,b}.txt: what a boot volume holds
#   OUTDIR/v1/packages     package and version per line, for people
#   OUTDIR/v1/log          what mmdebstrap said; there only if it failed or still runs
#   OUTDIR/apt-cache/v1/   downloaded packages, for later runs
#
# v1 comes from bookworm as released; v2 adds the suites -updates and -security, drops one package and adds others,
# and holds the next version of the application (app/v1, app/v2). Both are built at the same time. The mirror is the one in this machine's apt sources.
# SOURCE_DATE_EPOCH (default: a fixed day) makes two runs against the same mirror equal.
#
# Works as root and as an ordinary user: see mechanics.sh.
# Hooks are texts for another shell, and lists are named by their version.
# shellcheck disable=SC2016,SC2034
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
product=greenhouse
arch=arm64
suite=bookworm
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1764547200}
export LC_ALL=C TZ=UTC

common=(
    systemd systemd-sysv dbus udev kmod libpam-systemd polkitd
    openssh-server sudo iproute2 iputils-ping nftables systemd-resolved wpasupplicant rfkill
    ca-certificates curl nginx-light tzdata less nano e2fsprogs dosfstools parted zstd xz-utils libcap2-bin acl
    python3 python3-serial python3-yaml python3-libgpiod gpiod i2c-tools device-tree-compiler
    linux-image-arm64 initramfs-tools busybox
)
only_v1=(bluez systemd-timesyncd)
only_v2=(chrony python3-paho-mqtt lm-sensors)

# What the initramfs loads: the SD host, the file systems, and the watchdog driver, without which a Pi can't restart.
initramfs_modules=(bcm2835 sdhci-iproc mmc_block bcm2835_wdt ext4 vfat nls_ascii nls_cp437 virtio_blk virtio_mmio)

# shellcheck source=mechanics.sh
. "$here/mechanics.sh"

# After the essential packages and before the rest, so that the one run of update-initramfs already knows them.
essential_hook='
    set -e
    mkdir -p "$1/etc/initramfs-tools/conf.d"
    printf "%s\n" '"${initramfs_modules[*]}"' >"$1/etc/initramfs-tools/modules"
    printf "MODULES=list\nBUSYBOX=y\nCOMPRESS=zstd\nFSTYPE=ext4\nRESUME=none\n" >"$1/etc/initramfs-tools/conf.d/product"
'

# The product itself, once its files are in place: account, units, network, and nothing that ties it to this machine.
customize_hook='
    set -e
    chroot "$1" useradd --system --user-group --home-dir /var/lib/'$product' --shell /usr/sbin/nologin '$product'
    chroot "$1" install -d -o '$product' -g '$product' -m 0750 /var/lib/'$product'
    chroot "$1" chgrp '$product' /etc/'$product'/'$product'.toml
    chmod 0640 "$1/etc/'$product'/'$product'.toml"
    chroot "$1" systemctl enable systemd-networkd.service systemd-resolved.service '$product'.service
    # Without a network it still has to start, and nothing but the A/B updater updates it.
    chroot "$1" systemctl disable systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer
    echo '$product' >"$1/etc/hostname"
    printf "127.0.0.1 localhost '$product'\n::1 localhost\n" >"$1/etc/hosts"
    printf "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n" >"$1/etc/systemd/network/20-wired.network"
    mkdir -p "$1/boot/firmware" "$1/persistent"
    rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/resolv.conf" "$1/etc/.pwd.lock"
    rm -f "$1"/etc/passwd- "$1"/etc/group- "$1"/etc/shadow- "$1"/etc/gshadow- "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old
    ln -s ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"
    echo "# This product is updated as a whole, by its A/B updater." >"$1/etc/apt/sources.list"
    rm -f "$1"/etc/apt/sources.list.d/*
'

boot_volume() { # VERSION-DIR: fills boot/ from the system's own kernel package
    local dir=$1 boot=$1/boot.part unpacked
    unpacked=$(mktemp -d "$dir/unpack.XXXXXX")
    tar -xf "$dir/system.tar.part" -C "$unpacked" --no-same-owner --wildcards './boot/vmlinuz-*' './boot/initrd.img-*' './usr/lib/linux-image-*/broadcom/bcm2*.dtb'
    rm -rf "$boot" && mkdir "$boot"
    mv "$unpacked"/boot/vmlinuz-* "$boot/vmlinuz"
    mv "$unpacked"/boot/initrd.img-* "$boot/initrd.img"
    mv "$unpacked"/usr/lib/linux-image-*/broadcom/*.dtb "$boot/"
    rm -rf "$unpacked"
    # Both slots get the same bytes, so the firmware picks the command line by the partition it booted.
    cat >"$boot/config.txt" <<-'END'
		arm_64bit=1
		enable_uart=1
		kernel=vmlinuz
		initramfs initrd.img followkernel
		[boot_partition=2]
		cmdline=cmdline-a.txt
		[boot_partition=3]
		cmdline=cmdline-b.txt
		[all]
	END
    local options='console=tty1 console=ttyS1,115200 rw rootwait rootfstype=ext4 panic=5 watchdog_disarm=0'
    echo "root=/dev/mmcblk0p4 $options" >"$boot/cmdline-a.txt"
    echo "root=/dev/mmcblk0p5 $options" >"$boot/cmdline-b.txt"
    # Firmware that does not know the filter starts slot A.
    cp "$boot/cmdline-a.txt" "$boot/cmdline.txt"
    find "$boot" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

build() { # VERSION
    local version=$1 dir=$out/$1 cache=$out/apt-cache/$1 include started=$SECONDS
    local -n extra=only_$version
    include=$(IFS=,; echo "${common[*]},${extra[*]}")
    rm -rf "$dir" && mkdir -p "$dir" "$cache"
    say "$version: building in mode $mode; takes some minutes, see $dir/log"
    # The second version has the updates that came out since.
    local suites=("$suite")
    [ "$version" = v1 ] || suites+=("$suite-updates" "$suite-security")
    sources "${suites[@]}" >"$dir/sources.list"
    tar -cf "$dir/app.tar" -C "$here/app/$version" --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" --mode='u+rwX,go+rX,go-w' .
    local aptopts=() line
    while IFS= read -r line; do aptopts+=("--aptopt=$line"); done < <(apt_options)
    # The text of the hooks is passed, not their path: in a user namespace "root" may not read this folder. sync-in,
    # sync-out, tar-in and download are mmdebstrap's own verbs and run outside, as the caller.
    # Without the last line break of a hook: with it, mmdebstrap takes the text for the name of a program.
    mmdebstrap --mode="$mode" --architectures="$arch" --variant=important --format=tar --skip=check/qemu \
        --skip=download/empty --skip=essential/unlink \
        --include="$include" "${aptopts[@]}" \
        --aptopt='Acquire::Languages "none";' --aptopt='APT::Install-Recommends "false";' \
        --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*/LC_MESSAGES/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --setup-hook="${setup_hook%$'\n'}" \
        --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
        --setup-hook="sync-in '$cache' /var/cache/apt/archives" \
        --essential-hook="${essential_hook%$'\n'}" \
        --customize-hook="sync-out /var/cache/apt/archives '$cache'" \
        --customize-hook="tar-in '$dir/app.tar' /" \
        --customize-hook="${customize_hook%$'\n'}" \
        --customize-hook="download /var/lib/dpkg/status '$dir/status'" \
        "$suite" "$dir/system.tar.part" - <"$dir/sources.list" 2>"$dir/log" || {
        tail -n 40 "$dir/log" >&2
        die "mmdebstrap failed; all that it said is in $dir/log"
    }
    awk '/^Package: /{name=$2} /^Version: /{print name, $2}' "$dir/status" | sort >"$dir/packages"
    boot_volume "$dir"
    rm -f "$dir/status" "$dir/app.tar" "$dir/sources.list" "$dir/log"
    # Last: a version is there when its tar is.
    mv "$dir/boot.part" "$dir/boot"
    mv "$dir/system.tar.part" "$dir/system.tar"
    say "$version: $(stat -c %s "$dir/system.tar") bytes system.tar, $(du -sb "$dir/boot" | cut -f1) bytes boot," \
        "$(wc -l <"$dir/packages") packages, $((SECONDS - started)) s"
}

[ $# -ge 1 ] || die "usage: $0 OUTDIR [v1|v2 ...]"
enter_namespace "$@"
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
versions=("$@")
[ ${#versions[@]} -gt 0 ] || versions=(v1 v2)
for version in "${versions[@]}"; do
    [ -d "$here/app/$version" ] || die "there is no version $version; known: $(cd "$here/app" && echo *)"
done
case "$out" in *"'"*) die "$out: a quote in the name of the folder is not supported; choose another OUTDIR" ;; esac
# Two systems of a gigabyte do not fit every /tmp; a user namespace must be able to reach the folder.
export TMPDIR=${TMPDIR:-/var/tmp}
choose_mode
# Emulated scripts use one core each, so the versions are built side by side. Job control gives each build a process group
# of its own: what interrupts this script ends them, with mmdebstrap's own cleaning up.
set -m
builds=()
for version in "${versions[@]}"; do
    build "$version" &
    builds+=($!)
done
trap 'for pid in "${builds[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done; wait; exit 130' INT TERM
failed=0
for pid in "${builds[@]}"; do
    wait "$pid" || failed=1
done
exit $failed
