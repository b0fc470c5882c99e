//! A card that fails without a power cut: every error at every access, and the silent ones that only reading back can
//! find.
use super::{
    card::{Card, Op},
    explore::{OLD, start},
    faults::{Harm, Trouble, When},
    invariants::Watch,
    mutant::Mutant,
    oracle::Bench,
    pack::CHUNK_BYTES,
    pi::{End, Pi},
    product::Product,
    scenario::{self, Scenario},
};
use anyhow::{Context, Result, bail};
use bistable_boot::{SECTOR, Slot, layout::Partition};
use bistable_kit::product::noise;
use std::sync::Arc;

/// The scenarios that a card fails in.
pub const SCENARIOS: [&str; 2] = [FULL, BY_DELTA];
/// An update with a bundle.
pub const FULL: &str = "good release";
/// One by delta: cards fail to read what runs, too.
pub const BY_DELTA: &str = "by delta";

/// One way to fail, at all places.
#[derive(Clone, Debug)]
pub struct Tally {
    /// What the card does.
    pub name: &'static str,
    /// In which scenario.
    pub scenario: &'static str,
    /// In how many runs.
    pub cases: u64,
    /// In how many of them the agent noticed, and said so.
    pub noticed: u64,
    /// What went wrong, in words; empty when every run ended as an unharmed one does.
    pub wrong: Vec<String>,
}

/// All ways, in one scenario on one slot, with the right protocol or a wrong one. `silent` is how many cases of each kind of silent
/// error are drawn.
///
/// # Errors
/// When the scenario can't begin.
pub fn run(
    product: &Arc<Product>,
    scenario: &str,
    slot: Slot,
    mutant: Option<Mutant>,
    silent: usize,
    seed: u64,
) -> Result<Vec<Tally>> {
    let scenario = scenario::ALL.into_iter().find(|s| s.name == scenario).context("no such scenario")?;
    let rig = Rig::new(product, scenario, slot, mutant)?;
    let n = rig.accesses;
    let at_each = |what: fn(u64) -> Trouble| (1..=n).map(what).collect::<Vec<_>>();
    let writes: Vec<u64> = rig.writes.iter().map(|w| w.access).collect();
    let mut tallies = vec![
        rig.tally(
            "I/O error at each write and flush",
            at_each(|n| Trouble::new(When::Access(n), Harm::Eio)),
            Then::Recovers,
        )?,
        rig.tally("I/O error at each read", rig.read_errors(), Then::Recovers)?,
        rig.tally(
            "dead from each write or flush on",
            at_each(|n| Trouble::new(When::From(n), Harm::Eio)),
            Then::Mended,
        )?,
        rig.tally(
            "killed at each write and flush",
            at_each(|n| Trouble::new(When::Access(n), Harm::Kill)),
            Then::Goes,
        )?,
        rig.tally(
            "each write cut short",
            writes
                .iter()
                .flat_map(|n| [0, SECTOR, 5 * SECTOR].map(|b| Trouble::new(When::Access(*n), Harm::Short(b))))
                .collect(),
            Then::Recovers,
        )?,
        rig.tally(
            "each write silently dropped",
            writes.iter().map(|n| Trouble::new(When::Access(*n), Harm::Dropped)).collect(),
            Then::Recovers,
        )?,
    ];
    tallies.push(rig.tally(
        "slot data with a flipped bit",
        rig.drawn(silent, seed, Rig::flipped),
        Then::Notices,
    )?);
    tallies.push(rig.tally("slot data dropped", rig.drawn(silent, seed + 1, Rig::dropped), Then::Notices)?);
    tallies.push(rig.tally(
        "slot data misplaced",
        rig.drawn(silent, seed + 2, Rig::misplaced),
        Then::Notices,
    )?);
    tallies.push(rig.tally(
        "slot data wrapped around",
        rig.drawn(silent, seed + 3, Rig::wrapped),
        Then::Refuses,
    )?);
    Ok(tallies)
}

/// What must come of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The next attempt succeeds.
    Recovers,
    /// The agent notices, and the next attempt succeeds.
    Notices,
    /// The next attempt succeeds; there is nothing to notice for an agent that is dead.
    Goes,
    /// Once the card works again.
    Mended,
    /// The agent notices, and stays with the old release for as long as the card is like that.
    Refuses,
}

/// A write of the unharmed run.
#[derive(Clone, Copy, Debug)]
struct Written {
    access: u64,
    partition: Partition,
    at: u64,
    bytes: usize,
}

struct Rig {
    bench: Bench,
    slot: Slot,
    start: super::image::Image,
    accesses: u64,
    writes: Vec<Written>,
    reads: Vec<(Partition, u64, u64)>,
}

impl Rig {
    fn new(product: &Arc<Product>, scenario: Scenario, slot: Slot, mutant: Option<Mutant>) -> Result<Rig> {
        let bench = Bench { product: Arc::clone(product), scenario, mutant };
        let mut rig = Rig {
            start: start(product, &scenario, slot)?,
            bench,
            slot,
            accesses: 0,
            writes: Vec::new(),
            reads: Vec::new(),
        };
        let card = rig.card(None)?;
        let life = Pi::new(product, &card, true, mutant).live(scenario.goals);
        if life.end != End::Settled {
            bail!("the unharmed run does not end: {life:?}");
        }
        rig.accesses = card.accesses();
        let accesses = card.take_log().into_iter().filter(Op::is_access);
        rig.writes = (1..)
            .zip(accesses)
            .filter_map(|(access, op)| match op {
                Op::Write { partition, at, data } => {
                    Some(Written { access, partition, at, bytes: data.len() })
                }
                _ => None,
            })
            .collect();
        rig.reads = card
            .reads()
            .into_iter()
            .flat_map(|((p, at), times)| (1..=times).map(move |t| (p, at, t)))
            .collect();
        rig.reads.sort_unstable_by_key(|(p, at, t)| (p.number(), *at, *t));
        Ok(rig)
    }

    fn card(&self, trouble: Option<Trouble>) -> Result<Card> {
        let proven = ["1.0.0", OLD].into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Card::new(
            &self.start,
            &self.bench.product.places,
            // A card that fails between a request and its reboot, or between U-Boot's count and the boot, leaves an
            // attempt that nothing tells from one that died early.
            Watch::new(&self.bench.product, proven).after_trials(0, 1),
            trouble,
        ))
    }

    fn read_errors(&self) -> Vec<Trouble> {
        self.reads.iter().map(|(p, at, t)| Trouble::new(When::Read(*p, *at, *t), Harm::Eio)).collect()
    }

    fn tally(&self, name: &'static str, troubles: Vec<Trouble>, then: Then) -> Result<Tally> {
        let scenario = self.bench.scenario.name;
        let mut tally = Tally { name, scenario, cases: 0, noticed: 0, wrong: Vec::new() };
        for trouble in troubles {
            tally.cases += 1;
            let card = self.card(Some(trouble))?;
            let mut pi = Pi::new(&self.bench.product, &card, true, self.bench.mutant);
            let mut life = pi.live(self.bench.scenario.goals);
            let noticed = pi.failures() > 0;
            tally.noticed += u64::from(noticed);
            let mut wrong = Vec::new();
            if !card.was_in_trouble() {
                wrong.push("it never came to that".to_owned());
            }
            if matches!(then, Then::Refuses | Then::Notices) && !noticed {
                wrong.push("it was not noticed".to_owned());
            }
            match then {
                Then::Refuses => {
                    let holds =
                        self.bench.product.in_slot(&card.seen(), self.slot).map(|r| r.version.to_string());
                    if life.slot != Some(self.slot) || holds.as_deref() != Some(OLD) {
                        wrong.push(format!("the old release does not run: {life:?}"));
                    }
                }
                Then::Mended => {
                    if matches!(life.end, End::Brick(_)) {
                        wrong.push(format!("{:?}", life.end));
                    }
                    card.mend();
                    life = Pi::new(&self.bench.product, &card, true, self.bench.mutant)
                        .live(self.bench.scenario.goals);
                }
                Then::Recovers | Then::Notices | Then::Goes => {}
            }
            let broken = card.watch(|w| std::mem::take(&mut w.broken));
            if then == Then::Refuses {
                wrong.extend(broken);
            } else {
                let verdict = self.bench.judge_end(&card.seen(), &life, &broken);
                wrong.extend(verdict.wrong.into_iter().map(|(kind, why)| format!("{kind:?}: {why}")));
            }
            if !wrong.is_empty() {
                tally.wrong.push(format!("{trouble:?}: {}", wrong.join("; ")));
            }
        }
        Ok(tally)
    }

    /// Silent errors in the writes of slot data, drawn.
    fn drawn(
        &self,
        count: usize,
        seed: u64,
        make: fn(&Rig, Written, &mut dyn FnMut(u64) -> u64) -> Trouble,
    ) -> Vec<Trouble> {
        let data: Vec<_> = self
            .writes
            .iter()
            .filter(|w| matches!(w.partition, Partition::Boot(_) | Partition::System(_)) && w.bytes > SECTOR)
            .collect();
        let random = noise(seed, 64 * count);
        let mut numbers = random.chunks_exact(8).map(|b| b.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
        let mut below = move |most: u64| numbers.next().unwrap_or(0) % most.max(1);
        (0..count)
            .filter_map(|_| {
                let pick = usize::try_from(below(data.len() as u64)).ok()?;
                Some(make(self, **data.get(pick)?, &mut below))
            })
            .collect()
    }

    fn flipped(&self, w: Written, below: &mut dyn FnMut(u64) -> u64) -> Trouble {
        let bit = usize::try_from(below(w.bytes as u64 * 8)).unwrap_or(0);
        Trouble::new(When::Access(w.access), Harm::Flipped(bit))
    }

    fn dropped(&self, w: Written, _: &mut dyn FnMut(u64) -> u64) -> Trouble {
        Trouble::new(When::Access(w.access), Harm::Dropped)
    }

    /// Anywhere in the slot that is written, but not where it belongs.
    fn misplaced(&self, w: Written, below: &mut dyn FnMut(u64) -> u64) -> Trouble {
        let places = &self.bench.product.places;
        let partition =
            if below(4) == 0 { Partition::Boot(!self.slot) } else { Partition::System(!self.slot) };
        let (start, sectors) =
            (places.start(partition), (places.bytes(partition) - w.bytes as u64) / SECTOR as u64);
        let to = start + below(sectors) * SECTOR as u64;
        Trouble::new(
            When::Access(w.access),
            Harm::Misplaced(if to == w.at { to + SECTOR as u64 } else { to }),
        )
    }

    /// The memory ends somewhere in the system volume, and what comes behind lands at its beginning or in the middle.
    fn wrapped(&self, _: Written, below: &mut dyn FnMut(u64) -> u64) -> Trouble {
        let places = &self.bench.product.places;
        let system = Partition::System(!self.slot);
        let (start, until) = (places.start(system), places.start(system) + places.bytes(system));
        let used = self
            .writes
            .iter()
            .filter(|w| w.partition == system)
            .map(|w| w.at + w.bytes as u64)
            .max()
            .unwrap_or(until);
        let sector = SECTOR as u64;
        // At least a chunk and a mark lie behind that end.
        let room = (used - start - CHUNK_BYTES as u64) / sector - 32;
        let from = start + (1 + below(room)) * sector;
        let to = start + below((from - start) / sector) * sector;
        Trouble::new(When::Wrapped { from, until, to }, Harm::Eio)
    }
}
