//! `site`.
use super::Out;
use super::place::Place;
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::output::{self, Access, Existing};
use crate::repository::holdings::Holdings;
use crate::repository::roots::Roots;
use crate::repository::site::{Card, Site, imager, page};
use crate::repository::store::Missing;
use bistable_format::{Digest, Hasher};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Arguments of `site`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write `index.html` and `rpi-imager.json`; into the repository itself if this is left out.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The page's name.
    #[arg(long, default_value = "Releases")]
    title: String,
    /// Where devices and people find all this: https://updates.example.com.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A card image for Raspberry Pi Imager's list. It is to be found below the URL. Repeat it for more.
    #[arg(long, value_name = "X.img", requires = "url")]
    card: Vec<PathBuf>,
    /// Board that the card images are for. Repeat it for more.
    #[arg(long, default_value = "pi4")]
    board: Vec<String>,
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let holdings = Holdings::read(&store, &Roots::load(&store)?, None)?;
    let now = HostClock.now();
    let html = page(&Site { title: &args.title, url: args.url.as_deref(), holdings: &holdings, now });
    let base = args.url.as_deref().unwrap_or_default().trim_end_matches('/');
    let cards = args
        .card
        .iter()
        .map(|path| card(path, base, &args.board, now).map_err(output::OutputError::io("read", path)))
        .collect::<Result<Vec<_>, _>>()?;
    let list = format!("{:#}\n", imager(&cards));
    let mut written = Vec::new();
    for (name, content) in [("index.html", &html), ("rpi-imager.json", &list)] {
        match &args.out {
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(output::OutputError::io("make", folder))?;
                let path = folder.join(name);
                output::write(&path, content.as_bytes(), Existing::Replace, Access::Public)?;
                written.push(path.display().to_string());
            }
            None => {
                store.put(name, content.as_bytes())?;
                written.push(format!("{}/{name}", store.place()));
            }
        }
    }
    let text: String = written.iter().map(|path| format!("{path}\n")).collect();
    out.result(json!({ "files": written, "channels": holdings.channels.len(), "cards": cards.len() }), &text)
}

fn card(path: &Path, base: &str, boards: &[String], now: u64) -> io::Result<Card> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer, mut bytes) = (Hasher::new(), vec![0; 1 << 20], 0_u64);
    loop {
        let n = file.read(&mut buffer)?;
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
