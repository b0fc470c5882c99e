//! Editing an ext4 image in place with e2fsprogs' `debugfs`: without root, and with all that isn't edited left as it is,
//! owners, links and extended attributes included.
//!
//! Names and symlinks' targets are foreign text: [`super::script`] is what keeps them from being commands. `debugfs` reports
//! what went wrong, but exits with 0 all the same: so everything is read back, and then `e2fsck` has the last word.
use super::DiskError;
use super::script::{Field, Line, Name, Script, ScriptError, Target, prepared};
use super::system::{Data, Edit, Edits};
use super::tools::{run, said};
use super::view::{Attributes, Entry, Ext4View, View};
use crate::output::OutputError;
use crate::volume::{VolumeId, has_file_types};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Output;

const SCRIPT: &str = "script";

/// Replay the journal if there is something in it.
pub(super) fn recover(folder: &Path, image: &str, epoch: u64) -> Result<bool, DiskError> {
    /// `INCOMPAT_RECOVER` in the superblock's incompatible features.
    const NEEDED: u32 = 4;
    let superblock = superblock(folder, image)?;
    let features =
        superblock.get(96..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b));
    if features & NEEDED == 0 {
        return Ok(false);
    }
    repair(folder, image, epoch).map(|()| true)
}

/// Have its folders say what their entries are, as those of every file system but that of `genext2fs` do.
pub(super) fn add_file_types(folder: &Path, image: &str, epoch: u64) -> Result<bool, DiskError> {
    /// The file system's id, in the superblock.
    const ID: std::ops::Range<usize> = 104..120;
    let superblock = superblock(folder, image)?;
    if has_file_types(&superblock) {
        return Ok(false);
    }
    // A check comes before the change: what e2fsck would repair afterwards is then nothing but the types.
    let output = run("e2fsck", folder, epoch, &["-fn", image])?;
    if output.status.code() != Some(0) {
        return Err(unsound(&output));
    }
    // e2fsck would give it a random id.
    let id = VolumeId::from_name("genext2fs").to_string();
    let has_none = superblock.get(ID).is_some_and(|id| id.iter().all(|byte| *byte == 0));
    let with_id: &[&str] = if has_none { &["-U", &id] } else { &[] };
    let output = run("tune2fs", folder, epoch, &[with_id, &["-O", "filetype", image]].concat())?;
    if !output.status.success() {
        return Err(DiskError::Tool { program: "tune2fs", why: said(&output) });
    }
    repair(folder, image, epoch).map(|()| true)
}

fn superblock(folder: &Path, image: &str) -> Result<[u8; 1024], DiskError> {
    let path = folder.join(image);
    let mut superblock = [0; 1024];
    File::open(&path)
        .and_then(|file| file.read_exact_at(&mut superblock, 1024))
        .map_err(DiskError::read("read", path))?;
    Ok(superblock)
}

fn repair(folder: &Path, image: &str, epoch: u64) -> Result<(), DiskError> {
    let output = run("e2fsck", folder, epoch, &["-fy", image])?;
    // 1: errors were corrected, which is what it was asked to do.
    match output.status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(DiskError::Tool {
            program: "e2fsck",
            why: format!("can't repair the system partition:\n{}", said(&output)),
        }),
    }
}

fn unsound(output: &Output) -> DiskError {
    DiskError::Tool {
        program: "e2fsck",
        why: format!(
            "the system partition is not sound, maybe it wasn't before; try e2fsck -fn on it\n{}",
            said(output)
        ),
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
    let mut script = Script::default();
    for (number, (path, edit)) in edits.iter().enumerate() {
        let there = view.entry(path).map_err(|why| failed(path, why))?;
        add(&mut script, path, edit, there, number, epoch).map_err(|why| failed(path, why))?;
        match edit {
            Edit::File(Data::Bytes(bytes), _) => write(&folder.join(prepared(number)), bytes)?,
            Edit::File(Data::Host(host), _) => {
                let host = host.canonicalize().map_err(DiskError::read("read", &**host))?;
                let link = folder.join(prepared(number));
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
        _ => Err(unsound(&output)),
    }
}

/// What debugfs complained of: all but its first line, and the commands that it repeats.
fn complaints(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().filter(|line| !line.starts_with("debugfs 1.")).take(20).collect::<Vec<_>>().join("\n")
}

/// Add the lines for one edit.
fn add<'a>(
    script: &mut Script,
    path: &'a str,
    edit: &'a Edit,
    there: Option<Entry>,
    source: usize,
    epoch: u64,
) -> Result<(), String> {
    let mut components = path.strip_prefix('/').ok_or("the path is not absolute")?.split('/');
    let name = components.next_back().unwrap_or_default();
    let mut lines = vec![Line::Root];
    let mut line =
        |made: Result<Line<'a>, ScriptError>| made.map(|made| lines.push(made)).map_err(|e| e.to_string());
    // Component by component: what a script says of a name has a bound, and a path has none.
    for component in components {
        line(Name::new(component).map(Line::Enter))?;
    }
    let name = Name::new(name).map_err(|e| e.to_string())?;
    match (there, edit) {
        (None, Edit::Remove) => return Ok(()),
        (None, _) | (Some(Entry::Folder), Edit::Folder(_)) => {}
        (Some(Entry::Folder), _) => return Err("a folder is there already".into()),
        (Some(_), _) => line(Ok(Line::Remove(name)))?,
    }
    let made = match edit {
        Edit::Remove => None,
        Edit::File(_, attributes) => {
            line(Ok(Line::Write { source, name }))?;
            Some((0o100_000, attributes))
        }
        Edit::Folder(attributes) => {
            if there != Some(Entry::Folder) {
                line(Ok(Line::Folder(name)))?;
            }
            Some((0o040_000, attributes))
        }
        Edit::Symlink(target, attributes) => {
            line(Target::new(target).map(|target| Line::Symlink { name, target }))?;
            Some((0o120_000, attributes))
        }
    };
    if let Some((kind, attributes)) = made {
        let Attributes { mode, uid, gid, mtime } = *attributes;
        // debugfs takes no times before 1970 and after 2106.
        let mtime = u32::try_from(mtime).unwrap_or(0).into();
        for field in [
            Field::Mode(kind | mode),
            Field::Uid(uid),
            Field::Gid(gid),
            Field::Atime(mtime),
            Field::Mtime(mtime),
            Field::Ctime(epoch),
            Field::Crtime(epoch),
        ] {
            line(Ok(Line::Set(name, field)))?;
        }
    }
    lines.into_iter().try_for_each(|line| script.push(line)).map_err(|e| e.to_string())
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

    const ATTRIBUTES: Attributes = Attributes { mode: 0o4755, uid: 1, gid: 2, mtime: -5 };

    fn script(path: &str, edit: &Edit, there: Option<Entry>) -> Result<String, String> {
        let mut script = Script::default();
        add(&mut script, path, edit, there, 3, 9)?;
        Ok(String::from_utf8(script.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn an_edit_enters_its_folder_and_replaces_what_is_there() {
        let file = Edit::File(Data::Bytes(Vec::new()), ATTRIBUTES);
        let wanted = "cd /\ncd \"./a \"\"b\"\"\"\nrm \"./c\"\nwrite new-3 \"c\"\n\
            sif \"./c\" mode 0104755\nsif \"./c\" uid 1\nsif \"./c\" gid 2\n\
            sif \"./c\" atime @0\nsif \"./c\" mtime @0\nsif \"./c\" ctime @9\nsif \"./c\" crtime @9\n";
        assert_eq!(script("/a \"b\"/c", &file, Some(Entry::File)).unwrap(), wanted);
        assert_eq!(script("/x", &Edit::Remove, Some(Entry::Symlink)).unwrap(), "cd /\nrm \"./x\"\n");
        assert_eq!(script("/x", &Edit::Remove, None).unwrap(), "");
        script("/x", &file, Some(Entry::Folder)).unwrap_err();
    }

    #[test]
    fn a_name_that_is_a_command_is_refused_wherever_it_stands() {
        let file = Edit::File(Data::Bytes(Vec::new()), ATTRIBUTES);
        for path in ["/x\n!touch pwned", "/x\n!touch pwned/y", "/x/../y", "//y", "/x/", "x", "/", "/\u{1b}c"]
        {
            for (edit, there) in
                [(&file, None), (&Edit::Remove, Some(Entry::File)), (&Edit::Folder(ATTRIBUTES), None)]
            {
                assert!(script(path, edit, there).is_err(), "{path:?}");
            }
        }
        script("/x", &Edit::Symlink("a\n!touch pwned".into(), ATTRIBUTES), None).unwrap_err();
        let long = Edit::Symlink("\"".repeat(4_000), ATTRIBUTES);
        let refused = script(&format!("/{}", "\"".repeat(200)), &long, None).unwrap_err();
        assert!(refused.contains("at most 8000"), "{refused}");
    }
}
