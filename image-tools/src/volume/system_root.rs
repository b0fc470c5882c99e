//! The root in a system volume: `/usr/share/bistable/root.root`. The device holds the root that it has stored against it, so that
//! write access to the partition `state` alone never decides whom the device trusts.
use super::error::VolumeError;
use super::options::SystemOptions;
use super::tree::{Meta, Tree, Unfit};
use crate::root::SignedRoot;
use bistable_format::{Envelope, Root};
use std::path::Path;

/// Where it lies, without the leading `/`.
pub(crate) fn path() -> &'static str {
    Root::SYSTEM_PATH.trim_start_matches('/')
}

/// Put the root into a system volume that is still a tree. One that is there already stays, if `root` is the same or follows
/// it: devices that have only seen the older one follow the newer.
///
/// # Errors
/// Another root is there, or its folder can't be made.
pub(crate) fn add(
    source: &Path,
    tree: &mut Tree,
    root: &SignedRoot,
    options: &SystemOptions,
) -> Result<(), VolumeError> {
    let refuse = |why: String| VolumeError::BadImage { path: source.into(), why };
    match tree.file_at(source, path(), Envelope::MAX_BYTES)? {
        Some(Ok(there)) => check(&there, root).map_err(refuse),
        Some(Err(Unfit::NotAFile)) => {
            Err(refuse(format!("/{} is not a file: take it away, and `build` puts the root there", path())))
        }
        Some(Err(Unfit::TooLarge)) => Err(refuse(format!("/{} is larger than a root can be", path()))),
        None => {
            let folders: Vec<&[u8]> = path().split('/').map(str::as_bytes).collect();
            let folders = folders.split_last().map_or(&[][..], |(_, folders)| folders);
            let implied = Meta::implied_folder(options.source_date_epoch);
            tree.folder(folders, Some(implied)).map_err(|problem| VolumeError::Entry {
                path: source.into(),
                entry: path().into(),
                problem,
            })?;
            tree.put_file(path(), &root.bytes, options.source_date_epoch, options.temp_dir.as_deref())
        }
    }
}

/// Whether a root that a system has already may stay there.
///
/// # Errors
/// A message that says why not.
pub(crate) fn check(there: &[u8], root: &SignedRoot) -> Result<(), String> {
    let refuse = |why: String| {
        format!("/{} {why}: take it out of the system, and `build` puts the root of --root there", path())
    };
    let own = Root::open(there).map_err(|e| refuse(format!("is not a valid root ({e})")))?;
    let (has, given) = (own.version, root.root.version);
    if has == given {
        return match own == root.root {
            true => Ok(()),
            false => Err(refuse(format!("is another root of version {has} than --root"))),
        };
    }
    if has.checked_add(1) != Some(given) {
        return Err(refuse(format!(
            "is version {has} and --root is version {given}, which does not follow it"
        )));
    }
    own.successor(&root.bytes).map_err(|e| refuse(format!("is not followed by --root ({e})")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use crate::root::{self, RootOptions};
    use bistable_format::KeyKind;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed([n; 32], &format!("key {n}"), KeyKind::Production).unwrap()
    }

    fn options(root: u8) -> RootOptions {
        RootOptions {
            root_keys: vec![key(root).public()],
            release_keys: vec![key(9).public()],
            sign: vec![key(root)],
            ..RootOptions::default()
        }
    }

    #[test]
    fn a_root_that_is_there_stays_only_if_the_given_one_is_it_or_follows_it() {
        let first = root::create(&options(1)).unwrap();
        let next = |current: &SignedRoot| {
            let bytes = root::next(&current.root, &options(1)).unwrap();
            SignedRoot { root: Root::open(&bytes).unwrap(), bytes }
        };
        let second = next(&first);
        let third = next(&second);
        let stranger = root::create(&options(2)).unwrap();
        let strangers_second = next(&stranger);
        let table: [(&[u8], &SignedRoot, Result<(), &str>); 7] = [
            (&first.bytes, &first, Ok(())),
            (&first.bytes, &second, Ok(())),
            (&first.bytes, &third, Err("does not follow it")),
            (&second.bytes, &first, Err("does not follow it")),
            (&stranger.bytes, &first, Err("is another root of version 1 than --root")),
            (&stranger.bytes, &second, Err("is not followed by --root")),
            (&strangers_second.bytes[..40], &first, Err("is not a valid root")),
        ];
        for (row, (there, given, expected)) in table.into_iter().enumerate() {
            match (check(there, given), expected) {
                (Ok(()), Ok(())) => {}
                (Err(found), Err(words)) => assert!(found.contains(words), "row {row}: {found}"),
                (found, _) => panic!("row {row}: {found:?}"),
            }
        }
    }
}
