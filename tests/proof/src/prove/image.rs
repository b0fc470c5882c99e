//! A card's bytes: pages that copies share, so that a crash state costs what it changes.
use bistable_boot::SECTOR;
use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hasher},
    sync::{Arc, OnceLock},
};

/// Bytes in a page: what a card programs at once.
pub const PAGE: usize = 4096;

const ZEROS: [u8; PAGE] = [0; PAGE];

/// One page and, once it was asked for, its hash.
#[derive(Debug)]
struct Page {
    bytes: [u8; PAGE],
    hash: OnceLock<u128>,
}

impl Page {
    fn new(bytes: [u8; PAGE]) -> Arc<Page> {
        Arc::new(Page { bytes, hash: OnceLock::new() })
    }

    /// 128 bits, so that among millions of states no two are taken for one.
    fn hash(&self) -> u128 {
        *self.hash.get_or_init(|| {
            // As if it had never been written.
            if self.bytes == ZEROS {
                return 0;
            }
            let half = |salt: u8| {
                let mut h = DefaultHasher::new();
                h.write_u8(salt);
                h.write(&self.bytes);
                u128::from(h.finish())
            };
            half(1) << 64 | half(2)
        })
    }
}

type Pages = HashMap<u64, Arc<Page>>;

/// Bytes of a card of any size; what was never written is zero. Clones are cheap.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// What many images have in common.
    base: Arc<Pages>,
    /// What this one has instead.
    own: Pages,
    /// Sectors, by number, that can't be read until they are written.
    unreadable: BTreeSet<u64>,
}

impl Image {
    /// Make all of it common to the copies to come.
    pub fn settle(&mut self) {
        let mut pages = Pages::clone(&self.base);
        pages.extend(self.own.drain());
        self.base = Arc::new(pages);
    }

    /// Read bytes.
    pub fn read(&self, at: u64, into: &mut [u8]) {
        for (page, offset, range) in pieces(at, into.len()) {
            let piece = &mut into[range];
            match self.page(page) {
                Some(p) => piece.copy_from_slice(&p.bytes[offset..offset + piece.len()]),
                None => piece.fill(0),
            }
        }
    }

    /// Make a sector unreadable until it is written, as a write that was cut short can.
    pub fn spoil(&mut self, at: u64) {
        self.unreadable.insert(at / SECTOR as u64);
    }

    /// Whether all of a range can be read.
    pub fn is_readable(&self, at: u64, len: usize) -> bool {
        let sector = SECTOR as u64;
        self.unreadable.range(at / sector..(at + len as u64).div_ceil(sector)).next().is_none()
    }

    /// Write bytes.
    pub fn write(&mut self, at: u64, from: &[u8]) {
        if !self.unreadable.is_empty() {
            let sector = SECTOR as u64;
            for whole in at.div_ceil(sector)..(at + from.len() as u64) / sector {
                self.unreadable.remove(&whole);
            }
        }
        for (page, offset, range) in pieces(at, from.len()) {
            let piece = &from[range];
            let mut bytes = match self.page(page) {
                // Nothing is to change: keep the page and its hash.
                Some(p) if p.bytes[offset..offset + piece.len()] == *piece => continue,
                None if *piece == ZEROS[..piece.len()] => continue,
                Some(p) => p.bytes,
                None => [0; PAGE],
            };
            bytes[offset..offset + piece.len()].copy_from_slice(piece);
            self.own.insert(page, Page::new(bytes));
        }
    }

    /// Whether a range holds these bytes.
    pub fn holds(&self, at: u64, want: &[u8]) -> bool {
        self.is_readable(at, want.len())
            && pieces(at, want.len()).all(|(page, offset, range)| {
                let piece = &want[range];
                match self.page(page) {
                    Some(p) => p.bytes[offset..offset + piece.len()] == *piece,
                    None => *piece == ZEROS[..piece.len()],
                }
            })
    }

    /// The sectors of a range that hold something, by their first bytes.
    pub fn used_sectors(&self, start: u64, end: u64) -> Vec<u64> {
        let mut sectors = Vec::new();
        for page in start / PAGE as u64..end.div_ceil(PAGE as u64) {
            let Some(p) = self.page(page) else { continue };
            let used = p.bytes.chunks(512).enumerate().filter(|(_, s)| s.iter().any(|b| *b != 0));
            sectors.extend(used.map(|(i, _)| page * PAGE as u64 + i as u64 * 512));
        }
        sectors
    }

    /// A number that tells it from every other image over the same base.
    pub fn key(&self) -> u128 {
        // Order doesn't matter: each page is mixed with its place.
        let mix = |page: u64, hash: u128| {
            (hash ^ u128::from(page)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        };
        let spoilt = self.unreadable.iter().fold(0, |key, sector| key ^ mix(!*sector, 1));
        self.own.iter().fold(spoilt, |key, (page, p)| {
            let before = self.base.get(page).map_or(0, |p| p.hash());
            // A page that came back to what the base has must not count.
            if before == p.hash() { key } else { key ^ mix(*page, p.hash()) }
        })
    }

    fn page(&self, page: u64) -> Option<&Page> {
        self.own.get(&page).or_else(|| self.base.get(&page)).map(|p| &**p)
    }
}

/// The pages that a range touches: page, first byte in it, range of the buffer.
fn pieces(at: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let place = at + done as u64;
        // Less than a page, so it fits.
        #[allow(clippy::cast_possible_truncation, reason = "less than a page")]
        let offset = (place % PAGE as u64) as usize;
        let piece = (PAGE - offset).min(len - done);
        done += piece;
        Some((place / PAGE as u64, offset, done - piece..done))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written_and_copies_are_apart() {
        let mut a = Image::default();
        a.write(4000, &[7; 5000]);
        a.settle();
        let mut b = a.clone();
        b.write(4090, &[9; 10]);
        let mut there = [1; 5002];
        a.read(3999, &mut there);
        assert!(there[0] == 0 && there[5001] == 0 && there[1..5001].iter().all(|x| *x == 7));
        assert!(b.holds(4090, &[9; 10]) && b.holds(4100, &[7; 10]) && !a.holds(4090, &[9; 10]));
        assert_eq!(a.used_sectors(0, 8192), (7..16).map(|i| i * 512).collect::<Vec<_>>());
    }

    #[test]
    fn the_key_tells_contents_not_ways() {
        let mut a = Image::default();
        a.write(0, &[1; PAGE]);
        a.settle();
        let mut b = a.clone();
        b.write(10, &[5]);
        assert_ne!(a.key(), b.key());
        b.write(10, &[1]);
        assert_eq!(a.key(), b.key(), "what came back is no difference");
        let (mut c, mut d) = (a.clone(), a.clone());
        c.write(8192, &[1]);
        c.write(0, &[2]);
        d.write(0, &[2]);
        d.write(8192, &[1]);
        assert_eq!(c.key(), d.key());
        d.write(8192, &[0]);
        assert_ne!(c.key(), d.key());
        let mut e = a.clone();
        e.write(0, &[2]);
        assert_eq!(d.key(), e.key(), "zeros are what was never written");
    }
}
