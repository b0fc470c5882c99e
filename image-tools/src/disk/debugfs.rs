//! Editing an ext4 image in place with e2fsprogs' `debugfs`: without root, and with all that isn't edited left as it is,
//! owners, links and extended attributes included.
//!
//! Its script is one command for each line; words in quotes may have spaces, and a quote in them is doubled. New things
//! are made in the current folder, since a path there is not always read as one. It says what
//! went wrong, but ends well all the same: so everything is read back, and then `e2fsck` has the last word.
use super::DiskError;
use super::system::{Data, Edit, Edits};
use super::tools::{run, said};
use super::view::{Attributes, Entry, Ext4View, View};
use crate::output::OutputError;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

const SCRIPT: &str = "script";

/// Replay the journal if there is something in it.
pub(super) fn recover(folder: &Path, image: &str, epoch: u64) -> Result<bool, DiskError> {
    /// `INCOMPAT_RECOVER` in the superblock's incompatible features.
    const NEEDED: u32 = 4;
    let mut head = [0; 2048];
    let path = folder.join(image);
    File::open(&path).and_then(|mut f| f.read_exact(&mut head)).map_err(DiskError::read("read", path))?;
    let features =
        head.get(1024 + 96..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b));
    if features & NEEDED == 0 {
        return Ok(false);
    }
    let output = run("e2fsck", folder, epoch, &["-fy", image])?;
    // 1: errors were corrected, which is what it was asked to do.
    match output.status.code() {
        Some(0 | 1) => Ok(true),
        _ => Err(DiskError::Tool {
            program: "e2fsck",
            why: format!("can't repair the system partition:\n{}", said(&output)),
        }),
    }
}

/// Let the file system fill a larger file.
pub(super) fn grow(folder: &Path, image: &str, epoch: u64) -> Result<(), DiskError> {
    let output = run("resize2fs", folder, epoch, &["-f", image])?;
    match output.status.success() {
        true => Ok(()),
        false => Err(DiskError::Tool { program: "resize2fs", why: said(&output) }),
    }
}

/// Make the edits, read them back, and check the whole file system. `folder` takes what debugfs needs.
pub(super) fn apply(
    source: &Path,
    folder: &Path,
    image: &str,
    view: &Ext4View,
    edits: &Edits,
    epoch: u64,
) -> Result<(), DiskError> {
    let failed = |path: &str, why: String| DiskError::Edit { path: source.into(), file: path.into(), why };
    let mut script = String::new();
    for (number, (path, edit)) in edits.iter().enumerate() {
        let there = view.entry(path).map_err(|why| failed(path, why))?;
        let commands = commands(path, edit, there, &format!("new-{number}"), epoch);
        script.push_str(&commands.map_err(|why| failed(path, why))?);
        match edit {
            Edit::File(Data::Bytes(bytes), _) => write(&folder.join(format!("new-{number}")), bytes)?,
            Edit::File(Data::Host(host), _) => {
                let host = host.canonicalize().map_err(DiskError::read("read", &**host))?;
                let link = folder.join(format!("new-{number}"));
                symlink(host, &link).map_err(OutputError::io("create", &link))?;
            }
            _ => {}
        }
    }
    write(&folder.join(SCRIPT), script.as_bytes())?;
    let output = run("debugfs", folder, epoch, &["-w", "-f", SCRIPT, image])?;
    let edited = folder.join(image);
    let complaints = complaints(&output.stderr);
    let check = || -> Result<(), (String, String)> {
        let view = Ext4View::open(&edited).map_err(|why| (image.to_owned(), why))?;
        edits.iter().try_for_each(|(path, edit)| verify(&view, path, edit).map_err(|why| (path.clone(), why)))
    };
    if let Err((path, why)) = check() {
        let why = if complaints.is_empty() { why } else { format!("{why}; debugfs said:\n{complaints}") };
        return Err(failed(&path, why));
    }
    let output = run("e2fsck", folder, epoch, &["-fn", image])?;
    match output.status.code() {
        Some(0) => Ok(()),
        _ => Err(DiskError::Tool {
            program: "e2fsck",
            why: format!(
                "the system partition is not sound, maybe it wasn't before; try e2fsck -fn on it\n{}",
                said(&output)
            ),
        }),
    }
}

/// What debugfs complained of: all but its first line, and the commands that it repeats.
fn complaints(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().filter(|line| !line.starts_with("debugfs 1.")).take(20).collect::<Vec<_>>().join("\n")
}

/// The lines of the script for one edit.
fn commands(path: &str, edit: &Edit, there: Option<Entry>, new: &str, epoch: u64) -> Result<String, String> {
    let (parent, name) = path.rsplit_once('/').ok_or("the path is not absolute")?;
    let parent = quote(if parent.is_empty() { "/" } else { parent })?;
    let (quoted, name) = (quote(path)?, quote(name)?);
    let mut lines = String::new();
    match (there, edit) {
        (None, _) | (Some(Entry::Folder), Edit::Folder(_)) => {}
        (Some(Entry::Folder), _) => return Err("a folder is there already".into()),
        (Some(_), _) => lines.push_str(&format!("rm {quoted}\n")),
    }
    let (kind, attributes) = match edit {
        Edit::Remove => return Ok(lines),
        Edit::File(_, attributes) => {
            lines.push_str(&format!("cd {parent}\nwrite {new} {name}\n"));
            (0o100_000, attributes)
        }
        Edit::Folder(attributes) => {
            if there != Some(Entry::Folder) {
                lines.push_str(&format!("cd {parent}\nmkdir {name}\n"));
            }
            (0o040_000, attributes)
        }
        Edit::Symlink(target, attributes) => {
            lines.push_str(&format!("cd {parent}\nsymlink {name} {}\n", quote(target)?));
            (0o120_000, attributes)
        }
    };
    let Attributes { mode, uid, gid, mtime } = attributes;
    lines.push_str(&format!("sif {quoted} mode 0{:o}\n", kind | mode));
    lines.push_str(&format!("sif {quoted} uid {uid}\nsif {quoted} gid {gid}\n"));
    // Times before 1970 and after 2106 are none that debugfs could be told.
    let mtime = u32::try_from(*mtime).unwrap_or(0);
    for (field, time) in
        [("atime", mtime.into()), ("mtime", mtime.into()), ("ctime", epoch), ("crtime", epoch)]
    {
        lines.push_str(&format!("sif {quoted} {field} @{time}\n"));
    }
    Ok(lines)
}

fn quote(word: &str) -> Result<String, String> {
    if word.contains(char::is_control) {
        return Err(format!("the name {word:?} can't be told to debugfs"));
    }
    Ok(format!("\"{}\"", word.replace('"', "\"\"")))
}

/// Whether it is as it should be.
fn verify(view: &Ext4View, path: &str, edit: &Edit) -> Result<(), String> {
    let there = view.entry(path)?;
    let wanted = match edit {
        Edit::Remove => None,
        Edit::File(..) => Some(Entry::File),
        Edit::Folder(_) => Some(Entry::Folder),
        Edit::Symlink(..) => Some(Entry::Symlink),
    };
    if there != wanted {
        return Err("it isn't there as it should be; is the file system full?".into());
    }
    match edit {
        Edit::Remove => return Ok(()),
        Edit::File(Data::Bytes(bytes), _) => same(view, path, &mut &**bytes)?,
        Edit::File(Data::Host(host), _) => {
            same(view, path, &mut File::open(host).map_err(|e| format!("{}: {e}", host.display()))?)?;
        }
        Edit::Symlink(target, _) if view.target(path)? != target.as_bytes() => {
            return Err("the link leads elsewhere".into());
        }
        Edit::Symlink(..) | Edit::Folder(_) => {}
    }
    let (Edit::File(_, wanted) | Edit::Folder(wanted) | Edit::Symlink(_, wanted)) = edit else {
        return Ok(());
    };
    let found = view.attributes(path)?;
    if (found.mode, found.uid, found.gid) != (wanted.mode, wanted.uid, wanted.gid) {
        return Err(format!("its owner and mode are {found:?} and should be {wanted:?}"));
    }
    Ok(())
}

fn same(view: &Ext4View, path: &str, wanted: &mut dyn Read) -> Result<(), String> {
    let differs = || "it doesn't read back as it was written; is the file system full?".to_owned();
    let mut buffer = Vec::new();
    view.stream(path, &mut |piece| {
        buffer.resize(piece.len(), 0);
        wanted.read_exact(&mut buffer).map_err(|_| differs())?;
        if buffer == piece { Ok(()) } else { Err(differs()) }
    })?;
    match wanted.read(&mut [0]) {
        Ok(0) => Ok(()),
        _ => Err(differs()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    File::create(path).and_then(|mut f| f.write_all(bytes)).map_err(OutputError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts() {
        let attributes = Attributes { mode: 0o4755, uid: 1, gid: 2, mtime: -5 };
        let file = Edit::File(Data::Bytes(Vec::new()), attributes);
        let text = commands("/a \"b\"/c", &file, Some(Entry::File), "new-3", 9).unwrap();
        let wanted = "rm \"/a \"\"b\"\"/c\"\ncd \"/a \"\"b\"\"\"\nwrite new-3 \"c\"\n\
            sif \"/a \"\"b\"\"/c\" mode 0104755\nsif \"/a \"\"b\"\"/c\" uid 1\nsif \"/a \"\"b\"\"/c\" gid 2\n\
            sif \"/a \"\"b\"\"/c\" atime @0\nsif \"/a \"\"b\"\"/c\" mtime @0\n\
            sif \"/a \"\"b\"\"/c\" ctime @9\nsif \"/a \"\"b\"\"/c\" crtime @9\n";
        assert_eq!(text, wanted);
        assert_eq!(commands("/x", &Edit::Remove, Some(Entry::Symlink), "", 9).unwrap(), "rm \"/x\"\n");
        assert_eq!(commands("/x", &Edit::Remove, None, "", 9).unwrap(), "");
        commands("/x", &file, Some(Entry::Folder), "", 9).unwrap_err();
        // A line end would be a command of its own.
        commands("/x\nrm /etc/passwd", &Edit::Remove, None, "", 9).unwrap_err();
        commands("/x", &Edit::Symlink("a\nb".into(), attributes), None, "", 9).unwrap_err();
    }
}
