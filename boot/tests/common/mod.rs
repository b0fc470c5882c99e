//! Targets, records and a two-copy medium that fails on demand.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]
use bistable_boot::{
    Asked, Blocks, Boot, BootId, BySlot, COPY_BYTES, Detail, EXTENSIONS_BYTES, Entry, Equivocation, Event,
    Evidence, Extension, Failure, Floors, HISTORY_LEN, Image, Lba, NAME_BYTES, Now, Outcome, PayloadDigest,
    REJECTED_LEN, Reason, Record, Refused, Rejected, ReleaseId, Saved, Slot, Target, WITHDRAWN_LEN, layout,
};
use semver::Version;
use std::{cell::RefCell, rc::Rc};

pub fn target(slot: Slot, n: u8) -> Target {
    Target {
        slot,
        release: ReleaseId([n; 32]),
        version: Version::new(1, u64::from(n), 0),
        security_version: u32::from(n),
        durable: 1,
    }
}

/// The boot that asks for reboots.
pub const THIS: BootId = BootId([1; 16]);
/// The next one.
pub const NEXT: BootId = BootId([2; 16]);
/// A reboot that was asked for in [`THIS`] boot.
pub const ASKED: Asked = Asked { boot: THIS, counter: 7 };

/// The agent starts in the next boot, which runs that slot, and the boot loader left no evidence.
pub fn boots(slot: Slot) -> Boot {
    Boot { slot, id: NEXT, evidence: Evidence::Unknown }
}

pub fn provisioned() -> Record {
    Record::provision("acme-gateway", Image::from(&target(Slot::A, 1)), 1)
}

/// As long as a version may be, and of numbers only as long as numbers get.
pub fn longest_version() -> Version {
    let n = u64::MAX;
    let v: Version = format!("{n}.{n}.{n}-a").parse().unwrap();
    assert_eq!(v.to_string().len(), NAME_BYTES);
    v
}

/// Each field as large as it gets: no record takes more bytes.
pub fn largest_record() -> Record {
    let (version, release, security_version) = (longest_version(), ReleaseId([0xff; 32]), u32::MAX);
    let failure = Failure::new(Reason::Operator, &"𝕏".repeat(Detail::MAX / 4));
    assert_eq!(failure.detail.as_str().len(), Detail::MAX);
    let durable = u16::MAX;
    let image = Image { release, version: version.clone(), security_version, durable };
    let target = Target { slot: Slot::B, release, version: version.clone(), security_version, durable };
    let entry = Entry {
        version: version.clone(),
        release,
        slot: Slot::B,
        outcome: Outcome::Reverted(failure.clone()),
        attempts: u8::MAX,
    };
    let rejected = Rejected { release, version, failure: failure.clone() };
    Record {
        seq: u64::MAX - 1,
        product: "ü".repeat(NAME_BYTES / 2),
        state: Saved::Reverting { target, failure, reboots: 3, asked: Some(BootId([0xff; 16])) },
        attempts: u8::MAX,
        origin: bistable_boot::Origin::Slot,
        slots: BySlot::new(|_| Some(image.clone())),
        floors: Floors {
            root_version: u32::MAX,
            channel_sequence: u64::MAX,
            security_version: u32::MAX,
            issued_at: u64::MAX,
        },
        channel: "c".repeat(NAME_BYTES),
        channel_payload: Some(PayloadDigest([0xff; 32])),
        equivocation: Some(Equivocation { sequence: u64::MAX, refused: PayloadDigest([0xff; 32]) }),
        withdrawn: vec![release; WITHDRAWN_LEN],
        rejected: vec![rejected; REJECTED_LEN],
        history: vec![entry; HISTORY_LEN],
        // Extensions without content take the most for what they say.
        extensions: vec![Extension { id: u16::MAX - 1, bytes: vec![0xff; EXTENSIONS_BYTES - 5] }],
    }
}

/// A record, and where the device is: what an agent holds in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    pub record: Record,
    pub now: Now,
}

impl Agent {
    /// An agent that has just saved the record.
    pub fn new(record: Record) -> Self {
        Agent { now: Now::Saved(record.state.clone()), record }
    }

    pub fn on(&mut self, event: Event) -> Result<bool, Refused> {
        self.record.on(&mut self.now, event)
    }

    /// The agent starts in that boot. Gives whether the device is elsewhere than in the boot before.
    pub fn booted(&mut self, boot: Boot) -> bool {
        let now = self.record.state.booted(boot);
        let moved = self.now != now;
        self.now = now;
        moved
    }
}

/// What a medium may do to an access.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// Reading this copy fails, until it is written.
    Unreadable(usize),
    /// Reading this copy fails, whatever is done.
    Dead(usize),
    /// A write looks done, and leaves what was there.
    Dropped,
    /// A write looks done, and this bit of it is wrong.
    Flipped(usize),
    /// The power fails after this many bytes of a write; nothing after that is written.
    Torn(usize),
    /// Writes look done and the flush after them fails.
    FlushFails,
}

#[derive(Debug, thiserror::Error)]
#[error("injected fault")]
pub struct Injected;

/// Just the two journal copies of a state partition.
#[derive(Clone, Debug)]
pub struct TwoCopies {
    /// What reads see.
    pub copies: [Vec<u8>; 2],
    /// What a power cut leaves.
    pub durable: [Vec<u8>; 2],
    pub fault: Fault,
    /// Copies with writes that the next flush makes durable.
    pub dirty: [bool; 2],
    /// How often each copy was written.
    pub writes: [usize; 2],
}

impl TwoCopies {
    pub fn new() -> Self {
        let copies = [vec![0; COPY_BYTES], vec![0; COPY_BYTES]];
        TwoCopies { durable: copies.clone(), copies, fault: Fault::None, dirty: [false; 2], writes: [0; 2] }
    }

    /// After a power cut at its worst: what was not flushed is gone.
    pub fn cut(mut self) -> Self {
        self.copies = self.durable.clone();
        self.fault = Fault::None;
        self.dirty = [false; 2];
        self
    }

    fn which(at: Lba, bytes: usize) -> Result<usize, Injected> {
        assert_eq!(bytes, COPY_BYTES, "a copy is read and written in one piece");
        layout::JOURNAL.iter().position(|j| *j == at).ok_or(Injected)
    }
}

impl Blocks for TwoCopies {
    type Error = Injected;
    fn sectors(&self) -> u64 {
        Lba::at_byte(layout::STATE_BYTES).0
    }
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), Injected> {
        let i = Self::which(at, into.len())?;
        if [Fault::Unreadable(i), Fault::Dead(i)].contains(&self.fault) {
            return Err(Injected);
        }
        into.copy_from_slice(&self.copies[i]);
        Ok(())
    }
    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), Injected> {
        let i = Self::which(at, from.len())?;
        self.writes[i] += 1;
        if let Fault::Torn(bytes) = self.fault {
            self.copies[i][..bytes].copy_from_slice(&from[..bytes]);
            self.durable[i] = self.copies[i].clone();
            return Err(Injected);
        }
        if self.fault == Fault::Dropped {
            return Ok(());
        }
        if self.fault == Fault::Unreadable(i) {
            self.fault = Fault::None;
        }
        self.copies[i].copy_from_slice(from);
        if let Fault::Flipped(bit) = self.fault {
            self.copies[i][bit / 8] ^= 1 << (bit % 8);
        }
        self.dirty[i] = true;
        Ok(())
    }
    fn flush(&mut self) -> Result<(), Injected> {
        for i in 0..2 {
            // As Linux does after an I/O error: what was not written counts as clean, so no later flush writes it.
            if std::mem::take(&mut self.dirty[i]) && self.fault != Fault::FlushFails {
                self.durable[i] = self.copies[i].clone();
            }
        }
        if self.fault == Fault::FlushFails { Err(Injected) } else { Ok(()) }
    }
}

/// The same medium for the journal and for the one who breaks it.
#[derive(Clone, Debug)]
pub struct Shared(pub Rc<RefCell<TwoCopies>>);

impl Shared {
    pub fn new(medium: TwoCopies) -> Self {
        Shared(Rc::new(RefCell::new(medium)))
    }
}

impl Blocks for Shared {
    type Error = Injected;
    fn sectors(&self) -> u64 {
        self.0.borrow().sectors()
    }
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), Injected> {
        self.0.borrow_mut().read(at, into)
    }
    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), Injected> {
        self.0.borrow_mut().write(at, from)
    }
    fn flush(&mut self) -> Result<(), Injected> {
        self.0.borrow_mut().flush()
    }
}
