//! Whatever happens to a copy, the journal reads as the old or the new record, and never as something else.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]
mod common;
use bistable_boot::{
    BySlot, COPY_BYTES, DecodeError, Detail, EXTENSIONS_BYTES, Entry, Equivocation, Extension, Failure,
    Floors, HISTORY_LEN, Image, Journal, JournalError, Outcome, PayloadDigest, Reason, Record, Rejected,
    ReleaseId, Saved, Slot, Tries, layout,
};
use common::{ASKED, Fault, Injected, Shared, TwoCopies, provisioned, target};
use proptest::prelude::*;
use std::{fs, path::Path};

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// A record that can be told from the others, and is not tiny.
fn record(seq: u64) -> Record {
    let why = Failure::new(Reason::Health, &format!("number {seq}"));
    Record {
        seq,
        rejected: vec![Rejected {
            release: ReleaseId([9; 32]),
            version: target(Slot::B, 9).version,
            failure: why,
        }],
        floors: Floors { channel_sequence: seq, ..Floors::default() },
        ..provisioned()
    }
}

fn copy_of(record: &Record) -> Vec<u8> {
    let mut journal = Journal::new(TwoCopies::new());
    journal.format(record).unwrap();
    let [a, b] = journal.into_inner().copies;
    assert_eq!(a, b);
    a
}

/// A journal whose newest record, `record(seq)`, is in that copy, and the one before it in the other.
fn holding(seq: u64, newest: usize) -> TwoCopies {
    let mut medium = TwoCopies::new();
    medium.copies[newest] = copy_of(&record(seq));
    medium.copies[1 - newest] = copy_of(&record(seq - 1));
    medium.durable = medium.copies.clone();
    medium
}

fn load(medium: &TwoCopies) -> Result<Record, JournalError<Injected>> {
    Journal::new(medium.clone()).load()
}

/// What a broken card leaves: erased, programmed, another place's bytes, or nonsense.
fn noise(kind: u64, seed: u64, len: usize) -> Vec<u8> {
    match kind {
        0 => vec![0; len],
        1 => vec![0xff; len],
        2 => copy_of(&record(seed))
            .into_iter()
            .skip(usize::try_from(seed % 64).unwrap())
            .cycle()
            .take(len)
            .collect(),
        _ => {
            let mut x = seed | 1;
            let mut next = || {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x.to_le_bytes()[0]
            };
            (0..len).map(|_| next()).collect()
        }
    }
}

fn seal(copy: &mut [u8]) {
    let crc = CRC.checksum(&copy[..COPY_BYTES - 4]);
    copy[COPY_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_save_torn_at_any_byte_leaves_the_old_or_the_new_record() {
    for newest in [0, 1] {
        let mut outcomes = [0, 0];
        for bytes in 0..=COPY_BYTES {
            let mut journal = Journal::new(TwoCopies { fault: Fault::Torn(bytes), ..holding(5, newest) });
            let mut next = record(5);
            next.floors.issued_at = u64::MAX;
            let new = Record { seq: 6, ..next.clone() };
            assert!(journal.save(&mut next).is_err());
            assert_eq!(next.seq, 5, "a failed save leaves the record as it was");

            let mut medium = journal.into_inner().cut();
            let loaded = load(&medium).unwrap();
            assert!(loaded == record(5) || loaded == new, "torn at {bytes}: {loaded:?}");
            outcomes[usize::from(loaded == new)] += 1;

            // And it continues from there, repairing what was torn.
            medium.writes = [0, 0];
            let mut journal = Journal::new(medium);
            let mut next = journal.load().unwrap();
            journal.save(&mut next).unwrap();
            assert_eq!(journal.load().unwrap(), next);
            assert!(journal.copies().into_iter().all(|c| c.unwrap().is_ok()));
        }
        assert!(outcomes[0] > 100 && outcomes[1] > 0, "{outcomes:?}: both outcomes were seen");
    }
}

#[test]
fn no_bit_of_a_copy_can_change_unseen() {
    let whole = copy_of(&record(5));
    let mut medium = TwoCopies::new();
    medium.copies[0] = whole;
    for bit in 0..COPY_BYTES * 8 {
        medium.copies[0][bit / 8] ^= 1 << (bit % 8);
        let mut journal = Journal::new(medium);
        let Err(JournalError::Lost { first, second }) = journal.load() else { panic!("bit {bit} flipped") };
        assert_eq!(first, if bit < 32 { DecodeError::Magic } else { DecodeError::Checksum });
        assert_eq!(second, DecodeError::Magic);
        medium = journal.into_inner();
        medium.copies[0][bit / 8] ^= 1 << (bit % 8);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_range_of_one_copy_damaged_reads_as_one_of_the_two(
        newest in 0..2usize,
        hit in 0..2usize,
        start in 0..COPY_BYTES,
        len in 1..COPY_BYTES,
        kind in 0..4u64,
        seed in any::<u64>(),
    ) {
        let noise = noise(kind, seed, len);
        let mut medium = holding(5, newest);
        let end = (start + noise.len()).min(COPY_BYTES);
        let before = medium.copies[hit].clone();
        medium.copies[hit][start..end].copy_from_slice(&noise[..end - start]);
        let intact = medium.copies[hit] == before;
        let want = if hit == newest && !intact { record(4) } else { record(5) };
        prop_assert_eq!(load(&medium).unwrap(), want);

        // The damaged copy is the one that the next save writes.
        let mut journal = Journal::new(medium);
        let mut next = journal.load().unwrap();
        journal.save(&mut next).unwrap();
        prop_assert_eq!(journal.load().unwrap(), next);
        let medium = journal.into_inner();
        if !intact {
            prop_assert_eq!(medium.writes[hit], 1);
            prop_assert_eq!(medium.writes[1 - hit], 0);
        }
        prop_assert!(Journal::new(medium).copies().into_iter().all(|c| c.unwrap().is_ok()));
    }

    #[test]
    fn both_copies_damaged_is_lost(at in prop::array::uniform2(0..COPY_BYTES), flip in prop::array::uniform2(1..=255u8)) {
        let mut medium = holding(5, 0);
        for i in 0..2 {
            medium.copies[i][at[i]] ^= flip[i];
        }
        let lost = matches!(load(&medium), Err(JournalError::Lost { .. }));
        prop_assert!(lost);
    }

    /// Saves that succeed, fail or are cut, in any order: what was acknowledged is never lost, and what is loaded is
    /// what was acknowledged or something tried since. One that failed may show up as late as after a second cut: the
    /// next try, torn, can complete what the first one left of it in that copy.
    #[test]
    fn what_was_saved_survives_whatever_fails_later(
        steps in prop::collection::vec((0..5u8, 0..=COPY_BYTES), 1..60),
        equal in any::<bool>(),
    ) {
        let mut held = record(5);
        let medium = Shared::new(holding(5, 1));
        let mut journal = Journal::new(medium.clone());
        if equal {
            journal.format(&held).unwrap();
        }
        let mut tried: Vec<Record> = Vec::new();
        for (n, (kind, bytes)) in (1..).zip(steps) {
            if kind == 4 {
                // Power cut and start.
                let cut = medium.0.borrow().clone().cut();
                *medium.0.borrow_mut() = cut;
                journal = Journal::new(medium.clone());
                let found = journal.load().unwrap();
                let known = found == held || tried.iter().any(|t| Record { seq: found.seq, ..t.clone() } == found);
                prop_assert!(known, "{found:?} after {held:?}");
                if found != held {
                    held = found;
                    tried.clear();
                }
                continue;
            }
            let faults = [Fault::None, Fault::None, Fault::Torn(bytes), Fault::FlushFails];
            medium.0.borrow_mut().fault = faults[usize::from(kind)];
            let mut next = held.clone();
            next.floors.issued_at = n;
            let asked = next.clone();
            match journal.save(&mut next) {
                Ok(()) => {
                    held = next;
                    tried.clear();
                }
                Err(e) => {
                    prop_assert!(matches!(e, JournalError::Io(_)));
                    prop_assert_eq!(&next, &asked);
                    tried.push(asked);
                }
            }
            medium.0.borrow_mut().fault = Fault::None;
            prop_assert_eq!(&journal.load().unwrap(), &held, "what isn't durable is not acted upon");
        }
    }
}

/// The last paragraph of what `save` promises, by the one example that needs it.
#[test]
fn a_torn_save_may_complete_what_an_earlier_one_left() {
    let mut journal = Journal::new(TwoCopies { fault: Fault::Torn(COPY_BYTES), ..holding(5, 1) });
    let first = Record { floors: Floors { issued_at: 1, ..record(5).floors }, ..record(5) };
    journal.save(&mut first.clone()).unwrap_err();
    let mut medium = journal.into_inner().cut();
    // Of that copy, the sequence number was lost.
    medium.copies[0][8] = 0xFF;
    medium.durable = medium.copies.clone();
    assert_eq!(load(&medium).unwrap(), record(5));

    let mut journal = Journal::new(TwoCopies { fault: Fault::Torn(9), ..medium });
    journal.save(&mut record(5)).unwrap_err();
    assert_eq!(load(&journal.into_inner().cut()).unwrap(), Record { seq: 6, ..first });
}

#[test]
fn a_save_never_writes_the_newest_copy() {
    for newest in [0, 1] {
        let mut journal = Journal::new(holding(5, newest));
        let mut r = journal.load().unwrap();
        for n in 0..9 {
            let mut medium = journal.into_inner();
            let (keep, before) = ((newest + n) % 2, medium.copies[(newest + n) % 2].clone());
            medium.writes = [0; 2];
            journal = Journal::new(medium);
            journal.save(&mut r).unwrap();
            let medium = journal.into_inner();
            assert_eq!(medium.writes[keep], 0);
            assert_eq!(medium.writes[1 - keep], 1, "one write");
            assert_eq!(medium.copies[keep], before);
            assert_eq!(load(&medium).unwrap(), r);
            journal = Journal::new(medium);
        }
    }
}

#[test]
fn a_copy_that_cannot_be_read_is_no_loss() {
    for (newest, unreadable) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let medium = TwoCopies { fault: Fault::Unreadable(unreadable), ..holding(5, newest) };
        let mut journal = Journal::new(medium);
        let mut found = journal.load().unwrap();
        assert_eq!(found, if newest == unreadable { record(4) } else { record(5) });
        // What was found stays, and the unreadable copy is written again.
        journal.save(&mut found).unwrap();
        let medium = journal.into_inner().cut();
        assert_eq!((medium.writes[unreadable], medium.writes[1 - unreadable]), (1, 0));
        assert_eq!(load(&medium).unwrap(), found);
    }
}

/// A card that says that it wrote, and did not, or wrote something else.
#[test]
fn a_save_that_reads_back_differently_has_failed() {
    let faults = [Fault::Dropped].into_iter().chain((0..COPY_BYTES * 8).step_by(509).map(Fault::Flipped));
    for fault in faults {
        for newest in [0, 1] {
            let medium = Shared::new(TwoCopies { fault, ..holding(5, newest) });
            let mut journal = Journal::new(medium.clone());
            let mut next = record(5);
            next.floors.issued_at = 77;
            let asked = next.clone();
            assert!(matches!(journal.save(&mut next), Err(JournalError::ReadBack)), "{fault:?}");
            assert_eq!(next, asked, "a failed save leaves the record as it was");
            assert_eq!(journal.load().unwrap(), record(5), "what wasn't read back is not acted upon");
            assert_eq!(load(&medium.0.borrow().clone().cut()).unwrap(), record(5));
            // The next one goes to the same copy, and is fine.
            medium.0.borrow_mut().fault = Fault::None;
            journal.save(&mut next).unwrap();
            assert_eq!(medium.0.borrow().writes[newest], 0);
            assert_eq!(load(&medium.0.borrow().clone().cut()).unwrap(), next);
        }
    }
    let text = JournalError::<Injected>::ReadBack.to_string();
    assert!(text.contains("reads back differently") && text.contains("card is failing"), "{text}");
}

#[test]
fn a_new_journal_is_read_back_too() {
    let mut journal = Journal::new(TwoCopies { fault: Fault::Dropped, ..TwoCopies::new() });
    assert!(matches!(journal.format(&record(1)), Err(JournalError::ReadBack)));
}

/// What can't be read back wasn't saved, although it may have been written.
#[test]
fn a_copy_that_stays_unreadable_takes_no_save() {
    let mut journal = Journal::new(TwoCopies { fault: Fault::Dead(1), ..holding(5, 0) });
    let mut next = record(5);
    assert!(matches!(journal.save(&mut next), Err(JournalError::Io(_))));
    assert_eq!((next.seq, journal.load().unwrap()), (5, record(5)));
}

/// A read that fails once must not make the older copy look like the newest.
#[test]
fn nothing_is_written_while_the_newest_copy_cannot_be_read() {
    for newest in [0, 1] {
        let medium = Shared::new(holding(5, newest));
        let mut journal = Journal::new(medium.clone());
        let mut r = journal.load().unwrap();
        medium.0.borrow_mut().fault = Fault::Unreadable(newest);
        assert!(matches!(journal.save(&mut r), Err(JournalError::Io(_))));
        assert_eq!(medium.0.borrow().writes, [0, 0]);
        medium.0.borrow_mut().fault = Fault::None;
        journal.save(&mut r).unwrap();
        assert_eq!(journal.load().unwrap(), r);
        assert_eq!(r.seq, 6);
    }
}

#[test]
fn an_unreadable_and_a_damaged_copy_are_not_lost() {
    let mut medium = holding(5, 0);
    medium.copies[1].fill(0xff);
    medium.fault = Fault::Unreadable(0);
    assert!(matches!(load(&medium), Err(JournalError::Io(_))), "what can't be read may still be there");
    let mut journal = Journal::new(medium);
    journal.save(&mut record(5)).unwrap();
    assert_eq!(journal.into_inner().writes, [0, 1], "the damaged copy is the one to write");
}

/// Both copies have the same number after `format`, and when its second write was cut one of them is damaged.
#[test]
fn saving_works_right_after_format() {
    let mut journal = Journal::new(TwoCopies::new());
    assert!(matches!(
        journal.load(),
        Err(JournalError::Lost { first: DecodeError::Magic, second: DecodeError::Magic })
    ));
    let mut r = record(1);
    journal.format(&r).unwrap();
    for seq in 2..9 {
        r.floors.issued_at += 1;
        journal.save(&mut r).unwrap();
        assert_eq!(r.seq, seq);
        assert_eq!(journal.load().unwrap(), r);
    }
    for cut in 0..=COPY_BYTES {
        let mut medium = TwoCopies::new();
        medium.copies[0] = copy_of(&r);
        medium.copies[1][..cut].copy_from_slice(&copy_of(&r)[..cut]);
        assert_eq!(load(&medium).unwrap(), r);
    }
}

#[test]
fn sequence_numbers_may_wrap() {
    for newest in [0, 1] {
        let mut journal = Journal::new(holding(u64::MAX - 1, newest));
        let mut r = journal.load().unwrap();
        assert_eq!(r.seq, u64::MAX - 1);
        for seq in [u64::MAX, 0, 1, 2] {
            r.floors.issued_at = seq;
            journal.save(&mut r).unwrap();
            assert_eq!(r.seq, seq);
            assert_eq!(journal.load().unwrap(), r);
        }
    }
}

/// Another process saved in between: the record that it saved is the newest, and must not be overwritten.
#[test]
fn a_stale_caller_does_not_overwrite_the_newest_copy() {
    let mut journal = Journal::new(holding(5, 0));
    let mut stale = record(3);
    journal.save(&mut stale).unwrap();
    assert_eq!(stale.seq, 6);
    assert_eq!(journal.load().unwrap(), stale);
    assert_eq!(journal.into_inner().writes, [0, 1]);
}

/// A whole copy with that record, whether this program would write it or not.
fn holding_body(record: &Record) -> Vec<u8> {
    let body = postcard::to_allocvec(record).unwrap();
    let mut copy = copy_of(&self::record(record.seq));
    copy[6..8].copy_from_slice(&u16::try_from(body.len()).unwrap().to_le_bytes());
    copy[16..COPY_BYTES - 4].fill(0);
    copy[16..16 + body.len()].copy_from_slice(&body);
    seal(&mut copy);
    copy
}

#[test]
fn a_right_checksum_is_not_enough() {
    let good = copy_of(&record(5));
    let len = u16::from_le_bytes([good[6], good[7]]);
    let largest = copy_of(&common::largest_record());
    type Case<'a> = (&'a str, &'a [u8], usize, &'a [u8], DecodeError);
    let cases: [Case<'_>; 5] = [
        ("format of a later version", &good, 4, &[3, 0], DecodeError::Format { format: 3, seq: 5 }),
        ("length beyond the copy", &good, 6, &[0xff, 0xff], DecodeError::Content),
        ("shorter than the record", &good, 6, &(len - 1).to_le_bytes(), DecodeError::Content),
        ("longer than the record", &good, 6, &(len + 1).to_le_bytes(), DecodeError::Content),
        ("a product that isn't text", &largest, 16 + 1, &[0xff], DecodeError::Content),
    ];
    for (what, base, at, bytes, want) in cases {
        let mut copy = base.to_vec();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        seal(&mut copy);
        let mut medium = TwoCopies::new();
        medium.copies[1] = copy;
        let Err(JournalError::Lost { second, .. }) = load(&medium) else { panic!("{what} was read") };
        assert_eq!(second, want, "{what}");
    }
}

/// A copy whose lists are longer than this program writes: it must not come in and then be impossible to save.
#[test]
fn a_record_beyond_its_bounds_is_not_read() {
    let mut r = record(5);
    r.history = vec![r.history[0].clone(); HISTORY_LEN + 1];
    let mut medium = TwoCopies::new();
    medium.copies[0] = holding_body(&r);
    assert!(matches!(load(&medium), Err(JournalError::Lost { first: DecodeError::Content, .. })));
    assert!(matches!(Journal::new(medium).format(&r), Err(JournalError::TooLarge { .. })));
}

/// One of each thing that a record can say. Changing what this encodes to means a new format number.
fn golden() -> Record {
    let failure = |reason| Failure { reason, detail: Detail::new("fan: 0 Hz, wanted 20 to 200 – stuck?") };
    let entry = |n, outcome| Entry {
        version: format!("1.{n}.0-rc.1+build.{n}").parse().unwrap(),
        release: ReleaseId([n; 32]),
        slot: if n % 2 == 0 { Slot::A } else { Slot::B },
        outcome,
        attempts: n % 4,
    };
    let outcomes = [
        Outcome::Provisioned,
        Outcome::Committed,
        Outcome::Abandoned(failure(Reason::Install)),
        Outcome::Abandoned(failure(Reason::SelfTest)),
        // The reasons of what is rejected below are not repeated.
        Outcome::Reverted(failure(Reason::Operator)),
        Outcome::Rebuilt,
        Outcome::Reverted(failure(Reason::Environment)),
        Outcome::Unknown { kind: 9, content: vec![1, 2, 3] },
    ];
    let rejected = |n, reason| Rejected {
        release: ReleaseId([n; 32]),
        version: target(Slot::B, n).version,
        failure: failure(reason),
    };
    Record {
        seq: 300,
        product: "acme-gateway".into(),
        state: Saved::Armed {
            target: target(Slot::B, 8),
            tries: Tries { attempts: 2, refused: 1, asked: Some(ASKED) },
        },
        attempts: 2,
        origin: bistable_boot::Origin::Slot,
        slots: BySlot {
            a: Some(Image::from(&target(Slot::A, 1))),
            b: Some(Image::from(&target(Slot::B, 8))),
        },
        floors: Floors {
            root_version: 2,
            channel_sequence: 4_242,
            security_version: 3,
            issued_at: 1_767_225_600,
        },
        channel: "production".into(),
        channel_payload: Some(PayloadDigest([6; 32])),
        equivocation: Some(Equivocation { sequence: 4_242, refused: PayloadDigest([7; 32]) }),
        withdrawn: vec![ReleaseId([9; 32])],
        rejected: vec![
            rejected(4, Reason::OutOfAttempts),
            rejected(5, Reason::Health),
            rejected(6, Reason::Unknown(9)),
        ],
        history: (0..).zip(outcomes).map(|(n, o)| entry(n, o)).collect(),
        extensions: vec![Extension { id: 1000, bytes: vec![4, 5, 6] }],
    }
}

#[test]
fn the_format_is_what_it_was() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-v1.bin");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, copy_of(&golden())).unwrap();
    }
    let stored = fs::read(&path).unwrap();
    let mut medium = TwoCopies::new();
    medium.copies[0] = stored.clone();
    let record = load(&medium).unwrap();
    assert_eq!(record, golden());
    assert_eq!(copy_of(&record), stored, "re-encoded");
    assert_eq!(layout::JOURNAL.map(|l| l.0), [0, 8192]);
}

/// Each state has its number in the format, and one target is stored alike in each.
#[test]
fn each_state_is_stored_and_read_back() {
    let (t, why) = (target(Slot::B, 8), Failure::new(Reason::Health, "HTTP 500"));
    let states = [
        Saved::Idle,
        Saved::Installing(t.clone()),
        Saved::Staged(t.clone()),
        Saved::Armed { target: t.clone(), tries: Tries::after(1).ask(ASKED) },
        Saved::Committing { target: t.clone(), attempts: 3 },
        Saved::Reverting { target: t, failure: why, reboots: 3, asked: Some(ASKED.boot) },
    ];
    let at = 16 + 1 + "acme-gateway".len();
    for (number, state) in (0..).zip(states) {
        let r = Record { state, ..record(5) };
        let copy = copy_of(&r);
        assert_eq!(copy[at], number, "{:?}", r.state);
        let mut medium = TwoCopies::new();
        medium.copies[1] = copy;
        assert_eq!(load(&medium).unwrap(), r);
    }
}

#[test]
fn an_unknown_even_extension_is_saved_again() {
    let added = vec![Extension { id: 2, bytes: vec![7; 9] }, Extension { id: 400, bytes: Vec::new() }];
    let mut medium = TwoCopies::new();
    medium.copies[0] = copy_of(&Record { extensions: added.clone(), ..record(5) });
    let mut journal = Journal::new(medium);
    let mut next = journal.load().unwrap();
    next.floors.issued_at = 1;
    journal.save(&mut next).unwrap();
    let newest = journal.load().unwrap();
    assert_eq!((newest.seq, newest.extensions), (6, added));
}

#[test]
fn an_unknown_odd_extension_needs_a_newer_agent() {
    let required = Record { extensions: vec![Extension { id: 7, bytes: vec![1] }], ..record(6) };
    let refusal = DecodeError::Extension { id: 7, seq: 6 };
    assert!(refusal.to_string().contains("needs a newer agent"), "{refusal}");
    let mut medium = TwoCopies::new();
    medium.copies[0] = holding_body(&required);
    let found = load(&medium);
    assert!(matches!(found, Err(JournalError::Lost { first, .. }) if first == refusal), "{found:?}");
}

/// A copy that only a newer agent can read holds the newest floors: the one before it must not be used in its place, and
/// it must not be overwritten. An older one of that kind is as good as damaged.
#[test]
fn a_newer_agents_copy_counts_only_if_it_is_the_newest() {
    let mut other_format = copy_of(&record(5));
    other_format[4..6].copy_from_slice(&9u16.to_le_bytes());
    seal(&mut other_format);
    let required = Record { extensions: vec![Extension { id: 7, bytes: vec![1] }], ..record(5) };
    for theirs in [other_format, holding_body(&required)] {
        for (place, ours) in [(0, 4), (1, 4), (0, 6), (1, 6)] {
            let mut medium = TwoCopies::new();
            medium.copies[place] = theirs.clone();
            medium.copies[1 - place] = copy_of(&record(ours));
            let mut journal = Journal::new(medium);
            if ours == 6 {
                let mut next = journal.load().unwrap();
                assert_eq!(next, record(6));
                journal.save(&mut next).unwrap();
                assert_eq!(journal.load().unwrap().seq, 7);
                let writes = journal.into_inner().writes;
                assert_eq!((writes[place], writes[1 - place]), (1, 0), "the older copy is overwritten");
                continue;
            }
            let newer = |e: &JournalError<Injected>| matches!(e, JournalError::Newer(e) if e.newer_agents() == Some(5));
            assert!(newer(&journal.load().unwrap_err()));
            assert!(newer(&journal.save(&mut record(4)).unwrap_err()));
            assert_eq!(journal.into_inner().writes, [0, 0]);
        }
    }
}

#[test]
fn extensions_have_a_bound() {
    let with = |bytes| Record {
        extensions: vec![Extension { id: 2, bytes: vec![0; bytes] }, Extension { id: 4, bytes: vec![] }],
        ..record(5)
    };
    let most = EXTENSIONS_BYTES - 2 * 5;
    assert!(Journal::new(TwoCopies::new()).format(&with(most)).is_ok());
    let refused = Journal::new(TwoCopies::new()).format(&with(most + 1));
    assert!(matches!(refused, Err(JournalError::TooLarge { .. })));
    let mut medium = TwoCopies::new();
    medium.copies[0] = holding_body(&with(most + 1));
    assert!(matches!(load(&medium), Err(JournalError::Lost { first: DecodeError::Content, .. })));
}
