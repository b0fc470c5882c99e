//! What is installed in a system or a component: the [evidence](crate::sbom::Evidence) of it, from a tree or an ext4 image.
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ext4_view::{Ext4, Ext4Error, FileType};
use std::fs::File;

use super::error::VolumeError;
use super::load_ext4::load_ext4;
use super::tree::{Kind, MAX_ENTRIES, Tree};
use crate::sbom::{self, Evidence};

/// The longest path in an image that is looked at, in bytes: Linux opens no longer one.
const PATH: usize = 4095;

/// Of a tree.
///
/// # Errors
/// A file that can't be read.
pub(crate) fn of_tree(tree: &Tree) -> Result<Evidence, VolumeError> {
    let mut evidence = Evidence::default();
    add(tree, &mut evidence)?;
    Ok(evidence)
}

/// Add what a tree says.
///
/// # Errors
/// A file that can't be read.
pub(crate) fn add(tree: &Tree, evidence: &mut Evidence) -> Result<(), VolumeError> {
    tree.walk(|path, _, _, id| {
        let node = tree.node(id);
        let (Kind::File(data), Ok(path)) = (&node.kind, std::str::from_utf8(path)) else { return Ok(()) };
        if let Some(most) = Evidence::wanted(path) {
            let mut bytes = vec![0; usize::try_from(data.size).unwrap_or(most).min(most)];
            tree.contents.open(data)?.read_at(0, &mut bytes)?;
            evidence.file(path, &bytes, bytes.len() as u64 == data.size);
        } else if Evidence::is_program(path, node.meta.mode.into(), data.size) {
            let reader = tree.contents.open(data)?;
            let mut read = |at, into: &mut [u8]| reader.read_at(at, into).map_err(io::Error::other);
            evidence.program(path, sbom::read_program(data.size, &mut read));
        }
        Ok::<_, VolumeError>(())
    })
}

/// Of an ext4 image; `path` is for messages.
///
/// # Errors
/// An image that can't be read.
pub(super) fn of_ext4(path: &Path, image: &File) -> Result<Evidence, VolumeError> {
    read_ext4(image).map_err(|e| VolumeError::BadImage {
        path: path.into(),
        why: format!("its files can't be read to list its packages: {e}"),
    })
}

fn read_ext4(image: &File) -> Result<Evidence, Ext4Error> {
    let failed = |e| Ext4Error::Io(Box::new(e));
    let bytes = image.metadata().map_err(failed)?.len();
    let fs = load_ext4(Box::new(image.try_clone().map_err(failed)?), bytes)?;
    let (mut evidence, mut count) = (Evidence::default(), 0);
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs.read_dir(if folder.is_empty() { "/" } else { folder.as_str() })? {
            let entry = entry?;
            count += 1;
            let name = entry.file_name();
            // A folder that leads back to itself has no end.
            if count > MAX_ENTRIES {
                let why = format!("it has more than {MAX_ENTRIES} entries");
                return Err(failed(io::Error::new(io::ErrorKind::InvalidData, why)));
            }
            let Some(name) = name.as_str().ok().filter(|name| !matches!(*name, "." | "..")) else { continue };
            let path = format!("{folder}/{name}");
            if path.len() > PATH {
                continue;
            }
            match entry.file_type()? {
                FileType::Directory => folders.push(path),
                FileType::Regular => file(&fs, &path, &entry.metadata()?, &mut evidence)?,
                _ => {}
            }
        }
    }
    Ok(evidence)
}

/// Looks at a file, if it may say something.
fn file(fs: &Ext4, path: &str, meta: &ext4_view::Metadata, evidence: &mut Evidence) -> Result<(), Ext4Error> {
    let failed = |e| Ext4Error::Io(Box::new(e));
    let (inner, size) = (path.trim_start_matches('/'), meta.len());
    if let Some(most) = Evidence::wanted(inner) {
        let mut bytes = Vec::new();
        fs.open(path)?.take(most as u64).read_to_end(&mut bytes).map_err(failed)?;
        evidence.file(inner, &bytes, bytes.len() as u64 == size);
    } else if Evidence::is_program(inner, meta.mode().into(), size) {
        let mut file = fs.open(path)?;
        let mut read = |at, into: &mut [u8]| {
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(into)
        };
        evidence.program(inner, sbom::read_program(size, &mut read));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Owner, Reading, SystemOptions, VolumeId, open_system, read_dir};
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    const STATUS: &str = "Package: curl\nStatus: install ok installed\nVersion: 8.5.0\n";

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
    fn a_tree_and_its_image_have_the_same_packages() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text, mode) in [
            ("var/lib/dpkg/status", STATUS, 0o644),
            ("usr/lib/os-release", "ID=debian\nVERSION_ID=12\n", 0o644),
            ("opt/app/six.dist-info/METADATA", "Name: six\nVersion: 1.16.0\n\n", 0o644),
            ("usr/bin/script", &format!("#!/bin/sh\n{}", "#".repeat(99)), 0o755),
            ("home/METADATA", "Name: no\nVersion: 1\n", 0o644),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        // Nothing is found through a link.
        std::os::unix::fs::symlink("app", folder.path().join("opt/link")).unwrap();
        let tree =
            read_dir(folder.path(), Owner::Root, Reading::Lenient, 1_700_000_000, &mut Vec::new()).unwrap();
        let of_tree = of_tree(&tree).unwrap().found();
        let mut image = tempfile::NamedTempFile::new().unwrap();
        let options = SystemOptions::new(VolumeId::from_name("x"), 1_700_000_000);
        let plan = open_system(folder.path(), &options).unwrap();
        plan.write_to(image.as_file_mut(), &|_| {}).unwrap();
        let of_image = of_ext4(image.path(), image.as_file()).unwrap().found();
        let names = |found: &sbom::Found| {
            let sbom = sbom::make(
                &sbom::Described { name: "x", version: "1", is_image: true, build_time: 0 },
                &found.components,
            );
            let packages = sbom::Sbom::decode(&sbom.unwrap()).unwrap().packages;
            packages.into_iter().map(|p| format!("{} {}", p.name, p.version)).collect::<BTreeSet<_>>()
        };
        let wanted = ["curl 8.5.0", "six 1.16.0"].map(String::from).into();
        assert_eq!((names(&of_tree), &of_tree.notes), (wanted, &vec![]));
        assert_eq!(names(&of_image), names(&of_tree));
        assert_eq!(of_image.components, of_tree.components);
        let found = plan.evidence().unwrap().unwrap().found();
        assert_eq!(found.components, of_tree.components);
        let ready = open_system(image.path(), &options).unwrap().evidence().unwrap().unwrap().found();
        assert_eq!(ready.components, of_tree.components);
    }
}
