//! The record of the components: whatever happens to a copy, it reads as the old or the new one.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use bistable_boot::{
    Blocks, BootId, BySlot, COPY_BYTES, Detail, EXTENSIONS_BYTES, Extension, Failure, Formats, Journal,
    JournalError, Kept, Memory, NAME_BYTES, Outcome, Reason, Rejected, ReleaseId, SECTOR,
    component::{
        BootTime, COMPONENTS_LEN, Component, ComponentRecord, Ended, Event, Held, KEPT_LEN, REJECTED_LEN,
        ROLLBACKS_LEN, State,
    },
    copy_in_format, layout,
};
use common::longest_version;
use proptest::prelude::*;

type Components = Journal<Memory, ComponentRecord>;

fn held(n: u8) -> Held {
    Held {
        release: ReleaseId([n; 32]),
        version: semver::Version::new(1, u64::from(n), 0),
        security_version: 0,
        configuration: None,
    }
}

/// A record with that many components.
fn record(count: usize) -> ComponentRecord {
    let mut record = ComponentRecord::new("hub");
    for n in 0..count {
        let component = record.entry(&format!("component-{n:02}")).unwrap();
        component.current = Some(held(1));
        component.kept = vec![held(2), held(3)];
    }
    record
}

fn largest() -> ComponentRecord {
    let failure = Failure::new(Reason::Operator, &"𝕏".repeat(Detail::MAX / 4));
    let held = Held {
        release: ReleaseId([0xff; 32]),
        version: longest_version(),
        security_version: u32::MAX,
        configuration: Some(u32::MAX),
    };
    let (release, version) = (held.release, held.version.clone());
    let rejected = Rejected { release, version: version.clone(), failure: failure.clone() };
    let outcome = Outcome::Reverted(failure.clone());
    let component = |n: usize| Component {
        name: format!("{n:02}{}", "c".repeat(NAME_BYTES - 2)),
        state: State::Reverting { target: held.clone(), failure: failure.clone(), skipped: u8::MAX },
        attempts: u8::MAX,
        origin: bistable_boot::Origin::Slot,
        current: Some(held.clone()),
        kept: vec![held.clone(); KEPT_LEN],
        is_stopped: true,
        security_floor: u32::MAX,
        rejected: vec![rejected.clone(); REJECTED_LEN],
        last: Some(Ended { release, version: version.clone(), outcome: outcome.clone(), attempts: u8::MAX }),
        rollbacks: vec![
            BootTime { boot: BootId([0xff; 16]), uptime: u32::MAX, wall: Some(u64::MAX) };
            ROLLBACKS_LEN
        ],
        extensions: vec![Extension { id: u16::MAX - 1, bytes: vec![0xff; EXTENSIONS_BYTES - 5] }],
    };
    ComponentRecord {
        seq: u64::MAX - 1,
        reads: BySlot::default(),
        product: "p".repeat(NAME_BYTES),
        components: (0..COMPONENTS_LEN).map(component).collect(),
        extensions: vec![Extension { id: u16::MAX - 1, bytes: vec![0xff; EXTENSIONS_BYTES - 5] }],
    }
}

fn medium() -> Memory {
    Memory::new(usize::try_from(layout::STATE_BYTES).unwrap() / SECTOR)
}

/// The old record in one copy, and the one before it in the other.
fn holding(old: &mut ComponentRecord) -> Memory {
    let mut journal = Components::of(medium());
    journal.format(old).unwrap();
    journal.save(old).unwrap();
    journal.into_inner()
}

#[test]
fn the_largest_record_fits_and_anything_larger_is_refused() {
    let largest = largest();
    let copy = copy_in_format(&largest, 2).unwrap();
    assert!(copy.len() <= ComponentRecord::COPY_BYTES, "{}", copy.len());
    let mut journal = Components::of(medium());
    journal.format(&largest).unwrap();
    assert_eq!(journal.load().unwrap(), largest);

    let change = |change: &dyn Fn(&mut ComponentRecord)| {
        let mut record = record(2);
        change(&mut record);
        record
    };
    for (what, record) in [
        ("too many", {
            let mut record = largest.clone();
            record.components.push(Component::registered("zz"));
            record
        }),
        ("long name", change(&|r| r.components[1].name = "x".repeat(NAME_BYTES + 1))),
        ("no name", change(&|r| r.components[0].name = String::new())),
        ("unsorted", change(&|r| r.components.reverse())),
        ("twice", change(&|r| r.components[1] = r.components[0].clone())),
        ("kept", change(&|r| r.components[0].kept = vec![held(1); KEPT_LEN + 1])),
        ("product", change(&|r| r.product = "x".repeat(NAME_BYTES + 1))),
    ] {
        let told = Components::of(medium()).format(&record);
        assert!(matches!(told, Err(JournalError::TooLarge { bytes: 0x1_0000 })), "{what}");
    }
    assert!(record(COMPONENTS_LEN).entry("one-more").is_none());
}

#[test]
fn a_save_torn_at_any_sector_leaves_the_old_or_the_new_record() {
    for (before, after) in [(1, 2), (30, 1), (1, 30), (30, 31)] {
        let mut old = record(before);
        let medium = holding(&mut old);
        let mut new = ComponentRecord { seq: old.seq, ..record(after) };
        let mut journal = Components::of(medium.clone());
        journal.save(&mut new).unwrap();
        let whole = journal.into_inner();
        let bytes = copy_in_format(&new, 1).unwrap().len();
        let at = layout::COMPONENTS.map(|at| usize::try_from(at.0).unwrap() * SECTOR);
        let written =
            at.into_iter().find(|at| medium.bytes()[*at..][..bytes] != whole.bytes()[*at..][..bytes]);
        let written = written.unwrap();
        for torn in (0..bytes).step_by(SECTOR) {
            let mut card = medium.clone();
            card.bytes_mut()[written..][..torn].copy_from_slice(&whole.bytes()[written..][..torn]);
            assert_eq!(Components::of(card).load().unwrap(), old, "{before} to {after}, torn at {torn}");
        }
        assert_eq!(Components::of(whole).load().unwrap(), new);
    }
}

proptest! {
    #[test]
    fn any_range_of_one_copy_damaged_reads_as_one_of_the_two(
        count in 0..32usize, copy in 0..2usize, at in 0..0x1_0000usize, len in 1..5000usize, byte: u8,
    ) {
        let mut new = record(count);
        let mut old = new.clone();
        let mut card = holding(&mut old);
        new.seq = old.seq;
        let mut journal = Components::of(card);
        journal.save(&mut new).unwrap();
        card = journal.into_inner();
        let from = usize::try_from(layout::COMPONENTS[copy].0).unwrap() * SECTOR + at;
        card.bytes_mut()[from..from + len].fill(byte);
        let read = Components::of(card).load().unwrap();
        prop_assert!(read == new || read == old);
    }
}

#[test]
fn copies_are_whole_pages_and_no_longer_than_needed() {
    for count in [0, 1, 8, 32] {
        let copy = copy_in_format(&record(count), 1).unwrap();
        assert!(copy.len().is_multiple_of(COPY_BYTES));
        assert!(copy.len() <= COPY_BYTES * (1 + count / 8), "{count} components take {} bytes", copy.len());
    }
}

/// I18.
#[test]
fn it_is_written_in_the_format_that_the_agents_of_both_slots_read() {
    for (reads, can_read) in [(Some(1), true), (None, true), (Some(2), false)] {
        let mut record = ComponentRecord { reads: BySlot { a: Some(2), b: reads }, ..record(1) };
        let mut journal = Components::of(medium()).with_formats(Formats::TOMORROW);
        journal.format(&record).unwrap();
        journal.save(&mut record).unwrap();
        let told = Components::of(journal.into_inner()).load();
        assert_eq!(told.is_ok(), can_read, "{reads:?}");
    }
}

#[test]
fn the_journal_and_the_record_are_not_taken_for_each_other() {
    let mut card = medium();
    let copy = copy_in_format(&record(1), 1).unwrap();
    card.write(layout::JOURNAL[0], &copy).unwrap();
    card.write(layout::JOURNAL[1], &copy).unwrap();
    assert!(matches!(Journal::new(card).load(), Err(JournalError::Lost { .. })));
}

#[test]
fn any_life_keeps_the_record_bounded() {
    let mut record = ComponentRecord::new("hub");
    let boot = bistable_boot::BootId([1; 16]);
    for n in 1..40u8 {
        let core = record.entry("core").unwrap();
        core.on(Event::Offer(held(n))).unwrap();
        core.on(Event::Installed).unwrap();
        core.on(Event::SelfTestsPassed).unwrap();
        core.on(Event::Trying(boot)).unwrap();
        if n % 3 == 0 {
            core.on(Event::Failed(Failure::new(Reason::Health, "HTTP 500"))).unwrap();
            core.on(Event::Reverted).unwrap();
        } else {
            core.on(Event::Healthy(boot)).unwrap();
            core.on(Event::Committed).unwrap();
        }
        assert!(copy_in_format(&record, 1).is_some());
    }
    assert_eq!(record.get("core").and_then(|c| c.current.clone()), Some(held(38)));
    assert!(record.remove("core") && !record.remove("core"));
}
