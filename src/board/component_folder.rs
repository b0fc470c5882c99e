//! The versions of components in folders of a file system.
//!
//! ```text
//! persistent/bistable/components/NAME/<version>/         a version that is complete
//! persistent/bistable/components/NAME/<version>.part/    one that is being unpacked
//! persistent/bistable/components/NAME/<version>.release  the signed release of either
//! persistent/bistable/components/NAME/<version>-<n>/     a configuration of that version: its files, and what was set
//! persistent/bistable/components/NAME/config             what was set for versions to come
//! persistent/bistable/components/NAME/current            a link to the version that is committed, or to its configuration: the durable name
//! run/bistable/components/NAME                           a link to the version of this boot, or of a trial
//! run/bistable/configurations/NAME                       a link to its configuration, if it has one
//! ```
use super::Meter;
use crate::{
    durable,
    ports::{
        COMPONENT_LINKS, CONFIGURATION_LINKS, ComponentStore, Fault, ImageParts, STORED_MAX, Stop,
        StoredVersion, parts_of,
    },
};
use bistable_format::{
    Digest, Envelope,
    archive::{Entry, EntryKind, Sink},
};
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{OpenOptionsExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

/// Where components lie in the partition.
const BELOW: &str = "bistable/components";
const PART: &str = "part";
const RELEASE: &str = "release";
const CURRENT: &str = "current";
const VALUES: &str = "config";

/// Folders of versions, and links to them.
#[derive(Debug)]
pub struct ComponentFolder {
    root: PathBuf,
    persistent: Option<PathBuf>,
    run: PathBuf,
    meter: Meter,
}

impl ComponentFolder {
    /// Of a system whose root, partition `persistent`, if it is mounted, and `/run` are these folders. Nothing is written any more once
    /// that power is gone.
    pub fn new(root: &Path, persistent: Option<&Path>, run: &Path, meter: Meter) -> ComponentFolder {
        let persistent = persistent.map(Path::to_owned);
        ComponentFolder { root: root.into(), persistent, run: run.into(), meter }
    }

    fn top(&self) -> Result<PathBuf, Fault> {
        let mounted = self.persistent.as_ref().map(|folder| folder.join(BELOW));
        mounted.ok_or_else(|| {
            Fault::Unfit("the partition persistent, where components are, is not mounted".into())
        })
    }

    fn folder(&self, component: &str) -> Result<PathBuf, Fault> {
        Ok(self.top()?.join(component))
    }

    fn version(&self, component: &str, version: &str) -> Result<PathBuf, Fault> {
        Ok(self.folder(component)?.join(version))
    }

    fn part(&self, component: &str, version: &str) -> Result<PathBuf, Fault> {
        Ok(self.folder(component)?.join(format!("{version}.{PART}")))
    }

    fn release_file(&self, component: &str, version: &str) -> Result<PathBuf, Fault> {
        Ok(self.folder(component)?.join(format!("{version}.{RELEASE}")))
    }

    fn link(&self, component: &str) -> PathBuf {
        self.run.join(COMPONENT_LINKS).join(component)
    }

    fn configuration_link(&self, component: &str) -> PathBuf {
        self.run.join(CONFIGURATION_LINKS).join(component)
    }

    fn powered(&self) -> Result<(), Fault> {
        if self.meter.is_cut() { Err(Fault::Stopping(Stop::PowerLost)) } else { Ok(()) }
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Fault {
    Fault::io(path.display().to_string())
}

/// Make the names in a folder durable.
fn sync_folder(folder: &Path) -> Result<(), Fault> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

/// What isn't there needs no removal.
fn gone(removed: io::Result<()>, path: &Path) -> Result<(), Fault> {
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(path)(e)),
        _ => Ok(()),
    }
}

/// The last name of what a link leads to; `None` without a link.
fn leads_to(link: &Path) -> Result<Option<String>, Fault> {
    match fs::read_link(link) {
        Ok(target) => Ok(target.file_name().map(|name| name.to_string_lossy().into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(link)(e)),
    }
}

/// What lies in a folder; nothing if it isn't there.
fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, Fault> {
    match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect).map_err(failed(folder)),
    }
}

/// A file of at most that many bytes; no link is followed.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits()).open(path)?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Have a link lead there, at once: whoever looks finds the old or the new one.
fn point(link: &Path, target: Option<&Path>) -> Result<(), Fault> {
    let Some(target) = target else { return gone(fs::remove_file(link), link) };
    let new = link.with_extension("new");
    gone(fs::remove_file(&new), &new)?;
    symlink(target, &new).map_err(failed(&new))?;
    #[expect(clippy::disallowed_methods, reason = "a link has no content to make durable")]
    fs::rename(&new, link).map_err(failed(link))
}

impl ComponentStore for ComponentFolder {
    fn components(&mut self) -> Result<Vec<String>, Fault> {
        let top = self.top()?;
        let mut names = Vec::new();
        for entry in entries(&top)? {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        names.sort();
        Ok(names)
    }

    fn versions(&mut self, component: &str) -> Result<Vec<StoredVersion>, Fault> {
        let folder = self.folder(component)?;
        let mut versions = Vec::new();
        for entry in entries(&folder)? {
            let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
            if kind.is_dir() {
                let (name, is_complete) = match name.strip_suffix(&format!(".{PART}")) {
                    Some(version) => (version.to_owned(), false),
                    None => (name, true),
                };
                versions.push(StoredVersion { name, is_complete });
            }
        }
        versions.sort();
        Ok(versions)
    }

    fn begin(&mut self, component: &str, version: &str) -> Result<Box<dyn Sink<Error = Fault>>, Fault> {
        self.powered()?;
        self.remove(component, version)?;
        let part = self.part(component, version)?;
        fs::create_dir_all(&part).map_err(failed(&part))?;
        Ok(Box::new(Unpacking { top: part, file: None, folders: Vec::new(), meter: self.meter.clone() }))
    }

    fn keep_release(&mut self, component: &str, version: &str, signed: &[u8]) -> Result<(), Fault> {
        self.powered()?;
        let path = self.release_file(component, version)?;
        durable::write(&path, signed).map_err(failed(&path))
    }

    fn release(&mut self, component: &str, version: &str) -> Result<Vec<u8>, Fault> {
        let path = self.release_file(component, version)?;
        read(&path, Envelope::MAX_BYTES as u64 + 1).map_err(failed(&path))
    }

    fn file(&mut self, component: &str, version: &str, name: &str) -> Result<Vec<u8>, Fault> {
        let path = self.version(component, version)?.join(name);
        read(&path, STORED_MAX).map_err(failed(&path))
    }

    fn values(&mut self, component: &str) -> Result<Vec<u8>, Fault> {
        let path = self.folder(component)?.join(VALUES);
        match read(&path, STORED_MAX) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(failed(&path)),
        }
    }

    fn keep_values(&mut self, component: &str, values: &[u8]) -> Result<(), Fault> {
        self.powered()?;
        let folder = self.folder(component)?;
        let path = folder.join(VALUES);
        if values.is_empty() {
            gone(fs::remove_file(&path), &path)?;
            return if folder.is_dir() { sync_folder(&folder) } else { Ok(()) };
        }
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        durable::write_for_owner(&path, values).map_err(failed(&path))
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.powered()?;
        let folder = self.top()?;
        // All of the file system: the data and names of a tree are too many to be named one by one.
        #[cfg(target_os = "linux")]
        return File::open(&folder).and_then(|file| Ok(nix::unistd::syncfs(&file)?)).map_err(failed(&folder));
        #[cfg(not(target_os = "linux"))]
        {
            nix::unistd::sync();
            sync_folder(&folder)
        }
    }

    fn parts(
        &mut self,
        component: &str,
        version: &str,
        digests: &[Digest],
    ) -> Result<Box<dyn ImageParts>, Fault> {
        Ok(Box::new(Files { folder: self.part(component, version)?, digests: digests.to_vec() }))
    }

    fn complete(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.powered()?;
        let (part, whole) = (self.part(component, version)?, self.version(component, version)?);
        #[expect(clippy::disallowed_methods, reason = "what is in it was synced with its file system")]
        fs::rename(&part, &whole).map_err(failed(&part))?;
        sync_folder(&self.folder(component)?)
    }

    fn remove(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.powered()?;
        for folder in [self.part(component, version)?, self.version(component, version)?] {
            make_removable(&folder);
            gone(fs::remove_dir_all(&folder), &folder)?;
        }
        let release = self.release_file(component, version)?;
        gone(fs::remove_file(&release), &release)
    }

    fn current(&mut self, component: &str) -> Result<Option<String>, Fault> {
        leads_to(&self.folder(component)?.join(CURRENT))
    }

    fn set_current(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        self.powered()?;
        let folder = self.folder(component)?;
        point(&folder.join(CURRENT), version.map(Path::new))?;
        if folder.is_dir() { sync_folder(&folder) } else { Ok(()) }
    }

    fn shown(&mut self, component: &str) -> Result<Option<String>, Fault> {
        let version = leads_to(&self.link(component))?;
        let configured = leads_to(&self.configuration_link(component))?;
        Ok(configured.filter(|name| version.as_deref() == Some(parts_of(name).0)).or(version))
    }

    fn show(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        self.powered()?;
        let (link, configuration) = (self.link(component), self.configuration_link(component));
        for folder in [link.parent(), configuration.parent()].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        // Without a version in between: whatever ends this program, no version is shown with the configuration of another one.
        point(&configuration, None)?;
        let target = version.map(|name| self.version(component, parts_of(name).0)).transpose()?;
        point(&link, target.as_deref())?;
        let configured = version.filter(|name| parts_of(name).1.is_some());
        let configured = configured.map(|name| self.version(component, name)).transpose()?;
        point(&configuration, configured.as_deref())
    }

    fn free_bytes(&mut self) -> Result<u64, Fault> {
        let top = self.top()?;
        // Before the first component there is only what the folder will be in.
        let place = top.ancestors().find(|place| place.is_dir()).unwrap_or(&top);
        super::free_bytes(place).map_err(failed(place))
    }

    fn is_reached_by(&mut self, component: &str, path: &Path) -> Result<bool, Fault> {
        let link = Path::new("/run").join(COMPONENT_LINKS).join(component);
        if path == link {
            return Ok(true);
        }
        let place = self.root.join(path.strip_prefix("/").unwrap_or(path));
        match fs::read_link(&place) {
            Ok(target) => Ok(target == link),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(false),
            Err(e) => Err(failed(&place)(e)),
        }
    }
}

/// Files that are named by their digests.
struct Files {
    folder: PathBuf,
    digests: Vec<Digest>,
}

impl ImageParts for Files {
    fn open(&self, digest: &Digest) -> io::Result<Option<(u64, Box<dyn Read + Send>)>> {
        if !self.digests.contains(digest) {
            return Ok(None);
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
            .open(self.folder.join(digest.to_string()))?;
        Ok(Some((file.metadata()?.len(), Box::new(file))))
    }
}

/// A folder that its owner may not write keeps everybody but root from removing what is in it.
fn make_removable(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            if metadata.permissions().mode() & 0o700 != 0o700 {
                let _ = fs::set_permissions(entry.path(), Permissions::from_mode(0o700));
            }
            make_removable(&entry.path());
        }
    }
}

/// A version that is being unpacked. The rules of archives see to it that what is above an entry is a folder of this archive, so no
/// link of it is followed.
struct Unpacking {
    top: PathBuf,
    file: Option<(PathBuf, File, Duration)>,
    /// Folders whose owner may not write, with their modes: set when all is there.
    folders: Vec<(PathBuf, u32)>,
    meter: Meter,
}

impl Sink for Unpacking {
    type Error = Fault;

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        if self.meter.is_cut() {
            return Err(Fault::Stopping(Stop::PowerLost));
        }
        let path = self.top.join(OsStr::from_bytes(entry.path));
        match entry.kind {
            EntryKind::Directory => {
                fs::create_dir(&path).map_err(failed(&path))?;
                if entry.mode & 0o700 == 0o700 {
                    fs::set_permissions(&path, Permissions::from_mode(entry.mode)).map_err(failed(&path))
                } else {
                    self.folders.push((path, entry.mode));
                    Ok(())
                }
            }
            EntryKind::Symlink(target) => symlink(OsStr::from_bytes(target), &path).map_err(failed(&path)),
            EntryKind::File => {
                let file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(failed(&path))?;
                file.set_permissions(Permissions::from_mode(entry.mode)).map_err(failed(&path))?;
                self.file = Some((path, file, Duration::from_secs(entry.mtime)));
                Ok(())
            }
        }
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.file {
            Some((path, file, _)) => file.write_all(bytes).map_err(failed(path)),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some((path, file, time)) = self.file.take() else { return Ok(()) };
        let time = UNIX_EPOCH.checked_add(time).unwrap_or(UNIX_EPOCH);
        file.set_modified(time).map_err(failed(&path))
    }
}

impl Drop for Unpacking {
    /// The archive is over, or was broken off.
    fn drop(&mut self) {
        for (path, mode) in self.folders.drain(..).rev() {
            let _ = fs::set_permissions(path, Permissions::from_mode(mode));
        }
    }
}
