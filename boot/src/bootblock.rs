//! The boot block: the boot flag of the flow `uboot`, and what the boot script makes of it.
//!
//! One sector in U-Boot's own format, as `env export -c -s 0x200` writes it and `env import -c` checks it, so that the
//! script needs nothing that a distribution's U-Boot lacks:
//!
//! ```text
//! 0     4                                                                               512
//! │CRC-32│bistable_default=A␀bistable_left=0␀bistable_seq=1␀bistable_trial=-␀ zeros        │
//! ```
//! The CRC-32 (ISO-HDLC, little-endian) covers all bytes after it. Numbers are hexadecimal without `0x`, as U-Boot
//! calculates. The names come in alphabetic order, as U-Boot sorts them: whoever writes it, the bytes are the same.
//!
//! There are two copies, each in an erase group of its own ([`layout::BOOT_BLOCK`](crate::layout::BOOT_BLOCK)). The valid
//! one with the higher number counts, and only the other one is ever written: a write that is cut short leaves what was
//! there before.
//!
//! | field | says |
//! |---|---|
//! | `default` | the slot that boots when nothing is being tried |
//! | `trial` | the slot to try first, or `-` |
//! | `left` | how often it may still be tried: counted down and written *before* it is booted |
//! | `seq` | which copy is newer |
//!
//! [`start`] is the whole decision of `boot/files/boot.cmd`, in Rust: the simulator runs it, and the emulated Pi runs the
//! script.
use crate::{
    SECTOR, Slot,
    checksum::{CHECKSUM_BYTES, checksum},
};
use core::fmt::{self, Write};

/// U-Boot's side of it, as text: what becomes `boot.scr`.
pub const SCRIPT: &str = include_str!("../files/boot.cmd");

const BODY: usize = CHECKSUM_BYTES;

/// The names in the block, in its order.
pub const KEYS: [&str; 4] = ["bistable_default", "bistable_left", "bistable_seq", "bistable_trial"];

/// What one copy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootBlock {
    /// The higher one counts.
    pub seq: u32,
    /// The slot that boots when nothing is being tried.
    pub default: Slot,
    /// What is tried first, if anything is.
    pub trial: Option<Try>,
}

/// A slot on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// The slot.
    pub slot: Slot,
    /// How often it may still be tried.
    pub left: u8,
}

/// Why a sector is no boot block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBlock {
    /// Never written, damaged, or torn by a power cut.
    #[error("checksum does not match")]
    Checksum,
    /// The checksum is right and the content still makes no sense.
    #[error("the boot block does not decode")]
    Content,
}

impl BootBlock {
    /// What a new card has.
    pub const FIRST: BootBlock = BootBlock { seq: 1, default: Slot::A, trial: None };

    /// The sector's bytes: the same that U-Boot would write.
    pub fn render(&self) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        let (trial, left) = match self.trial {
            Some(Try { slot, left }) => (letter(slot), left),
            None => ('-', 0),
        };
        let mut text = Text { sector: &mut sector, at: BODY };
        // The longest such text has 75 bytes.
        let _ = write!(
            text,
            "bistable_default={}\0bistable_left={left:x}\0bistable_seq={:x}\0bistable_trial={trial}\0",
            letter(self.default),
            self.seq
        );
        let sum = checksum(&sector[BODY..]);
        sector[..BODY].copy_from_slice(&sum);
        sector
    }

    /// Read a copy: total, any bytes give a block or an error. Other names than ours are passed over, as U-Boot does.
    ///
    /// # Errors
    /// See [`BadBlock`].
    pub fn parse(sector: &[u8; SECTOR]) -> Result<BootBlock, BadBlock> {
        if checksum(&sector[BODY..]) != sector[..BODY] {
            return Err(BadBlock::Checksum);
        }
        let value = |key: &str| {
            let lines = sector[BODY..].split(|b| *b == 0);
            let mut values = lines.filter_map(|l| l.strip_prefix(key.as_bytes())?.strip_prefix(b"="));
            // Of two, U-Boot would take the last.
            values.next_back().ok_or(BadBlock::Content)
        };
        let slot_of = |value: &[u8]| match value {
            b"A" => Ok(Slot::A),
            b"B" => Ok(Slot::B),
            _ => Err(BadBlock::Content),
        };
        let [default, left, seq, trial] = KEYS;
        let left = u8::try_from(hex(value(left)?)?).map_err(|_| BadBlock::Content)?;
        let trial = match value(trial)? {
            b"-" => None,
            slot => Some(Try { slot: slot_of(slot)?, left }),
        };
        Ok(BootBlock { seq: hex(value(seq)?)?, default: slot_of(value(default)?)?, trial })
    }

    /// The slot that the next boot tries, if there is one.
    pub fn pending(&self) -> Option<Slot> {
        self.trial.filter(|t| t.left > 0).map(|t| t.slot)
    }

    /// The same for good, with another default and nothing on trial.
    #[must_use]
    pub fn committed(&self, default: Slot) -> BootBlock {
        BootBlock { seq: self.seq.saturating_add(1), default, trial: None }
    }

    /// The same, with a slot to be tried once.
    #[must_use]
    pub fn armed(&self, slot: Slot) -> BootBlock {
        BootBlock { seq: self.seq.saturating_add(1), trial: Some(Try { slot, left: 1 }), ..*self }
    }
}

/// Which of two copies counts: the valid one with the higher number, the first one if they are equal.
pub fn newest(copies: [Option<BootBlock>; 2]) -> Option<(usize, BootBlock)> {
    match copies {
        [Some(first), Some(second)] if second.seq > first.seq => Some((1, second)),
        [Some(first), _] => Some((0, first)),
        [None, Some(second)] => Some((1, second)),
        [None, None] => None,
    }
}

/// What the boot script is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The slots in the order in which they are tried, within the same boot: the second one if the first one's kernel
    /// is missing or damaged.
    pub order: [Slot; 2],
    /// Whether the first one is on trial. The second one never is.
    pub trial: bool,
    /// What has to be written before, and read back: the copy, and its new content. If that fails, [`uncounted`] holds.
    pub count: Option<(usize, BootBlock)>,
}

/// The decision of the boot script: what to boot, and what to write before.
///
/// A slot on trial comes first as long as tries are left; else the default one. The second is always the other one, so
/// that a damaged kernel never ends at a prompt. Without a valid copy it is A, then B.
pub fn start(copies: [Option<BootBlock>; 2]) -> Start {
    let plain = uncounted(copies);
    let Some((copy, block)) = newest(copies) else { return plain };
    match block.trial {
        Some(Try { slot, left: left @ 1.. }) => {
            let trial = Some(Try { slot, left: left - 1 });
            let counted = BootBlock { seq: block.seq.saturating_add(1), trial, ..block };
            Start { order: [slot, !slot], trial: true, count: Some((1 - copy, counted)) }
        }
        _ => plain,
    }
}

/// What is booted when a try can't be counted: nothing is tried.
pub fn uncounted(copies: [Option<BootBlock>; 2]) -> Start {
    let default = newest(copies).map_or(Slot::A, |(_, block)| block.default);
    Start { order: [default, !default], trial: false, count: None }
}

const fn letter(slot: Slot) -> char {
    match slot {
        Slot::A => 'A',
        Slot::B => 'B',
    }
}

// As U-Boot writes them: no sign, no prefix, at least one digit.
fn hex(digits: &[u8]) -> Result<u32, BadBlock> {
    let text = core::str::from_utf8(digits).map_err(|_| BadBlock::Content)?;
    if text.starts_with('+') {
        return Err(BadBlock::Content);
    }
    u32::from_str_radix(text, 16).map_err(|_| BadBlock::Content)
}

/// Text into a sector, as far as there is room.
struct Text<'a> {
    sector: &'a mut [u8; SECTOR],
    at: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.at + text.len();
        self.sector.get_mut(self.at..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.at = end;
        Ok(())
    }
}
