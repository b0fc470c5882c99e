//! The block map beside a card image: which blocks a flashing tool must write, and their digests.
//!
//! bmaptool's XML, version 2.0. Unlike the maps that are made from a sparse file, this one also names zeros that matter.
use super::CardError;
use super::image::CardImage;
use super::plan::BLOCK;
use crate::output::{NewFile, OutputError};
use crate::progress::{Progress, Stage};
use bistable_format::{Digest, Hasher};
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// What is hashed at a time.
const PIECE: usize = 1 << 20;
/// Stands where the file's own digest comes.
const UNKNOWN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Write the map. Gives the number of mapped bytes.
pub(super) fn write(card: &CardImage, into: &NewFile, progress: &dyn Progress) -> Result<u64, CardError> {
    let ranges = card.mapped();
    let mapped: u64 = ranges.iter().map(|r| r.end - r.start).sum();
    progress.begin(Stage::BlockMap, mapped);
    let mut done = 0;
    let mut lines = Vec::new();
    for range in ranges {
        let digest = hash(card, &range, &mut |n| {
            done += n;
            progress.advance(Stage::BlockMap, done);
        })?;
        lines.push((range, digest));
    }
    let text = render(card.bytes(), &lines);
    into.file().write_all(text.as_bytes()).map_err(OutputError::io("write", into.path()))?;
    progress.end(Stage::BlockMap);
    Ok(mapped)
}

fn hash(card: &CardImage, range: &Range<u64>, done: &mut dyn FnMut(u64)) -> Result<Digest, CardError> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; PIECE];
    let mut at = range.start;
    while at < range.end {
        let want = usize::try_from(range.end - at).unwrap_or(PIECE).min(PIECE);
        let piece = buffer.get_mut(..want).unwrap_or_default();
        card.file().read_exact_at(piece, at).map_err(|e| card.error(e))?;
        hasher.update(piece);
        at += want as u64;
        done(want as u64);
    }
    Ok(hasher.finish())
}

fn render(bytes: u64, ranges: &[(Range<u64>, Digest)]) -> String {
    let mapped: u64 = ranges.iter().map(|(r, _)| (r.end - r.start) / BLOCK).sum();
    let mut text = format!(
        "<?xml version=\"1.0\" ?>\n\
         <bmap version=\"2.0\">\n    \
         <ImageSize> {bytes} </ImageSize>\n    \
         <BlockSize> {BLOCK} </BlockSize>\n    \
         <BlocksCount> {} </BlocksCount>\n    \
         <MappedBlocksCount> {mapped} </MappedBlocksCount>\n    \
         <ChecksumType> sha256 </ChecksumType>\n    \
         <BmapFileChecksum> {UNKNOWN} </BmapFileChecksum>\n    \
         <BlockMap>\n",
        bytes / BLOCK,
    );
    for (range, digest) in ranges {
        let (first, last) = (range.start / BLOCK, range.end / BLOCK - 1);
        let span = if first == last { first.to_string() } else { format!("{first}-{last}") };
        // Writing to a text never fails.
        let _ = writeln!(text, "        <Range chksum=\"{digest}\"> {span} </Range>");
    }
    text.push_str("    </BlockMap>\n</bmap>\n");
    // The file's digest is over the file with zeros in the digest's place.
    let own = Digest::of(text.as_bytes()).to_string();
    text.replacen(UNKNOWN, &own, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_names_ranges_and_its_own_digest() {
        let ranges = [(0..4096, Digest::of(b"a")), (8192..20480, Digest::of(b"b"))];
        let text = render(1 << 20, &ranges);
        let own = text.split("<BmapFileChecksum> ").nth(1).unwrap()[..64].to_owned();
        assert_eq!(Digest::of(text.replace(&own, UNKNOWN).as_bytes()).to_string(), own);
        assert!(text.contains("<MappedBlocksCount> 4 </"));
        assert!(text.contains("\"> 0 </Range>") && text.contains("\"> 2-4 </Range>"));
    }
}
