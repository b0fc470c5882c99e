//! A tar as a [`Tree`].
//!
//! Extension headers are read here, not by the `tar` crate: the crate cuts PAX records at line breaks, so that a binary
//! attribute with a byte 10 in it (a capability set, the id in an access list) ends all records of its file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use tar::{Archive, EntryType, Header};

use super::{Device, Entry, Kind, Mtime, Name, Tree, TreeError};

/// Extension headers are names and attributes; a longer one is not a system's tar.
const LONGEST_EXTENSION: u64 = 1 << 20;

const XATTR: &[u8] = b"SCHILY.xattr.";

pub(super) fn read(path: &Path) -> Result<Tree, TreeError> {
    let io = |what| move |source| TreeError::Io { path: path.into(), what, source };
    let file = File::open(path).map_err(io("opening the tar"))?;
    let mut archive = Archive::new(BufReader::with_capacity(1 << 20, file));
    let mut members = Members { tar: path, inodes: Vec::new(), paths: BTreeMap::new() };
    let mut pending = Pending::default();
    for member in archive.entries().map_err(io("reading the tar"))?.raw(true) {
        let mut member = member.map_err(io("reading a tar header"))?;
        let at = member.raw_header_position();
        let header = member.header().clone();
        let extension = match header.entry_type() {
            EntryType::XHeader => Some(&mut pending.pax),
            EntryType::GNULongName => Some(&mut pending.long_name),
            EntryType::GNULongLink => Some(&mut pending.long_link),
            EntryType::XGlobalHeader => {
                return Err(TreeError::Unsupported { path: path.into(), what: "a global PAX header", at });
            }
            _ => None,
        };
        if let Some(extension) = extension {
            if member.size() > LONGEST_EXTENSION || !extension.is_empty() {
                return Err(TreeError::Damaged {
                    path: path.into(),
                    what: "an extension header too long or doubled",
                    at,
                });
            }
            member.read_to_end(extension).map_err(io("reading a tar extension header"))?;
            continue;
        }
        let pending = std::mem::take(&mut pending);
        members.add(&header, at, &pending, &mut member)?;
    }
    Ok(members.finish())
}

/// What extension headers said about the member that follows.
#[derive(Default)]
struct Pending {
    pax: Vec<u8>,
    long_name: Vec<u8>,
    long_link: Vec<u8>,
}

/// Members so far: paths that are hard links share an inode.
struct Members<'a> {
    tar: &'a Path,
    inodes: Vec<Entry>,
    paths: BTreeMap<Name, usize>,
}

impl Members<'_> {
    fn add(
        &mut self,
        header: &Header,
        at: u64,
        pending: &Pending,
        data: &mut impl Read,
    ) -> Result<(), TreeError> {
        let damaged = |what| TreeError::Damaged { path: self.tar.into(), what, at };
        let pax = records(&pending.pax).ok_or_else(|| damaged("a malformed PAX record"))?;
        let field = |key: &str| pax.get(key.as_bytes()).copied();
        if pax.keys().any(|key| key.starts_with(b"GNU.sparse."))
            || header.entry_type() == EntryType::GNUSparse
        {
            return Err(TreeError::Unsupported { path: self.tar.into(), what: "a sparse member", at });
        }
        let size = header.entry_size().map_err(|_| damaged("a malformed size"))?;
        if field("size").is_some_and(|text| number(text) != Some(size)) {
            return Err(TreeError::Unsupported {
                path: self.tar.into(),
                what: "a size that only PAX gives",
                at,
            });
        }
        let name = match field("path") {
            Some(path) => normal(path),
            None if !pending.long_name.is_empty() => normal(until_nul(&pending.long_name)),
            None => normal(&header.path_bytes()),
        };
        let link = match field("linkpath") {
            Some(path) => path.to_vec(),
            None if !pending.long_link.is_empty() => until_nul(&pending.long_link).to_vec(),
            None => header.link_name_bytes().map(Cow::into_owned).unwrap_or_default(),
        };
        if header.entry_type() == EntryType::Link {
            let target = self.paths.get(&normal(&link)).copied();
            let target = target.ok_or_else(|| damaged("a hard link to a path that did not come before"))?;
            self.paths.insert(name, target);
            return Ok(());
        }
        let device =
            || Some(Device { major: header.device_major().ok()??, minor: header.device_minor().ok()?? });
        let device = || device().ok_or_else(|| damaged("a device without a number"));
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let (size, sha256) = digest(data).map_err(|source| TreeError::Io {
                    path: self.tar.into(),
                    what: "reading a member",
                    source,
                })?;
                Kind::File { size, sha256 }
            }
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink(link),
            EntryType::Char => Kind::CharDevice(device()?),
            EntryType::Block => Kind::BlockDevice(device()?),
            EntryType::Fifo => Kind::Fifo,
            _ => {
                return Err(TreeError::Unsupported {
                    path: self.tar.into(),
                    what: "a member of an unknown type",
                    at,
                });
            }
        };
        if let Kind::File { size: read, .. } = kind
            && read != size
        {
            return Err(damaged("a member that ends early"));
        }
        let id = |key, in_header: io::Result<u64>| {
            let id = field(key).map_or(in_header.ok(), number);
            id.and_then(|id| u32::try_from(id).ok()).ok_or_else(|| damaged("a malformed owner"))
        };
        let mtime = match field("mtime") {
            Some(text) => decimal(text),
            None => header
                .mtime()
                .ok()
                .and_then(|s| i64::try_from(s).ok())
                .map(|seconds| Mtime { seconds, nanos: 0 }),
        };
        let mode = header.mode().ok().and_then(|mode| u16::try_from(mode & 0o7777).ok());
        let entry = Entry {
            kind,
            mode: mode.ok_or_else(|| damaged("a malformed mode"))?,
            uid: id("uid", header.uid())?,
            gid: id("gid", header.gid())?,
            mtime: mtime.ok_or_else(|| damaged("a malformed time"))?,
            xattrs: pax
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(XATTR)?.to_vec(), value.to_vec())))
                .collect(),
            hard_link: None,
        };
        self.paths.insert(name, self.inodes.len());
        self.inodes.push(entry);
        Ok(())
    }

    fn finish(self) -> Tree {
        let mut groups: BTreeMap<usize, Vec<Name>> = BTreeMap::new();
        for (name, inode) in self.paths {
            groups.entry(inode).or_default().push(name);
        }
        super::tree_of(
            groups.into_iter().filter_map(|(inode, names)| Some((self.inodes.get(inode)?.clone(), names))),
        )
    }
}

/// PAX records: `<length> <key>=<value>\n`, where the length counts itself and the value may hold any byte.
fn records(mut bytes: &[u8]) -> Option<BTreeMap<&[u8], &[u8]>> {
    let mut found = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let length = usize::try_from(number(bytes.get(..space)?)?).ok()?;
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        found.insert(record.get(..equals)?, record.get(equals + 1..)?);
        bytes = bytes.get(length..)?;
    }
    Some(found)
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `1700000000.25`, also negative.
fn decimal(text: &[u8]) -> Option<Mtime> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    // A negative time with a fraction lies before the whole second.
    if whole.starts_with('-') && nanos > 0 {
        return Some(Mtime { seconds: seconds.checked_sub(1)?, nanos: 1_000_000_000 - nanos });
    }
    Some(Mtime { seconds, nanos })
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Without `./`, doubled, leading or trailing `/`.
fn normal(path: &[u8]) -> Name {
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    parts.join(&b'/')
}

fn digest(data: &mut impl Read) -> io::Result<(u64, [u8; 32])> {
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let n = data.read(&mut buffer)?;
        if n == 0 {
            return Ok((size, sha.finalize().into()));
        }
        sha.update(buffer.get(..n).unwrap_or_default());
        size += n as u64;
    }
}
