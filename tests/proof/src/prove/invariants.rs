//! Watches every write of the agent while it happens: what holds at any time must not only hold at the end.
use super::{
    event_rules,
    image::Image,
    places::{Places, Snapshot},
    product::Product,
    tampered::decode,
};
use bistable::{board::sim::boot_control, flow::tryboot::Booted, ports::Sectors};
use bistable_boot::{
    Autoboot, BootBlock, Entry, Floors, Flow, Formats, Journal, MAX_ATTEMPTS, Outcome, Record, SECTOR, Saved,
    Slot,
    layout::{BOOT_BLOCK, BOOT_PARTITIONS, HEADER_BYTES, JOURNAL, Partition},
};
use semver::Version;
use std::{collections::BTreeSet, sync::Arc};

/// The rules, and what has to be known for them.
#[derive(Clone, Debug)]
pub struct Watch {
    product: Arc<Product>,
    /// The slot that runs.
    booted: Slot,
    /// What passed on this boot.
    self_tests: bool,
    healthy: bool,
    /// Versions that were the default and healthy, or came from the factory.
    proven: BTreeSet<Version>,
    floors: Option<Floors>,
    armed: bool,
    trials: u8,
    /// Trials of the update in flight.
    happened: u8,
    /// How many the device may count beyond them. Tryboot leaves no evidence that the trial never began if the power goes
    /// between a request and its reboot. U-Boot counts, and each cut between its count and the boot is one too many.
    excused: u8,
    /// What the journal told last of how an update ended.
    last_entry: Option<Entry>,
    /// Whether an agent with an event log runs.
    logs: bool,
    /// Rules that were broken, in words.
    pub broken: Vec<String>,
}

impl Watch {
    /// Watch a device on which these versions have proven themselves.
    pub fn new(product: &Arc<Product>, proven: BTreeSet<Version>) -> Watch {
        Watch {
            product: Arc::clone(product),
            booted: Slot::A,
            self_tests: false,
            healthy: false,
            proven,
            floors: None,
            armed: false,
            trials: 0,
            happened: 0,
            excused: 0,
            last_entry: None,
            logs: false,
            broken: Vec::new(),
        }
    }

    /// A release became the default, and the device said so.
    pub fn promised(&mut self, version: &Version) {
        self.proven.insert(version.clone());
    }

    /// Versions that have proven themselves.
    pub fn proven(&self) -> &BTreeSet<Version> {
        &self.proven
    }

    /// That many trials came before the power went, the last time of `cuts`.
    pub fn after_trials(mut self, trials: u8, cuts: u8) -> Watch {
        self.trials = trials;
        self.happened = trials;
        self.excused = match self.product.flow {
            Flow::Tryboot => 2,
            Flow::Uboot => cuts,
        };
        self
    }

    /// A system came up, or tried to. Gives whether that is a trial.
    pub fn booted(&mut self, slot: Slot, image: &Image) -> bool {
        (self.booted, self.self_tests, self.healthy, self.logs) = (slot, false, false, false);
        let stored = record(image, &self.product.places);
        if let (Some(newest), Some(release)) = (&stored, self.product.in_slot(image, slot))
            && read(image, &self.product.places, release.agent().ours).as_ref() != Some(newest)
        {
            self.break_rule("an agent was booted that can't read the newest record");
        }
        self.armed = stored
            .as_ref()
            .is_some_and(|r| matches!(r.state, Saved::Armed { .. } | Saved::Committing { .. }));
        if let Some(stored) = stored {
            self.floors.get_or_insert(stored.floors);
            self.last_entry = stored.history.last().cloned();
        }
        let trial = flag(image, &self.product).is_some_and(|default| default != slot);
        if trial {
            self.trials += 1;
            self.happened = self.happened.saturating_add(1);
            // A power cut may end any of them without the agent's having counted it itself: it counts before.
            if self.trials > MAX_ATTEMPTS {
                self.break_rule("more trials of one release than are allowed");
            }
        }
        trial
    }

    /// Self-tests ran.
    pub fn self_tested(&mut self, passed: bool) {
        self.self_tests = passed;
    }

    /// A health check ran.
    pub fn health_checked(&mut self, passed: bool) {
        self.healthy = passed;
    }

    /// An agent opens its event log: from here on, what it decides is logged before it acts.
    pub fn logs(&mut self) {
        self.logs = true;
    }

    /// Before a write: what is written has to be decided, and the decision has to be in the log.
    pub fn acts_on(&mut self, durable: &Image, image: &Image, partition: Partition, at: u64) {
        let is_block = BOOT_BLOCK.iter().any(|b| b.0 * SECTOR as u64 == at);
        let is_act = match partition {
            Partition::Boot(_) | Partition::System(_) | Partition::Bootconfig => true,
            Partition::State => is_block,
            Partition::Persistent => false,
        };
        if is_act {
            self.acts(durable, image, partition.name());
        }
    }

    /// The same for what is no write.
    pub fn acts(&mut self, durable: &Image, image: &Image, what: &str) {
        if self.logs
            && let Some(how) =
                event_rules::disagrees(durable, record(image, &self.product.places), &self.product.places)
        {
            self.break_rule(&format!(
                "{what}: the agent acted before the event of its decision was durable: {how}"
            ));
        }
    }

    /// An operator may want another trial of what was tried before.
    pub fn offered(&mut self) {
        self.trials = 0;
    }

    /// A rule was broken.
    pub fn break_rule(&mut self, rule: &str) {
        if !self.broken.iter().any(|b| b == rule) {
            self.broken.push(rule.into());
        }
    }

    /// Before a write: may the agent do that?
    pub fn write(&mut self, image: &Image, partition: Partition, at: u64, data: &[u8]) {
        let default = flag(image, &self.product);
        match partition {
            Partition::Boot(slot) | Partition::System(slot) => {
                if slot == self.booted {
                    self.break_rule("the running slot was written");
                }
                if Some(slot) == default {
                    self.break_rule("the default slot was written");
                }
                if default.is_some_and(|d| d != self.booted) {
                    self.break_rule("a slot was written during a trial");
                }
                if !self.is_of_the_release(image, partition, at, data) {
                    self.break_rule("bytes were written into a slot that are not the release's");
                }
            }
            Partition::Bootconfig => {
                let new = Autoboot::read(data).default_slot(BOOT_PARTITIONS);
                self.flag_write(default, new, image, data);
            }
            Partition::State if BOOT_BLOCK.iter().any(|b| b.0 * SECTOR as u64 == at) => {
                let block = data.try_into().ok().and_then(|sector| BootBlock::parse(sector).ok());
                self.flag_write(default, block.map(|b| b.default), image, data);
            }
            Partition::State => self.state_write(image, at, data),
            Partition::Persistent if self.logs => {}
            Partition::Persistent => self.break_rule("the persistent partition was written"),
        }
    }

    /// Whether these bytes belong there in the release that is being installed, or erase the header. What was copied or
    /// decoded and not compared with its digest may be anything.
    fn is_of_the_release(&self, image: &Image, partition: Partition, at: u64, data: &[u8]) -> bool {
        let Ok(from) = usize::try_from(at) else { return false };
        let until = from + data.len();
        let is_boot = matches!(partition, Partition::Boot(_));
        if is_boot && until <= HEADER_BYTES && data.iter().all(|b| *b == 0) {
            return true;
        }
        // A card that dropped the record without a word is not the agent's fault: then any release will do.
        let installing = match record(image, &self.product.places).map(|r| r.state) {
            Some(Saved::Installing(target)) => Some(target.version),
            _ => None,
        };
        let mut releases = self.product.releases.iter();
        releases.any(|r| {
            let volume = if is_boot { &r.packed.boot } else { &r.packed.system };
            volume.get(from..until) == Some(data) && installing.as_ref().is_none_or(|v| *v == r.version)
        })
    }

    fn flag_write(&mut self, default: Option<Slot>, new: Option<Slot>, image: &Image, data: &[u8]) {
        if data.len() != SECTOR {
            self.break_rule("the boot flag was written with more than its sector");
        }
        let Some(new) = new else {
            return self.break_rule("the boot flag was written and names no slot");
        };
        if default == Some(new) {
            return;
        }
        let proven_here = new == self.booted && self.self_tests && self.healthy;
        let proven_before =
            self.product.in_slot(image, new).is_some_and(|r| self.proven.contains(&r.version));
        if !proven_here && !proven_before {
            self.break_rule("the boot flag was set to a slot that was not healthy on this boot");
        }
    }

    fn state_write(&mut self, image: &Image, at: u64, data: &[u8]) {
        let is_copy = JOURNAL.iter().any(|j| j.0 * SECTOR as u64 == at);
        let Some(record) = is_copy.then(|| decode(data)).flatten() else { return };
        let before = self.floors.unwrap_or(record.floors);
        let (new, old) = (record.floors, before);
        if new.root_version < old.root_version
            || new.channel_sequence < old.channel_sequence
            || new.security_version < old.security_version
            || new.issued_at < old.issued_at
        {
            self.break_rule("a floor fell");
        }
        if new.security_version > old.security_version && record.state != Saved::Idle {
            self.break_rule("the security floor rose before the commit");
        }
        self.floors = Some(new);
        let last = record.history.last();
        if let Some(entry) = last
            && entry.outcome == Outcome::Committed
            && self.last_entry.as_ref() != last
            && (flag(image, &self.product) != Some(entry.slot) || self.booted != entry.slot)
        {
            self.break_rule("noted as committed before it was");
        }
        self.last_entry = last.cloned();
        let armed = matches!(record.state, Saved::Armed { .. });
        match &record.state {
            Saved::Armed { .. } if !self.armed && !self.self_tests => {
                self.break_rule("armed without self-tests on this boot");
            }
            Saved::Committing { .. } if !(self.self_tests && self.healthy) => {
                self.break_rule("committing without self-tests and health check on this boot");
            }
            Saved::Staged(target)
                if self.product.in_slot(image, target.slot).is_none_or(|r| r.version != target.version) =>
            {
                self.break_rule("staged, and the slot does not hold it");
            }
            Saved::Armed { tries, .. } if tries.attempts > MAX_ATTEMPTS => {
                self.break_rule("more attempts than are allowed");
            }
            Saved::Armed { tries, .. } if tries.attempts > self.happened.saturating_add(self.excused) => {
                self.break_rule("an attempt was counted that did not happen");
            }
            Saved::Idle | Saved::Installing(_) => self.happened = 0,
            _ => {}
        }
        self.armed = armed || matches!(record.state, Saved::Committing { .. });
    }

    /// After a write: is the card as it may be?
    pub fn wrote(&mut self, image: &Image, partition: Partition) {
        if let Partition::Boot(slot) | Partition::System(slot) = partition
            && self.product.looks_bootable(image, slot)
            && self.product.in_slot(image, slot).is_none()
            && flag(image, &self.product) != Some(slot)
        {
            self.break_rule("a slot looked bootable and was not complete");
        }
    }
}

/// The default slot, if the flag names one.
pub fn flag(image: &Image, product: &Product) -> Option<Slot> {
    let mut card = Snapshot::new(image, &product.places);
    let any = Booted { slot: Slot::A, flagged: false };
    boot_control(&mut card, product.flow, any, Box::new(|_| {})).ok()?.default_slot().ok()
}

/// The record on a card, as the newest agent reads it.
pub fn record(image: &Image, places: &Arc<Places>) -> Option<Record> {
    read(image, places, Formats::TOMORROW)
}

/// The record on a card, as an agent with these formats reads it.
fn read(image: &Image, places: &Arc<Places>, formats: Formats) -> Option<Record> {
    let state = Snapshot::new(image, places).volume(Partition::State);
    Journal::new(Sectors(state)).with_formats(formats).load().ok()
}
