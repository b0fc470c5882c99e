//! What each implementation of [`Blocks`] must do: run these on every one of them, from its own tests.
use crate::{Blocks, Lba, SECTOR};
use alloc::vec;

/// Check the whole contract. `make` gives fresh blocks of at least 16 sectors, of any content.
///
/// # Panics
/// Where the contract is broken: this is a test.
pub fn blocks<B: Blocks>(mut make: impl FnMut() -> B) {
    reads_see_writes(&mut make());
    each_sector_is_its_own(&mut make());
    writes_touch_nothing_else(&mut make());
    a_flush_keeps_content(&mut make());
    outside_is_refused_and_changes_nothing(&mut make());
    part_sectors_are_refused(&mut make());
    nothing_is_valid(&mut make());
}

fn pattern(seed: u8) -> [u8; SECTOR] {
    core::array::from_fn(|i| seed ^ u8::try_from(i % 251).unwrap_or(0))
}

fn get<B: Blocks>(b: &mut B, at: u64) -> [u8; SECTOR] {
    let mut s = [0; SECTOR];
    assert!(b.read(Lba(at), &mut s).is_ok(), "reading sector {at} inside the range");
    s
}

fn reads_see_writes<B: Blocks>(b: &mut B) {
    let last = b.sectors() - 1;
    for (at, seed) in [(0, 1), (7, 2), (last, 3)] {
        assert!(b.write(Lba(at), &pattern(seed)).is_ok(), "writing sector {at} inside the range");
        assert_eq!(get(b, at), pattern(seed), "a read sees the write before it, flushed or not");
    }
    assert!(b.write(Lba(7), &pattern(9)).is_ok());
    assert_eq!(get(b, 7), pattern(9), "the last write wins");
}

/// An address that loses a bit on the way would find another of these.
fn each_sector_is_its_own<B: Blocks>(b: &mut B) {
    let last = b.sectors() - 1;
    let stamp = |at: u64| {
        let mut s = pattern(0);
        s[SECTOR - 8..].copy_from_slice(&at.to_le_bytes());
        s
    };
    let places =
        || [0].into_iter().chain((0..63).map(|bit| 1 << bit)).take_while(|at| *at < last).chain([last]);
    for at in places() {
        assert!(b.write(Lba(at), &stamp(at)).is_ok(), "writing sector {at} inside the range");
    }
    for at in places() {
        assert_eq!(get(b, at), stamp(at), "sector {at} after sectors far from it were written");
    }
}

fn writes_touch_nothing_else<B: Blocks>(b: &mut B) {
    let many: vec::Vec<u8> = (0..16).flat_map(|i| pattern(i * 3)).collect();
    assert!(b.write(Lba(0), &many).is_ok(), "several sectors in one write");
    assert!(b.write(Lba(5), &pattern(200)).is_ok());
    for i in 0..16u8 {
        let want = if i == 5 { pattern(200) } else { pattern(i * 3) };
        assert_eq!(get(b, u64::from(i)), want, "sector {i} next to a write of sector 5");
    }
    let mut back = vec![0; 4 * SECTOR];
    assert!(b.read(Lba(3), &mut back).is_ok(), "several sectors in one read");
    assert_eq!(back[2 * SECTOR..3 * SECTOR], pattern(200));
}

fn a_flush_keeps_content<B: Blocks>(b: &mut B) {
    assert!(b.write(Lba(2), &pattern(77)).is_ok());
    assert!(b.flush().is_ok());
    assert!(b.flush().is_ok(), "nothing to flush is not an error");
    assert_eq!(get(b, 2), pattern(77));
}

fn outside_is_refused_and_changes_nothing<B: Blocks>(b: &mut B) {
    let last = b.sectors() - 1;
    assert!(b.write(Lba(last), &pattern(5)).is_ok());
    assert!(b.write(Lba(0), &pattern(6)).is_ok());
    let mut two = vec![0xEE; 2 * SECTOR];
    assert!(b.write(Lba(last), &two).is_err(), "a write that crosses the end");
    assert!(b.read(Lba(last), &mut two).is_err(), "a read that crosses the end");
    // The first past the end, those whose offset in bytes overflows 64 bits, to zero in one case, and the last.
    let overflow = (u64::MAX / SECTOR as u64) + 1;
    for at in [last + 1, overflow - 1, overflow, overflow + last, u64::MAX] {
        assert!(b.write(Lba(at), &pattern(0)).is_err(), "a write at {at}");
        assert!(b.read(Lba(at), &mut [0; SECTOR]).is_err(), "a read at {at}");
    }
    assert_eq!(get(b, last), pattern(5), "a refused write changes nothing, not even the part inside");
    assert_eq!(get(b, 0), pattern(6), "a refused write changes nothing, not even at the other end");
    assert_eq!(b.sectors(), last + 1, "the number of sectors never changes");
}

fn part_sectors_are_refused<B: Blocks>(b: &mut B) {
    let before = [1, 2].map(|at| get(b, at));
    // Not what is there, whatever is there.
    let other = before[0].map(|byte| !byte);
    assert!(b.write(Lba(1), &other[..SECTOR - 1]).is_err(), "less than a sector");
    assert!(b.write(Lba(1), &[&other[..], &other[..1]].concat()).is_err(), "more than a sector");
    assert!(b.read(Lba(1), &mut [0; 100]).is_err());
    assert!(b.read(Lba(1), &mut [0; SECTOR + 1]).is_err());
    assert_eq!([1, 2].map(|at| get(b, at)), before, "a refused write changes nothing");
}

fn nothing_is_valid<B: Blocks>(b: &mut B) {
    assert!(b.read(Lba(0), &mut []).is_ok());
    assert!(b.write(Lba(0), &[]).is_ok());
}
