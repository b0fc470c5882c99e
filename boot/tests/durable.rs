//! Two agents on one device, one of them older: in which format each writes, and that each reads what the other wrote.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]
mod common;
use bistable_boot::{
    BySlot, DecodeError, Event, Extension, Formats, Image, Journal, JournalError, Now, Record, Saved, Slot,
    Target, copy_in_format, format_to_write,
};
use common::{ASKED, Agent, Fault, Shared, TwoCopies, boots, provisioned, target};
use proptest::prelude::*;

/// The highest format in a device's life, step by step: what the writer reads, what slot A's and slot B's agents read.
#[test]
fn the_format_is_the_highest_that_both_slots_agents_read() {
    let life = [
        ("a new card, the other slot empty", (1, Some(1), None), 1),
        ("a newer agent is being written", (1, Some(1), None), 1),
        ("and is complete", (1, Some(1), Some(2)), 1),
        ("on trial, its agent writes", (2, Some(1), Some(2)), 1),
        ("it failed: the old agent again", (1, Some(1), None), 1),
        ("the next one was committed", (2, Some(1), Some(2)), 1),
        ("an operator went back", (1, Some(1), Some(2)), 1),
        ("a newer agent is being written into the old one's slot", (2, None, Some(2)), 1),
        ("it is complete: both read the newer format", (2, Some(2), Some(2)), 2),
        ("it failed its trial and was erased", (2, None, Some(2)), 1),
        ("an older agent is about to be written", (2, Some(2), None), 1),
        ("and is complete", (2, Some(2), Some(1)), 1),
        ("on trial, the older agent writes", (1, Some(2), Some(1)), 1),
        ("both slots know more than the one that runs", (1, Some(2), Some(3)), 1),
        ("each knows another number", (4, Some(3), Some(2)), 2),
        ("a number that makes no sense", (2, Some(0), Some(2)), 1),
    ];
    for (when, (newest, a, b), format) in life {
        assert_eq!(format_to_write(newest, BySlot { a, b }), format, "{when}");
    }
}

#[test]
fn an_agent_reads_all_formats_up_to_its_newest() {
    let read = [Formats::OURS, Formats::TOMORROW].map(|f| [0, 1, 2, 3].map(|format| f.reads(format)));
    assert_eq!(read, [[false, true, false, false], [false, true, true, false]]);
    assert_eq!((Formats::OURS.newest(), Formats::TOMORROW.newest()), (1, 2));
}

/// A device whose both slots hold an agent that reads these formats.
fn held(a: u16, b: u16) -> Record {
    let image = |slot, durable| Some(Image { durable, ..Image::from(&target(slot, 1)) });
    Record { slots: BySlot { a: image(Slot::A, a), b: image(Slot::B, b) }, ..provisioned() }
}

fn format_of(copy: &[u8]) -> u16 {
    u16::from_le_bytes([copy[4], copy[5]])
}

#[test]
fn the_journal_is_written_in_the_format_of_the_older_agent() {
    for (agent, a, b, format) in
        [(2, 2, 2, 2), (2, 1, 2, 1), (2, 2, 1, 1), (1, 2, 2, 1)].map(|(agent, a, b, format)| {
            (if agent == 2 { Formats::TOMORROW } else { Formats::OURS }, a, b, format)
        })
    {
        let mut journal = Journal::new(TwoCopies::new()).with_formats(agent);
        let mut record = Record { extensions: vec![Extension { id: 2, bytes: vec![9] }], ..held(a, b) };
        journal.format(&record).unwrap();
        journal.save(&mut record).unwrap();
        assert_eq!(journal.load().unwrap(), record);
        let medium = journal.into_inner();
        assert_eq!(medium.copies.map(|copy| format_of(&copy)), [format; 2], "{agent:?}, {a}, {b}");
    }
}

#[test]
fn todays_agent_refuses_a_copy_of_tomorrows_for_its_number_and_for_its_content() {
    let copy = copy_in_format(&held(2, 2), 2).unwrap();
    let mut medium = TwoCopies::new();
    medium.copies[0] = copy.to_vec();
    let todays = Journal::new(medium.clone()).load();
    let number = DecodeError::Format { format: 2, seq: 1 };
    assert!(matches!(todays, Err(JournalError::Lost { first, .. }) if first == number), "{todays:?}");
    assert_eq!(Journal::new(medium.clone()).with_formats(Formats::TOMORROW).load().unwrap(), held(2, 2));
    // Even if that number were another one's.
    medium.copies[0][4] = 1;
    let end = medium.copies[0].len() - 4;
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&medium.copies[0][..end]);
    medium.copies[0][end..].copy_from_slice(&sum.to_le_bytes());
    let todays = Journal::new(medium).load();
    let content = DecodeError::Extension { id: 1, seq: 1 };
    assert!(matches!(todays, Err(JournalError::Lost { first, .. }) if first == content), "{todays:?}");
}

#[test]
fn the_largest_record_fits_in_every_format() {
    for format in 1..=Formats::TOMORROW.newest() {
        assert!(copy_in_format(&common::largest_record(), format).is_some(), "{format}");
    }
}

fn formats(durable: u16) -> Formats {
    if durable < Formats::TOMORROW.newest() { Formats::OURS } else { Formats::TOMORROW }
}

/// A device with two agents: what the slots really hold, and the journal.
struct Device {
    medium: Shared,
    runs: Slot,
    default: Slot,
    /// What the agent reads that would come up in a slot.
    bootable: BySlot<Option<u16>>,
    agent: Agent,
    releases: u8,
    formats_seen: [u32; 3],
}

impl Device {
    fn new() -> Device {
        let record = provisioned();
        let medium = Shared::new(TwoCopies::new());
        Journal::new(medium.clone()).format(&record).unwrap();
        Device {
            medium,
            runs: Slot::A,
            default: Slot::A,
            bootable: BySlot { a: Some(1), b: None },
            agent: Agent::new(record),
            releases: 1,
            formats_seen: [0; 3],
        }
    }

    fn journal(&self, slot: Slot) -> Journal<Shared> {
        Journal::new(self.medium.clone()).with_formats(formats(self.bootable[slot].unwrap_or(1)))
    }

    /// Whatever a boot loader starts now, its agent reads the newest record, also if the power goes in the next write.
    fn is_readable(&self) {
        let newest = Journal::new(self.medium.clone()).with_formats(Formats::TOMORROW).load().unwrap();
        for slot in Slot::ALL.into_iter().filter(|slot| self.bootable[*slot].is_some()) {
            let found = self.journal(slot).load();
            let read = found.as_ref().is_ok_and(|record| *record == newest);
            assert!(read, "slot {slot} reads {found:?}, and {newest:?} is the newest");
        }
    }

    /// Save a decision; `cut` is where the power goes. Gives whether it is saved.
    fn decide(&mut self, event: Event, cut: Option<usize>) -> bool {
        let mut next = self.agent.clone();
        if !next.on(event).unwrap() {
            return true;
        }
        let mut journal = self.journal(self.runs);
        self.medium.0.borrow_mut().fault = cut.map_or(Fault::None, Fault::Torn);
        let saved = journal.save(&mut next.record).is_ok();
        self.medium.0.borrow_mut().fault = Fault::None;
        self.is_readable();
        if !saved {
            self.boots(self.default);
            return false;
        }
        self.agent = next;
        for copy in &self.medium.0.borrow().copies {
            self.formats_seen[usize::from(format_of(copy).min(2))] += 1;
        }
        true
    }

    fn boots(&mut self, slot: Slot) {
        self.is_readable();
        self.runs = slot;
        self.agent = Agent::new(self.journal(slot).load().unwrap());
        self.agent.booted(boots(slot));
    }

    /// One more step of whatever is in flight, or a new update with that agent; an operator's way back if `back`.
    fn step(&mut self, durable: u16, back: bool, healthy: bool, cut: Option<usize>) {
        match self.agent.now.clone() {
            Now::Saved(Saved::Idle) => {
                let slot = !self.runs;
                match self.agent.record.slots[slot].clone() {
                    Some(image) if back => self.decide(Event::Return(image.in_slot(slot)), cut),
                    _ => {
                        self.releases += 1;
                        let t = Target { durable, ..target(slot, self.releases) };
                        self.decide(Event::Offer(t), cut)
                    }
                };
            }
            Now::Saved(Saved::Installing(t)) => {
                // Only now is the slot's old content erased. The new one boots before that is saved.
                self.bootable[t.slot] = None;
                self.is_readable();
                self.bootable[t.slot] = Some(t.durable);
                self.is_readable();
                self.decide(Event::Installed, cut);
            }
            Now::Saved(Saved::Staged(_)) => {
                self.decide(Event::SelfTestsPassed, cut);
            }
            Now::Saved(Saved::Armed { target, .. }) => {
                if self.decide(Event::Rebooting(ASKED), cut) {
                    let asked = matches!(&self.agent.record.state, Saved::Armed { .. });
                    self.boots(if asked { target.slot } else { self.runs });
                }
            }
            Now::Trial { .. } if healthy => {
                self.decide(Event::Healthy, cut);
            }
            Now::Trial { .. } => {
                let why = bistable_boot::Failure::new(bistable_boot::Reason::Health, "");
                if self.decide(Event::Failed(why), cut) {
                    self.boots(self.default);
                }
            }
            Now::Saved(Saved::Committing { target, .. }) => {
                self.default = target.slot;
                self.decide(Event::Committed, cut);
            }
            Now::Saved(Saved::Reverting { target, .. }) if self.runs == target.slot => {
                self.boots(self.default);
            }
            Now::Saved(Saved::Reverting { target, .. }) => {
                if self.agent.record.origin == bistable_boot::Origin::Bundle {
                    self.bootable[target.slot] = None;
                }
                self.decide(Event::Reverted, cut);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_one_slots_agent_wrote_the_others_can_read(
        steps in prop::collection::vec(
            (1..=2u16, prop::bool::weighted(0.2), prop::bool::weighted(0.8), prop::option::weighted(0.1, 0..4096usize)),
            1..80,
        ),
    ) {
        let mut device = Device::new();
        for (durable, back, healthy, cut) in steps {
            device.step(durable, back, healthy, cut);
        }
    }
}

/// The walks above get to both formats, and back.
#[test]
fn the_format_rises_and_falls() {
    let mut device = Device::new();
    for durable in [2, 2, 1] {
        while {
            device.step(durable, false, true, None);
            !device.agent.now.is_idle()
        } {}
        assert_eq!(device.runs, device.default);
    }
    let [_, first, second] = device.formats_seen;
    assert!(first > 10 && second > 3, "{first} copies of format 1, {second} of format 2");
    assert!(device.medium.0.borrow().copies.iter().all(|copy| format_of(copy) == 1));
}
