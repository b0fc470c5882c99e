//! Attempts: which reboot into a trial counts as one.
//!
//! A reboot is asked for and may not happen: the call fails, the power goes first, the boot loader ignores the request. So
//! asking counts nothing. The id of the asking boot is stored ([`Asked`]), and the next start of the agent compares it with
//! the id of the boot that it runs in:
//!
//! | running now | means | counts |
//! |---|---|---|
//! | the same boot | no reboot happened | nothing |
//! | another boot, of the slot on trial | the trial began | an attempt |
//! | another boot, of the old slot, with evidence that the trial never began | the boot loader refused | a refusal |
//! | another boot, of the old slot, without such evidence | the trial ended without a verdict | an attempt |
use crate::Slot;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Trials of one staged release that may end without a verdict before it is given up; and refusals of the boot loader in
/// a row before the update stops.
pub const MAX_ATTEMPTS: u8 = 3;

/// The id of one boot: Linux makes a random one each time (`/proc/sys/kernel/random/boot_id`, an RFC 9562 UUID).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// Read a UUID's text, with or without hyphens. `None` for anything that doesn't have 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<BootId> {
        let mut id = [0; 16];
        let mut digits = text.trim().chars().filter(|c| *c != '-');
        for byte in &mut id {
            for _ in 0..2 {
                let digit = digits.next()?.to_digit(16).and_then(|d| u8::try_from(d).ok())?;
                *byte = *byte << 4 | digit;
            }
        }
        digits.next().is_none().then_some(BootId(id))
    }

    /// The id of a simulated boot, by its number.
    pub const fn numbered(n: u64) -> BootId {
        BootId((n as u128).to_be_bytes())
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootId({self})")
    }
}

/// A reboot that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asked {
    /// The boot that asked.
    pub boot: BootId,
    /// What the boot loader's own counter said before. 0 where it has none.
    pub counter: u32,
}

impl Asked {
    /// A reboot that no boot loader counts: back to the default slot.
    pub const fn uncounted(boot: BootId) -> Asked {
        Asked { boot, counter: 0 }
    }
}

/// What the boot loader left about the trial that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// It began the trial.
    Tried,
    /// It did not.
    NotTried,
    /// Nothing. A trial that dies before init leaves no trace on tryboot.
    Unknown,
}

/// A boot, as the agent finds it when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Boot {
    /// The slot that runs.
    pub slot: Slot,
    /// The boot's id.
    pub id: BootId,
    /// Whether the trial that was asked for last, if any, began.
    pub evidence: Evidence,
}

/// The trials of an armed release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tries {
    /// Trials that ended without a verdict.
    pub attempts: u8,
    /// Reboots in a row after which the boot loader had not begun the trial.
    pub refused: u8,
    /// The reboot that was asked for and not judged yet.
    pub asked: Option<Asked>,
}

impl Tries {
    /// That many trials happened, and none is asked for.
    pub const fn after(attempts: u8) -> Tries {
        Tries { attempts, refused: 0, asked: None }
    }

    /// Whether the release had all its trials.
    pub const fn are_used_up(self) -> bool {
        self.attempts >= MAX_ATTEMPTS
    }

    /// Whether the boot loader refused so often that asking again is pointless until a person looks into it.
    pub const fn are_refused(self) -> bool {
        self.refused >= MAX_ATTEMPTS
    }

    /// A reboot into the trial is asked for.
    #[must_use]
    pub const fn ask(self, asked: Asked) -> Tries {
        Tries { asked: Some(asked), ..self }
    }

    /// The slot on trial runs. It may also run without having been asked for, when the default slot doesn't boot.
    pub(crate) fn begun(self) -> u8 {
        self.attempts.saturating_add(u8::from(self.asked.is_some()))
    }

    /// The old slot runs. The request is dropped once it was judged, so that judging again changes nothing.
    #[must_use]
    pub(crate) fn judged(self, boot: Boot) -> Tries {
        match self.asked {
            Some(asked) if asked.boot != boot.id => match boot.evidence {
                Evidence::NotTried => Tries { refused: self.refused.saturating_add(1), asked: None, ..self },
                Evidence::Tried | Evidence::Unknown => Tries::after(self.attempts.saturating_add(1)),
            },
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_boot_id_is_read_as_the_kernel_writes_it() {
        let text = "2f0f0f5e-66b5-4a6a-9c8e-6d5b3a3f8a01";
        let id = BootId::parse(&format!("{text}\n")).unwrap();
        assert_eq!(format!("{id}"), text);
        assert_eq!(BootId::parse(&text.replace('-', "")), Some(id));
        for bad in ["", "2f0f0f5e", &text[1..], &format!("{text}0"), &text.replace('a', "g")] {
            assert_eq!(BootId::parse(bad), None, "{bad}");
        }
        assert_eq!(BootId::numbered(0x102).0[14..], [1, 2]);
    }
}
