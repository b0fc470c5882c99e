//! What a scenario runs on: a machine with a card, a console with a root shell, a power switch, and a jig on its pins.
use super::observations::Seen;
use anyhow::{Result, bail};
use bistable_boot::{Slot, layout::Partition};
use std::time::Duration;

/// A power switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Let it run.
    On,
    /// Cut it, without a warning.
    Off,
}

/// The wire between the two pins that the self-test plan drives and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jig {
    /// Connected.
    Wired,
    /// Taken off.
    Unwired,
}

/// How fast a rig's machine is, for deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Longest time from power to the root shell.
    pub boot: Duration,
    /// The same where nothing else runs on the host: what the bars of scenarios are made for. A slower host gets more.
    pub usual_boot: Duration,
    /// Longest time for an installation.
    pub install: Duration,
    /// Longest time for an answer of the shell.
    pub answer: Duration,
}

/// A write to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where it begins; none outside of all partitions.
    pub partition: Option<Partition>,
    /// Bytes from the partition's start.
    pub at: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// A machine that scenarios run on.
///
/// # Contract
/// - [`factory`](Rig::factory) leaves the machine without power, with the jig wired, release 1.0.0 in slot A, and every
///   release of the list as a bundle at [`bundle`](Rig::bundle).
/// - What [`watch`](Rig::watch) gives is in the order in which it happened, and never twice.
/// - [`power`](Rig::power) `Off` takes what a real power cut takes: RAM, registers, the firmware's one-shot flag.
pub trait Rig {
    /// For reports: kind of machine and boot flow.
    fn name(&self) -> (String, String);

    /// How fast it is.
    fn pace(&self) -> Pace;

    /// Put in a new card for a scenario of this name.
    ///
    /// # Errors
    /// When there is no card to be had.
    fn factory(&mut self, scenario: &str) -> Result<()>;

    /// Switch the power.
    ///
    /// # Errors
    /// When the switch doesn't do it.
    fn power(&mut self, power: Power) -> Result<()>;

    /// Type a line into the root shell, and don't wait for what comes of it.
    ///
    /// # Errors
    /// When the machine is off.
    fn send(&mut self, line: &str) -> Result<()>;

    /// Let the machine run until something is seen, at most so long.
    ///
    /// # Errors
    /// When the machine itself fails, not the system on it.
    fn watch(&mut self, within: Duration) -> Result<Vec<Seen>>;

    /// Change the wire. Lasts until it is changed again or the power is cut.
    ///
    /// # Errors
    /// When it can't be changed.
    fn jig(&mut self, jig: Jig) -> Result<()>;

    /// The path of a release's bundle, as the device sees it.
    fn bundle(&self, version: &str) -> String;

    /// The address of a repository whose channel `staging` offers [`GOOD`](super::release::GOOD), as the device sees it.
    ///
    /// # Errors
    /// When this rig's device has none in reach.
    fn repository(&self) -> Result<String> {
        bail!("this rig has no repository in its device's reach")
    }

    /// The path of a component's bundle, as the device sees it.
    fn component(&self, name: &str, version: &str) -> String {
        self.bundle(&format!("{name}-{version}"))
    }

    /// Damage the kernel in a slot that isn't running.
    ///
    /// # Errors
    /// When the rig can't reach the card.
    fn spoil_kernel(&mut self, slot: Slot) -> Result<()>;

    /// The slot that the boot flag on the card names. Only without power.
    ///
    /// # Errors
    /// When the rig can't reach the card, or the flag is none.
    fn default_slot(&mut self) -> Result<Slot>;

    /// From the next power-on to the next power-off, log what is written to the card. Whether this rig can.
    fn log_writes(&mut self) -> bool {
        false
    }

    /// Cut the power, and give what was written to the card since it was switched on.
    ///
    /// # Errors
    /// When nothing was logged, or the log can't be read.
    fn written(&mut self) -> Result<Vec<Written>> {
        bail!("this rig doesn't log what is written")
    }

    /// Whether its power can be cut in the middle of something, by the clock.
    fn has_a_clock(&self) -> bool {
        true
    }

    /// The scenario is over: keep or throw away what it left.
    ///
    /// # Errors
    /// When that fails.
    fn done(&mut self, passed: bool) -> Result<()>;
}
