//! `site`.
use super::Out;
use super::place::Place;
use crate::answer::{Answer, SiteWritten, path_text};
use crate::clock::{Clock, HostClock};
use crate::disk;
use crate::error::Error;
use crate::output::{self, Access, Existing};
use crate::repository::delta_file;
use crate::repository::inventory::Inventory;
use crate::repository::roots::Roots;
use crate::repository::site::{Card, Site, about, downloads, imager, page};
use crate::repository::store::{Missing, Store, StoreError};
use bistable_format::name::check_name;
use bistable_format::{Digest, Hasher};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The page.
const PAGE: &str = "index.html";
/// Raspberry Pi Imager's list.
const LIST: &str = "rpi-imager.json";
/// Bytes of that list at most.
const LIST_MAX: usize = 1 << 20;

/// Arguments of `site`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write `index.html`, and with --card `rpi-imager.json`. Default: into the repository
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The page's name.
    #[arg(long, default_value = "Releases")]
    title: String,
    /// Where devices and people find all this: https://updates.example.com.
    #[arg(long, value_name = "URL", value_parser = address)]
    url: Option<String>,
    /// A card image for Raspberry Pi Imager's list, not compressed. It is to be found below the URL. Repeat it for more: they are
    /// the whole list. Without one, a list that is there stays as it is
    #[arg(long, value_name = "X.img", requires = "url")]
    card: Vec<PathBuf>,
    /// Board that the card images are for. Repeat it for more.
    #[arg(long, default_value = "pi4", value_parser = board)]
    board: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// An address below which files are found: nothing comes after its path.
fn address(text: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        format!("{why}: give one like https://updates.example.com or https://example.com/releases")
    };
    let url = reqwest::Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
    match (url.scheme(), url.query(), url.fragment()) {
        ("http" | "https", None, None) => Ok(text.into()),
        ("http" | "https", ..) => Err(wrong("an address with ? or # has no files below it")),
        _ => Err(wrong("browsers and devices don't fetch from there")),
    }
}

fn board(text: &str) -> Result<String, String> {
    check_name("board", text).map_err(|e| e.to_string())?;
    Ok(text.into())
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let inventory = Inventory::read(&store, &roots, None)?;
    let deltas = delta_file::all(&store, &roots)?.good;
    let about = about(&store, &roots, &inventory)?;
    let now = HostClock.now();
    let (title, url) = (args.title.as_str(), args.url.as_deref());
    let base = url.map(|url| url.trim_end_matches('/'));
    let cards = args.card.iter().map(|path| card(path, base.unwrap_or_default(), &args.board, now));
    let cards = cards.collect::<Result<Vec<_>, Error>>()?;
    let place = Target { store: &store, folder: args.out.as_deref() };
    let list = (!cards.is_empty()).then(|| format!("{:#}\n", imager(&cards)));
    let there = if list.is_none() { place.list()? } else { None };
    let downloads = downloads(list.as_deref().map_or(there.as_deref().unwrap_or_default(), str::as_bytes));
    let files = base.map(|base| format!("{base}/")).or_else(|| args.out.is_none().then(String::new));
    let html = page(&Site {
        title,
        url,
        inventory: &inventory,
        deltas: &deltas,
        about: &about,
        downloads: &downloads,
        files,
        now,
    });
    let mut written = Vec::new();
    for (name, content) in [(PAGE, Some(&html)), (LIST, list.as_ref())] {
        if let Some(content) = content {
            written.push(place.write(name, content)?);
        }
    }
    let text: String = written.iter().map(|path| format!("{path}\n")).collect();
    let answer = SiteWritten { files: written, channels: inventory.channels.len(), cards: cards.len() };
    out.result(Answer::SiteWritten(answer), &text)
}

/// Where the files go.
struct Target<'a> {
    store: &'a Store,
    /// A folder; the repository if there is none.
    folder: Option<&'a Path>,
}

impl Target<'_> {
    /// Raspberry Pi Imager's list that is there already; none if it has more bytes than such a list.
    fn list(&self) -> Result<Option<Vec<u8>>, Error> {
        match self.folder {
            None => match self.store.get(LIST, LIST_MAX) {
                Err(StoreError::TooLarge { .. }) => Ok(None),
                list => Ok(list?),
            },
            // The page is written even if the list can't be read.
            Some(folder) => Ok(output::read_limited(&folder.join(LIST), LIST_MAX).ok()),
        }
    }

    /// Write a file, and tell where it is.
    fn write(&self, name: &str, content: &str) -> Result<String, Error> {
        let Some(folder) = self.folder else {
            self.store.put(name, content.as_bytes())?;
            return Ok(format!("{}/{name}", self.store.place()));
        };
        std::fs::create_dir_all(folder).map_err(output::OutputError::io("make", folder))?;
        let path = folder.join(name);
        output::write(&path, content.as_bytes(), Existing::Replace, Access::Public)?;
        Ok(path_text(&path))
    }
}

fn card(path: &Path, base: &str, boards: &[String], now: u64) -> Result<Card, Error> {
    let unread = |e: io::Error| output::OutputError::io("read", path)(e);
    let mut file = File::open(path).map_err(unread)?;
    let size = file.metadata().map_err(unread)?.len();
    disk::read_table(&file, size).map_err(|why| {
        let path = path.display();
        Error::Usage(format!(
            "{path} is not a card image ({why}): make one with `bistable-image card`, and leave it unpacked"
        ))
    })?;
    let (mut hasher, mut buffer, mut bytes) = (Hasher::new(), vec![0; 1 << 20], 0_u64);
    loop {
        let n = file.read(&mut buffer).map_err(unread)?;
        if n == 0 {
            break;
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
        bytes += n as u64;
    }
    let digest: Digest = hasher.finish();
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Card {
        url: format!("{base}/{}", escaped(&name)),
        description: "A card with A/B updates".into(),
        name,
        boards: boards.to_vec(),
        made: now,
        bytes,
        digest,
        raw_bytes: bytes,
        raw_digest: digest,
    })
}

/// A file's name as part of a URL: all but RFC 3986's unreserved characters are percent-encoded.
fn escaped(name: &str) -> String {
    let mut url = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}
