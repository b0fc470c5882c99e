//! A large file from a server: resumed where it was cut off, and compared with its digest.
use super::cache::Cache;
use super::error::FetchError;
use super::web::{Ask, Web, shown};
use crate::output::OutputError;
use crate::progress::{Progress, Stage};
use bistable_format::{Digest, Hasher};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Connections that may break without having brought anything.
const FRUITLESS: u32 = 3;
/// What is read at a time.
const PIECE: usize = 256 << 10;

/// What is to be downloaded.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) ask: Ask<'a>,
    /// For messages.
    pub(super) what: String,
    pub(super) bytes: u64,
    /// Its SHA-256, if the server said it before.
    pub(super) digest: Option<Digest>,
}

/// Progress that never goes back, although a file may be begun again.
struct Told<'a> {
    progress: &'a dyn Progress,
    most: Cell<u64>,
}

impl Told<'_> {
    fn advance(&self, have: u64) {
        if have > self.most.get() {
            self.most.set(have);
            self.progress.advance(Stage::Fetch, have);
        }
    }
}

/// A complete file in the cache. It is removed with this value: what isn't complete stays, so that it can be resumed.
#[derive(Debug)]
pub struct Downloaded {
    path: PathBuf,
    digest: Digest,
    // Locked as long as it is used.
    _file: File,
}

impl Downloaded {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its SHA-256.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Drop for Downloaded {
    fn drop(&mut self) {
        // What can't be removed is used or overwritten the next time.
        let _ = fs::remove_file(&self.path);
    }
}

/// Download it, or what of it isn't there yet.
pub(super) fn download(
    web: &Web,
    cache: &Cache,
    wanted: &Wanted<'_>,
    progress: &dyn Progress,
) -> Result<Downloaded, FetchError> {
    // What is known by its digest is the same file wherever it comes from.
    let name = match wanted.digest {
        Some(digest) => digest.to_string(),
        None => format!("{} {}", wanted.ask.url, wanted.bytes),
    };
    let (file, path) = cache.file(&name)?;
    let failed = |e| OutputError::io("write", &path)(e);
    let mut have = file.metadata().map_err(failed)?.len();
    if have > wanted.bytes || (wanted.digest.is_none() && have > 0) {
        // Without a digest it can't be told whether the server still has the same file.
        have = 0;
    }
    let resumed = have > 0;
    file.set_len(have).map_err(failed)?;
    progress.begin(Stage::Fetch, wanted.bytes);
    let told = Told { progress, most: Cell::new(0) };
    complete(web, wanted, &file, &path, have, &told)?;
    let mut digest = hash(&file, &path)?;
    if resumed && wanted.digest.is_some_and(|wanted| wanted != digest) {
        // What an earlier attempt left was wrong, perhaps: once more from the beginning.
        file.set_len(0).map_err(failed)?;
        complete(web, wanted, &file, &path, 0, &told)?;
        digest = hash(&file, &path)?;
    }
    progress.end(Stage::Fetch);
    if let Some(said) = wanted.digest.filter(|said| *said != digest) {
        file.set_len(0).map_err(failed)?;
        return Err(FetchError::Digest { what: wanted.what.clone(), wanted: said, found: digest });
    }
    Ok(Downloaded { path, digest, _file: file })
}

/// Ask for what is missing until nothing is.
fn complete(
    web: &Web,
    wanted: &Wanted<'_>,
    file: &File,
    path: &Path,
    mut have: u64,
    told: &Told<'_>,
) -> Result<(), FetchError> {
    let mut fruitless = 0;
    while have < wanted.bytes {
        let before = have;
        have = some(web, wanted, file, path, have, told)?;
        fruitless = if have > before { 0 } else { fruitless + 1 };
        if fruitless == FRUITLESS {
            return Err(FetchError::Cut { at: shown(wanted.ask.url), have, wanted: wanted.bytes });
        }
    }
    Ok(())
}

/// One answer, as far as it comes. Gives the bytes that the file has then.
fn some(
    web: &Web,
    wanted: &Wanted<'_>,
    mut file: &File,
    path: &Path,
    have: u64,
    told: &Told<'_>,
) -> Result<u64, FetchError> {
    let failed = |e| OutputError::io("write", path)(e);
    let mut ask = wanted.ask.clone();
    if have > 0 {
        ask.headers.push(("range", format!("bytes={have}-")));
    }
    let mut reply = web.get(&ask)?;
    let at = match reply.status {
        206 if begins_at(reply.header("content-range"), have) => have,
        // Everything again: the server doesn't know ranges, or has none such.
        200 => 0,
        status => {
            let problem = format!("the server answers {status}, and not with the rest of the file");
            return Err(FetchError::Protocol { at: shown(ask.url), problem });
        }
    };
    file.set_len(at).map_err(failed)?;
    file.seek(SeekFrom::Start(at)).map_err(failed)?;
    let (mut have, mut piece) = (at, vec![0; PIECE]);
    loop {
        let got = match reply.body.read(&mut piece) {
            Ok(0) => return Ok(have),
            Ok(got) => got,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            // The rest is asked for again.
            Err(_) => return Ok(have),
        };
        if have + got as u64 > wanted.bytes {
            return Err(FetchError::TooLarge { at: shown(ask.url), limit: wanted.bytes });
        }
        file.write_all(piece.get(..got).unwrap_or_default()).map_err(failed)?;
        have += got as u64;
        told.advance(have);
    }
}

/// Whether a part begins where it has to.
fn begins_at(range: Option<&str>, have: u64) -> bool {
    let from = range.and_then(|text| text.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok());
    from == Some(have) && have > 0
}

fn hash(mut file: &File, path: &Path) -> Result<Digest, FetchError> {
    let failed = |e| OutputError::io("read", path)(e);
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let (mut hasher, mut piece) = (Hasher::new(), vec![0; PIECE]);
    loop {
        let got = file.read(&mut piece).map_err(failed)?;
        if got == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(piece.get(..got).unwrap_or_default());
    }
}
