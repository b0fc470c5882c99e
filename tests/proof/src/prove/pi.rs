//! A simulated Pi around a simulated card: firmware, kernels, the agent, and an owner with goals. It lives until it
//! comes to rest.
use super::{
    by_delta::Shop,
    card::{Card, Op},
    event_promise::Promising,
    event_volume::EventVolume,
    follow::{Home, Rested, follow},
    goal::Goal,
    image::Image,
    invariants::{Watch, flag, record},
    mutant::Mutant,
    places::Snapshot,
    product::{Made, Nature, Product},
    recorder::CardRecorder,
    scenario::Reboots,
    tampered::{DeferredWrites, Tampered},
    tampered_content::{self, TamperedContent},
    tampered_events::TamperedEvents,
};
use bistable::{
    Device, Error,
    agent::{Agent, Observer, Rest},
    app::policy,
    board::{
        memory::{MemoryEngine, MemoryServices, MemoryStore, Supply},
        sim::{
            SimError, boot_control, buses::SimBuses, clock::SimClock, firmware, gpio::SimGpio, host::SimHost,
            nets::Nets, world::Facts,
        },
    },
    config::{Mode, Settings, UpdateSettings},
    error::BundleError,
    events::{Log, Recorder, Session, SharedLog},
    flow::{tryboot::Booted, uboot::BootBlocks},
    ports::{Board, Clock, EventPorts, EventStore, Fault, Never, Partitions, Stamp, Stamps, Stop},
    source::Memory,
    steps::install::{Overrides, Remote},
};
use bistable_boot::{BootId, Flow, Now, Saved, Slot, Target, bootblock::start, layout::Partition};
use bistable_format::{compat::Direction, selftest::Pin};
use std::{cell::Cell, io, num::NonZeroUsize, rc::Rc, sync::Arc, time::Duration};

/// How a device came to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A system runs, and the agent has nothing more to do.
    Settled,
    /// A system runs, and the agent can't continue.
    Stuck(String),
    /// Nothing boots.
    Brick(String),
}

/// A stretch of a device's life.
#[derive(Clone, Debug)]
pub struct Life {
    /// How it ended.
    pub end: End,
    /// The slot that runs, if one does.
    pub slot: Option<Slot>,
    /// Boots that it took.
    pub boots: u32,
}

/// More boots than any recovery may take.
const MANY_BOOTS: u32 = 24;
/// A default slot that was reset so often without coming up never will.
const RESETS: u32 = 4;
/// How often an agent that fails is started again within one boot, and how often a release is offered that fails to
/// install.
const TRIES: u32 = 4;

/// A simulated Pi.
#[derive(Debug)]
pub struct Pi {
    product: Arc<Product>,
    card: Card,
    wired: bool,
    mutant: Option<Mutant>,
    deferred: DeferredWrites,
    /// The firmware's one-shot flag, in a register: power loss clears it.
    once: Rc<Cell<bool>>,
    /// Whether the machine goes down for a reboot: nothing runs any more.
    down: Rc<Cell<bool>>,
    /// What becomes of reboots into a trial from now on.
    pub reboots: Reboots,
    /// Whether the agent writes its event log.
    pub logs: bool,
    /// What the device does without being asked.
    pub mode: Mode,
    /// Reboots that fail from now on: those that the agent still asks for in this boot.
    failing: Rc<Cell<u32>>,
    /// Whether the one-shot flag was set at this boot.
    flagged: bool,
    /// This boot. No request for a reboot on the card is of it.
    boot_id: BootId,
    boots: u32,
    /// How often the release on offer failed to install.
    failed: u32,
    /// How often the agent failed at anything.
    failures: u32,
}

/// Why the agent ended.
enum Ended {
    Reboot,
    Rest,
    Stuck(String),
}

impl Pi {
    /// A Pi that was just switched on with this card in it. `wired` is whether its self-test jig is.
    pub fn new(product: &Arc<Product>, card: &Card, wired: bool, mutant: Option<Mutant>) -> Pi {
        let (product, card) = (Arc::clone(product), card.clone());
        Pi {
            product,
            card,
            wired,
            mutant,
            deferred: DeferredWrites::default(),
            once: Rc::default(),
            down: Rc::default(),
            reboots: Reboots::Work,
            logs: false,
            mode: Mode::Stage,
            failing: Rc::default(),
            flagged: false,
            boot_id: BootId::numbered(0),
            boots: 0,
            failed: 0,
            failures: 0,
        }
    }

    /// How often the agent reported that something failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Boot, and continue until everything has come to rest and no goal is left.
    pub fn live(&mut self, goals: &[Goal]) -> Life {
        let (mut goals, mut resets) = (goals, 0);
        let boots_before = self.boots;
        let mut running = None;
        let end = loop {
            let boots = self.boots - boots_before;
            if boots >= MANY_BOOTS {
                break End::Stuck(format!("it still reboots after {boots} boots"));
            }
            self.boots += 1;
            let (slot, image) = match self.start() {
                Ok(started) => started,
                // U-Boot's script resets the machine when it can't start anything, and continues after a power cut.
                Err(e) if self.product.flow == Flow::Uboot && resets < RESETS => {
                    resets += 1;
                    if matches!(e, SimError::Fault(Fault::Stopping(_))) {
                        self.card.revive();
                    }
                    continue;
                }
                Err(e) => break End::Brick(e.to_string()),
            };
            running = Some(slot);
            if self.card.watch(|w| w.booted(slot, &image)) {
                self.card.note(Op::Trial);
            }
            if let Some(mutant) = self.mutant {
                self.deferred.reboot(mutant, &mut self.card);
            }
            let product = Arc::clone(&self.product);
            let release = product.in_slot(&image, slot).filter(|r| r.nature != Nature::Dead);
            let Some(release) = release.filter(|r| r.nature != Nature::Hanging || self.hang(slot, r)) else {
                resets += 1;
                if resets == RESETS {
                    break End::Brick(format!("slot {slot} is booted and never comes up"));
                }
                continue;
            };
            resets = 0;
            if let Reboots::Fail(n) = self.reboots {
                self.reboots = Reboots::Work;
                self.failing.set(n);
            }
            match self.run(slot, release, &mut goals) {
                Ended::Reboot => {}
                Ended::Rest => break End::Settled,
                Ended::Stuck(why) => break End::Stuck(why),
            }
        };
        let slot = running.filter(|_| !matches!(end, End::Brick(_)));
        Life { end, slot, boots: self.boots - boots_before }
    }

    /// The boot loader chooses: gives the slot, and the card as the kernel finds it.
    fn start(&mut self) -> Result<(Slot, Image), SimError> {
        let once = self.once.take();
        let loader = self.product.flow;
        (self.flagged, self.boot_id) = (once, self.next_boot());
        if let Reboots::Ignored(left @ 1..) = self.reboots
            && let Some(default) = self.ignores(once)
        {
            self.reboots = Reboots::Ignored(left - 1);
            return Ok((default, self.card.seen()));
        }
        let choice = match loader {
            Flow::Tryboot => {
                firmware::choose(&mut Snapshot::new(&self.card.seen(), &self.product.places), loader, once)
            }
            // It counts on the card, and the power may go while it does.
            Flow::Uboot => firmware::choose(&mut self.card, loader, once),
        };
        Ok((choice?.slot, self.card.seen()))
    }

    /// An id that no request on the card is of.
    fn next_boot(&self) -> BootId {
        let asked = match record(&self.card.seen(), &self.product.places).map(|record| record.state) {
            Some(Saved::Armed { tries, .. }) => tries.asked.map(|asked| asked.boot),
            Some(Saved::Reverting { asked, .. }) => asked,
            _ => None,
        };
        let [first, second] = [0, 1].map(BootId::numbered);
        if asked == Some(first) { second } else { first }
    }

    /// A boot loader that is asked for a trial and ignores it boots the default slot, and writes nothing.
    fn ignores(&self, once: bool) -> Option<Slot> {
        let image = self.card.seen();
        let default = flag(&image, &self.product)?;
        let state = Snapshot::new(&image, &self.product.places).volume(Partition::State);
        let asked = match self.product.flow {
            Flow::Tryboot => once,
            Flow::Uboot => BootBlocks::new(state).copies().is_ok_and(|copies| start(copies).trial),
        };
        asked.then_some(default)
    }

    /// The agent starts, and then everything stands still until the watchdog resets the machine. Always false.
    fn hang(&self, slot: Slot, release: &Made) -> bool {
        let mut recorder = CardRecorder { card: self.card.clone(), good: false };
        if let Ok(device) =
            self.board(slot, release).and_then(|b| Device::open_as(b, self.settings(), release.agent()))
        {
            let _ = Agent::start(device, &mut recorder);
        }
        false
    }

    /// One boot: the agent is started, and started again if it fails or is killed.
    fn run(&mut self, slot: Slot, release: &Made, goals: &mut &[Goal]) -> Ended {
        let mut tries = 0;
        loop {
            let ended = self.agent(slot, release, goals);
            if self.down.take() {
                return Ended::Reboot;
            }
            match ended {
                Ok(()) => return Ended::Rest,
                Err(Error::Fault(Fault::Stopping(Stop::PowerLost))) => self.card.revive(),
                Err(e) if tries == TRIES => return Ended::Stuck(e.to_string()),
                Err(_) => self.failures += 1,
            }
            tries += 1;
        }
    }

    fn agent(&mut self, slot: Slot, release: &Made, goals: &mut &[Goal]) -> Result<(), Error> {
        if let Some((Goal::Follow(version), rest)) = goals.split_first() {
            // The boot's own service, and then the daemon.
            self.program(slot, release, &mut &[][..])?;
            let product = Arc::clone(&self.product);
            if let Some(offer) = product.release(version).filter(|_| !self.down.get())
                && let Rested::Settled = follow(self, slot, release, offer)?
            {
                *goals = rest;
            }
            return Ok(());
        }
        self.program(slot, release, goals)
    }

    /// One run of the agent's program.
    fn program(&mut self, slot: Slot, release: &Made, goals: &mut &[Goal]) -> Result<(), Error> {
        let device = Device::open_as(self.board(slot, release)?, self.settings(), release.agent())?;
        let card = self.card.clone();
        let mut recorder = self.recorder_in(release);
        if !self.logs {
            return self.serve(device, &mut recorder, release, goals);
        }
        let log = self.open_log();
        card.watch(Watch::logs);
        log.reconcile(&device);
        self.serve(device, &mut Recorder::new(log, &mut recorder), release, goals)
    }

    /// Hears what an agent in that release says.
    fn recorder_in(&self, release: &Made) -> CardRecorder {
        CardRecorder { card: self.card.clone(), good: release.nature == Nature::Good && self.wired }
    }

    /// The event log, as the agent's program opens it.
    fn open_log(&self) -> SharedLog {
        let folder = Box::new(EventVolume(self.card.volume(Partition::Persistent)));
        let inner: Box<dyn EventStore> = match self.mutant.filter(|mutant| mutant.is_of_events()) {
            Some(mutant) => Box::new(TamperedEvents::new(folder, mutant)),
            None => folder,
        };
        let promising = Promising { inner, card: self.card.clone(), appended: Vec::new() };
        let ports = EventPorts {
            persistent: Ok(Box::new(promising)),
            read_only: None,
            volatile: Err(io::ErrorKind::NotFound.into()),
            stamps: Box::new(Noon(self.boot_id)),
        };
        SharedLog::new(Log::open(ports, Session { id: "session".into(), request: "request".into() }))
    }

    fn serve(
        &mut self,
        device: Device,
        observer: &mut dyn Observer,
        release: &Made,
        goals: &mut &[Goal],
    ) -> Result<(), Error> {
        let (card, product) = (self.card.clone(), Arc::clone(&self.product));
        let mut agent = Agent::start(device, observer)?;
        self.boot_unit(&mut agent)?;
        while let Some((goal, rest)) = goals.split_first() {
            match goal {
                Goal::Offer(version) | Goal::Delta(version) | Goal::DeltaFile(version) => {
                    let Some(offer) = product.release(version) else { return Ok(()) };
                    // To continue what is armed is no new goal: the trials that happened still count.
                    if !matches!(agent.now(), Now::Saved(Saved::Armed { .. })) {
                        card.watch(Watch::offered);
                        card.note(Op::NewGoal);
                    }
                    let installed = match (goal, &offer.shop) {
                        (Goal::Delta(_), Some(shop)) => self.install_from(&mut agent, offer, shop),
                        (Goal::DeltaFile(_), Some(shop)) => {
                            agent.install(&mut &shop.bundle[..], Overrides::NONE)
                        }
                        _ => agent.install(&mut &offer.bundle[..], Overrides::NONE),
                    };
                    match installed {
                        Ok(_) => {
                            if agent.now().is_refused() {
                                // The owner has looked after the boot loader.
                                agent.arm()?;
                            }
                            resume(&mut agent)?;
                        }
                        Err(
                            Error::NothingToDo(_)
                            | Error::Rejected(_)
                            | Error::Incompatible { .. }
                            | Error::Bundle(BundleError::Stale { .. }),
                        ) => {
                            (*goals, self.failed) = (rest, 0);
                        }
                        Err(e) if is_stopping(&e) || self.failed == TRIES => return Err(e),
                        Err(_) => {
                            self.failed += 1;
                            self.failures += 1;
                        }
                    }
                }
                Goal::Stage(version) => {
                    let Some(offer) = product.release(version) else { return Ok(()) };
                    card.watch(Watch::offered);
                    card.note(Op::NewGoal);
                    match agent.install(&mut &offer.bundle[..], Overrides::NONE) {
                        Ok(_) => {
                            if policy::waits(agent.now(), agent.device.board.boot.booted(), self.mode)
                                .is_some()
                            {
                                *goals = rest;
                            }
                            match agent.device.board.host.reboot()? {}
                        }
                        Err(Error::NothingToDo(_) | Error::Rejected(_)) => *goals = rest,
                        Err(e) => return Err(e),
                    }
                }
                // The daemon's; see `agent`.
                Goal::Follow(_) => return Ok(()),
                Goal::Return(version) => {
                    if release.version.to_string() == *version && agent.now().is_idle() {
                        *goals = rest;
                        continue;
                    }
                    card.watch(Watch::offered);
                    card.note(Op::NewGoal);
                    match agent.roll_back() {
                        Err(Error::NothingToDo(_)) => *goals = rest,
                        Err(e) => return Err(e),
                        Ok(_) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// What the boot unit does, and whether it leaves alone what waits for the owner.
    fn boot_unit(&self, agent: &mut Agent<'_>) -> Result<(), Error> {
        let (booted, mode) = (agent.device.board.boot.booted(), self.mode);
        let waits = |now: &Now| policy::waits(now, booted, mode);
        let before = agent.now().clone();
        let must_wait = waits(&before).is_some();
        let ended = match self.mutant {
            Some(Mutant::PolicyIgnored) => agent.boot(|_| None),
            _ => agent.boot(waits),
        };
        if must_wait && (self.down.get() || *agent.now() != before) {
            self.card.watch(|w| w.break_rule("a boot tried what waits for the owner"));
        }
        match ended {
            Err(Error::NotNow(_)) if must_wait => Ok(()),
            ended => rested(agent, ended),
        }
    }

    /// Install from a repository.
    fn install_from(&self, agent: &mut Agent<'_>, offer: &Made, shop: &Shop) -> Result<Target, Error> {
        let root = agent.device.root()?;
        let mut remote = Remote::open(Memory::new(shop.files.iter().cloned()), shop.release, &root)?;
        let Some(mutant) = self.mutant.filter(|mutant| mutant.is_of_deltas()) else {
            return agent.install_from(&mut remote, Overrides::NONE, Direction::Forward);
        };
        let (product, card, slot) = (&*self.product, &self.card, agent.device.inactive());
        let packed = &offer.packed;
        let mut content = TamperedContent { inner: remote, mutant, product, shop, packed, card, slot };
        let installed = agent.install_from(&mut content, Overrides::NONE, Direction::Forward);
        if let (Mutant::StaleRejects, Err(Error::Bundle(BundleError::Content { .. }))) = (mutant, &installed)
        {
            tampered_content::reject(agent, packed)?;
        }
        installed
    }

    fn settings(&self) -> Settings {
        // One worker, so that the writes come in the same order each time.
        let settings = Settings { workers: NonZeroUsize::new(1), ..Settings::default() };
        let update = UpdateSettings { mode: self.mode, ..settings.update.clone() };
        let settings = Settings { update, ..settings };
        match self.mutant {
            Some(mutant) => mutant.settings(settings),
            None => settings,
        }
    }

    fn board(&self, slot: Slot, release: &Made) -> Result<Board, Error> {
        let mut partitions: Box<dyn Partitions> = Box::new(self.card.clone());
        if let Some(mutant) = self.mutant {
            partitions = Box::new(Tampered {
                inner: partitions,
                mutant,
                deferred: self.deferred.clone(),
                agent: release.agent().ours,
                has_written: Arc::default(),
            });
        }
        let clock = SimClock::new(Duration::from_secs(5));
        let once = Rc::clone(&self.once);
        let once = Box::new(move |set| once.set(set));
        let booted = Booted { slot, flagged: self.flagged };
        let boot = boot_control(&mut *partitions, self.product.flow, booted, once)?;
        let mut nets = Nets::default();
        if self.wired {
            nets.wire(Pin(17), Pin(27));
        }
        let state = if release.nature == Nature::Good { "active" } else { "failed" };
        let facts = Facts {
            version: Some(release.version.clone()),
            units: [("app.service".to_owned(), state.to_owned())].into(),
            ..Facts::default()
        };
        let (down, failing, card) = (Rc::clone(&self.down), Rc::clone(&self.failing), self.card.clone());
        let reboot = Box::new(move || -> Result<Never, Fault> {
            card.acts("a reboot");
            if let Some(left) = failing.get().checked_sub(1) {
                failing.set(left);
                return Err(Fault::Unfit("the reboot fails".into()));
            }
            down.set(true);
            Err(Fault::Stopping(Stop::Reboot))
        });
        let boot = match self.mutant {
            Some(mutant) => mutant.boot(boot),
            None => boot,
        };
        // Components are cut by a proof of their own.
        let supply = Supply::new();
        let store = MemoryStore::new(supply.clone());
        Ok(Board {
            name: "pi4".into(),
            boot,
            partitions,
            gpio: Box::new(SimGpio::new(nets, clock.clone())),
            buses: Box::new(SimBuses::default()),
            host: Box::new(SimHost::new(facts, clock.clone(), self.boot_id, reboot)),
            store: Box::new(store.clone()),
            services: Box::new(MemoryServices::new(supply.clone(), store, &[])),
            engine: Box::new(MemoryEngine::new(supply.clone(), &[])),
            compose: Box::new(MemoryEngine::new(supply, &[])),
            clock: Rc::new(clock) as Rc<dyn Clock>,
        })
    }
}

impl Home for Pi {
    fn open(&self, slot: Slot, release: &Made) -> Result<Device, Error> {
        Device::open_as(self.board(slot, release)?, self.settings(), release.agent())
    }
    fn log(&self) -> SharedLog {
        self.open_log()
    }
    fn events(&self) -> EventVolume {
        EventVolume(self.card.volume(Partition::Persistent))
    }
    fn recorder(&self, release: &Made) -> CardRecorder {
        self.recorder_in(release)
    }
    fn card(&self) -> &Card {
        &self.card
    }
    fn mutant(&self) -> Option<Mutant> {
        self.mutant
    }
    fn mode(&self) -> Mode {
        self.mode
    }
}

/// It is always the same time: a card holds the same bytes after the same events.
struct Noon(BootId);

impl Stamps for Noon {
    fn now(&mut self) -> Stamp {
        Stamp { unix: 1_800_000_000, synchronized: true, boot: self.0, uptime: Duration::from_secs(5) }
    }
}

/// Let the agent continue. What failed for good is news, not a reason to start it again.
fn resume(agent: &mut Agent<'_>) -> Result<(), Error> {
    let ended = agent.resume();
    rested(agent, ended)
}

fn rested(agent: &Agent<'_>, ended: Result<Rest, Error>) -> Result<(), Error> {
    match ended {
        // A person has to look after the boot loader.
        Err(Error::NotTried { .. }) => Ok(()),
        Err(e) if is_stopping(&e) || !agent.now().is_idle() => Err(e),
        _ => Ok(()),
    }
}

fn is_stopping(e: &Error) -> bool {
    matches!(e, Error::Fault(f) if f.stopping().is_some())
}

#[cfg(test)]
mod tests {
    use super::super::by_delta;
    use super::*;
    use bistable::{agent::AgentEvent, steps::install::Stats};

    struct Heard(Option<Stats>);

    impl Observer for Heard {
        fn on_event(&mut self, event: AgentEvent<'_>) {
            if let AgentEvent::Installed(_, stats) = event {
                self.0 = Some(*stats);
            }
        }
    }

    fn installed(version: &str) -> Stats {
        let product = Arc::new(Product::new(1, Flow::Tryboot).unwrap());
        let watch = Watch::new(&product, [product.releases[1].version.clone()].into());
        let card = Card::new(&product.old_card, &product.places, watch, None);
        let mut pi = Pi::new(&product, &card, true, None);
        let (slot, image) = pi.start().unwrap();
        let running = product.in_slot(&image, slot).unwrap();
        let offer = product.release(version).unwrap();
        let shop = offer.shop.as_ref().unwrap();
        assert_eq!(shop.is_whole(&offer.packed), version == by_delta::COPIED);
        let mut heard = Heard(None);
        let device =
            Device::open_as(pi.board(slot, running).unwrap(), pi.settings(), running.agent()).unwrap();
        let mut agent = Agent::start(device, &mut heard).unwrap();
        pi.install_from(&mut agent, offer, shop).unwrap();
        assert!(card.watch(|w| w.broken.is_empty()));
        heard.0.unwrap()
    }

    /// Otherwise the scenarios would prove an ordinary update once more. There are three chunks.
    #[test]
    fn deltas_are_used_and_chunks_of_them_are_stale() {
        for (version, patched, copied, stale, full_bytes) in [
            (by_delta::PATCHED, 2, 0, 1, 12_000..20_000),
            (by_delta::COPIED, 0, 3, 0, 0..1),
            (by_delta::STALE, 1, 0, 2, 280_000..300_000),
        ] {
            let stats = installed(version);
            assert_eq!((stats.patched, stats.reused, stats.stale), (patched, copied, stale), "{stats:?}");
            assert!(stats.delta_bytes < 20_000, "{stats:?}");
            assert!(full_bytes.contains(&(stats.fetched_bytes - stats.delta_bytes)), "{stats:?}");
        }
    }
}
