//! A component on a new card: its verified release, and its archive as the device would have unpacked it.
use super::CardError;
use crate::bundle::BundleError;
use crate::delta::{Image, Raw};
use crate::interrupt::Temporary;
use crate::output::OutputError;
use crate::parallel::Threads;
use crate::progress::Progress;
use crate::verify::{self, VerifyError};
use bistable_boot::ReleaseId;
use bistable_boot::component::{COMPONENTS_LEN, Component, ComponentRecord, Held};
use bistable_format::archive::{ArchiveReader, Entry, EntryKind, ReadError, Sink, Totals};
use bistable_format::configuration::{Declaration, Rendered, VALUES, Values};
use bistable_format::resolve::{Part, System};
use bistable_format::{ArtifactId, Content, Digest, Release, Root, release};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Where components lie in the partition: the device's program has the same names.
const BELOW: &str = "bistable/components";
/// Permissions of folders, and of a stored release.
const FOLDER: u32 = 0o755;
const FILE: u32 = 0o644;
/// Bytes that an entry takes besides its content: an inode, and what is left of its last block.
const ENTRY: u64 = 8 << 10;
/// The number of a configuration on a card.
const FIRST: u32 = 1;
/// What is copied at a time.
const PIECE: usize = 1 << 20;

/// A version of a component, verified, that goes onto a card.
#[derive(Debug)]
pub struct CardComponent {
    release: Release,
    signed: Vec<u8>,
    archive: Image,
}

impl CardComponent {
    /// Of a bundle, every byte of which is verified.
    ///
    /// # Errors
    /// A bundle that isn't verified, or isn't one of a folder.
    pub fn of_bundle(
        path: &Path,
        root: &Root,
        threads: Threads,
        progress: &dyn Progress,
    ) -> Result<CardComponent, CardError> {
        let reader = verify::open(path, root)?;
        let (release, signed) = (reader.release().clone(), reader.signed_release().to_vec());
        let bytes = archive_bytes(&release)?;
        let archive = Image::create(None, bytes).map_err(temporary)?;
        reader
            .volumes(threads, progress, &mut |id, at, raw| {
                if id == ArtifactId::Archive { archive.write_at(at, raw) } else { Ok(()) }
            })
            .map_err(|source| match source {
                BundleError::Sink { source, .. } => temporary(source),
                source => CardError::Bundle(VerifyError::Bundle { path: path.into(), source }),
            })?;
        Ok(CardComponent { release, signed, archive })
    }

    /// Of a release that was verified, with its archive, that was.
    pub(crate) fn of_parts(
        release: Release,
        signed: Vec<u8>,
        archive: Image,
    ) -> Result<CardComponent, CardError> {
        archive_bytes(&release)?;
        Ok(CardComponent { release, signed, archive })
    }

    /// Its release.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The release's identity.
    pub fn identity(&self) -> Digest {
        release::identity(&self.signed)
    }

    fn bytes(&self) -> u64 {
        self.archive.bytes()
    }

    /// What can be set of it. Nothing is, on a card.
    fn declaration(&self) -> Option<Declaration> {
        // It was checked when the release was opened.
        self.release.configuration().ok().flatten()
    }

    fn name(&self) -> &str {
        self.release.component.as_deref().unwrap_or_default()
    }

    fn part(&self) -> Part {
        Part {
            name: self.name().into(),
            version: self.release.version.clone(),
            requires: self.release.requires.clone(),
            binds: Vec::new(),
        }
    }
}

/// Bytes of the archive, if the release is one of a folder.
fn archive_bytes(release: &Release) -> Result<u64, CardError> {
    match (&release.content, &release.component) {
        (Content::Directory(directory), Some(_)) => Ok(directory.archive.bytes),
        (Content::Containers(_), _) => Err(CardError::Containers { what: release.what() }),
        _ => Err(CardError::NotAComponent { what: release.what() }),
    }
}

/// Refuse components that the device with this image would refuse.
pub(super) fn check(image: &Release, components: &[Arc<CardComponent>]) -> Result<(), CardError> {
    if components.len() > COMPONENTS_LEN {
        return Err(CardError::Components { limit: COMPONENTS_LEN });
    }
    for component in components {
        let what = || component.release.named();
        if component.release.product() != image.product() {
            return Err(CardError::OtherProduct { what: what(), product: image.product().into() });
        }
        if let Some(board) = image.boards.iter().find(|board| !component.release.boards.contains(board)) {
            return Err(CardError::Board { what: what(), board: board.clone() });
        }
        let declared = component.declaration();
        let required = declared.iter().flat_map(|declared| &declared.settings).filter(|s| s.required);
        let names: Vec<String> = required.map(|setting| setting.name.clone()).collect();
        if !names.is_empty() {
            return Err(CardError::Configuration { what: what(), names });
        }
        let bound = image.bound.iter().find(|bound| bound.component == component.name());
        if let Some(bound) = bound.filter(|bound| bound.identity != component.identity()) {
            return Err(CardError::OtherBound { what: what(), version: bound.version.clone() });
        }
    }
    let part = Part {
        name: image.product().into(),
        version: image.version.clone(),
        requires: image.requires.clone(),
        binds: components.iter().map(|component| component.part()).collect(),
    };
    let reasons = System::bind_problems(&part);
    if reasons.is_empty() || components.is_empty() {
        return Ok(());
    }
    Err(CardError::Unfit { image: image.named(), reasons })
}

/// What the device remembers of them: each was installed and is committed.
pub(super) fn record(product: &str, components: &[Arc<CardComponent>]) -> Result<ComponentRecord, CardError> {
    let mut record = ComponentRecord { seq: 1, ..ComponentRecord::new(product) };
    for component in components {
        let entry = record.entry(component.name());
        let entry: &mut Component = entry.ok_or(CardError::Components { limit: COMPONENTS_LEN })?;
        entry.current = Some(Held {
            release: ReleaseId(component.identity().0),
            version: component.release.version.clone(),
            security_version: component.release.security_version,
            configuration: component.declaration().map(|_| FIRST),
        });
        entry.security_floor = component.release.security_version;
    }
    Ok(record)
}

/// What lies in the partition.
#[derive(Debug)]
pub(super) struct Tree {
    /// As a tar.
    pub(super) file: Temporary<NamedTempFile>,
    /// Bytes that it takes there at most.
    pub(super) bytes: u64,
}

/// What the device would have in the partition after it committed each of them.
pub(super) fn tree(components: &[Arc<CardComponent>], time: u64) -> Result<Tree, CardError> {
    let file = Temporary::file(tempfile::Builder::new().suffix(".tar").tempfile().map_err(temporary)?);
    let spool = tempfile::tempfile().map_err(temporary)?;
    let mut tar =
        Tar { tar: tar::Builder::new(io::BufWriter::new(file.reopen().map_err(temporary)?)), time, spool };
    let mut bytes = 0_u64;
    let mut above = PathBuf::new();
    for name in BELOW.split('/') {
        above.push(name);
        tar.folder(&above, FOLDER).map_err(temporary)?;
    }
    let mut components: Vec<&CardComponent> = components.iter().map(|component| &**component).collect();
    components.sort_by(|a, b| a.name().cmp(b.name()));
    for component in components {
        let folder = above.join(component.name());
        let version = component.identity().to_string();
        tar.folder(&folder, FOLDER).map_err(temporary)?;
        tar.folder(&folder.join(&version), FOLDER).map_err(temporary)?;
        let totals = unpack(component, &folder.join(&version), &mut tar)?;
        bytes += totals.bytes + ENTRY * u64::from(totals.entries);
        let release = folder.join(format!("{version}.release"));
        tar.file(&release, (FILE, time), component.signed.len() as u64, &mut component.signed.as_slice())
            .map_err(temporary)?;
        let mut current = version;
        if let Some(declaration) = component.declaration() {
            current = format!("{current}-{FIRST}");
            tar.folder(&folder.join(&current), FOLDER).map_err(temporary)?;
            let values = Rendered { name: VALUES.into(), text: "{}".into(), secret: true };
            for file in declaration.render(&Values::new()).into_iter().chain([values]) {
                let (path, mode) =
                    (folder.join(&current).join(&file.name), if file.secret { 0o600 } else { FILE });
                tar.file(&path, (mode, time), file.text.len() as u64, &mut file.text.as_bytes())
                    .map_err(temporary)?;
                bytes += ENTRY + file.text.len() as u64;
            }
        }
        tar.link(&folder.join("current"), OsStr::new(&current)).map_err(temporary)?;
    }
    let mut out = tar.tar.into_inner().map_err(temporary)?;
    out.flush().map_err(temporary)?;
    drop(out);
    Ok(Tree { file, bytes })
}

fn unpack<W: Write>(component: &CardComponent, to: &Path, tar: &mut Tar<W>) -> Result<Totals, CardError> {
    let mut sink = Unpacking { tar, to, file: None };
    let unfit = |problem: String| CardError::Archive { what: component.release.what(), problem };
    let failed = |e: ReadError<io::Error>| match e {
        ReadError::Sink(e) => temporary(e),
        e => unfit(e.to_string()),
    };
    let (mut reader, mut at, bytes) = (ArchiveReader::new(), 0, component.bytes());
    while at < bytes {
        let want = usize::try_from(bytes - at).map_or(PIECE, |left| left.min(PIECE));
        let mut piece = vec![0; want];
        component.archive.read_at(at, &mut piece).map_err(temporary)?;
        reader.push(&piece, &mut sink).map_err(failed)?;
        at += want as u64;
    }
    reader.finish::<io::Error>().map_err(failed)
}

fn temporary(e: io::Error) -> CardError {
    OutputError::io("write a temporary file in", &std::env::temp_dir())(e).into()
}

/// A tar in which everything belongs to root.
struct Tar<W: Write> {
    tar: tar::Builder<W>,
    time: u64,
    /// A file whose content comes in pieces.
    spool: File,
}

impl<W: Write> Tar<W> {
    fn header(kind: tar::EntryType, mode: u32, time: u64, bytes: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(time);
        header.set_size(bytes);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    fn folder(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        let mut header = Self::header(tar::EntryType::Directory, mode, self.time, 0);
        self.tar.append_data(&mut header, path, io::empty())
    }

    fn file(
        &mut self,
        path: &Path,
        (mode, time): (u32, u64),
        bytes: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let mut header = Self::header(tar::EntryType::Regular, mode, time, bytes);
        self.tar.append_data(&mut header, path, content)
    }

    /// The file whose content has come.
    fn spooled(&mut self, path: &Path, meta: (u32, u64)) -> io::Result<()> {
        let mut content = self.spool.try_clone()?;
        let bytes = content.stream_position()?;
        content.rewind()?;
        self.file(path, meta, bytes, &mut content)?;
        content.rewind()?;
        content.set_len(0)
    }

    fn link(&mut self, path: &Path, target: &OsStr) -> io::Result<()> {
        let mut header = Self::header(tar::EntryType::Symlink, 0o777, self.time, 0);
        self.tar.append_link(&mut header, path, target)
    }
}

/// Takes an archive and puts it below a folder.
struct Unpacking<'a, W: Write> {
    tar: &'a mut Tar<W>,
    to: &'a Path,
    /// The file whose content comes, with its mode and time.
    file: Option<(PathBuf, (u32, u64))>,
}

impl<W: Write> Sink for Unpacking<'_, W> {
    type Error = io::Error;

    fn begin(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let path = self.to.join(OsStr::from_bytes(entry.path));
        match entry.kind {
            EntryKind::Directory => self.tar.folder(&path, entry.mode),
            EntryKind::Symlink(target) => self.tar.link(&path, OsStr::from_bytes(target)),
            EntryKind::File => {
                self.file = Some((path, (entry.mode, entry.mtime)));
                Ok(())
            }
        }
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tar.spool.write_all(bytes)
    }

    fn end(&mut self) -> io::Result<()> {
        match self.file.take() {
            Some((path, meta)) => self.tar.spooled(&path, meta),
            None => Ok(()),
        }
    }
}
