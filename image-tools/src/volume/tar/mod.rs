//! A tree from a tar archive: plain, or compressed by gzip, xz or zstd.
//!
//! The archive is read once, front to back. The contents of a plain archive are read from where they lie; those
//! of a compressed one go to a nameless temporary file, since the image needs them in the order of names, not
//! of the archive. Runs of zeros take no space there.
//!
//! Rules, as GNU tar unpacks: a leading `/` and `./` are dropped, the last entry of a name wins, folders that
//! that are not described are 0755 and root's. Stricter than GNU tar: `..`, a path through a symlink, an archive
//! without its end mark, and data behind that mark are errors.

mod compression;
mod gzip;
mod header;
mod pax;
mod sparse;
mod stream;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

pub(crate) use compression::Compression;
pub(crate) use header::looks_like_header;
pub(crate) use stream::{XZ_MEMORY, ZSTD_WINDOW, decoder, decoder_failed};

use super::content::PIECE;
use super::data::{FileData, Range, Source};
use super::dir::supported;
use super::error::{EntryProblem, VolumeError, lossy};
use super::options::{Owner, Reading, SystemOptions};
use super::tree::{Kind, MAX_ENTRIES, Meta, Node, NodeId, ROOT, Tree, Xattr};
use header::{Header, RawKind};
use pax::Pax;
use stream::{Spool, Stream};

/// The most bytes of extended attributes that one inode can hold.
const MAX_XATTRS: usize = 4096 + 96;
/// The longest GNU long name or link, in bytes.
const MAX_LONG_NAME: u64 = 64 << 10;
/// The longest PAX header, in bytes.
const MAX_PAX: u64 = 1 << 20;

/// Reads the archive into a tree.
pub(crate) fn read(
    path: &Path,
    compression: Compression,
    options: &SystemOptions,
    warnings: &mut Vec<String>,
) -> Result<Tree, VolumeError> {
    let epoch = options.source_date_epoch;
    let mut reader = Archive {
        path,
        stream: Stream::open(path, compression)?,
        spool: None,
        tree: Tree::new(Meta::implied_folder(epoch)),
        options,
        warnings,
        global: Pax::default(),
    };
    if compression == Compression::None {
        let file = File::open(path).map_err(VolumeError::io("open", path))?;
        reader.tree.contents.archive = Some((path.into(), file));
    }
    while reader.entry()? {}
    reader.stream.finish()?;
    let Archive { mut tree, spool, .. } = reader;
    tree.contents.spool = spool.map(Spool::into_file).transpose()?;
    Ok(tree)
}

struct Archive<'a> {
    path: &'a Path,
    stream: Stream,
    spool: Option<Spool>,
    tree: Tree,
    options: &'a SystemOptions,
    warnings: &'a mut Vec<String>,
    /// What global PAX headers say about all entries behind them.
    global: Pax,
}

/// What extension headers say about the entry behind them.
#[derive(Default)]
struct Extensions {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl Archive<'_> {
    /// Reads one entry with its extension headers; `false` at the end of the archive.
    fn entry(&mut self) -> Result<bool, VolumeError> {
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.stream.header()? else {
                if extensions.long_name.is_some()
                    || extensions.long_link.is_some()
                    || extensions.pax.is_some()
                {
                    return Err(self.stream.invalid("an extended header without its entry"));
                }
                return Ok(false);
            };
            let size = header.size;
            match header.kind {
                RawKind::GnuLongName => extensions.long_name = Some(self.text(size)?),
                RawKind::GnuLongLink => extensions.long_link = Some(self.text(size)?),
                RawKind::Pax | RawKind::PaxGlobal => {
                    let records = self.stream.bytes(size, MAX_PAX)?;
                    let base = extensions.pax.take().unwrap_or_else(|| self.global.clone());
                    let wrong = |why| self.problem(b"(extended header)", EntryProblem::BadExtension(why));
                    if header.kind == RawKind::PaxGlobal {
                        self.global = self.global.clone().read(&records).map_err(wrong)?;
                    } else {
                        extensions.pax = Some(base.read(&records).map_err(wrong)?);
                    }
                }
                RawKind::VolumeLabel => self.stream.skip(size)?,
                _ => {
                    self.take(&header, extensions)?;
                    return Ok(true);
                }
            }
        }
    }

    /// A GNU long name: ends at its NUL.
    fn text(&mut self, size: u64) -> Result<Vec<u8>, VolumeError> {
        let mut text = self.stream.bytes(size, MAX_LONG_NAME)?;
        if let Some(end) = text.iter().position(|byte| *byte == 0) {
            text.truncate(end);
        }
        Ok(text)
    }

    fn take(&mut self, header: &Header, extensions: Extensions) -> Result<(), VolumeError> {
        let mut pax = extensions.pax.unwrap_or_else(|| self.global.clone());
        let name = (pax.sparse.name.take())
            .or(pax.path.take())
            .or(extensions.long_name)
            .unwrap_or_else(|| header.name.clone());
        if self.tree.len() >= MAX_ENTRIES {
            return Err(VolumeError::TooManyEntries { path: self.path.into(), limit: MAX_ENTRIES });
        }
        let path = components(&name).map_err(|problem| self.problem(&name, problem))?;
        let link = pax.link.take().or(extensions.long_link).unwrap_or_else(|| header.link.clone());
        if header.kind == RawKind::HardLink {
            self.hard_link(&name, &path, &link)?;
            // The file's bytes again, which POSIX allows: the first name has them already.
            let size = pax.size.unwrap_or(header.link_size);
            return if self.stream.has_data(size)? { self.stream.skip(size) } else { Ok(()) };
        }
        let node = Node {
            meta: self.meta(header, &pax).map_err(|problem| self.problem(&name, problem))?,
            xattrs: self.xattrs(&name, &mut pax)?,
            kind: self.kind(header, &name, link, &mut pax)?,
            links: 1,
        };
        let placed = self.place(&path, node);
        placed.map(|_| ()).map_err(|problem| self.problem(&name, problem))
    }

    fn place(&mut self, path: &[&[u8]], node: Node) -> Result<NodeId, EntryProblem> {
        let Some((name, parents)) = path.split_last() else {
            if !matches!(node.kind, Kind::Folder(_)) {
                return Err(EntryProblem::RootNotFolder);
            }
            let root = self.tree.node_mut(ROOT);
            root.meta = node.meta;
            root.xattrs = node.xattrs;
            return Ok(ROOT);
        };
        let parent = self.parent(parents)?;
        self.refuse_second(parent, name, matches!(node.kind, Kind::Folder(_)))?;
        self.tree.insert(parent, name, node)
    }

    /// Of an exact tree, each name comes once; but a folder may be described after what is in it.
    fn refuse_second(&self, parent: NodeId, name: &[u8], is_folder: bool) -> Result<(), EntryProblem> {
        match self.tree.child(parent, name)?.filter(|_| self.options.reading == Reading::Exact) {
            Some(there) if is_folder && matches!(self.tree.node(there).kind, Kind::Folder(_)) => Ok(()),
            Some(_) => Err(EntryProblem::Twice),
            None => Ok(()),
        }
    }

    fn parent(&mut self, parents: &[&[u8]]) -> Result<NodeId, EntryProblem> {
        let implied = Meta::implied_folder(self.options.source_date_epoch);
        Ok(self.tree.folder(parents, Some(implied))?.unwrap_or(ROOT))
    }

    fn hard_link(&mut self, name: &[u8], path: &[&[u8]], link: &[u8]) -> Result<(), VolumeError> {
        let linked = components(link)
            .map_err(|problem| EntryProblem::LinkTarget { target: lossy(link), problem: Box::new(problem) })
            .and_then(|target| self.make_link(path, &target, link));
        linked.map_err(|problem| self.problem(name, problem))
    }

    fn make_link(&mut self, path: &[&[u8]], target: &[&[u8]], shown: &[u8]) -> Result<(), EntryProblem> {
        let missing = || EntryProblem::LinkTargetMissing { target: lossy(shown) };
        let folder = || EntryProblem::LinkToFolder { target: lossy(shown) };
        let (last, parents) = target.split_last().ok_or_else(folder)?;
        let parent = self.tree.folder(parents, None).map_err(|problem| EntryProblem::LinkTarget {
            target: lossy(shown),
            problem: Box::new(problem),
        })?;
        let id = self.tree.child(parent.ok_or_else(missing)?, last)?.ok_or_else(missing)?;
        if matches!(self.tree.node(id).kind, Kind::Folder(_)) {
            return Err(folder());
        }
        let (name, parents) = path.split_last().ok_or(EntryProblem::RootNotFolder)?;
        let parent = self.parent(parents)?;
        self.refuse_second(parent, name, false)?;
        self.tree.link(parent, name, id)
    }

    fn meta(&self, header: &Header, pax: &Pax) -> Result<Meta, EntryProblem> {
        let id = |what: &str, number: i64| {
            u32::try_from(number)
                .ok()
                .filter(|id| *id != u32::MAX)
                .ok_or_else(|| EntryProblem::BadExtension(format!("{what} {number} is not possible")))
        };
        let (uid, gid) = match self.options.owner {
            Owner::Root => (0, 0),
            Owner::Keep => {
                (id("user", pax.uid.unwrap_or(header.uid))?, id("group", pax.gid.unwrap_or(header.gid))?)
            }
        };
        let mtime = pax.mtime.unwrap_or(header.mtime).clamp(self.options.source_date_epoch);
        Ok(Meta { mode: header.mode, uid, gid, mtime })
    }

    fn xattrs(&mut self, name: &[u8], pax: &mut Pax) -> Result<Vec<Xattr>, VolumeError> {
        let mut size = 0;
        let mut found = Vec::new();
        for what in pax.lost() {
            let what = match what.strip_prefix("SCHILY.acl.") {
                Some(_) => format!("the access control list (ACL) {what}"),
                None => what.to_owned(),
            };
            self.warnings.push(format!(
                "{}: {}: {what} is left out; pack with GNU tar's `tar --xattrs --xattrs-include='*'` to keep it",
                self.path.display(),
                lossy(name)
            ));
        }
        for (attribute, value) in std::mem::take(&mut pax.xattrs) {
            if !supported(&attribute) {
                self.warnings.push(format!(
                    "{}: {}: the extended attribute {attribute:?} is left out: ext4 has no such namespace",
                    self.path.display(),
                    lossy(name)
                ));
                continue;
            }
            size += attribute.len() + value.len();
            if size > MAX_XATTRS {
                let why = format!("ext4 holds at most {MAX_XATTRS} bytes of them per file");
                return Err(self.problem(name, EntryProblem::BadXattr { name: attribute.into(), why }));
            }
            found.push((attribute, value));
        }
        Ok(found)
    }

    fn kind(
        &mut self,
        header: &Header,
        name: &[u8],
        link: Vec<u8>,
        pax: &mut Pax,
    ) -> Result<Kind, VolumeError> {
        let size = pax.size.unwrap_or(header.size);
        let slash = name.ends_with(b"/");
        Ok(match header.kind {
            // Before POSIX, a folder was a file whose name ended in a slash.
            RawKind::Folder => Kind::Folder(BTreeMap::new()),
            RawKind::File if slash && size == 0 => Kind::Folder(BTreeMap::new()),
            RawKind::File => match sparse::pax_map(&mut self.stream, size, &pax.sparse) {
                Ok(None) => Kind::File(self.file(size)?),
                Ok(Some(map)) => Kind::File(self.sparse_file(name, &map)?),
                Err(error) => return Err(self.explain(name, error)),
            },
            RawKind::GnuSparse => match sparse::gnu_map(&mut self.stream, header, size) {
                Ok(map) => Kind::File(self.sparse_file(name, &map)?),
                Err(error) => return Err(self.explain(name, error)),
            },
            RawKind::Symlink => Kind::Symlink(link.into()),
            RawKind::Char | RawKind::Block => {
                let (major, minor) = header.device;
                let number = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
                let (major, minor) = (number(major), number(minor));
                if header.kind == RawKind::Char {
                    Kind::Char { major, minor }
                } else {
                    Kind::Block { major, minor }
                }
            }
            RawKind::Fifo => Kind::Fifo,
            kind => {
                let (kind, why) = kind.unsupported();
                return Err(self.problem(name, EntryProblem::UnknownKind { kind, why }));
            }
        })
    }

    /// A file whose bytes follow in the archive.
    fn file(&mut self, size: u64) -> Result<FileData, VolumeError> {
        if size == 0 {
            return Ok(FileData { size, source: Source::Empty, data: None });
        }
        if let Some(offset) = self.stream.skip_in_place(size)? {
            let mut data = FileData { size, source: Source::Archive(offset), data: None };
            if size >= super::content::SPARSE_FROM {
                data.data = self.tree.contents.open(&data)?.data_ranges(None)?;
            }
            return Ok(data);
        }
        let spool = Spool::get(&mut self.spool, self.options.temp_dir.as_deref())?;
        let (offset, data) = spool.append(&mut self.stream, size)?;
        self.stream.pad(size)?;
        Ok(FileData { size, source: Source::Spool(offset), data })
    }

    /// A file of which the archive holds only the ranges of `map`.
    fn sparse_file(&mut self, name: &[u8], map: &sparse::Map) -> Result<FileData, VolumeError> {
        let size = map.size;
        if size > super::tree::MAX_FILE {
            return Err(self.problem(name, EntryProblem::FileTooLarge { size }));
        }
        let spool = Spool::get(&mut self.spool, self.options.temp_dir.as_deref())?;
        let (offset, data) = spool.append_sparse(&mut self.stream, map.size, &map.ranges)?;
        self.stream.skip(map.rest)?;
        self.stream.pad(map.stored)?;
        let source = if size == 0 { Source::Empty } else { Source::Spool(offset) };
        Ok(FileData { size, source, data })
    }

    fn problem(&self, entry: &[u8], problem: EntryProblem) -> VolumeError {
        VolumeError::Entry { path: self.path.into(), entry: lossy(entry), problem }
    }

    fn explain(&self, entry: &[u8], error: sparse::MapError) -> VolumeError {
        match error {
            sparse::MapError::Stream(error) => error,
            sparse::MapError::Wrong(why) => self.problem(entry, EntryProblem::BadExtension(why)),
        }
    }
}

/// The components of an entry's path; none for the root. A leading `/` and `.` are dropped, as tar does.
fn components(name: &[u8]) -> Result<Vec<&[u8]>, EntryProblem> {
    let mut found = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        if part.is_empty() || part == b"." {
            continue;
        }
        super::tree::check_name(part)?;
        found.push(part);
    }
    Ok(found)
}

/// The pieces of a buffer that hold data, as ranges of a file; see [`super::content`].
fn join(ranges: &mut Vec<Range>, offset: u64, len: u64) {
    debug_assert!(offset.is_multiple_of(PIECE), "pieces are aligned");
    match ranges.last_mut() {
        Some(last) if last.offset + last.len == offset => last.len += len,
        _ => ranges.push(Range { offset, len }),
    }
}
