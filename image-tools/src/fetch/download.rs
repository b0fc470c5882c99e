//! A large file from a server: resumed where it was cut off, and compared with its digest.
use super::cache::Cache;
use super::error::FetchError;
use super::web::{Reply, shown};
use crate::output::OutputError;
use crate::progress::{Progress, Stage};
use bistable_format::{Digest, Hasher};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use url::Url;

/// Connections that may break without having brought anything.
const FRUITLESS: u32 = 3;
/// What is read at a time.
const PIECE: usize = 256 << 10;

/// Asks for the file, with further headers.
type Open<'a> = dyn Fn(&[(&'static str, String)]) -> Result<Reply, FetchError> + 'a;

/// What is to be downloaded.
pub(super) struct Wanted<'a> {
    pub(super) url: &'a Url,
    pub(super) open: &'a Open<'a>,
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

/// Download what of it isn't there yet, and give it this name, in the same file system as the cache. Gives its SHA-256. What comes of
/// an attempt that fails stays in the cache.
pub(super) fn download(
    cache: &Cache,
    wanted: &Wanted<'_>,
    to: &Path,
    progress: &dyn Progress,
) -> Result<Digest, FetchError> {
    // What is known by its digest is the same file wherever it comes from.
    let name = match wanted.digest {
        Some(digest) => digest.to_string(),
        None => format!("{} {}", wanted.url, wanted.bytes),
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
    complete(wanted, &file, &path, have, &told)?;
    let mut digest = hash(&file, &path)?;
    if resumed && wanted.digest.is_some_and(|wanted| wanted != digest) {
        // What an earlier attempt left was wrong, perhaps: once more from the beginning.
        file.set_len(0).map_err(failed)?;
        complete(wanted, &file, &path, 0, &told)?;
        digest = hash(&file, &path)?;
    }
    progress.end(Stage::Fetch);
    if let Some(said) = wanted.digest.filter(|said| *said != digest) {
        file.set_len(0).map_err(failed)?;
        return Err(FetchError::Digest { what: wanted.what.clone(), wanted: said, found: digest });
    }
    // The cache has only what isn't complete: nothing grows there, and no process waits long for another.
    fs::hard_link(&path, to).map_err(OutputError::io("create", to))?;
    fs::remove_file(&path).map_err(OutputError::io("remove", &path))?;
    Ok(digest)
}

/// Ask for what is missing until nothing is.
fn complete(
    wanted: &Wanted<'_>,
    file: &File,
    path: &Path,
    mut have: u64,
    told: &Told<'_>,
) -> Result<(), FetchError> {
    let mut fruitless = 0;
    while have < wanted.bytes {
        let before = have;
        have = some(wanted, file, path, have, told)?;
        fruitless = if have > before { 0 } else { fruitless + 1 };
        if fruitless == FRUITLESS {
            return Err(FetchError::Cut { at: shown(wanted.url), have, wanted: wanted.bytes });
        }
    }
    Ok(())
}

/// One answer, as far as it comes. Gives the bytes that the file has then.
fn some(
    wanted: &Wanted<'_>,
    mut file: &File,
    path: &Path,
    have: u64,
    told: &Told<'_>,
) -> Result<u64, FetchError> {
    let failed = |e| OutputError::io("write", path)(e);
    let range = [("range", format!("bytes={have}-"))];
    let mut reply = (wanted.open)(if have > 0 { &range } else { &[] })?;
    let at = match reply.status {
        206 if begins_at(reply.header("content-range"), have) => have,
        // Everything again: the server doesn't know ranges, or has none such.
        200 => 0,
        status => {
            let problem = format!("the server answers {status}, and not with the rest of the file");
            return Err(FetchError::Protocol { at: shown(wanted.url), problem });
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
            return Err(FetchError::TooLarge { at: shown(wanted.url), limit: wanted.bytes });
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
