//! The list that Raspberry Pi Imager shows (`rpi-imager --repo URL`): card images, as `bistable-image card` makes them.
//!
//! The form is that of Raspberry Pi's own list, `os_list_imagingutility_v4.json`, as its schema in the sources of rpi-imager
//! describes it (`doc/json-schema/os-list-schema.json`): for an image it demands `name`, `description`, `icon`, `url`,
//! `extract_size`, `extract_sha256`, `image_download_size` and `release_date`. Without `init_format` the imager offers no settings,
//! which would be written into files that an update replaces.
use bistable_format::Digest;
use serde_json::{Value, json};

/// Card images on the page at most.
const DOWNLOADS: usize = 100;

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

/// A card image in the list, for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// What the list shows.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// The day on which it was made.
    pub day: String,
    /// Bytes to download.
    pub bytes: u64,
    /// SHA-256 of the download.
    pub sha256: String,
}

/// The card images that a list offers, ours or another tool's. Entries without a web address are passed over.
pub fn downloads(list: &[u8]) -> Vec<Download> {
    let list: Value = serde_json::from_slice(list).unwrap_or_default();
    let items = list.get("os_list").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let download = |item: &Value| {
        let text = |name| item.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let url = text("url").filter(|url| url.starts_with("https://") || url.starts_with("http://"))?;
        Some(Download {
            name: text("name")?,
            url,
            day: text("release_date").unwrap_or_default(),
            bytes: item.get("image_download_size")?.as_u64()?,
            sha256: text("image_download_sha256").unwrap_or_default(),
        })
    };
    items.iter().filter_map(download).take(DOWNLOADS).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_is_written_and_others_only_as_far_as_they_name_images() {
        let card = Card {
            name: "card.img".into(),
            description: String::new(),
            url: "https://x.example/card.img".into(),
            boards: vec!["pi4".into()],
            made: 1_700_000_000,
            bytes: 7,
            digest: Digest([1; 32]),
            raw_bytes: 7,
            raw_digest: Digest([1; 32]),
        };
        let list = imager(&[card]).to_string();
        let [read] = downloads(list.as_bytes()).try_into().unwrap();
        assert_eq!((read.name.as_str(), read.bytes, read.day.as_str()), ("card.img", 7, "2023-11-14"));
        assert_eq!(
            (read.url.as_str(), read.sha256),
            ("https://x.example/card.img", Digest([1; 32]).to_string())
        );
        for other in [
            "",
            "[]",
            "{}",
            r#"{"os_list":7}"#,
            r#"{"os_list":[7,{"name":"a"}]}"#,
            r#"{"os_list":[{"name":"a","url":"javascript:alert(1)","image_download_size":1}]}"#,
            r#"{"os_list":[{"name":"a","url":"https://a","image_download_size":"1"}]}"#,
        ] {
            assert_eq!(downloads(other.as_bytes()), [], "{other}");
        }
        let many = format!(
            r#"{{"os_list":[{}]}}"#,
            vec![r#"{"name":"a","url":"https://a","image_download_size":1}"#; 101].join(",")
        );
        assert_eq!(downloads(many.as_bytes()).len(), DOWNLOADS);
    }
}
