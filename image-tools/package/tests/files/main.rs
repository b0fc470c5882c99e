//! What init, udev and the firmware read (`boot/files`), and the package that installs it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers")]
#![allow(clippy::disallowed_methods, reason = "files of a test, in folders that go away")]

mod packages;

use bistable_boot::{Formats, Slot, layout::Partition};
use bistable_format::{Release, health::DEADLINE_MAX_S};
use bistable_package::{About, Arch, Entry, Package, files, installed, workspace};
use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io::Read as _,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

fn file(name: &str) -> PathBuf {
    workspace().join("boot/files").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// The value of `key=` in a unit file or the like.
fn value(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {key}= in {text}")).to_owned()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

fn ran(command: &mut Command) -> String {
    let out = run(command);
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}: {}\n{said}", out.status);
    said
}

/// What a running system shows of itself.
struct System(TempDir);

impl System {
    fn new() -> System {
        System(tempfile::tempdir().unwrap())
    }

    fn with(self, path: &str, bytes: impl AsRef<[u8]>) -> System {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn cmdline(self, line: &str) -> System {
        self.with("proc/cmdline", line)
    }

    fn firmware(self, node: &str, number: u32) -> System {
        self.with(&format!("proc/device-tree/chosen/bootloader/{node}"), number.to_be_bytes())
    }

    fn run(&self, script: &str, args: &[&str]) -> Output {
        run(Command::new("sh").arg(file(script)).args(args).env("BISTABLE_SYSROOT", self.0.path()))
    }

    /// What the generator makes here: links, with where they lead.
    fn generated(&self) -> BTreeSet<(String, String)> {
        let normal = self.0.path().join("normal");
        fs::create_dir(&normal).unwrap();
        let out = self.run("systemd/bistable-trial-generator", &[normal.to_str().unwrap(), "/no", "/no"]);
        assert!(out.status.success() && out.stdout.is_empty() && out.stderr.is_empty(), "{out:?}");
        let mut links = BTreeSet::new();
        for folder in fs::read_dir(&normal).unwrap() {
            for link in fs::read_dir(folder.unwrap().path()).unwrap() {
                let link = link.unwrap().path();
                let name = link.strip_prefix(&normal).unwrap().to_str().unwrap().to_owned();
                links.insert((name, fs::read_link(&link).unwrap().to_str().unwrap().to_owned()));
            }
        }
        links
    }
}

const CMDLINE: &str = "console=tty1 root=PARTLABEL=system_a ro * [ab] panic=5";

#[test]
fn outside_of_a_trial_the_generator_makes_nothing() {
    let systems = [
        ("nothing at all", System::new()),
        ("an ordinary boot", System::new().cmdline(CMDLINE).firmware("tryboot", 0).firmware("partition", 2)),
        ("old firmware", System::new().cmdline(CMDLINE)),
        ("no command line", System::new().firmware("tryboot", 0)),
        ("an empty node", System::new().with("proc/device-tree/chosen/bootloader/tryboot", "")),
        ("U-Boot, the default slot", System::new().cmdline("bistable.slot=A bistable.trial=0\n")),
        (
            "other words",
            System::new().cmdline("xbistable.trial=1 bistable.trial=10 bistable.trial bistable.trial="),
        ),
        ("a trial in a quoted word", System::new().cmdline("a=\"bistable.trial=1\"")),
    ];
    for (name, system) in systems {
        assert_eq!(system.generated(), BTreeSet::new(), "{name}");
    }
}

#[test]
fn on_a_trial_the_generator_makes_an_end_of_it_certain() {
    let systems = [
        ("tryboot", System::new().cmdline(CMDLINE).firmware("tryboot", 1).firmware("partition", 3)),
        ("tryboot, no command line", System::new().firmware("tryboot", 1)),
        ("U-Boot", System::new().cmdline("ro bistable.slot=B bistable.trial=1\n")),
        ("U-Boot, its word last and no line end", System::new().cmdline("ro bistable.trial=1")),
        (
            "U-Boot, on a device tree of the firmware",
            System::new().cmdline("bistable.trial=1").firmware("tryboot", 0),
        ),
    ];
    let entries = files(&workspace()).unwrap();
    for (name, system) in systems {
        let links = system.generated();
        let names: Vec<&str> = links.iter().map(|(link, _)| link.as_str()).collect();
        let expected = [
            "bistable-resume.service.d/50-bistable-trial.conf",
            "emergency.service.d/50-bistable-trial.conf",
            "rescue.service.d/50-bistable-trial.conf",
            "sysinit.target.wants/bistable-trial.timer",
        ];
        assert_eq!(names, expected, "{name}");
        for (link, target) in &links {
            let there = entries.iter().any(|e| Some(e.path.as_str()) == target.strip_prefix('/'));
            assert!(there, "{link} leads to {target}, which nothing installs");
        }
    }
}

#[test]
fn the_generator_says_when_it_could_not() {
    let system = System::new().firmware("tryboot", 1).with("normal", "a file");
    let normal = system.0.path().join("normal");
    let out = system.run("systemd/bistable-trial-generator", &[normal.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let out = system.run("systemd/bistable-trial-generator", &[]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
}

/// What is left out on a system that doesn't run from a card with the layout, and only there.
#[test]
fn stock_image_with_the_package_waits_for_no_partition() {
    let partition = |system: System, device: &str, name: &str| {
        let name = if name.is_empty() { String::new() } else { format!("PARTNAME={name}\n") };
        let lines = format!("MAJOR=179\nDEVTYPE=partition\nPARTN=1\n{name}");
        system.with(&format!("sys/class/block/{device}/uevent"), lines)
    };
    let disk = || System::new().with("sys/class/block/mmcblk0/uevent", "MAJOR=179\nDEVTYPE=disk\n");
    let generated = |system: &System| {
        let folders = ["normal", "early"].map(|name| system.0.path().join(name));
        let out =
            system.run("systemd/bistable-layout-generator", &folders.each_ref().map(|f| f.to_str().unwrap()));
        assert!(out.status.success() && out.stdout.is_empty() && out.stderr.is_empty(), "{out:?}");
        folders.iter().any(|folder| folder.exists())
    };
    let stock = || {
        partition(partition(disk(), "mmcblk0p1", ""), "mmcblk0p2", "")
            .cmdline("root=PARTUUID=4e639091-02 ro\n")
    };
    let others = partition(disk(), "sda1", "xbootconfig").cmdline("root=/dev/sda1");
    let left = [("a stock image", stock()), ("another GPT", others)];
    for (name, system) in &left {
        assert!(generated(system), "{name}");
        let at = |path: &str| fs::read_link(system.0.path().join(path)).unwrap();
        assert_eq!(at("early/persistent.mount"), Path::new("/dev/null"), "{name}");
        for unit in ["bistable-resume", "bistable-health"] {
            let drop_in = at(&format!("normal/{unit}.service.d/50-bistable-layout.conf"));
            assert_eq!(drop_in, Path::new("/usr/lib/bistable/no-layout.conf"), "{name}");
        }
    }
    for (name, system) in [
        ("a card", partition(stock(), "mmcblk0p3", "bootconfig")),
        ("a card in front of a stick", partition(partition(disk(), "mmcblk0p1", "bootconfig"), "sda1", "")),
        ("a slot of U-Boot", stock().cmdline("ro bistable.slot=A\n")),
        ("a trial of U-Boot", stock().cmdline("bistable.trial=1 ro")),
        ("a slot by its label", stock().cmdline(CMDLINE)),
        ("a slot by its link", stock().cmdline("root=/dev/disk/by-slot/active/system")),
        ("no partition that is known", disk().cmdline("ro")),
        ("nothing at all", System::new()),
    ] {
        assert!(!generated(&system), "{name}");
    }
    let entries = files(&workspace()).unwrap();
    assert!(entries.iter().any(|e| e.path == "usr/lib/bistable/no-layout.conf"));
    let without = stock().run("systemd/bistable-layout-generator", &["/no"]);
    assert_eq!(without.status.code(), Some(2), "{without:?}");
}

/// A disk with four partitions, as /sys shows it; its root is the fifth number.
/// A boot waits for generators, so this one starts a program only where there is something to do.
#[test]
fn services_of_components_are_ordered_only_where_components_are_configured() {
    let generated = |system: System| {
        let system = system.with("bistable", "#!/bin/sh\necho \"$*\" > \"$(dirname \"$0\")/asked\"\n");
        let program = system.0.path().join("bistable");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let generator = file("systemd/bistable-components-generator");
        let out = run(Command::new("sh")
            .arg(generator)
            .args(["/normal", "/no", "/no"])
            .env("BISTABLE_SYSROOT", system.0.path())
            .env("BISTABLE_PROGRAM", &program));
        assert!(out.status.success() && out.stdout.is_empty() && out.stderr.is_empty(), "{out:?}");
        fs::read_to_string(system.0.path().join("asked")).ok()
    };
    let other = "[update]\nmode = \"auto\"\n";
    assert_eq!(generated(System::new()), None);
    assert_eq!(generated(System::new().with("etc/bistable/config.d/50.toml", other)), None);
    let core = "[component.core]\nkind = \"directory\"\n";
    for folder in ["etc", "usr/lib"] {
        let system = System::new().with(&format!("{folder}/bistable/config.d/50.toml"), core);
        assert_eq!(generated(system).as_deref(), Some("component units /normal\n"));
    }
    let usage = System::new().run("systemd/bistable-components-generator", &[]);
    assert_eq!(usage.status.code(), Some(2));
}

fn with_disks(system: System) -> System {
    let sys = system.0.path().join("sys");
    for (disk, major) in [("mmcblk0", 179), ("sda", 8)] {
        for minor in 1..8 {
            let partition = sys.join(format!("devices/host/block/{disk}/part{minor}"));
            fs::create_dir_all(&partition).unwrap();
            let dev = sys.join("dev/block");
            fs::create_dir_all(&dev).unwrap();
            symlink(partition, dev.join(format!("{major}:{minor}"))).unwrap();
        }
    }
    system
}

fn mounted(number: &str) -> String {
    format!(
        "22 1 0:20 / /proc rw - proc proc rw\n23 1 {number} / / ro,relatime - ext4 /dev/root ro\n24 1 179:6 / /persistent rw - ext4 x rw\n"
    )
}

fn link(system: &System, name: &str, disk: &str) -> Option<String> {
    let device = system.0.path().join(format!("sys/devices/host/block/{disk}/part5"));
    let out = system.run("udev/by-slot", &[name, device.to_str().unwrap()]);
    assert!(out.stderr.is_empty(), "{out:?}");
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.success(), !said.is_empty());
    out.status.success().then(|| said.trim().to_owned())
}

#[test]
fn links_by_slot_follow_the_booted_slot() {
    let tryboot = |n| with_disks(System::new()).cmdline(CMDLINE).firmware("partition", n);
    let uboot = |line| with_disks(System::new()).cmdline(line).firmware("partition", 2);
    let (a, b) = (tryboot(2), tryboot(3));
    let both = [("boot_a", "boot"), ("boot_b", "boot"), ("system_a", "system"), ("system_b", "system")];
    for (name, volume) in both {
        let of = |slot: &str| if name.ends_with(slot) { "active" } else { "other" };
        assert_eq!(link(&a, name, "mmcblk0"), Some(format!("{}/{volume}", of("_a"))));
        assert_eq!(link(&b, name, "mmcblk0"), Some(format!("{}/{volume}", of("_b"))));
    }
    // U-Boot's word counts more than the firmware's: the firmware booted U-Boot.
    let (a, b) = (uboot("ro bistable.slot=A"), uboot("ro bistable.slot=B bistable.trial=1\n"));
    assert_eq!(link(&a, "boot_a", "mmcblk0").unwrap(), "active/boot");
    assert_eq!(link(&b, "boot_a", "mmcblk0").unwrap(), "other/boot");
    let nothing = with_disks(System::new());
    let slot_c = with_disks(System::new()).cmdline("bistable.slot=C");
    for unknown in [nothing, tryboot(1), tryboot(0x0200_0000), slot_c] {
        assert_eq!(link(&unknown, "boot_a", "mmcblk0"), None);
    }
    for stranger in ["persistent", "boot_c", "boot_", "", "a"] {
        assert_eq!(link(&tryboot(2), stranger, "mmcblk0"), None, "{stranger}");
    }
}

#[test]
fn another_disk_with_the_same_names_gets_no_links() {
    let system = |root: &str| {
        with_disks(System::new().firmware("partition", 2).with("proc/self/mountinfo", mounted(root)))
    };
    let on_card = system("179:4");
    assert_eq!(link(&on_card, "system_a", "mmcblk0").unwrap(), "active/system");
    assert_eq!(link(&on_card, "system_a", "sda"), None);
    assert_eq!(link(&system("8:4"), "system_b", "sda").unwrap(), "other/system");
    // An overlay: which disk it is can't be told.
    assert_eq!(link(&system("0:30"), "system_b", "sda").unwrap(), "other/system");
}

#[test]
fn the_firmware_is_told_each_slots_root() {
    let part = text("config.txt.part");
    for slot in Slot::ALL {
        let letter = if slot == Slot::A { 'a' } else { 'b' };
        let number = Partition::Boot(slot).number();
        let cmdline = format!("cmdline-{letter}.txt");
        assert!(part.contains(&format!("\n[boot_partition={number}]\ncmdline={cmdline}\n")), "{part}");
        let line = text(&cmdline);
        let words: BTreeSet<&str> = line.split_whitespace().collect();
        let root = format!("root=PARTLABEL={}", Partition::System(slot).name());
        for word in [root.as_str(), "ro", "rootwait", "panic=5", "watchdog_disarm=0"] {
            assert!(words.contains(word), "{word} in {line}");
        }
        assert_eq!(line.lines().count(), 1, "the firmware reads one line");
    }
    assert_eq!(text("cmdline-a.txt").replace("system_a", "system_b"), text("cmdline-b.txt"));
    // What is said after it counts for both slots again.
    assert!(part.contains("\n[all]\nkernel_watchdog_timeout=60\n"), "{part}");
}

#[test]
fn the_watchdog_is_given_what_it_can_count_to() {
    let conf = text("systemd/50-bistable.conf");
    for key in ["RuntimeWatchdogSec", "RebootWatchdogSec"] {
        let seconds: u32 = value(&conf, key).parse().unwrap();
        assert!((1..=15).contains(&seconds), "{key}={seconds}: bcm2835_wdt counts to 15");
    }
}

fn minutes(text: &str) -> u32 {
    text.strip_suffix("min").unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[test]
fn no_limit_cuts_a_valid_health_check_short() {
    let drop_in = text("systemd/trial-resume.conf");
    // And before it, `resume` and `health` wait for their turn: 10 minutes at most.
    let longest = DEADLINE_MAX_S / 60 + 10;
    let run = minutes(&value(&drop_in, "TimeoutStartSec"));
    let begin = minutes(&value(&text("systemd/bistable-trial.timer"), "OnBootSec"));
    assert!(run > longest, "{run} minutes");
    assert!(minutes(&value(&drop_in, "JobTimeoutSec")) >= run + begin, "queue and run");
    assert!(minutes(&value(&text("systemd/bistable-health.service"), "TimeoutStartSec")) > longest);
    for (key, wanted) in [("FailureAction", "reboot-force"), ("JobTimeoutAction", "reboot-force")] {
        assert_eq!(value(&drop_in, key), wanted);
    }
}

#[test]
fn nothing_but_a_trial_reboots_anything() {
    for entry in fs::read_dir(file("systemd")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let settings = text.lines().filter(|l| !l.starts_with('#'));
        let reboots = settings.filter(|l| l.contains("Action=")).count();
        assert_eq!(
            reboots > 0,
            name.contains("trial") && !name.ends_with(".timer") && !name.ends_with("generator"),
            "{name}"
        );
    }
}

fn about() -> About {
    of(Package::Device)
}

fn of(package: Package) -> About {
    About { package, arch: Arch::Arm64, version: "1.2.3".into(), epoch: 1_764_547_200 }
}

/// A page of a package, unpacked.
fn unpacked(entry: &Entry) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(entry.bytes.as_deref().unwrap()).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_package_installs_every_file() {
    let entries = files(&workspace()).unwrap();
    let mut sources = Vec::new();
    let mut folders = vec![file("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { sources.push(path) }
        }
    }
    for source in &sources {
        let bytes = fs::read(source).unwrap();
        let found = entries.iter().find(|e| {
            Path::new(&e.path).file_name() == source.file_name() && e.bytes.as_ref() == Some(&bytes)
        });
        let entry = found.unwrap_or_else(|| panic!("{} is not installed", source.display()));
        let script = bytes.starts_with(b"#!");
        assert_eq!(entry.mode, if script { 0o755 } else { 0o644 }, "{}", entry.path);
    }
    assert_eq!(entries.len(), sources.len());
}

#[test]
fn the_package_has_program_pages_and_completions() {
    let entries = installed(&workspace(), &about(), b"program".to_vec()).unwrap();
    let paths: Vec<&str> = entries.iter().map(|e| e.path.as_str()).collect();
    let different: BTreeSet<&&str> = paths.iter().collect();
    assert_eq!(different.len(), paths.len(), "{paths:?}");
    for path in [
        "usr/share/man/man1/bistable.1.gz",
        "usr/share/man/man1/bistable-update.1.gz",
        "usr/share/man/man5/bistable-config.5.gz",
        "usr/share/man/man5/bistable-self-test.toml.5.gz",
        "usr/share/man/man5/bistable-health.toml.5.gz",
        "usr/share/bash-completion/completions/bistable",
        "usr/share/zsh/vendor-completions/_bistable",
        "usr/share/fish/vendor_completions.d/bistable.fish",
        "usr/share/doc/bistable/copyright",
        "usr/share/doc/bistable/changelog.gz",
        "usr/share/bistable/boot/config.txt.part",
        "persistent",
    ] {
        assert!(paths.contains(&path), "{path}");
    }
    let program = entries.iter().find(|e| e.path == "usr/bin/bistable").unwrap();
    assert_eq!((program.mode, program.bytes.as_deref()), (0o755, Some(&b"program"[..])));
    let formats = Release::FORMATS_PATH.trim_start_matches('/');
    let formats = entries.iter().find(|e| e.path == formats).unwrap();
    assert_eq!(formats.mode, 0o644);
    assert_eq!(formats.bytes.as_deref(), Some(format!("{}\n", Formats::OURS.newest()).as_bytes()));
    // What the units start is in the package, or in one that it depends on.
    let elsewhere = ["/bin/sh", "/usr/sbin/e2fsck", "/usr/lib/systemd/systemd-growfs"];
    let mut started = 0;
    for unit in entries.iter().filter(|e| e.path.starts_with("usr/lib/systemd/system/")) {
        let text = String::from_utf8(unit.bytes.clone().unwrap()).unwrap();
        for line in text.lines().filter_map(|l| l.strip_prefix("ExecStart=")) {
            let program = line.trim_start_matches('-').split(' ').next().unwrap();
            let ours = paths.contains(&program.trim_start_matches('/'));
            assert!(ours || elsewhere.contains(&program), "{}: {program}", unit.path);
            started += 1;
        }
    }
    assert!(started >= 5, "{started}");
}

/// The tree on disk, with `/bin/true` for the program.
fn staged(root: &Path) {
    for Entry { path, mode, bytes } in files(&workspace()).unwrap() {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = bytes.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let text = text
            .replace("=/usr/bin/bistable", "=/bin/true")
            .replace("=/usr/lib/bistable/stick", "=/bin/true");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
}

/// systemd's own word on the units, as they are on a default boot and on a trial.
#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_understands_the_units() {
    let root = tempfile::tempdir().unwrap();
    staged(root.path());
    let units = root.path().join("usr/lib/systemd/system");
    for (target, unit) in [
        ("multi-user.target.wants", "bistable-containers.service"),
        ("multi-user.target.wants", "bistable-resume.service"),
        ("boot-complete.target.requires", "bistable-resume.service"),
        ("boot-complete.target.requires", "bistable-health.service"),
        ("local-fs.target.wants", "persistent.mount"),
    ] {
        fs::create_dir_all(units.join(target)).unwrap();
        symlink(units.join(unit), units.join(target).join(unit)).unwrap();
    }
    let ours = fs::read_dir(&units).unwrap().map(|n| n.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = ours.filter(|n| !n.ends_with(".d") && !n.contains(".target.")).collect();
    names.extend(["multi-user", "boot-complete", "emergency", "rescue"].map(|n| format!("{n}.target")));
    let none = tempfile::tempdir().unwrap();
    let trial = System::new().firmware("tryboot", 1);
    let generated = none.path().join("trial");
    for (link, target) in trial.generated() {
        let to = generated.join(link);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        symlink(root.path().join(target.trim_start_matches('/')), to).unwrap();
    }
    for folder in [none.path(), &generated] {
        let path = format!("{}:{}:", folder.display(), units.display());
        let said = ran(Command::new("systemd-analyze")
            .args(["--man=no", "verify"])
            .args(&names)
            .env("SYSTEMD_UNIT_PATH", path)
            .env("SYSTEMD_LOG_COLOR", "0"));
        assert_eq!(said, "", "with {}", folder.display());
    }
}

/// What the script of a stick does with it: its exit code and what `bistable`, `mount` and `umount` were called with.
fn plugged(files: &[&str], name: &str, exit: i32, mounts: bool) -> (i32, Vec<String>) {
    let system = System::new();
    let root = system.0.path();
    let bin = root.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let script = |name: &str, exit: i32| {
        let path = bin.join(name);
        let text =
            format!("#!/bin/sh\necho {name} \"$@\" >> '{}'\nexit {exit}\n", root.join("calls").display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    };
    script("bistable", exit);
    script("mount", i32::from(!mounts));
    script("umount", 0);
    // What the stick has is there once it is mounted.
    for file in files {
        let path = root.join("run/bistable/stick/sda1").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    let out = run(command.arg(file("udev/stick")).arg(name).env("BISTABLE_SYSROOT", root).env("PATH", path));
    let calls = fs::read_to_string(root.join("calls")).unwrap_or_default();
    let prefix = root.to_str().unwrap();
    (out.status.code().unwrap(), calls.lines().map(|line| line.replace(prefix, "")).collect())
}

#[test]
fn stick_with_a_repository_is_mounted_read_only_and_offered() {
    const MOUNT: &str = "mount -o ro,nosuid,nodev,noexec /dev/sda1 /run/bistable/stick/sda1";
    const UMOUNT: &str = "umount /run/bistable/stick/sda1";
    for (folder, exit) in [("", 0), ("/bistable", 3), ("", 75)] {
        let marker = format!(
            "{}oci-layout",
            folder.trim_start_matches('/').to_owned() + if folder.is_empty() { "" } else { "/" }
        );
        let (code, calls) = plugged(&[&marker], "sda1", exit, true);
        let offer = format!("bistable offer /run/bistable/stick/sda1{folder}");
        assert_eq!(
            (code, calls.iter().map(String::as_str).collect::<Vec<_>>()),
            (exit, vec![MOUNT, &offer, UMOUNT])
        );
    }
    let (code, calls) = plugged(&["holiday.jpg", "hub-1.1.0.bundle"], "sda1", 0, true);
    assert_eq!(
        (code, calls),
        (3, vec![MOUNT.to_owned(), UMOUNT.to_owned()]),
        "a bundle alone is not an offer"
    );
    assert_eq!(plugged(&["oci-layout"], "sda1", 0, false), (1, vec![MOUNT.to_owned()]));
    for name in ["", "../sda1", "sda1 -o rw", "sda1;reboot"] {
        assert_eq!(plugged(&["oci-layout"], name, 0, true), (2, vec![]), "{name}");
    }
    // The unit takes as success what says nothing about the device.
    let unit = text("systemd/bistable-stick@.service");
    assert_eq!(value(&unit, "SuccessExitStatus"), "3 6 75");
    assert!(
        text("udev/61-bistable-stick.rules")
            .contains("ENV{SYSTEMD_WANTS}+=\"bistable-stick@$kernel.service\"")
    );
}

#[test]
fn every_key_of_the_configuration_is_on_its_page() {
    let entries = installed(&workspace(), &about(), b"program".to_vec()).unwrap();
    let page = entries.iter().find(|e| e.path.ends_with("man5/bistable-config.5.gz")).unwrap();
    let page_text = unpacked(page);
    let keys = fs::read_to_string(workspace().join("src/config/keys.rs")).unwrap();
    let names: Vec<&str> = keys.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        let term = format!(".TP\n\\fB{}\\fR\n", name.replace('-', "\\-"));
        assert!(page_text.contains(&term), "{name} is not on the page");
    }
}

/// In tenths, as `systemd-analyze security --threshold` counts.
const EXPOSURE_MAX: &str = "50";

#[test]
fn man_pages_have_all_sections_and_no_errors_of_roff() {
    let has_man = Command::new("man").arg("--version").output().is_ok();
    let folder = tempfile::tempdir().unwrap();
    for (package, verb, call) in [
        (Package::Device, "bistable-update", "bistable update"),
        (Package::Host, "bistable-image-build", "bistable\\-image build"),
    ] {
        let entries = installed(&workspace(), &of(package), b"program".to_vec()).unwrap();
        let mut count = 0;
        for entry in entries.iter().filter(|e| e.path.starts_with("usr/share/man/")) {
            let text = unpacked(entry);
            let sections: &[&str] = if entry.path.ends_with(".1.gz") {
                &["NAME", "SYNOPSIS", "EXIT STATUS", "FILES", "SEE ALSO"]
            } else {
                &["NAME", "DESCRIPTION"]
            };
            for section in sections {
                let found = text.lines().any(|line| line.replace('"', "") == format!(".SH {section}"));
                assert!(found, "{} has no section {section}:\n{text}", entry.path);
            }
            if has_man {
                let path = folder.path().join("page");
                fs::write(&path, &text).unwrap();
                let out =
                    run(Command::new("man").args(["--warnings", "-l"]).arg(&path).env("LC_ALL", "C.UTF-8"));
                assert!(out.status.success() && out.stderr.is_empty(), "{}: {out:?}", entry.path);
            }
            count += 1;
        }
        assert!(count > 15, "{count}");
        let page = entries.iter().find(|e| e.path.ends_with(&format!("/{verb}.1.gz"))).unwrap();
        let text = unpacked(page);
        assert!(text.contains(".SH EXAMPLES") && text.contains(call), "{text}");
    }
}

#[test]
fn every_service_gives_up_what_it_does_not_need() {
    let analyze = || Command::new("systemd-analyze");
    if analyze().arg("--version").output().is_err() {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let exposure = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::write(&path, text).unwrap();
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        run(analyze().args(["security", "--no-pager", "--offline=true", &threshold]).arg(path))
    };
    let mut services = 0;
    for Entry { path, bytes, .. } in files(&workspace()).unwrap() {
        let name = path.rsplit('/').next().unwrap();
        if !path.starts_with("usr/lib/systemd/system/") || !name.ends_with(".service") {
            continue;
        }
        let out = exposure(name, &String::from_utf8(bytes.unwrap()).unwrap());
        assert!(out.status.success(), "{name}\n{}", String::from_utf8_lossy(&out.stdout));
        services += 1;
    }
    assert!(services >= 5, "{services}");
    assert!(!exposure("bare.service", "[Service]\nExecStart=/bin/true\n").status.success(), "it can fail");
}

#[test]
#[ignore = "needs shellcheck"]
fn scripts_are_sound() {
    let scripts = [
        "systemd/bistable-components-generator",
        "systemd/bistable-layout-generator",
        "systemd/bistable-trial-generator",
        "udev/by-slot",
        "udev/stick",
    ];
    let scripts = scripts.map(file);
    let debian = workspace().join("image-tools/package/src/debian");
    let theirs = ["preinst", "postinst", "prerm", "postrm"].map(|n| debian.join(n));
    ran(Command::new("shellcheck").arg("--shell=sh").args(scripts).args(theirs));
}
