//! The list that Raspberry Pi Imager shows (`rpi-imager --repo URL`): card images, as `bistable-image card` makes them.
//!
//! The form is that of Raspberry Pi's own list, `os_list_imagingutility_v4.json`, as its schema in the sources of rpi-imager
//! describes it (`doc/json-schema/os-list-schema.json`): for an image it demands `name`, `description`, `icon`, `url`,
//! `extract_size`, `extract_sha256`, `image_download_size` and `release_date`. Without `init_format` the imager offers no settings,
//! which would be written into files that an update replaces.
use bistable_format::Digest;
use serde_json::{Value, json};

/// A card image that people flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// What the list shows.
    pub name: String,
    /// A line below it.
    pub description: String,
    /// Where it is.
    pub url: String,
    /// Boards, as releases name them.
    pub boards: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// Bytes to download.
    pub bytes: u64,
    /// SHA-256 of the download.
    pub digest: Digest,
    /// Bytes on the card.
    pub raw_bytes: u64,
    /// SHA-256 of what is on the card.
    pub raw_digest: Digest,
}

/// The list.
pub fn imager(cards: &[Card]) -> Value {
    json!({ "os_list": cards.iter().map(item).collect::<Vec<_>>() })
}

fn item(card: &Card) -> Value {
    let day = i64::try_from(card.made).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    json!({
        "name": card.name,
        "description": card.description,
        "icon": "",
        "url": card.url,
        "release_date": day.map(|t| t.strftime("%Y-%m-%d").to_string()).unwrap_or_default(),
        "image_download_size": card.bytes,
        "image_download_sha256": card.digest.to_string(),
        "extract_size": card.raw_bytes,
        "extract_sha256": card.raw_digest.to_string(),
        "devices": devices(&card.boards),
    })
}

/// The tags by which the imager knows which boards an image is for.
fn devices(boards: &[String]) -> Vec<String> {
    let mut tags = Vec::new();
    for board in boards {
        let tag = match board.as_str() {
            "pi5" | "cm5" => "pi5-64bit",
            "pi4" | "cm4" => "pi4-64bit",
            "pi3" | "cm3" | "zero2" => "pi3-64bit",
            other => other,
        };
        if !tags.iter().any(|t| t == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}
