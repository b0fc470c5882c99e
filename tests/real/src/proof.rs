//! Claims, and what speaks against them.
use super::{
    build,
    card::CardImage,
    claim::Claim,
    tools::path_with_system_folders,
    workdir::{CARD, Version, Workdir},
};
use anyhow::{Context, Result};
use bistable_boot::Slot;
use bistable_format::Root;
use bistable_kit::{
    fat,
    tree::{Tree, diff},
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// Everything that can be said of the card after the update.
pub(super) fn all(desk: &Workdir) -> Result<Vec<Claim>> {
    let mut claims = vec![
        slot_holds(desk, Slot::B, Version::New, "after the commit, ")?,
        slot_holds(desk, Slot::A, Version::Old, "after the commit, ")?,
    ];
    for (slot, version) in [(Slot::B, Version::New), (Slot::A, Version::Old)] {
        let [boot, system] = ["boot", "system"].map(|name| cut_path(desk, slot, name));
        claims.push(tool(
            &format!("e2fsck -fn finds nothing in slot {slot}'s system volume"),
            "e2fsck",
            "-fn",
            &system,
        ));
        claims.push(tool(
            &format!("fsck.vfat -n finds nothing in slot {slot}'s boot volume"),
            "fsck.vfat",
            "-n",
            &boot,
        ));
        claims.push(system_tree(&desk.input(version).system, slot, &system)?);
        claims.push(boot_files(&desk.input(version).boot, slot, &boot)?);
    }
    Ok(claims)
}

fn cut_path(desk: &Workdir, slot: Slot, name: &str) -> PathBuf {
    desk.path(&format!("cut-{slot}-{name}.img"))
}

/// A slot's partitions hold a release's images bit for bit. Leaves the images cut from the card in the folder.
pub(super) fn slot_holds(desk: &Workdir, slot: Slot, version: Version, when: &str) -> Result<Claim> {
    let card = CardImage::open(&desk.path(CARD))?;
    let mut findings = Vec::new();
    for image in build::images(desk, version)? {
        let found = card.cut(image.partition(slot), image.raw_bytes, &cut_path(desk, slot, &image.name))?;
        if found != image.raw_sha256 {
            findings.push(format!("{} volume: sha256 {found} instead of {}", image.name, image.raw_sha256));
        }
    }
    let text = format!("{when}slot {slot} holds the images of {} bit for bit", version.number());
    Ok(Claim::new(text, findings))
}

/// Put what slot A holds into slot B too, so that an installation finds an older release there.
pub(super) fn fill_inactive(desk: &Workdir, held: Version) -> Result<()> {
    let card = CardImage::open(&desk.path(CARD))?;
    for image in build::images(desk, held)? {
        card.duplicate(image.partition(Slot::A), image.partition(Slot::B), image.raw_bytes)?;
    }
    Ok(())
}

/// A file system checker is content with an image.
fn tool(claim: &str, name: &str, option: &str, image: &Path) -> Claim {
    let mut path = OsString::from("PATH=");
    path.push(path_with_system_folders());
    let ran = Command::new("env").arg(path).arg(name).arg(option).arg(image).output();
    let findings = match ran {
        Ok(out) if out.status.success() => Vec::new(),
        Ok(out) => {
            let said =
                [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
            let lines = said.lines().map(str::to_owned);
            std::iter::once(format!("{name}: {}", out.status)).chain(lines).collect()
        }
        Err(e) => vec![format!("{name} can't be started: {e}")],
    };
    Claim::new(claim, findings)
}

/// `build` adds the devices' root, perhaps in a folder of its own, and nothing else.
fn with_root(mut findings: Vec<String>) -> Vec<String> {
    let added = |path: &str| format!("{path}: only right");
    let before = findings.len();
    findings.retain(|finding| *finding != added(Root::SYSTEM_PATH));
    if findings.len() == before {
        findings.push(format!("{}: missing", Root::SYSTEM_PATH));
    }
    let folder = Root::SYSTEM_PATH.rsplit_once('/').map(|(folder, _)| added(folder));
    findings.retain(|finding| Some(finding) != folder.as_ref());
    findings
}

/// The system volume's tree equals the tar's: owners, modes, times, links, devices, attributes, content.
fn system_tree(tar: &Path, slot: Slot, image: &Path) -> Result<Claim> {
    let source = Tree::from_tar(tar).with_context(|| format!("reading {}", tar.display()))?;
    let found = Tree::from_ext4(image);
    let counts = counts(&source);
    let findings = match found {
        Ok(found) => with_root(diff(&source, &found).iter().map(ToString::to_string).collect()),
        Err(e) => vec![format!("{:#}", anyhow::Error::from(e))],
    };
    Ok(Claim::new(format!("slot {slot}'s file tree equals its source tar ({counts})"), findings))
}

/// What a tree has of the things that get lost easily.
fn counts(tree: &Tree) -> String {
    use bistable_kit::tree::Kind;
    let count = |what: &dyn Fn(&bistable_kit::tree::Entry) -> bool| {
        tree.entries().values().filter(|e| what(e)).count()
    };
    format!(
        "{} paths, {} symlinks, {} hard-linked, {} devices, {} setuid or setgid, {} with attributes, {} not of root",
        tree.entries().len(),
        count(&|e| matches!(e.kind, Kind::Symlink(_))),
        count(&|e| e.hard_link.is_some()),
        count(&|e| matches!(e.kind, Kind::CharDevice(_) | Kind::BlockDevice(_))),
        count(&|e| e.mode & 0o6000 != 0),
        count(&|e| !e.xattrs.is_empty()),
        count(&|e| (e.uid, e.gid) != (0, 0)),
    )
}

/// The boot volume's files equal the folder's: names and content.
fn boot_files(folder: &Path, slot: Slot, image: &Path) -> Result<Claim> {
    let source = fat::files_of_folder(folder)?;
    let found = fat::files_of_image(image);
    let findings = match found {
        Ok(found) => fat::differences(&source, &found),
        Err(e) => vec![format!("{e:#}")],
    };
    let text =
        format!("slot {slot}'s boot volume holds its source folder's {} files and no other", source.len());
    Ok(Claim::new(text, findings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checker_that_is_missing_or_complains_is_a_finding() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(tool("c", "true", "-fn", dir.path()).findings, Vec::<String>::new());
        assert!(!tool("c", "false", "-fn", dir.path()).findings.is_empty());
        assert!(!tool("c", "no-such-checker", "-fn", dir.path()).findings.is_empty());
    }
}
