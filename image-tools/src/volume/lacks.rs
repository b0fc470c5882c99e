//! What a slot's volumes lack to start, and to be updated again: one table for every source of a system. Nothing of it stops a build: a
//! system may do it in another way.
//!
//! Only names are looked at, and the last one is not followed: `/sbin/init` may lead to whatever the system has.
use super::config_txt;
use super::fat::BootFile;
use super::load_ext4::{Last, load_ext4, real_path};
use super::tree::{ROOT, Tree};
use ext4_view::Ext4;
use std::fs::File;

/// What the kernel starts first: its own list (`init/main.c`), and where distributions keep what it leads to.
const INIT: [&str; 7] = [
    "sbin/init",
    "usr/sbin/init",
    "etc/init",
    "bin/init",
    "usr/lib/systemd/systemd",
    "lib/systemd/systemd",
    "bin/sh",
];
/// The agent, in folders of programs.
const AGENT: [&str; 6] = [
    "usr/bin/bistable",
    "usr/sbin/bistable",
    "bin/bistable",
    "sbin/bistable",
    "usr/local/bin/bistable",
    "usr/local/sbin/bistable",
];
/// The service manager.
const MANAGER: [&str; 2] = ["usr/lib/systemd/systemd", "lib/systemd/systemd"];
/// What the service manager and udev read of the package: its name, where it may lie, and what is not done without it.
const PARTS: [(&str, &[&str], &str); 3] = [
    (
        "bistable-resume.service",
        &[
            "usr/lib/systemd/system/bistable-resume.service",
            "lib/systemd/system/bistable-resume.service",
            "etc/systemd/system/bistable-resume.service",
        ],
        "no trial of it can be committed, and devices fall back to the old system",
    ),
    (
        "bistable-trial-generator",
        &[
            "usr/lib/systemd/system-generators/bistable-trial-generator",
            "lib/systemd/system-generators/bistable-trial-generator",
            "etc/systemd/system-generators/bistable-trial-generator",
        ],
        "a trial that hangs is not ended",
    ),
    (
        "60-bistable.rules",
        &[
            "usr/lib/udev/rules.d/60-bistable.rules",
            "lib/udev/rules.d/60-bistable.rules",
            "etc/udev/rules.d/60-bistable.rules",
        ],
        "udev makes no links below /dev/disk/by-slot",
    ),
];
/// What to do.
const REMEDY: &str = "install Bistable's package in it, or bring its files with --from-img IMAGE --overlay DIR (`bistable-package --tree DIR` makes them)";

/// What a system volume lacks that is still a tree.
pub(super) fn of_tree(tree: &Tree) -> Vec<String> {
    let find = |path: &str| {
        let mut at = ROOT;
        for name in path.split('/') {
            at = tree.child(at, name.as_bytes()).ok().flatten()?;
        }
        Some(at)
    };
    let mut notes = system(&|path| find(path).is_some());
    let owner = |path: &str| find(path).map(|at| (path.to_owned(), tree.node(at).meta.uid));
    notes.extend(owned(["usr", "etc", "bin", "lib"].into_iter().filter_map(owner)));
    notes
}

/// The same of an ext4 image. One that can't be read lacks nothing: notes are all that depends on it.
pub(super) fn of_ext4(image: &File) -> Vec<String> {
    let open = || {
        let bytes = image.metadata().ok()?.len();
        load_ext4(Box::new(image.try_clone().ok()?), bytes).ok()
    };
    let Some(fs) = open() else { return Vec::new() };
    system(&|path| is_in(&fs, path))
}

/// Whether the agent is in a system, by its name.
pub(crate) fn has_agent(system: &Ext4) -> bool {
    AGENT.iter().any(|path| is_in(system, path))
}

fn is_in(fs: &Ext4, path: &str) -> bool {
    let real = real_path(fs, &format!("/{path}"), Last::Kept);
    real.is_ok_and(|real| fs.symlink_metadata(real.as_str()).is_ok())
}

/// What a boot volume lacks.
pub(super) fn of_boot(files: &[BootFile], config: &str) -> Vec<String> {
    let is_kernel = |file: &BootFile| {
        let name = file.name().to_ascii_lowercase();
        ["kernel", "vmlinu", "image", ".efi", ".itb"].iter().any(|part| name.contains(part))
    };
    match files.iter().any(is_kernel) || config_txt::value(config, "kernel").is_some() {
        true => Vec::new(),
        false => {
            vec!["the boot volume has no kernel (kernel8.img, for example): no device can boot it".into()]
        }
    }
}

/// What a system lacks.
fn system(has: &dyn Fn(&str) -> bool) -> Vec<String> {
    let any = |paths: &[&str]| paths.iter().any(|path| has(path));
    let mut notes = Vec::new();
    if !any(&INIT) {
        notes.push("the system has no /sbin/init: the kernel will have nothing to start".into());
    }
    if !any(&AGENT) {
        notes.push(format!(
            "the system has no bistable: no trial of it can be committed, and devices fall back to the old system; {REMEDY}"
        ));
    } else if any(&MANAGER) {
        let missing: Vec<_> = PARTS.iter().filter(|(_, places, _)| !any(places)).collect();
        let names: Vec<&str> = missing.iter().map(|(name, ..)| *name).collect();
        let without: Vec<&str> = missing.iter().map(|(.., without)| *without).collect();
        if !missing.is_empty() {
            notes.push(format!(
                "the system has bistable, but not {}: {}; {REMEDY}",
                names.join(", "),
                without.join(", ")
            ));
        }
    }
    notes
}

/// Folders of the system that belong to the user who unpacked it.
fn owned(folders: impl Iterator<Item = (String, u32)>) -> Option<String> {
    let (folder, user) = folders.into_iter().find(|(_, user)| *user != 0)?;
    Some(format!(
        "/{folder} belongs to user {user} instead of root: that user could replace the system's programs on a device; --root-owner \
         gives all files to root"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_lacks() {
        let whole = [
            "usr/sbin/init",
            "usr/bin/bistable",
            "usr/lib/systemd/systemd",
            "usr/lib/systemd/system/bistable-resume.service",
            "lib/systemd/system-generators/bistable-trial-generator",
            "etc/udev/rules.d/60-bistable.rules",
        ];
        let table: [(&[&str], &[&str]); 7] = [
            (&whole, &[]),
            (&["etc/motd"], &["no /sbin/init", "no bistable"]),
            (&whole[..1], &["no bistable"]),
            (&whole[1..2], &["no /sbin/init"]),
            (
                &whole[..3],
                &["not bistable-resume.service, bistable-trial-generator, 60-bistable.rules: no trial of it"],
            ),
            (&whole[..5], &["not 60-bistable.rules: udev makes no links below /dev/disk/by-slot; install"]),
            // Another service manager has units of its own.
            (&whole[..2], &[]),
        ];
        for (there, wanted) in table {
            let notes = system(&|path| there.contains(&path));
            assert_eq!(notes.len(), wanted.len(), "{there:?}: {notes:?}");
            assert!(notes.iter().zip(wanted).all(|(note, part)| note.contains(part)), "{there:?}: {notes:?}");
        }
    }

    #[test]
    fn a_system_that_belongs_to_whoever_unpacked_it() {
        let of = |folders: &[(&str, u32)]| owned(folders.iter().map(|(f, u)| ((*f).to_owned(), *u)));
        assert_eq!(of(&[("usr", 0), ("etc", 0)]), None);
        assert!(of(&[("usr", 0), ("etc", 1000)]).unwrap().starts_with("/etc belongs to user 1000 "));
    }

    #[test]
    fn a_boot_volume_without_a_kernel() {
        let file = |path: &str| BootFile { path: path.into(), node: ROOT, size: 1 };
        for name in [
            "kernel8.img",
            "KERNEL_2712.IMG",
            "vmlinuz-6.12",
            "boot/Image",
            "EFI/BOOT/BOOTAA64.EFI",
            "image.itb",
        ] {
            assert_eq!(of_boot(&[file("config.txt"), file(name)], ""), [""; 0], "{name}");
        }
        assert_eq!(of_boot(&[file("own.bin")], "arm_64bit=1\n kernel=own.bin\n"), [""; 0]);
        assert_eq!(of_boot(&[file("config.txt")], "arm_64bit=1\n").len(), 1);
    }
}
