//! Blobs of a repository, verified: small ones as a whole, data frame by frame.
use super::{
    buffer::Loan,
    content::{Feed, Kind},
};
use crate::{
    error::BundleError,
    source::{Others, Source, SourceError, Span, fill},
};
use bistable_format::{ChunkList, Digest, VolumeKind, bundle};
use std::ops::Range;

/// The same thing is taken so often, wrong each time, before it is given up.
const WRONG_MAX: u32 = 8;
/// … and this often if there is no other mirror to ask: something on the way may have flipped a bit.
const WRONG_ALONE: u32 = 2;
/// Bytes that are read through rather than asked for around: a request costs more on a mobile network.
const GAP: u64 = 256 << 10;

/// How many bytes may be fetched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    pub(super) most: Option<u64>,
    spent: u64,
}

impl Budget {
    pub(super) fn new(most: Option<u64>) -> Budget {
        Budget { most, spent: 0 }
    }

    /// How many more may be fetched.
    pub(super) fn left(&self) -> u64 {
        self.most.map_or(u64::MAX, |most| most.saturating_sub(self.spent))
    }

    /// These bytes are about to be fetched.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), BundleError> {
        let spent = self.spent.saturating_add(bytes);
        match self.most {
            Some(most) if spent > most => Err(BundleError::TooMuch { bytes: spent, most }),
            _ => {
                self.spent = spent;
                Ok(())
            }
        }
    }
}

/// One blob of data, read in ascending order.
#[derive(Clone, Debug)]
pub(super) struct Data {
    path: String,
    kind: Kind,
    volume: VolumeKind,
    /// Where each chunk's frame begins, and where the last one ends.
    offsets: Vec<u64>,
    /// The next byte of the range that is being read, and its end.
    open: Option<(u64, u64)>,
}

impl Data {
    pub(super) fn new(kind: Kind, volume: VolumeKind, digest: &Digest, list: &ChunkList) -> Data {
        let ends = list.chunks.iter().scan(0, |end, chunk| {
            *end += u64::from(chunk.encoding.data_bytes());
            Some(*end)
        });
        let offsets = std::iter::once(0).chain(ends).collect();
        Data { path: bundle::blob_name(digest), kind, volume, offsets, open: None }
    }

    fn at(&self, index: usize) -> u64 {
        self.offsets.get(index).copied().unwrap_or(0)
    }

    /// The range is given up: something else was read meanwhile.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// The frame of the first of these chunks, which has this digest. If a request is needed, it is for all of them.
    pub(super) fn frame(
        &mut self,
        source: &mut impl Source,
        feed: &Feed<'_>,
        chunks: Range<usize>,
        digest: &Digest,
        budget: &mut Budget,
    ) -> Result<Loan, BundleError> {
        let [from, end, to] = [chunks.start, chunks.start + 1, chunks.end].map(|index| self.at(index));
        let bytes = end.saturating_sub(from);
        let mut wrong = 0;
        loop {
            let mut encoded = feed.encoded(u32::try_from(bytes).unwrap_or(u32::MAX));
            budget.spend(bytes.saturating_add(self.skipped(from, end)))?;
            // What is asked for is on its way, wanted or not.
            let to = to.min(end.saturating_add(budget.left()));
            match self.read(source, from, to, &mut encoded) {
                Ok(()) => feed.fetched(self.kind, bytes),
                // Named by its digest, it is the same: it has to be asked for again.
                Err(SourceError::Changed { .. }) => {}
                Err(e) => return Err(e.into()),
            }
            if Digest::of(&encoded) == *digest {
                return Ok(encoded);
            }
            self.close();
            let what = format!("data of chunk {} of the {} volume", chunks.start, self.volume);
            was_wrong(source, &mut wrong, &what, digest)?;
        }
    }

    fn read(
        &mut self,
        source: &mut impl Source,
        from: u64,
        to: u64,
        into: &mut [u8],
    ) -> Result<(), SourceError> {
        let end = from + into.len() as u64;
        // Whatever fails, the range is lost.
        let open = self.continuing(from, end);
        self.close();
        let (mut at, until) = match open {
            Some(open) => open,
            None => {
                source.open_range(&self.path, Span::new(from, to))?;
                (from, to)
            }
        };
        while at < from {
            // Not yet needed for anything else, and long enough or not: what is skipped is skipped in pieces.
            let piece = into.len().min(usize::try_from(from - at).unwrap_or(usize::MAX));
            fill(source, &mut into[..piece])?;
            at += piece as u64;
        }
        fill(source, into)?;
        self.open = Some((end, until));
        Ok(())
    }

    /// The range that is being read, if these bytes lie ahead in it, and near enough.
    fn continuing(&self, from: u64, end: u64) -> Option<(u64, u64)> {
        let gap = if self.kind == Kind::Delta { GAP } else { 0 };
        self.open.filter(|(at, until)| (*at..=*at + gap).contains(&from) && end <= *until)
    }

    /// Bytes that are read on the way to these ones.
    fn skipped(&self, from: u64, end: u64) -> u64 {
        self.continuing(from, end).map_or(0, |(at, _)| from - at)
    }
}

/// A small blob that has to be there, verified.
pub(super) fn must(
    source: &mut impl Source,
    what: &str,
    digest: &Digest,
    limit: usize,
) -> Result<Vec<u8>, BundleError> {
    let mut wrong = 0;
    loop {
        let Some(bytes) = source.get(&bundle::blob_name(digest), limit)? else {
            return Err(BundleError::Missing { what: what.into(), digest: *digest, from: source.name() });
        };
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        was_wrong(source, &mut wrong, what, digest)?;
    }
}

/// What came had another digest: ask another mirror, as long as there is one.
fn was_wrong(
    source: &mut impl Source,
    wrong: &mut u32,
    what: &str,
    digest: &Digest,
) -> Result<(), BundleError> {
    if ask_others(source, wrong, what) {
        return Ok(());
    }
    Err(BundleError::Blob { what: what.into(), digest: *digest, from: source.name() })
}

/// What came was wrong. Says whether it is to be asked for again.
pub(super) fn ask_others(source: &mut impl Source, wrong: &mut u32, what: &str) -> bool {
    *wrong += 1;
    let from = source.name();
    let hope = match source.report_corrupt() {
        Others::Next => *wrong < WRONG_MAX,
        Others::None => *wrong < WRONG_ALONE,
    };
    log::warn!(wrong = *wrong, from, what; "wrong_bytes");
    hope
}
