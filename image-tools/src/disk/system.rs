//! What has to change in a root file system so that it runs in either slot. Only decides: see [`super::debugfs`] for the
//! doing.
use super::fstab;
use super::view::{Attributes, Entry, View};
use crate::output::read_limited;
use crate::volume::raw_text;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Most bytes of a configuration file.
const TEXT: u64 = 1 << 20;
/// Units of Raspberry Pi OS and its relatives that grow the root partition or file system on the first boot. Not
/// rpi-resize.service (Debian 13), which only lets the file system fill its own partition.
const UNITS: [&str; 2] = ["resize2fs_once.service", "rpi-resizerootfs.service"];
/// The same as a script of System V's init.
const SCRIPT: &str = "resize2fs_once";
/// Where units lie that a package brought: these are masked, not deleted.
const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];
/// Where units lie that belong to the system itself.
const OWN: &str = "/etc/systemd/system";

/// Bytes of a new file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Bytes(Vec<u8>),
    /// A file of the host.
    Host(PathBuf),
}

/// A change at a path. What is there goes first, unless it is a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// Nothing is there afterwards.
    Remove,
    File(Data, Attributes),
    Folder(Attributes),
    Symlink(String, Attributes),
}

/// Changes by absolute path without symlinks on the way, each folder before what is in it.
pub(super) type Edits = BTreeMap<String, Edit>;

/// The bytes of a file of at most `limit` bytes, as it is with the edits. `None`: nothing is there.
///
/// # Errors
/// The message when it can't be read or isn't a file.
pub(super) fn file_at(
    view: &dyn View,
    edits: &Edits,
    path: &str,
    limit: usize,
) -> Result<Option<Vec<u8>>, String> {
    match edits.get(path) {
        Some(Edit::File(Data::Bytes(bytes), _)) => Ok(Some(bytes.clone())),
        Some(Edit::File(Data::Host(host), _)) => {
            let read = read_limited(host, limit);
            read.map(Some).map_err(|e| format!("can't read {}: {e}", host.display()))
        }
        Some(_) => Err(format!("{path} in the overlay is not a file")),
        None => match view.entry(path)? {
            None => Ok(None),
            Some(Entry::File) => view.read(path, limit as u64).map(Some),
            Some(_) => Err(format!("{path} is there and is not a file")),
        },
    }
}

/// Decide. Adds to `edits`, and to `notes` what a person should know.
///
/// # Errors
/// The message when it can't be a root file system or can't be read.
pub(super) fn decide(
    view: &dyn View,
    epoch: u64,
    edits: &mut Edits,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    if view.entry("/etc")? != Some(Entry::Folder) {
        return Err("it has no folder /etc, so it is not a root file system".into());
    }
    let mtime = i64::try_from(epoch).unwrap_or(i64::MAX);
    let new = |mode| Attributes { mode, uid: 0, gid: 0, mtime };
    fstab(view, new(0o644), edits, notes)?;
    units(view, edits, notes)?;
    machine_id(view, edits, notes)?;
    first_boot(view, new(0o777), edits, notes)?;
    match view.entry("/persistent")? {
        None => {
            edits.insert("/persistent".into(), Edit::Folder(new(0o755)));
        }
        Some(Entry::Folder) => {}
        Some(_) => return Err("/persistent is there and is not a folder".into()),
    }
    Ok(())
}

fn fstab(view: &dyn View, new: Attributes, edits: &mut Edits, notes: &mut Vec<String>) -> Result<(), String> {
    const PATH: &str = "/etc/fstab";
    let (path, attributes, original) = match view.entry(PATH)? {
        None => (PATH.to_owned(), new, Vec::new()),
        Some(_) => {
            let path = view.real(PATH)?;
            (path.clone(), view.attributes(&path)?, view.read(&path, TEXT)?)
        }
    };
    if edits.contains_key(&path) {
        return Ok(()); // The overlay brings one.
    }
    let text = raw_text::decode(&original);
    let unit = match comes(view, edits, "/usr/lib/systemd/system/persistent.mount")? {
        true => fstab::PersistentUnit::Its,
        false => fstab::PersistentUnit::None,
    };
    let made = fstab::rewrite(&text, unit);
    notes.extend(made.notes);
    if made.text != text {
        notes.push(format!("changed {PATH}: the root and boot file systems are those of the running slot"));
        edits.insert(path, Edit::File(Data::Bytes(raw_text::encode(&made.text)), attributes));
    }
    Ok(())
}

/// Mount and swap units of the system's own that name a partition of the image's card.
fn units(view: &dyn View, edits: &Edits, notes: &mut Vec<String>) -> Result<(), String> {
    for name in view.names(OWN)?.iter().filter(|name| name.ends_with(".mount") || name.ends_with(".swap")) {
        let path = format!("{OWN}/{name}");
        if edits.contains_key(&path) || view.entry(&path)? != Some(Entry::File) {
            continue;
        }
        let text = raw_text::decode(&view.read(&path, TEXT)?);
        let what =
            text.lines().filter_map(|line| line.trim().strip_prefix("What=")).next_back().map(str::trim);
        if let Some(what) = what.filter(|what| fstab::by_device(what)) {
            notes.push(format!(
                "{path} mounts {what}: a card made from this release has no such partition, or another volume has its number; take the \
                 unit out of the image, or have it name a link below /dev/disk/by-slot or PARTLABEL=persistent"
            ));
        }
    }
    Ok(())
}

/// Whether a file is in the system, or comes into it.
pub(super) fn comes(view: &dyn View, edits: &Edits, path: &str) -> Result<bool, String> {
    Ok(edits.contains_key(path) || view.entry(path)?.is_some())
}

/// An id is one device's, and an image goes to many. One that says "uninitialized" makes its first boot a first boot to
/// the service manager; that stays.
fn machine_id(view: &dyn View, edits: &mut Edits, notes: &mut Vec<String>) -> Result<(), String> {
    const PATH: &str = "/etc/machine-id";
    if view.entry(PATH)? != Some(Entry::File) {
        return Ok(());
    }
    let id = view.read(PATH, TEXT)?;
    if !matches!(id.trim_ascii(), b"" | b"uninitialized") {
        notes.push(format!("emptied {PATH}: each device makes its own"));
        edits.insert(PATH.into(), Edit::File(Data::Bytes(Vec::new()), view.attributes(PATH)?));
    }
    Ok(())
}

fn first_boot(
    view: &dyn View,
    link: Attributes,
    edits: &mut Edits,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let mut gone = Vec::new();
    let mut remove = |path: String| {
        gone.push(path.clone());
        edits.insert(path, Edit::Remove);
    };
    let script = format!("/etc/init.d/{SCRIPT}");
    if matches!(view.entry(&script)?, Some(Entry::File | Entry::Symlink)) {
        remove(script);
    }
    for level in ["0", "1", "2", "3", "4", "5", "6", "S"] {
        let folder = format!("/etc/rc{level}.d");
        if view.entry(&folder)? != Some(Entry::Folder) {
            continue;
        }
        // S01resize2fs_once, K01resize2fs_once
        for name in view.names(&folder)?.iter().filter(|name| name.get(3..) == Some(SCRIPT)) {
            remove(format!("{folder}/{name}"));
        }
    }
    for folder in
        view.names(OWN)?.iter().filter(|name| name.ends_with(".wants") || name.ends_with(".requires"))
    {
        let folder = format!("{OWN}/{folder}");
        if view.entry(&folder)? != Some(Entry::Folder) {
            continue;
        }
        for unit in view.names(&folder)?.iter().filter(|name| UNITS.contains(&name.as_str())) {
            remove(format!("{folder}/{unit}"));
        }
    }
    let mut masked = Vec::new();
    for unit in UNITS {
        let own = format!("{OWN}/{unit}");
        let there = view.entry(&own)?;
        if there == Some(Entry::File) {
            remove(own.clone());
        }
        let packaged = PACKAGED.iter().map(|folder| view.entry(&format!("{folder}/{unit}")));
        let packaged = packaged.collect::<Result<Vec<_>, _>>()?.iter().any(Option::is_some);
        if packaged && there.is_none() && view.entry(OWN)? == Some(Entry::Folder) {
            masked.push((own, Edit::Symlink("/dev/null".into(), link)));
        }
    }
    gone.extend(masked.iter().map(|(path, _)| format!("{path} (masked)")));
    edits.extend(masked);
    if !gone.is_empty() {
        notes.push(format!("the root doesn't grow on the first boot any more: {}", gone.join(", ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system in memory: paths with the bytes of files, `None` for folders; "-> x" is a symlink.
    struct Memory(BTreeMap<String, Option<Vec<u8>>>);

    impl Memory {
        fn new(entries: &[(&str, Option<&str>)]) -> Memory {
            let mut all = BTreeMap::new();
            for (path, content) in entries {
                for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
                    all.entry(path[..at].to_owned()).or_insert(None);
                }
                all.insert((*path).to_owned(), content.map(|c| c.as_bytes().to_vec()));
            }
            Memory(all)
        }
    }

    impl View for Memory {
        fn entry(&self, path: &str) -> Result<Option<Entry>, String> {
            Ok(self.0.get(path).map(|content| match content {
                None => Entry::Folder,
                Some(bytes) if bytes.starts_with(b"-> ") => Entry::Symlink,
                Some(_) => Entry::File,
            }))
        }
        fn read(&self, path: &str, _: u64) -> Result<Vec<u8>, String> {
            Ok(self.0[path].clone().unwrap())
        }
        fn attributes(&self, _: &str) -> Result<Attributes, String> {
            Ok(OLD)
        }
        fn names(&self, folder: &str) -> Result<Vec<String>, String> {
            let inside = self.0.keys().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
            Ok(inside.filter(|name| !name.contains('/')).map(str::to_owned).collect())
        }
        fn real(&self, path: &str) -> Result<String, String> {
            Ok(path.to_owned())
        }
    }

    #[test]
    fn a_file_is_as_the_overlay_has_it() {
        const AT: &str = "/usr/share/bistable/formats";
        let empty = Memory::new(&[]);
        let image = Memory::new(&[(AT, Some("1"))]);
        let folder = Memory::new(&[(AT, None)]);
        let over = |edit| Edits::from([(AT.to_owned(), edit)]);
        let bytes = Edit::File(Data::Bytes(b"2".to_vec()), OLD);
        for (view, edits, wanted) in [
            (&empty, Edits::new(), Ok(None)),
            (&image, Edits::new(), Ok(Some(b"1".to_vec()))),
            (&image, over(bytes), Ok(Some(b"2".to_vec()))),
            (&image, over(Edit::Folder(OLD)), Err("in the overlay is not a file")),
            (&folder, Edits::new(), Err("is there and is not a file")),
        ] {
            match (file_at(view, &edits, AT, 64), wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(found, wanted),
                (Err(why), Err(words)) => assert!(why.starts_with(AT) && why.ends_with(words), "{why}"),
                (found, wanted) => panic!("{found:?} instead of {wanted:?}"),
            }
        }
    }

    const OLD: Attributes = Attributes { mode: 0o640, uid: 7, gid: 8, mtime: 9 };

    fn decided(entries: &[(&str, Option<&str>)]) -> (Edits, Vec<String>) {
        let (mut edits, mut notes) = (Edits::new(), Vec::new());
        decide(&Memory::new(entries), 100, &mut edits, &mut notes).unwrap();
        (edits, notes)
    }

    #[test]
    fn raspberry_pi_os() {
        let (edits, notes) = decided(&[
            ("/etc/fstab", Some("PARTUUID=x-02 / ext4 defaults 0 1\n")),
            ("/etc/machine-id", Some("0123456789abcdef0123456789abcdef\n")),
            ("/etc/init.d/resize2fs_once", Some("#!/bin/sh")),
            ("/etc/rc3.d/S01resize2fs_once", Some("-> ../init.d/resize2fs_once")),
            ("/etc/rc3.d/S01ssh", Some("-> ../init.d/ssh")),
            ("/etc/systemd/system/multi-user.target.wants/rpi-resizerootfs.service", Some("-> x")),
            ("/etc/systemd/system/multi-user.target.wants/ssh.service", Some("-> x")),
            ("/usr/lib/systemd/system/rpi-resizerootfs.service", Some("[Unit]")),
        ]);
        let paths: Vec<&str> = edits.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "/etc/fstab",
                "/etc/init.d/resize2fs_once",
                "/etc/machine-id",
                "/etc/rc3.d/S01resize2fs_once",
                "/etc/systemd/system/multi-user.target.wants/rpi-resizerootfs.service",
                "/etc/systemd/system/rpi-resizerootfs.service",
                "/persistent",
            ]
        );
        assert_eq!(edits["/etc/machine-id"], Edit::File(Data::Bytes(Vec::new()), OLD));
        assert!(
            matches!(&edits["/etc/fstab"], Edit::File(Data::Bytes(text), OLD) if text.starts_with(b"/dev/disk"))
        );
        assert_eq!(edits["/etc/init.d/resize2fs_once"], Edit::Remove);
        assert!(
            matches!(&edits["/etc/systemd/system/rpi-resizerootfs.service"], Edit::Symlink(to, _) if to == "/dev/null")
        );
        assert_eq!(notes.len(), 3);
    }

    #[test]
    fn mount_units_of_the_images_card_are_named() {
        const UNIT: &str = "/etc/systemd/system/data.mount";
        for (what, count) in
            [("/dev/mmcblk0p5", 1), ("UUID=1", 1), ("/dev/disk/by-slot/active/boot", 0), ("tmpfs", 0)]
        {
            let (edits, notes) = decided(&[
                ("/etc/fstab", Some(&fstab::rewrite("", fstab::PersistentUnit::None).text)),
                ("/persistent", None),
                (UNIT, Some(&format!("[Mount]\nWhat={what}\nWhere=/data\n"))),
            ]);
            assert_eq!((edits.len(), notes.len()), (0, count), "{what}: {notes:?}");
        }
    }

    #[test]
    fn what_is_right_already_stays() {
        let fstab = fstab::rewrite("", fstab::PersistentUnit::None).text;
        for id in ["", "\n", "uninitialized\n"] {
            let (edits, notes) = decided(&[
                ("/etc/fstab", Some(&fstab)),
                ("/etc/machine-id", Some(id)),
                ("/persistent", None),
            ]);
            assert!(edits.is_empty() && notes.is_empty(), "{id:?}: {edits:?}");
        }
        // Its target isn't ours to change.
        let (edits, _) = decided(&[("/etc/machine-id", Some("-> /run/machine-id"))]);
        assert!(!edits.contains_key("/etc/machine-id"));
    }

    #[test]
    fn what_is_no_root_file_system_is_refused() {
        let mut edits = Edits::new();
        for entries in [
            &[("/boot/x", Some(""))][..],
            &[("/etc", Some(""))],
            &[("/etc", None), ("/persistent", Some(""))],
        ] {
            decide(&Memory::new(entries), 0, &mut edits, &mut Vec::new()).unwrap_err();
        }
    }
}
