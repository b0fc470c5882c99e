//! The second ext4 backend: the program `mke2fs -d`.
//!
//! It reads the directory or tar itself, so what this module's [`super::tree`] would refuse or set right is up
//! to it: owners stay as they are, times aren't clamped by e2fsprogs before 1.47.1, and tars need 1.47.1.

use crate::interrupt::Temporary;
use crate::keys::program;
use std::fs::File;
use std::path::Path;

use super::detect::InputKind;
use super::error::VolumeError;
use super::options::{BLOCK, Owner, SystemOptions, VolumeSize};
use super::tar::Compression;
use super::{dir, ext4};

/// The first version that reads tars and obeys SOURCE_DATE_EPOCH.
const READS_TARS: (u32, u32, u32) = (1, 47, 1);

/// Makes the image in a nameless temporary file.
pub(crate) fn make(
    path: &Path,
    kind: InputKind,
    options: &SystemOptions,
    warnings: &mut Vec<String>,
) -> Result<File, VolumeError> {
    let refuse = |why: &str| Err(VolumeError::Mke2fs(why.into()));
    if options.owner == Owner::Root {
        return refuse("it keeps owners as they are; use the backend mkext4 to give all files to root");
    }
    let version = version()?;
    let shown = format!("{}.{}.{}", version.0, version.1, version.2);
    if version < READS_TARS {
        if matches!(kind, InputKind::Tar(_)) {
            return refuse(&format!(
                "version {shown} can't read tars (1.47.1 can); use the backend mkext4, or unpack the tar"
            ));
        }
        warnings.push(format!("mke2fs {shown} is not reproducible: it stores the files' change times"));
    }
    let size = match (options.size, kind) {
        (VolumeSize::Exact(size), _) => size,
        (VolumeSize::Fit, InputKind::Tar(Compression::None)) => {
            let len = std::fs::metadata(path).map_err(VolumeError::io("read", path))?.len();
            (len + len / 4 + (64 << 20)).next_multiple_of(4 << 20)
        }
        (VolumeSize::Fit, InputKind::Tar(_)) => {
            return refuse("give the size of the volume; of a compressed tar it can't be guessed");
        }
        (VolumeSize::Fit, _) => {
            let tree = dir::read(path, options.owner, options.reading, options.source_date_epoch, warnings)?;
            ext4::fitting_size(&tree)
        }
    };
    let folder = options.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
    let temporary = tempfile::NamedTempFile::new_in(&folder)
        .map_err(VolumeError::io("make a temporary file in", &folder))?;
    let temporary = Temporary::file(temporary);
    temporary.as_file().set_len(size).map_err(VolumeError::io("write a temporary file in", &folder))?;
    let epoch = options.source_date_epoch.to_string();
    let output = program("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-U"])
        .arg(options.id.to_string())
        .args([
            "-E",
            &format!("hash_seed={},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0", options.id),
        ])
        .args(["-L", &options.label])
        .arg("-d")
        .arg(path)
        .arg(temporary.path())
        .arg((size / BLOCK).to_string())
        .env("E2FSPROGS_FAKE_TIME", &epoch)
        .env("SOURCE_DATE_EPOCH", &epoch)
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| VolumeError::Mke2fs(format!("can't run mke2fs: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return refuse(&format!("it failed ({}): {}", output.status, said.trim()));
    }
    temporary.reopen().map_err(VolumeError::io("open a temporary file in", &folder))
}

fn version() -> Result<(u32, u32, u32), VolumeError> {
    let output = program("mke2fs").arg("-V").output().map_err(|error| {
        VolumeError::Mke2fs(format!(
            "can't run mke2fs ({error}); install e2fsprogs, or use the backend mkext4"
        ))
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    parse_version(&said)
        .ok_or_else(|| VolumeError::Mke2fs(format!("its version can't be read from {:?}", said.trim())))
}

/// From `mke2fs 1.47.0 (5-Feb-2023)`; a missing part is 0.
fn parse_version(said: &str) -> Option<(u32, u32, u32)> {
    let version = said.split_whitespace().nth(1)?;
    let mut parts = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    Some((parts.next().filter(|major| *major > 0)?, parts.next()?, parts.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions() {
        for (said, version) in [
            ("mke2fs 1.47.0 (5-Feb-2023)\n\tUsing EXT2FS Library version 1.47.0\n", Some((1, 47, 0))),
            ("mke2fs 1.47.2-rc1 (1-Jan-2025)", Some((1, 47, 2))),
            ("mke2fs 1.48 (1-Jan-2025)", Some((1, 48, 0))),
            ("mke2fs what", None),
            ("", None),
        ] {
            assert_eq!(parse_version(said), version, "{said}");
        }
    }
}
