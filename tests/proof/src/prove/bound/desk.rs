//! A device around a card and a partition `persistent`, and its owner.
use super::{
    super::{
        card::Card,
        faults::{Harm, Trouble, When},
        places::Snapshot,
        recorder::CardRecorder,
    },
    board::card,
    mutant::{Mutant, Shop},
    world::{NAMES, Part, World, unit},
};
use bistable::{
    Error,
    agent::{Agent, components::link_all},
    board::{
        memory::{Loss, MemoryServices, MemoryStore, Supply},
        sim::firmware,
    },
    component::write_links,
    ports::{ComponentStore, ServiceManager, Stop},
    steps::install::Overrides,
};
use bistable_boot::{Flow, Now, Saved, Slot};
use semver::Version;
use std::{cell::Cell, rc::Rc, time::Duration};

/// What the owner wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    Offer(&'static str),
    Return(&'static str),
}

/// How a stretch of life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Settled,
    Off,
    Stuck(String),
}

/// A device around a card and a partition `persistent`.
pub(super) struct Desk<'a> {
    pub(super) world: &'a World,
    pub(super) card: Card,
    pub(super) supply: Supply,
    pub(super) store: MemoryStore,
    pub(super) services: MemoryServices,
    pub(super) once: Rc<Cell<bool>>,
    /// Whether the machine goes down for a reboot.
    pub(super) down: Rc<Cell<bool>>,
    pub(super) flagged: bool,
    pub(super) boot: u64,
    pub(super) mutant: Option<Mutant>,
    /// The slot that was booted last.
    pub(super) slot: Slot,
    pub(super) problem: Option<String>,
}

pub(super) fn is_lost(e: &Error) -> bool {
    e.stopping() == Some(Stop::PowerLost)
}

impl<'a> Desk<'a> {
    /// The card as it left the factory, in a device that was never on.
    pub(super) fn new(world: &'a World) -> Desk<'a> {
        let supply = Supply::new();
        let store = MemoryStore::new(supply.clone());
        let units = NAMES.map(|name| (unit(name), name));
        let units: Vec<(&str, &str)> = units.iter().map(|(unit, name)| (unit.as_str(), *name)).collect();
        Desk {
            world,
            card: card(world, &world.product.old_card, None),
            services: MemoryServices::new(supply.clone(), store.clone(), &units),
            store,
            supply,
            once: Rc::default(),
            down: Rc::default(),
            flagged: false,
            boot: 0,
            mutant: None,
            slot: Slot::A,
            problem: None,
        }
    }

    /// The same device once more, switched off; its card goes at that access, if one is given.
    pub(super) fn fork(&self, cut: Option<u64>) -> Desk<'a> {
        let supply = Supply::new();
        let store = self.store.fork(supply.clone());
        let trouble = cut.map(|at| Trouble::new(When::Access(at), Harm::Kill));
        let services = self.services.fork(supply.clone(), store.clone());
        services.lose();
        store.lose(Loss::Nothing);
        Desk {
            card: card(self.world, &self.card.seen(), trouble),
            services,
            store,
            supply,
            once: Rc::default(),
            down: Rc::default(),
            problem: None,
            ..*self
        }
    }

    /// The power went, and is back.
    pub(super) fn power_cycle(&mut self, loss: Loss) {
        let image = match loss {
            Loss::All => self.card.durable(),
            Loss::Nothing => self.card.seen(),
        };
        self.card = card(self.world, &image, None);
        self.supply.restore();
        self.store.lose(loss);
        self.services.lose();
        self.once.set(false);
        self.down.set(false);
    }

    pub(super) fn check(&mut self, holds: bool, what: &str) {
        if !holds && self.problem.is_none() {
            self.problem = Some(format!("slot {}: {what}", self.slot));
        }
    }

    /// Live until nothing is left to do, or the power goes.
    pub(super) fn live(&mut self, goals: &mut Vec<Goal>) -> End {
        for _ in 0..24 {
            match self.started() {
                Err(e) if is_lost(&e) => return End::Off,
                Err(e) => return End::Stuck(e.to_string()),
                Ok(()) => self.booted(),
            }
            let ended = self.agent(goals);
            // The agent says why it goes back, and the machine goes down.
            if self.down.take() {
                // What a reboot takes along is what lies in memory.
                self.store.lose(Loss::Nothing);
                self.services.lose();
                continue;
            }
            match ended {
                Err(e) if is_lost(&e) || self.supply.is_off() => return End::Off,
                Err(e) => return End::Stuck(e.to_string()),
                Ok(()) => return End::Settled,
            }
        }
        End::Stuck("it still reboots".into())
    }

    /// The firmware starts a slot; `bistable-components.service` writes the links, and the services start.
    pub(super) fn started(&mut self) -> Result<(), Error> {
        let (product, once) = (&self.world.product, self.once.take());
        let mut seen = Snapshot::new(&self.card.seen(), &product.places);
        self.slot =
            firmware::choose(&mut seen, Flow::Tryboot, once).map_err(|e| Error::NotNow(e.to_string()))?.slot;
        (self.flagged, self.boot) = (once, self.boot.wrapping_add(1));
        match self.mutant {
            Some(Mutant::LinksFromCurrent) => {
                NAMES.iter().try_for_each(|name| write_links(&mut self.store, None, name))?;
            }
            Some(Mutant::LinksFromNewest) => {
                for name in NAMES {
                    let newest = self.world.parts.iter().rev().find(|part| {
                        part.release.component.as_deref() == Some(name)
                            && self.store.stored(name, &part.folder()).is_some()
                    });
                    self.store.show(name, newest.map(Part::folder).as_deref())?;
                }
            }
            _ => drop(link_all(&mut self.device()?)?),
        }
        for name in NAMES {
            // Without anything to run from, it fails to start.
            let _ = self.services.start(&unit(name), Duration::ZERO);
        }
        Ok(self.supply.look()?)
    }

    /// Right after a boot: what runs is what the image in the slot brings along, all of it, whole.
    pub(super) fn booted(&mut self) {
        let image =
            self.world.product.in_slot(&self.card.seen(), self.slot).expect("a slot that boots is complete");
        let mut problems = Vec::new();
        for bound in &image.packed.release.bound {
            let part = self.world.part(&bound.identity).unwrap();
            let runs = self.services.running(&unit(&bound.component));
            if runs.as_deref() != Some(part.folder().as_str()) {
                problems.push(format!("{} does not run as {} says", bound.component, image.version));
            }
            let stored = self.store.stored(&bound.component, &part.folder());
            if stored.is_none_or(|stored| stored.files != part.files) {
                problems.push(format!("{} {} is not whole", bound.component, bound.version));
            }
        }
        self.check(problems.is_empty(), &problems.join("; "));
    }

    /// `bistable-resume.service`, and then the owner.
    pub(super) fn agent(&mut self, goals: &mut Vec<Goal>) -> Result<(), Error> {
        let world = self.world;
        let version = world.product.in_slot(&self.card.seen(), self.slot).map(|made| made.version.clone());
        let mut recorder = CardRecorder { card: self.card.clone(), good: true };
        let mut agent = Agent::start(self.device()?, &mut recorder)?;
        news(agent.boot(|_| None).map(drop), agent.now())?;
        if self.mutant == Some(Mutant::OtherSlotCleanedUp) {
            let here = agent.device.binding_here()?.bound;
            for part in &world.parts {
                let name = part.release.component.clone().unwrap_or_default();
                if here.iter().all(|bound| bound.identity != part.identity()) {
                    self.store.clone().remove(&name, &part.folder())?;
                }
            }
        }
        while let Some(goal) = goals.first().copied() {
            match goal {
                Goal::Offer(version) => {
                    let offer = world.product.release(version).unwrap();
                    let mut shop = Shop { world, mutant: self.mutant };
                    match agent.install_or_fetch(&mut &offer.bundle[..], None, &mut shop, Overrides::NONE) {
                        Ok(_) => news(agent.resume().map(drop), agent.now())?,
                        Err(Error::NothingToDo(_) | Error::Rejected(_)) => drop(goals.remove(0)),
                        Err(e) => return Err(e),
                    }
                }
                Goal::Return(to) => {
                    if version.as_ref().is_some_and(|version| version.to_string() == to) {
                        goals.remove(0);
                    } else {
                        news(agent.roll_back().map(drop), agent.now())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What the device remembers, and the version that runs.
    pub(super) fn rests(&self) -> Result<(Version, Vec<Version>, bool), Error> {
        let device = self.device()?;
        let version = device.running().map(|image| image.version.clone()).unwrap();
        let rejected = device.record.rejected.iter().map(|rejected| rejected.version.clone()).collect();
        Ok((version, rejected, matches!(device.now(), Now::Saved(Saved::Idle))))
    }
}

/// What failed for good is news, not a reason to start the agent again.
pub(super) fn news(ended: Result<(), Error>, now: &Now) -> Result<(), Error> {
    match ended {
        Err(e) if e.stopping().is_some() || !now.is_idle() => Err(e),
        _ => Ok(()),
    }
}
