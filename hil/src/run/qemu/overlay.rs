//! What is put over the Debian system: the product's few files, and what makes a release good or bad.
use super::{jig, machine::Machine};
use crate::run::{
    part::{self, CORE, PANEL},
    release::{Nature, Release},
};

/// A file or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A text file with these permissions.
    File(String, u32),
    /// A symbolic link.
    Link(String),
}

/// A path without a leading `/`, and what is there.
pub type Overlay = Vec<(String, Piece)>;

/// A root shell on the console, without a login: lines in, answers out. No echo, for what is typed isn't what is answered,
/// and no kernel messages between the lines but the last ones.
const SHELL: &str = r#"#!/bin/sh
stty -echo
dmesg -n 1 2>/dev/null
echo
echo "rig: up version=$(cat /etc/rig-version) boot=$(cat /proc/sys/kernel/random/boot_id)"
while IFS= read -r line; do
    eval "$line" </dev/null
done
"#;

const SHELL_UNIT: &str = "[Unit]\nDescription=Root shell on the console\nAfter=local-fs.target persistent.mount\n\n\
    [Service]\nExecStart=/usr/lib/rig/shell\nStandardInput=tty-force\nStandardOutput=tty\nStandardError=tty\n\
    TTYPath=/dev/console\nRestart=always\nRestartSec=0\n\n[Install]\nWantedBy=multi-user.target\n";

/// Armed by systemd itself, long before anything of ours runs. The first watchdog is left alone: QEMU's Pi resets at once
/// when its own is started. The second one counts: a timer in the kernel on the Pi, QEMU's PCI card on the other board.
const MANAGER: &str = "[Manager]\nRuntimeWatchdogSec=14\nWatchdogDevice=/dev/watchdog1\nShowStatus=no\nDefaultTimeoutStopSec=5\n";

/// A request to the daemon's API, with what every Debian has: prints how it was answered, and fails if it was refused.
const ASK: &str = r#"#!/usr/bin/perl
use IO::Socket::UNIX;
my ($method, $path, $body) = @ARGV;
my $api = IO::Socket::UNIX->new(Peer => "/run/bistable/api.sock") or die "no daemon: $!\n";
$api->print("$method $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n",
    "Content-Length: ", length($body), "\r\n\r\n", $body);
my $answer = <$api>;
print $answer;
exit($answer !~ m{^HTTP/1.1 2});
"#;

/// A test bench, not production; and a board that isn't any Raspberry Pi has no name of its own.
fn desk(machine: Machine) -> String {
    let board = format!("allow_demo_keys = true\n\n[board]\nname = \"{}\"\n", machine.board());
    [board, part::declared(CORE), part::declared(PANEL)].join("\n")
}

const PANIC: &str = "#!/bin/sh\necho 'rig: fault panic' >/dev/console\necho c >/proc/sysrq-trigger\n";

/// Real-time programs that never wait, one for each processor, and no other process that takes a share from them.
const HANG: &str = r#"#!/bin/sh
echo -1 >/proc/sys/kernel/sched_rt_runtime_us
echo 'rig: fault hang' >/dev/console
sleep 1
for cpu in $(seq "$(nproc)"); do
    chrt -f 99 sh -c 'while :; do :; done' &
done
wait
"#;

/// The jig of a machine without pins: a file that says that the wire is off.
const JIG_TEST: &str = "#!/bin/sh\ntest ! -e /run/jig-off\n";

/// Says that the wire is off, on a machine without pins.
pub const JIG_OFF: &str = "/run/jig-off";

/// Units that a product of this kind has no use for. Under emulation each program that is started counts.
const UNNEEDED: [&str; 24] = [
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "kmod-static-nodes.service",
    "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-initctl.socket",
    "systemd-journal-flush.service",
    "systemd-journald-audit.socket",
    "systemd-logind.service",
    "systemd-modules-load.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysusers.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-user-sessions.service",
    "systemd-update-done.service",
    "systemd-machine-id-commit.service",
    "systemd-journal-catalog-update.service",
    "ldconfig.service",
];

/// The same for generators.
const GENERATORS: [&str; 13] = [
    "systemd-bless-boot-generator",
    "systemd-cryptsetup-generator",
    "systemd-debug-generator",
    "systemd-fstab-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-veritysetup-generator",
];

/// Only what becomes a link in /dev/disk has to be told to udev again.
const TRIGGER: &str = "[Service]\nExecStart=\nExecStart=-udevadm trigger --action=add --subsystem-match=block --subsystem-match=gpio --subsystem-match=tty\n";

/// The plan of the self-tests on a machine.
pub fn self_tests(machine: Machine) -> String {
    match machine {
        Machine::Pi3 => {
            format!("[[test]]\nname = \"relay\"\nkind = \"loopback\"\nout = {}\nin = {}\n", jig::OUT, jig::IN)
        }
        Machine::Virt => {
            "[[test]]\nname = \"relay\"\nkind = \"command\"\nrun = [\"/usr/lib/rig/jig-test\"]\n".into()
        }
    }
}

/// What a release has over the Debian system.
pub fn system(release: Release, machine: Machine) -> Overlay {
    let mut pieces: Overlay = Vec::new();
    file(&mut pieces, "etc/rig-version", &format!("{}\n", release.version), 0o644);
    file(&mut pieces, "etc/bistable/config.d/50-rig.toml", &desk(machine), 0o644);
    file(&mut pieces, "etc/systemd/system.conf.d/zz-rig.conf", MANAGER, 0o644);
    file(&mut pieces, "usr/lib/rig/shell", SHELL, 0o755);
    file(&mut pieces, "usr/lib/rig/ask", ASK, 0o755);
    file(&mut pieces, "usr/lib/rig/jig-test", JIG_TEST, 0o755);
    for unit in UNNEEDED {
        pieces.push((format!("etc/systemd/system/{unit}"), Piece::Link("/dev/null".into())));
    }
    for generator in GENERATORS {
        pieces.push((format!("etc/systemd/system-generators/{generator}"), Piece::Link("/dev/null".into())));
    }
    pieces.push((
        "etc/systemd/system/default.target".into(),
        Piece::Link("/lib/systemd/system/multi-user.target".into()),
    ));
    file(&mut pieces, "etc/systemd/system/systemd-udev-trigger.service.d/rig.conf", TRIGGER, 0o644);
    let app = if release.nature == Nature::Sick { "/bin/false" } else { "/bin/sleep infinity" };
    let fault = match release.nature {
        Nature::Good | Nature::Sick => None,
        Nature::Panics => Some(PANIC),
        Nature::Hangs => Some(HANG),
        Nature::NoInit => {
            pieces.push(("usr/sbin/init".into(), Piece::Link("/missing".into())));
            None
        }
    };
    enabled(&mut pieces, "rig-shell.service", SHELL_UNIT);
    for name in [CORE, PANEL] {
        enabled(&mut pieces, &format!("{name}.service"), &part::unit(name));
        pieces.push((format!("opt/{name}"), Piece::Link(format!("/run/bistable/components/{name}"))));
    }
    enabled(&mut pieces, "app.service", &unit("The product's application", app));
    if let Some(fault) = fault {
        file(&mut pieces, "usr/lib/rig/fault", fault, 0o755);
        enabled(&mut pieces, "fault.service", &unit("A fault", "/usr/lib/rig/fault"));
    }
    pieces
}

fn file(pieces: &mut Overlay, path: &str, text: &str, mode: u32) {
    pieces.push((path.into(), Piece::File(text.into(), mode)));
}

/// A unit that is started at every boot.
fn enabled(pieces: &mut Overlay, name: &str, text: &str) {
    file(pieces, &format!("etc/systemd/system/{name}"), text, 0o644);
    let link = format!("etc/systemd/system/multi-user.target.wants/{name}");
    pieces.push((link, Piece::Link(format!("../{name}"))));
}

fn unit(description: &str, program: &str) -> String {
    format!(
        "[Unit]\nDescription={description}\n\n[Service]\nExecStart={program}\n\n[Install]\nWantedBy=multi-user.target\n"
    )
}

/// What both boot flows tell the kernel. The last console that exists is the one that counts.
const OPTIONS: &str = "console=ttyAMA0,115200 console=ttyS1,115200 ro rootwait rootfstype=ext4 panic=5 quiet \
    systemd.volatile=state iomem=relaxed";

const CONFIG: &str = "arm_64bit=1\nenable_uart=1\nkernel=kernel8.img\ninitramfs initrd.img followkernel\n";
const BY_SLOT: &str =
    "[boot_partition=2]\ncmdline=cmdline-a.txt\n[boot_partition=3]\ncmdline=cmdline-b.txt\n[all]\n";
/// The other machine hands its own to the boot loader.
const TREE: &str = "device_tree=bcm2837-rpi-3-b.dtb\n";

/// What lies beside the kernel on the boot volume: one for both slots, the firmware picks the command line.
pub fn boot(machine: Machine) -> Vec<(&'static str, String)> {
    let tree = if machine == Machine::Pi3 { TREE } else { "" };
    let cmdline = |slot| format!("root=PARTLABEL=system_{slot} {OPTIONS}\n");
    vec![
        ("config.txt", [CONFIG, tree, BY_SLOT].concat()),
        ("cmdline-a.txt", cmdline('a')),
        ("cmdline-b.txt", cmdline('b')),
        // For firmware that doesn't know the filter, and for U-Boot, which takes its own word for root=.
        ("cmdline.txt", cmdline('a')),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::release;

    #[test]
    fn plans_are_valid() {
        for machine in [Machine::Pi3, Machine::Virt] {
            let plan = bistable_format::selftest::Plan::parse(&self_tests(machine)).unwrap();
            assert_eq!(plan.tests.len(), 1);
        }
    }

    #[test]
    fn releases_differ_where_they_should() {
        let system = |release| system(release, Machine::Virt);
        let names = |release| system(release).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(names(release::FACTORY), names(release::GOOD));
        assert_eq!(names(release::FACTORY), names(release::SICK));
        assert_ne!(system(release::FACTORY), system(release::GOOD), "their versions");
        for bad in [release::PANICS, release::HANGS, release::NO_INIT] {
            assert_ne!(names(release::FACTORY), names(bad), "{bad:?}");
        }
    }
}
