#!/bin/bash
# Does a trial end, wherever the new system hangs; and is the default system left alone? Real systemd says so: the package is
# installed into a small Debian, which boots in a container once per row, with a stand-in for the program.
#
#   trial.sh PACKAGE.deb [FOLDER]      the package for this machine; FOLDER (default: target/trial) keeps the Debian
#
# Needs root, mmdebstrap and systemd-container. Some five minutes. The container's restart stands for the reset; the ten
# minutes of bistable-trial.timer are 12 seconds here.
# Setups are called by name.
# shellcheck disable=SC2317
set -euo pipefail

package=$(readlink -f "$1")
here=${2:-target/trial}
mkdir -p "$here"
here=$(readlink -f "$here")
up=22 # seconds after which a system that is still there counts as up

if [ ! -d "$here/debian" ]; then
    mmdebstrap --quiet --variant=minbase --include=systemd-sysv,udev,e2fsprogs,dbus bookworm "$here/debian.part"
    mv "$here/debian.part" "$here/debian"
fi

unit() { # NAME TARGET.wants|TARGET.requires LINES: a unit of the product
    printf '%b' "$3" > "$root/etc/systemd/system/$1"
    mkdir -p "$root/etc/systemd/system/$2"
    ln -s "../$1" "$root/etc/systemd/system/$2/$1"
}
early='[Unit]\nDefaultDependencies=no\n'
oneshot='[Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=infinity\nExecStart='

nothing() { :; }
hangs_before() { unit hang.service sysinit.target.wants "${early}Before=basic.target\n${oneshot}/bin/sleep 1000\n"; }
emergency() { unit bad.service local-fs.target.requires "${early}Before=local-fs.target\n${oneshot}/bin/false\n"; }
not_started() { rm "$root/etc/systemd/system/multi-user.target.wants/bistable-resume.service"; }
no_default() { ln -sf /no/such.target "$root/etc/systemd/system/default.target"; } # systemd then starts rescue.target
late() { unit late.service multi-user.target.wants "[Unit]\nAfter=multi-user.target\n${oneshot}/bin/true\n"; }
# Of the daemon, which is beside a trial and never on its way.
daemon_masked() { ln -sf /dev/null "$root/etc/systemd/system/bistable.service"; }
daemon_absent() { rm "$root/usr/lib/systemd/system/bistable.service" "$root/etc/systemd/system/multi-user.target.wants/bistable.service"; }
daemon_early() {
    # Orderings can't be taken back by a drop-in.
    sed '/^After=/d;/^ConditionPathExists=/d' "$root/usr/lib/systemd/system/bistable.service" > "$root/etc/systemd/system/bistable.service"
    mkdir -p "$root/etc/systemd/system/sysinit.target.wants"
    ln -s ../bistable.service "$root/etc/systemd/system/sysinit.target.wants/bistable.service"
}
daemon_wanted() {
    mkdir -p "$root/etc/systemd/system/bistable.service.d"
    printf '[Unit]\nConditionPathExists=\n' > "$root/etc/systemd/system/bistable.service.d/here.conf"
}
product() { unit product.service multi-user.target.wants "[Unit]\nRequires=boot-complete.target\nAfter=boot-complete.target\n${oneshot}/bin/true\n"; }

root=$here/root
tidy() {
    ! mountpoint -q "$root" || umount "$root"
    rm -rf "$root" "$here/.#root.lck" "$here/upper" "$here/work" /bistable-trial-cmdline
}
trap tidy EXIT

tidy
rm -rf "$here/installed"
cp -a "$here/debian" "$here/installed"
dpkg --root="$here/installed" --force-unsafe-io --install "$package" > "$here/dpkg.log" 2>&1

failed=0
row() { # WHAT TRIAL(0|1) PROGRAM SETUP EXPECTED [UNIT=STATE...]
    local what=$1 trial=$2 program=$3 setup=$4 expected=$5 code=0 found
    shift 5
    tidy
    mkdir "$root" "$here/upper" "$here/work"
    mount -t overlay trial -o "lowerdir=$here/installed,upperdir=$here/upper,workdir=$here/work" "$root"
    # The same path inside and outside: the one is mounted, the other is looked for.
    echo "bistable.slot=B bistable.trial=$trial" | tee /bistable-trial-cmdline > "$root/bistable-trial-cmdline"
    printf '#!/bin/sh\n%s\n' "$program" > "$root/usr/bin/bistable"
    mkdir -p "$root/etc/systemd/system/bistable-trial.timer.d"
    printf '[Timer]\nOnBootSec=12\nAccuracySec=1\n' > "$root/etc/systemd/system/bistable-trial.timer.d/short.conf"
    # There is no such partition here, and waiting for it proves nothing.
    rm "$root/etc/systemd/system/local-fs.target.wants/persistent.mount"
    unit report.service sysinit.target.wants "${early}IgnoreOnIsolate=yes\n[Service]\nType=oneshot\nStandardOutput=file:/report\nExecStart=/bin/sh -c 'sleep $up; for u in bistable-resume bistable-health bistable late product; do echo \$\$u=\$\$(systemctl show -p ActiveState --value \$\$u.service); done; systemctl poweroff -ff'\n"
    $setup
    # 133: the container asked to be started again.
    timeout -s KILL 120 systemd-nspawn -D "$root" --register=no --keep-unit --console=pipe \
        --bind-ro=/bistable-trial-cmdline:/proc/cmdline --boot < /dev/null > "$here/console.log" 2>&1 || code=$?
    case $code in
        133) found=reset ;;
        0) found=up ;;
        *) found="exit code $code" ;;
    esac
    for state in "$@"; do
        [ "$found" = "$expected" ] || break
        grep -qx "$state" "$root/report" || found="$found, not $state"
    done
    printf '%-60s %s\n' "$what" "$found"
    [ "$found" = "$expected" ] || failed=1
}

row "trial: the agent decides"                            1 'exit 0'    nothing      up bistable-resume=active
row "trial: the agent fails"                              1 'exit 1'    nothing      reset
row "trial: the agent is killed"                          1 "kill -9 \$\$" nothing   reset
row "trial: something before the agent hangs"             1 'exit 0'    hangs_before reset
row "trial: the agent is never started"                   1 'exit 0'    not_started  reset
row "trial: emergency mode"                               1 'exit 0'    emergency    reset
row "trial: no default target"                            1 'exit 0'    no_default   reset
row "trial: undecided, a unit after multi-user.target"    1 'sleep 900' late         up bistable-resume=activating late=active
row "trial: a unit that needs a healthy system"           1 'exit 0'    product      up bistable-health=active product=active
row "trial: undecided, a unit that needs a healthy system" 1 'sleep 900' product     up bistable-health=inactive product=inactive
# One program is both: as a daemon it does what the row says, and `resume` decides. Type=notify waits for a daemon that hangs.
as_daemon() { printf 'case "$1" in daemon) %s ;; esac; exit 0' "$1"; } # WHAT
row "trial: the daemon is killed"                         1 "$(as_daemon "kill -9 \$\$")" daemon_wanted up bistable-resume=active
row "trial: the daemon hangs"                             1 "$(as_daemon 'sleep 900')" daemon_wanted up bistable-resume=active bistable=activating
row "trial: the daemon is masked"                         1 'exit 0'    daemon_masked up bistable-resume=active bistable=inactive
row "trial: the daemon is absent"                         1 'exit 0'    daemon_absent up bistable-resume=active bistable=inactive
row "trial: the daemon is started early, and hangs"       1 "$(as_daemon 'sleep 900')" daemon_early up bistable-resume=active bistable=activating
row "trial: the daemon hangs, and the agent fails"        1 "$(printf 'case "$1" in daemon) sleep 900 ;; esac; exit 1')" daemon_wanted reset
row "default: the agent fails"                            0 'exit 1'    nothing      up bistable-resume=failed
row "default: the agent fails, a unit that needs health"  0 'exit 1'    product      up product=inactive
row "default: something before the agent hangs"           0 'exit 0'    hangs_before up bistable-resume=inactive
row "default: emergency mode"                             0 'exit 0'    emergency    up
exit "$failed"
