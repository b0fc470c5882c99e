//! A directory of this machine that nothing leads out of.
//!
//! What `object_store` opens by its path, a symbolic link can replace by any file that the operator may read: `sync` would publish
//! it. So everything that is read here is opened component by component from the repository's folder, without following links
//! (`openat` with `O_NOFOLLOW`); that holds against an attacker who changes the folder meanwhile. What is written, deleted or listed is
//! checked the same way just before: an attacker who can change the folder at that very moment can write there anyway. The folder
//! itself may be reached through links, since the operator named it. Hard links and mounts are not links that lead elsewhere: whoever
//! can make them inside can read what they lead to.
use super::error::{Cause, StoreError, at};
use super::objects::Objects;
use super::{Backend, Created, Foreign, Leftover, Listed, Oddity, is_plain, leftovers};
use bistable_format::exposition::used_ratio;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::sys::statvfs::statvfs;
use std::fs::{self, DirEntry, File, FileType, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a repository has in its folder: other entries there don't belong to it, and are never opened.
const FOLDERS: [&str; 9] =
    ["attestations", "audit", "blobs", "channels", "deltas", "holds", "prune", "roots", "versions"];
/// The files directly in the folder that are read.
const FILES: [&str; 5] = ["index.json", "mirror", "oci-layout", "partial-copy", "single-writer"];

/// How many files this process has begun to create by a rename.
static STAGED: AtomicU32 = AtomicU32::new(0);

/// A repository's folder. Writing is left to `object_store`, which links or renames whole files to their names.
#[derive(Debug)]
pub(super) struct Directory {
    objects: Objects,
    folder: PathBuf,
}

impl Directory {
    pub(super) fn new(objects: Objects, folder: &Path) -> Directory {
        Directory { objects, folder: folder.into() }
    }

    fn failed(&self, action: &'static str, path: &str) -> impl Fn(io::Error) -> StoreError {
        let place = at(self.place(), path);
        move |e| {
            let (place, source) = (place.clone(), Cause::new(&e));
            match e.kind() {
                ErrorKind::NotFound => StoreError::NotFound { place },
                ErrorKind::PermissionDenied => StoreError::Denied { action, place, source },
                _ => StoreError::Other { action, place, source },
            }
        }
    }

    fn irregular(&self, path: &str, oddity: Oddity) -> StoreError {
        StoreError::Irregular { place: at(self.place(), path), found: oddity.name() }
    }

    /// Why a component of `path`, which ends at `end`, couldn't be opened: what it is says more than the system's error.
    fn refused(
        &self,
        action: &'static str,
        parent: &File,
        path: &str,
        (end, name): (usize, &str),
        e: Errno,
    ) -> StoreError {
        let component = path.get(..end).unwrap_or(path);
        let kind = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| stat.st_mode);
        match kind.map(|mode| SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits())) {
            Ok(SFlag::S_IFLNK) => self.irregular(component, Oddity::Link),
            Ok(SFlag::S_IFDIR | SFlag::S_IFREG) | Err(_) => self.failed(action, path)(e.into()),
            Ok(_) => self.irregular(component, Oddity::Special),
        }
    }

    /// Open the folders of a path up to `end` (0: the repository's own); `None` if one isn't there.
    fn open_folders(&self, action: &'static str, path: &str, end: usize) -> Result<Option<File>, StoreError> {
        let mut folder = match File::open(&self.folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(self.failed(action, ""))?,
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        for (at, name) in components(path).take_while(|(at, _)| *at <= end) {
            folder = match openat(&folder, name, flags, Mode::empty()) {
                Ok(inner) => File::from(inner),
                Err(Errno::ENOENT) => return Ok(None),
                Err(e) => return Err(self.refused(action, &folder, path, (at, name), e)),
            };
        }
        Ok(Some(folder))
    }

    /// Open an ordinary file, with its length; `None` if it isn't there.
    fn open(&self, action: &'static str, path: &str) -> Result<Option<(File, u64)>, StoreError> {
        let start = path.rfind('/').map_or(0, |at| at + 1);
        let name = path.get(start..).unwrap_or_default();
        let Some(parent) = self.open_folders(action, path, start.saturating_sub(1))? else { return Ok(None) };
        // Without O_NONBLOCK a pipe would wait for a writer.
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = match openat(&parent, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(self.refused(action, &parent, path, (path.len(), name), e)),
        };
        let metadata = file.metadata().map_err(self.failed(action, path))?;
        match metadata.is_file() {
            true => Ok(Some((file, metadata.len()))),
            false if metadata.is_dir() => Err(self.irregular(path, Oddity::Folder)),
            false => Err(self.irregular(path, Oddity::Special)),
        }
    }

    /// Refuse a path whose folders lead elsewhere. Folders that aren't there are made by whoever writes.
    fn check_parents(&self, action: &'static str, path: &str) -> Result<(), StoreError> {
        self.open_folders(action, path, path.rfind('/').unwrap_or(0)).map(|_| ())
    }

    /// Create a file by a rename that replaces nothing, on a file system without hard links, such as the FAT of a stick.
    fn create_by_rename(&self, path: &str, bytes: &[u8]) -> io::Result<Created> {
        let path = self.folder.join(path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        fs::create_dir_all(folder)?;
        // The number makes it a leftover if this is killed, as those of `object_store`.
        let number = STAGED.fetch_add(1, Ordering::Relaxed);
        let mut staged = name.to_owned();
        staged.push(format!("#{}{number:06}", std::process::id()));
        let mut file = tempfile::Builder::new()
            .prefix(&staged)
            .rand_bytes(0)
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(&path) {
            Ok(_) => File::open(folder)?.sync_all().map(|()| Created::Created),
            Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Ok(Created::Exists),
            Err(e) => Err(e.error),
        }
    }

    /// The entries of a folder with names that a repository's files can have, and their types. Links and special files are refused.
    fn entries(&self, path: &str) -> Result<Vec<(String, FileType, DirEntry)>, StoreError> {
        let failed = self.failed("list", path);
        if self.open_folders("list", path, path.len())?.is_none() {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        let there = match fs::read_dir(self.folder.join(path)) {
            // Removed meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            there => there.map_err(&failed)?,
        };
        for entry in there {
            let entry = entry.map_err(&failed)?;
            let Some(name) = entry.file_name().to_str().filter(|name| is_plain(name)).map(str::to_owned)
            else {
                continue;
            };
            let inner = if path.is_empty() { name } else { format!("{path}/{name}") };
            let kind = entry.file_type().map_err(&failed)?;
            match Oddity::of(kind) {
                // Beside the repository's own folders, anything may lie.
                Some(_) if path.is_empty() && !is_ours(&inner) => {}
                Some(oddity) => return Err(self.irregular(&inner, oddity)),
                None => entries.push((inner, kind, entry)),
            }
        }
        Ok(entries)
    }

    fn list_into(&self, path: &str, files: &mut Vec<Listed>) -> Result<(), StoreError> {
        for (path, kind, entry) in self.entries(path)? {
            if kind.is_dir() {
                self.list_into(&path, files)?;
                continue;
            }
            match entry.metadata() {
                // Removed meanwhile.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                metadata => {
                    let bytes = metadata.map_err(self.failed("list", &path))?.len();
                    files.push(Listed { path, bytes });
                }
            }
        }
        Ok(())
    }

    fn foreign_into(&self, path: &str, found: &mut Vec<Foreign>) -> Result<(), StoreError> {
        let failed = self.failed("list", path);
        let entries = match fs::read_dir(self.folder.join(path)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(&failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(&failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let inner = if path.is_empty() { name.clone().into_owned() } else { format!("{path}/{name}") };
            // What begins with a dot is some other program's; a write that was stopped is a leftover.
            if name.starts_with('.')
                || (path.is_empty() && !is_ours(&name))
                || leftovers::final_name(&inner).is_some()
            {
                continue;
            }
            let kind = entry.file_type().map_err(&failed)?;
            match Oddity::of(kind) {
                Some(oddity) => found.push(Foreign { path: inner, oddity }),
                None if !is_plain(&name) => found.push(Foreign { path: inner, oddity: Oddity::Name }),
                None if kind.is_dir() => self.foreign_into(&inner, found)?,
                None => {}
            }
        }
        Ok(())
    }
}

/// The names on a path, each with where it ends in it.
fn components(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut end = 0;
    path.split('/').filter(|name| !name.is_empty()).map(move |name| {
        end += name.len() + usize::from(end > 0);
        (end, name)
    })
}

fn is_ours(name: &str) -> bool {
    FOLDERS.contains(&name) || FILES.contains(&name)
}

impl Backend for Directory {
    fn place(&self) -> &str {
        self.objects.place()
    }

    fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((file, bytes)) = self.open("read", path)? else { return Ok(None) };
        let most = limit as u64;
        let mut content = Vec::new();
        if bytes <= most {
            // It may grow while it is read.
            file.take(most + 1).read_to_end(&mut content).map_err(self.failed("read", path))?;
        }
        match bytes > most || content.len() > limit {
            true => Err(StoreError::TooLarge { place: at(self.place(), path), limit }),
            false => Ok(Some(content)),
        }
    }

    fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.open("look for", path)?.map(|(_, bytes)| bytes))
    }

    fn range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let place = || at(self.place(), path);
        let Some((file, bytes)) = self.open("read", path)? else {
            return Err(StoreError::NotFound { place: place() });
        };
        let wanted = range.end.saturating_sub(range.start);
        let found = bytes.saturating_sub(range.start).min(wanted);
        if found < wanted {
            return Err(StoreError::Length { place: place(), wanted, found });
        }
        let mut content = vec![0; usize::try_from(wanted).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut content, range.start).map_err(self.failed("read", path))?;
        Ok(content)
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        self.check_parents("create", path)?;
        match self.objects.create(path, bytes) {
            // What can't do that either is refused in the words for the first try.
            Err(no_links @ StoreError::NoLinks { .. }) => {
                self.create_by_rename(path, bytes).map_err(|_| no_links)
            }
            done => done,
        }
    }

    fn check_create(&self) -> Result<(), StoreError> {
        const FOLDER: &str = "probe";
        let path = format!("{FOLDER}/create-{}", std::process::id());
        let (Created::Created | Created::Exists) = self.create(&path, b"")?;
        self.objects.delete(&path)?;
        let _ = fs::remove_dir(self.folder.join(FOLDER));
        Ok(())
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.check_parents("write", path)?;
        self.objects.put(path, bytes)
    }

    fn upload(&self, path: &str, from: &mut dyn Read, bytes: u64) -> Result<(), StoreError> {
        self.check_parents("upload", path)?;
        self.objects.upload(path, from, bytes)
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let mut files = Vec::new();
        self.list_into(folder, &mut files)?;
        files.sort();
        Ok(files)
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let entries = self.entries(folder)?;
        let folders = entries.iter().filter(|(_, kind, _)| kind.is_dir());
        let mut names: Vec<String> =
            folders.filter_map(|(path, ..)| Some(path.rsplit('/').next()?.to_owned())).collect();
        names.sort();
        Ok(names)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.check_parents("delete", path)?;
        self.objects.delete(path)?;
        // A release's folder of deltas goes with the last of them. One that is being written into has a file already.
        let folder = path.strip_prefix("deltas/").and_then(|path| path.split_once('/'));
        if let Some((release, _)) = folder {
            let _ = fs::remove_dir(self.folder.join("deltas").join(release));
        }
        Ok(())
    }

    fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        leftovers::find(&self.folder).map_err(self.failed("list", ""))
    }

    fn remove_leftover(&self, path: &str) -> Result<(), StoreError> {
        self.check_parents("delete", path)?;
        leftovers::remove(&self.folder, path).map_err(self.failed("delete", path))
    }

    fn disk_used(&self) -> Option<f64> {
        let found = statvfs(&self.folder).ok()?;
        #[allow(clippy::useless_conversion, reason = "they are 32 bits wide on some systems")]
        let [all, free, available] =
            [found.blocks(), found.blocks_free(), found.blocks_available()].map(u64::from);
        used_ratio(all, free, available)
    }

    fn foreign(&self) -> Result<Vec<Foreign>, StoreError> {
        let mut found = Vec::new();
        self.foreign_into("", &mut found)?;
        found.sort();
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
