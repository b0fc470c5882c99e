//! Judges one crash state: the device is switched on with that card, comes to rest with nothing on offer, and then gets
//! the same goals again.
use super::{
    card::{Card, Op},
    event_rules::{self, Lines, LogLies},
    goal::Goal,
    image::Image,
    invariants::{Watch, flag, record},
    mutant::Mutant,
    pi::{End, Life, Pi},
    places::Snapshot,
    product::{Nature, Product},
    scenario::{Reboots, Scenario},
};
use bistable::{app::policy, ports::Sectors};
use bistable_boot::{Flow, Now, Outcome, Saved, Slot, fat::Fat, layout::Partition};
use semver::Version;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// What can be wrong after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wrong {
    /// Nothing boots any more.
    Brick,
    /// The device had said that a release is the default, and it isn't.
    LostCommit,
    /// The default slot holds something that isn't complete, or was never healthy.
    Unhealthy,
    /// A good release is rejected.
    RejectedGood,
    /// A healthy system runs, and a person has to mend the card before it can be updated again.
    NeedsHands,
    /// A rule was broken on the way, or the end isn't as it must be.
    Broken,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Everything that was wrong, in words.
    pub wrong: Vec<(Wrong, String)>,
    /// What the recovery did to the card.
    pub log: Vec<Op>,
    /// Boots until the device was at rest with nothing on offer.
    pub boots: u32,
}

/// What held when the power went.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Before {
    /// The version that the device had last said is the default, or that the factory made so.
    pub promised: Version,
    /// Versions that it was about to make the default: their commit may be on the card, and need not be.
    pub coming: Vec<Version>,
    /// Versions that had proven themselves.
    pub proven: Vec<Version>,
    /// Trials of the update in flight.
    pub trials: u8,
    /// Power cuts, this one included.
    pub cuts: u8,
    /// Events that the log was told are durable.
    pub logged: Arc<Lines>,
    /// Whether a sector was lost that was not being written: then even a complete slot need not be complete any more.
    pub lost_neighbor: bool,
}

/// What comes of cards at rest, as far as it was worked out: by content, running slot and proven versions.
#[derive(Debug, Default)]
pub struct Known(HashMap<AtRest, Vec<(Wrong, String)>>);

type AtRest = (u128, Option<Slot>, BTreeSet<Version>, &'static [Goal]);

/// The bench: a product, a scenario, and perhaps a protocol that is wrong on purpose.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The product.
    pub product: Arc<Product>,
    /// The scenario.
    pub scenario: Scenario,
    /// The wrong protocol.
    pub mutant: Option<Mutant>,
}

impl Bench {
    /// A card with this content, watched with the knowledge of what came before.
    pub fn card(&self, image: &Image, before: &Before) -> Card {
        let proven = before.proven.iter().cloned().collect();
        let watch = Watch::new(&self.product, proven).after_trials(before.trials, before.cuts);
        Card::new(image, &self.product.places, watch, None)
    }

    /// Judge a life without a power cut.
    pub fn judge_end(&self, image: &Image, life: &Life, broken: &[String]) -> Verdict {
        let Ok(promised) = self.scenario.ends.parse() else {
            return Verdict { wrong: vec![(Wrong::Broken, "no version".into())], log: Vec::new(), boots: 0 };
        };
        let (coming, proven) = (Vec::new(), Vec::new());
        let logged = Arc::default();
        let before = Before { promised, coming, proven, trials: 0, cuts: 0, logged, lost_neighbor: false };
        let mut case = Case { bench: self, before: &before, wrong: Vec::new() };
        case.lies(image);
        case.ends(image, life);
        case.logs(image, &Lines::new(), &LogLies::default());
        let mut wrong = case.wrong;
        wrong.extend(broken.iter().map(|rule| (Wrong::Broken, rule.clone())));
        Verdict { wrong, log: Vec::new(), boots: life.boots }
    }

    /// Judge one crash state.
    pub fn judge(&self, image: &Image, before: &Before) -> Verdict {
        self.judge_knowing(image, before, None)
    }

    /// Judge one crash state. Where many recover to the same card, byte for byte, with nothing in its cache, what comes
    /// of it next is worked out once; the log is then not all of it.
    pub fn judge_knowing(&self, image: &Image, before: &Before, known: Option<&mut Known>) -> Verdict {
        let mut case = Case { bench: self, before, wrong: Vec::new() };
        case.lies(image);
        let lost_map = !has_map(image, &self.product);
        let card = self.card(image, before);
        let mut pi = Pi::new(&self.product, &card, self.scenario.wired, self.mutant);
        pi.reboots = self.scenario.reboots;
        pi.logs = self.scenario.logs;
        pi.mode = self.scenario.mode;

        let life = pi.live(&[]);
        case.rests(&card.seen(), &life, lost_map);
        if !matches!(life.end, End::Brick(_)) {
            case.logs(&card.seen(), &before.logged, &event_rules::log(image, &self.product.places));
        }
        let mut broken = card.watch(|w| std::mem::take(&mut w.broken));
        if !lost_map && !matches!(life.end, End::Brick(_)) {
            let goals = self.scenario.goals(before.cuts);
            let key = (card.seen().key(), life.slot, card.watch(|w| w.proven().clone()), goals);
            match known.filter(|_| card.is_durable()) {
                Some(known) => {
                    let next = known.0.entry(key).or_insert_with(|| case.offered_again(&card, &mut pi));
                    case.wrong.extend(next.iter().cloned());
                }
                None => {
                    let next = case.offered_again(&card, &mut pi);
                    case.wrong.extend(next);
                }
            }
            broken.extend(card.watch(|w| std::mem::take(&mut w.broken)));
        }
        let mut wrong = case.wrong;
        wrong.extend(broken.into_iter().map(|rule| (Wrong::Broken, rule)));
        Verdict { wrong, log: card.take_log(), boots: life.boots }
    }
}

/// Whether the way to the boot flag is still there: the tables of its volume. The flag can't be written without them. The boot
/// block has a place of its own, and U-Boot its script in tables that are never written.
fn has_map(image: &Image, product: &Product) -> bool {
    if product.flow == Flow::Uboot {
        return true;
    }
    let mut sectors = Sectors(Snapshot::new(image, &product.places).volume(Partition::Bootconfig));
    Fat::open(&mut sectors).is_ok_and(|fat| fat.find(&mut sectors, b"AUTOBOOTTXT").is_ok())
}

struct Case<'a> {
    bench: &'a Bench,
    before: &'a Before,
    wrong: Vec<(Wrong, String)>,
}

impl Case<'_> {
    fn wrong(&mut self, what: Wrong, why: impl Into<String>) {
        self.wrong.push((what, why.into()));
    }

    /// As the crash left it: the default slot is whole, and a slot that looks bootable is complete.
    fn lies(&mut self, image: &Image) {
        let product = &self.bench.product;
        if let Some(default) = flag(image, product) {
            match product.in_slot(image, default) {
                None => self.wrong(Wrong::Unhealthy, format!("default slot {default} is not complete")),
                Some(r) if r.nature != Nature::Good => {
                    self.wrong(
                        Wrong::Unhealthy,
                        format!("default slot {default} holds {}, which is not healthy", r.version),
                    );
                }
                Some(_) => {}
            }
        }
        for slot in Slot::ALL {
            let complete = product.in_slot(image, slot).is_some() || self.before.lost_neighbor;
            if product.looks_bootable(image, slot) && !complete {
                self.wrong(Wrong::Broken, format!("slot {slot} looks bootable and is not complete"));
            }
        }
    }

    /// At rest, with nothing on offer.
    fn rests(&mut self, image: &Image, life: &Life, lost_map: bool) {
        match &life.end {
            End::Brick(why) => return self.wrong(Wrong::Brick, why),
            // Only a cut in a write beside them may cost the tables.
            _ if lost_map && !self.before.lost_neighbor => {
                self.wrong(
                    Wrong::Broken,
                    "the boot flag's volume is damaged, and nothing next to it was written",
                );
            }
            End::Stuck(why) if lost_map => self.wrong(Wrong::NeedsHands, why),
            End::Stuck(why) => self.wrong(Wrong::Broken, format!("stuck: {why}")),
            End::Settled if lost_map => self.wrong(Wrong::NeedsHands, "the boot flag's volume is damaged"),
            End::Settled => {}
        }
        let product = &self.bench.product;
        let runs = life.slot.and_then(|slot| product.in_slot(image, slot));
        match runs {
            None => self.wrong(Wrong::Unhealthy, "what runs is not complete"),
            Some(r) if r.nature != Nature::Good => {
                self.wrong(Wrong::Unhealthy, format!("{} runs, which is not healthy", r.version));
            }
            Some(r) if r.version != self.before.promised && !self.before.coming.contains(&r.version) => {
                self.wrong(
                    Wrong::LostCommit,
                    format!("{} runs, and {} was committed", r.version, self.before.promised),
                );
            }
            Some(_) => {}
        }
        if !lost_map {
            self.agrees(image, life);
        }
    }

    /// Flag, journal and slots say the same.
    fn agrees(&mut self, image: &Image, life: &Life) {
        let (product, Some(slot)) = (Arc::clone(&self.bench.product), life.slot) else { return };
        if flag(image, &product) != Some(slot) {
            self.wrong(Wrong::Broken, "the running slot is not the default");
        }
        let Some(record) = record(image, &product.places) else {
            return self.wrong(Wrong::Broken, "the journal is lost");
        };
        // Where the boot loader refuses, the update waits for a person, in its slot.
        let waits = match (&record.state, self.bench.scenario.reboots) {
            (Saved::Armed { target, tries }, Reboots::Ignored(_)) if tries.are_refused() => Some(target.slot),
            // And where the mode says so.
            (state, _)
                if policy::waits(&Now::Saved(state.clone()), slot, self.bench.scenario.mode).is_some() =>
            {
                state.target().map(|target| target.slot)
            }
            _ => None,
        };
        if waits.is_none() && !matches!(record.state, Saved::Idle | Saved::Installing(_)) {
            self.wrong(Wrong::Broken, format!("at rest while {}", record.state.name()));
        }
        for s in Slot::ALL {
            let (holds, known) = (product.in_slot(image, s), record.slots[s].as_ref());
            if let Some(known) = known
                && holds.is_none_or(|r| r.version != known.version)
            {
                self.wrong(Wrong::Broken, format!("the journal says that slot {s} holds {}", known.version));
            }
            if product.looks_bootable(image, s)
                && waits != Some(s)
                && holds.is_none_or(|r| r.nature != Nature::Good)
            {
                self.wrong(Wrong::Broken, format!("slot {s} looks bootable and holds nothing good"));
            }
        }
        if record.slots[slot].is_none() {
            self.wrong(Wrong::Broken, "the journal does not know what runs");
        }
        for r in &record.rejected {
            let expected = self.bench.scenario.rejected.iter().any(|v| r.version.to_string() == **v);
            if !expected {
                self.wrong(Wrong::RejectedGood, format!("{} is rejected: {}", r.version, r.failure));
            }
        }
    }

    /// The event log, where it is written. What lay beside a write is lost without anybody's fault, events too.
    fn logs(&mut self, image: &Image, promised: &Lines, before: &LogLies) {
        if !self.bench.scenario.logs || self.before.lost_neighbor {
            return;
        }
        let places = &self.bench.product.places;
        for wrong in event_rules::broken(image, places, record(image, places), promised, before) {
            self.wrong(Wrong::Broken, wrong);
        }
    }

    /// The goals again, on a card that came to rest: what is wrong in the end.
    fn offered_again(&self, card: &Card, pi: &mut Pi) -> Vec<(Wrong, String)> {
        let lies =
            self.bench.scenario.logs.then(|| event_rules::log(&card.seen(), &self.bench.product.places));
        let again = pi.live(self.bench.scenario.goals(self.before.cuts));
        let mut case = Case { bench: self.bench, before: self.before, wrong: Vec::new() };
        case.ends(&card.seen(), &again);
        case.logs(&card.seen(), &Lines::new(), &lies.unwrap_or_default());
        case.wrong.extend(
            card.watch(|w| std::mem::take(&mut w.broken)).into_iter().map(|rule| (Wrong::Broken, rule)),
        );
        case.wrong
    }

    /// At rest, with no goal left.
    fn ends(&mut self, image: &Image, life: &Life) {
        let product = Arc::clone(&self.bench.product);
        let scenario = self.bench.scenario;
        match &life.end {
            End::Brick(why) => return self.wrong(Wrong::Brick, format!("offered again: {why}")),
            End::Stuck(why) => return self.wrong(Wrong::Broken, format!("offered again, stuck: {why}")),
            End::Settled => {}
        }
        self.agrees(image, life);
        let runs = life.slot.and_then(|slot| product.in_slot(image, slot)).map(|r| r.version.to_string());
        if runs.as_deref() != Some(scenario.ends) {
            self.wrong(
                Wrong::Broken,
                format!("offered again, {} runs", runs.unwrap_or_else(|| "nothing known".into())),
            );
        }
        let (Some(record), Some(release)) = (record(image, &product.places), product.release(scenario.ends))
        else {
            return;
        };
        let rejected: BTreeSet<_> = record.rejected.iter().map(|r| r.version.to_string()).collect();
        if rejected != scenario.rejected.iter().map(|v| (*v).to_owned()).collect() {
            self.wrong(Wrong::Broken, format!("rejected in the end: {rejected:?}"));
        }
        if record.floors.security_version != release.security_version {
            self.wrong(
                Wrong::Broken,
                format!("the security floor is {} in the end", record.floors.security_version),
            );
        }
        if record.state != Saved::Idle {
            self.wrong(Wrong::Broken, format!("{} in the end", record.state.name()));
        }
        let (version, kept) = scenario.last();
        let told = record.history.last().is_some_and(|e| {
            let was_kept = matches!(e.outcome, Outcome::Committed | Outcome::Provisioned);
            e.version.to_string() == version && was_kept == kept
        });
        if !told {
            self.wrong(Wrong::Broken, format!("the history ends with {:?}", record.history.last()));
        }
    }
}
