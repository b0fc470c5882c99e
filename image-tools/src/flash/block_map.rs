//! Reads the block map beside a card image: bmaptool's XML, as `card` writes it and as other builders do.
//!
//! Only what is needed is understood, and what is not understood is refused: a range that got lost would be one that is not written.
use bistable_format::Digest;
use std::ops::Range;

/// Most bytes of a map that is read: a million ranges.
pub(super) const LIMIT: usize = 128 << 20;

/// Which bytes of an image have to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockMap {
    /// Bytes of the image.
    pub(super) image_bytes: u64,
    /// In order, not empty, not overlapping.
    pub(super) ranges: Vec<(Range<u64>, Digest)>,
}

impl BlockMap {
    /// Read a map.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence that begins with its name.
    pub(super) fn parse(text: &str) -> Result<BlockMap, String> {
        let whole = text;
        let text = without_comments(whole)?;
        if !text.contains("<bmap") {
            return Err("is not a block map".into());
        }
        match element(&text, "ChecksumType") {
            Some("sha256") => {}
            Some(other) => return Err(format!("has {other} checksums; only sha256 is taken")),
            None => return Err("has no ChecksumType: maps before version 2.0 are not taken".into()),
        }
        check_own_digest(&text, whole)?;
        let count = |name: &str| {
            let value = element(&text, name).and_then(|text| text.parse::<u64>().ok());
            value.ok_or_else(|| format!("has no {name}"))
        };
        let (image_bytes, block) = (count("ImageSize")?, count("BlockSize")?);
        let blocks = count("BlocksCount")?;
        if block == 0 || image_bytes.div_ceil(block) != blocks {
            return Err("counts blocks that are not those of the image's size".into());
        }
        let mut ranges = Vec::new();
        let (mut next, mut mapped) = (0, 0);
        for part in text.split("<Range").skip(1) {
            let (first, last, digest) =
                range(part).ok_or_else(|| format!("has a range that can't be read: {}", start(part)))?;
            if first < next || last < first || last >= blocks {
                return Err(format!("has a range out of order or beyond the image: {first}-{last}"));
            }
            next = last + 1;
            mapped += last + 1 - first;
            // The last block may be cut off by the image's end.
            let end = next.saturating_mul(block).min(image_bytes);
            ranges.push((first * block..end, digest));
        }
        // A map that was cut off has fewer.
        if mapped != count("MappedBlocksCount")? {
            return Err("has not as many ranges as it should".into());
        }
        Ok(BlockMap { image_bytes, ranges })
    }
}

/// ` chksum="…"> 0-4 </Range>` or `> 7 </Range>`.
fn range(part: &str) -> Option<(u64, u64, Digest)> {
    let (attributes, rest) = part.split_once('>')?;
    let (_, checksum) = attributes.split_once("chksum=")?;
    let quote = checksum.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let digest = Digest::parse(checksum.split(quote).nth(1)?)?;
    let (span, _) = rest.split_once("</Range>")?;
    let (first, last) = span.split_once('-').unwrap_or((span, span));
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, digest))
}

/// The map's digest over itself, with zeros in the digest's place.
fn check_own_digest(text: &str, whole: &str) -> Result<(), String> {
    let Some(own) = element(text, "BmapFileChecksum") else {
        return Err("has no BmapFileChecksum".into());
    };
    let zeros = "0".repeat(own.len());
    if Digest::parse(own) == Some(Digest::of(whole.replacen(own, &zeros, 1).as_bytes())) {
        return Ok(());
    }
    Err("is damaged: its checksum is not that of its text".into())
}

/// bmaptool explains each element in a comment.
fn without_comments(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("<!--") {
        plain.push_str(before);
        rest = comment.split_once("-->").ok_or("has a comment without an end")?.1;
    }
    plain.push_str(rest);
    Ok(plain)
}

/// The text of the first element of that name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value.trim())
}

fn start(part: &str) -> String {
    part.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    /// A map of an image of 10 blocks, the last of them cut off, with its own digest.
    fn map(change: impl FnOnce(String) -> String) -> String {
        let zeros = "0".repeat(64);
        let text = format!(
            "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n<!-- <ImageSize> 1 </ImageSize> -->\n\
             <ImageSize> 40000 </ImageSize>\n<BlockSize> 4096 </BlockSize>\n<BlocksCount> 10 </BlocksCount>\n\
             <MappedBlocksCount> 4    </MappedBlocksCount>\n<ChecksumType> sha256 </ChecksumType>\n\
             <BmapFileChecksum> {zeros} </BmapFileChecksum>\n<BlockMap>\n\
             <Range chksum=\"{DIGEST}\"> 0-1 </Range>\n<Range chksum='{DIGEST}'> 4 </Range>\n\
             <Range chksum=\"{DIGEST}\">9</Range>\n</BlockMap>\n</bmap>\n"
        );
        let text = change(text);
        text.replacen(&zeros, &Digest::of(text.as_bytes()).to_string(), 1)
    }

    #[test]
    fn ranges_are_bytes_and_end_with_the_image() {
        let found = BlockMap::parse(&map(|text| text)).unwrap();
        let digest = Digest::parse(DIGEST).unwrap();
        let ranges = [0..8192, 16384..20480, 36864..40000].map(|range| (range, digest));
        assert_eq!(found, BlockMap { image_bytes: 40000, ranges: ranges.into() });
    }

    #[test]
    fn a_map_that_is_not_wholly_understood_is_refused() {
        let table = [
            ("<bmap", "<map", "is not a block map"),
            ("sha256", "sha1", "has sha1 checksums"),
            ("> 0-1 <", "> 1-0 <", "out of order"),
            ("> 0-1 <", "> 0-4 <", "out of order"),
            (">9<", ">10<", "beyond the image"),
            (">9<", ">x<", "can't be read"),
            ("chksum='", "sum='", "can't be read"),
            ("40000", "50000", "counts blocks"),
            ("4096", "0", "counts blocks"),
            ("<Range chksum='", "<!-- <Range chksum='", "a comment without an end"),
            ("MappedBlocksCount> 4 ", "MappedBlocksCount> 5 ", "not as many ranges"),
        ];
        for (old, new, expected) in table {
            let error = BlockMap::parse(&map(|text| text.replacen(old, new, 1))).unwrap_err();
            assert!(error.contains(expected), "{old} → {new}: {error}");
        }
        let damaged = map(|text| text).replace("> 4 </Range>", "> 5 </Range>");
        assert!(BlockMap::parse(&damaged).unwrap_err().contains("is damaged"));
    }
}
