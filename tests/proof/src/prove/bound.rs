//! Power cuts around an image that brings two components along: at each operation, of the card, of the partition `persistent` and of the
//! service manager, one after the other; and mistakes that have to be found so.
use super::{
    card::{Card, Op},
    faults::{Harm, Trouble, When},
    invariants::Watch,
    pack::Packed,
    places::Snapshot,
    product::{Made, Nature, Product, SHORT_BYTES, boot_volume, factory},
    recorder::CardRecorder,
};
use bistable::{
    Device, Error,
    agent::{Agent, BoundSource, components::link_all, is_reboot},
    board::{
        memory::{Loss, MemoryEngine, MemoryServices, MemoryStore, Supply},
        sim::{
            boot_control,
            buses::SimBuses,
            clock::SimClock,
            firmware,
            gpio::SimGpio,
            host::SimHost,
            nets::Nets,
            world::{Facts, Page},
        },
    },
    component::{Archive, write_links},
    config::{Backup, Component, Managed, Mode, Settings, Target},
    error::ComponentError,
    flow::tryboot::Booted,
    ports::{
        Board, Clock, ComponentStore, Fault, ImageParts, Never, Partitions, ServiceManager, Stop,
        StoredVersion,
    },
    steps::install::{Overrides, ReleasePart, TakePart},
};
use bistable_boot::{BootId, Flow, Now, ReleaseId, Saved, Slot, layout::Partition};
use bistable_format::{
    Artifact, ArtifactId, Bound, Content, Digest, Extensions, Head, KeyKind, Release, Root, archive::Sink,
    content, limits, release, selftest::Pin,
};
use bistable_image::keys::SecretKey;
use bistable_kit::product::{archive, noise, root_of};
use semver::Version;
use std::{
    cell::Cell, collections::BTreeMap, num::NonZeroUsize, path::Path, rc::Rc, sync::Arc, time::Duration,
};

const NAMES: [&str; 2] = ["core", "lamp"];

fn unit(name: &str) -> String {
    format!("{name}.service")
}

fn url(name: &str) -> String {
    format!("http://127.0.0.1/{name}")
}

/// A version of a component.
#[derive(Clone, Debug)]
struct Part {
    release: Release,
    signed: Vec<u8>,
    tar: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Part {
    fn new(name: &str, version: &str, behavior: &str, (key, root): (&SecretKey, &Root)) -> Part {
        let files: BTreeMap<String, Vec<u8>> = [("VERSION", version), ("BEHAVIOR", behavior), ("main", name)]
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .into();
        let tar = archive(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
        let zero = Digest([0; 32]);
        let artifact = Artifact {
            bytes: tar.len() as u64,
            digest: Digest::of(&tar),
            chunk_bytes: limits::CHUNK_MIN,
            chunks: zero,
            list: zero,
            list_bytes: 512,
            data: zero,
            data_bytes: 1,
        };
        let content = Content::Directory(content::Directory { archive: artifact });
        let head = Head::new(root.repository(), "prove");
        let mut release = Release::new(head, version.parse().unwrap(), vec!["pi4".into()], content);
        release.component = Some(name.into());
        release.health = format!(
            "deadline_s = 30\nsettle_s = 2\n[[check]]\nname = \"web\"\nkind = \"http\"\nurl = \"{}\"\nexpect_version = true\n",
            url(name)
        );
        let signed = release.seal(&[key.signing()]).unwrap();
        Part { release, signed, tar, files }
    }

    fn identity(&self) -> Digest {
        release::identity(&self.signed)
    }

    fn folder(&self) -> String {
        ReleaseId(self.identity().0).to_string()
    }

    fn is(&self, name: &str, version: &str) -> bool {
        self.release.component.as_deref() == Some(name) && self.release.version.to_string() == version
    }
}

impl Archive for Part {
    fn release(&self) -> &Release {
        &self.release
    }
    fn signed(&self) -> &[u8] {
        &self.signed
    }
    fn read(&mut self, take: TakePart<'_>) -> Result<(), Error> {
        let part = ReleasePart::Artifact(ArtifactId::Archive);
        self.tar.chunks(1000).try_for_each(|bytes| take(part, bytes))
    }
}

/// The images, and which versions each of them brings along.
const IMAGES: [(&str, Nature, Option<[&str; 2]>); 6] = [
    ("0.9.0", Nature::Good, None),
    ("1.0.0", Nature::Good, Some(["1.0.0", "1.0.0"])),
    ("2.0.0", Nature::Good, Some(["2.0.0", "2.0.0"])),
    // Its `lamp` is sick.
    ("3.0.0", Nature::Good, Some(["2.0.0", "3.0.0"])),
    ("4.0.0", Nature::Good, Some(["1.0.0", "2.0.0"])),
    ("5.0.0", Nature::Sick, None),
];

struct World {
    product: Arc<Product>,
    parts: Vec<Part>,
}

impl World {
    fn new() -> World {
        let key = |n| SecretKey::from_seed([n; 32], "prove", KeyKind::Production).unwrap();
        let (root_key, release_key, channel_key) = (key(1), key(2), key(3));
        let root = root_of(&root_key, &release_key, &channel_key);
        let signer = (&release_key, &root.root);
        let mut parts = Vec::new();
        for name in NAMES {
            for version in ["1.0.0", "2.0.0", "3.0.0", "9.0.0"] {
                let behavior = if (name, version) == ("lamp", "3.0.0") { "sick" } else { "good" };
                parts.push(Part::new(name, version, behavior, signer));
            }
        }
        let mut releases = Vec::new();
        for (seed, (version, nature, binds)) in (1..).zip(IMAGES) {
            let volumes = [boot_volume(seed), noise(seed + 100, SHORT_BYTES)];
            let mut packed = Packed::new(seed, version, 1, volumes, signer).unwrap();
            let bound = |(name, version): (&str, &str)| {
                let part = parts.iter().find(|part| part.is(name, version)).unwrap();
                let (component, identity) = (name.to_owned(), part.identity());
                Bound {
                    component,
                    version: version.parse().unwrap(),
                    identity,
                    extensions: Extensions::default(),
                }
            };
            packed.release.bound =
                binds.into_iter().flat_map(|binds| NAMES.into_iter().zip(binds)).map(bound).collect();
            packed.signed = packed.release.seal(&[release_key.signing()]).unwrap();
            releases.push(Made::new(packed, nature, None).unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        let (card, places) = factory(folder.path(), &releases[0], &root, Flow::Tryboot).unwrap();
        let product = Product {
            releases,
            flow: Flow::Tryboot,
            places: Arc::new(places),
            oldest_card: card.clone(),
            old_card: card,
        };
        World { product: Arc::new(product), parts }
    }

    fn part(&self, identity: &Digest) -> Option<&Part> {
        self.parts.iter().find(|part| part.identity() == *identity)
    }

    fn image(&self, version: &Version) -> &Made {
        self.product.releases.iter().find(|made| made.version == *version).unwrap()
    }
}

/// A mistake, put in on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    /// The boot shows what the durable names lead to, whatever the image binds.
    LinksFromCurrent,
    /// The boot shows what it showed last: the versions of the newest image that was staged.
    LinksFromNewest,
    /// What the other slot's image binds is removed after a commit.
    OtherSlotCleanedUp,
    /// What was staged is not made durable.
    NotSynced,
    /// The release that comes is taken for the one that the image names.
    IdentityNotCompared,
    /// The health of the components doesn't count.
    HealthIgnored,
    /// A bound version that is there is unpacked again, over what runs.
    RunningUnpackedAgain,
}

const MUTANTS: [Mutant; 7] = [
    Mutant::LinksFromCurrent,
    Mutant::LinksFromNewest,
    Mutant::OtherSlotCleanedUp,
    Mutant::NotSynced,
    Mutant::IdentityNotCompared,
    Mutant::HealthIgnored,
    Mutant::RunningUnpackedAgain,
];

/// Where the releases are had.
struct Shop<'a> {
    world: &'a World,
    mutant: Option<Mutant>,
}

impl BoundSource for Shop<'_> {
    fn open(&mut self, _: &mut Device, bound: &Bound) -> Result<Option<Box<dyn Archive>>, Error> {
        let Some(part) = self.world.part(&bound.identity).cloned() else { return Ok(None) };
        if self.mutant != Some(Mutant::IdentityNotCompared) || bound.version != Version::new(2, 0, 0) {
            return Ok(Some(Box::new(part)));
        }
        let other =
            self.world.parts.iter().find(|other| other.is(&bound.component, "9.0.0")).unwrap().clone();
        Ok(Some(Box::new(Part { signed: part.signed, ..other })))
    }
}

/// The store as a mutant has it.
struct MutantStore(MemoryStore, Option<Mutant>);

impl ComponentStore for MutantStore {
    fn components(&mut self) -> Result<Vec<String>, Fault> {
        self.0.components()
    }
    fn versions(&mut self, component: &str) -> Result<Vec<StoredVersion>, Fault> {
        match self.1 {
            Some(Mutant::RunningUnpackedAgain) => Ok(Vec::new()),
            _ => self.0.versions(component),
        }
    }
    fn begin(&mut self, component: &str, version: &str) -> Result<Box<dyn Sink<Error = Fault>>, Fault> {
        self.0.begin(component, version)
    }
    fn keep_release(&mut self, component: &str, version: &str, signed: &[u8]) -> Result<(), Fault> {
        self.0.keep_release(component, version, signed)
    }
    fn release(&mut self, component: &str, version: &str) -> Result<Vec<u8>, Fault> {
        self.0.release(component, version)
    }
    fn sync(&mut self) -> Result<(), Fault> {
        if self.1 == Some(Mutant::NotSynced) { Ok(()) } else { self.0.sync() }
    }
    fn parts(
        &mut self,
        component: &str,
        version: &str,
        digests: &[Digest],
    ) -> Result<Box<dyn ImageParts>, Fault> {
        self.0.parts(component, version, digests)
    }
    fn complete(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.0.complete(component, version)
    }
    fn remove(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.0.remove(component, version)
    }
    fn current(&mut self, component: &str) -> Result<Option<String>, Fault> {
        self.0.current(component)
    }
    fn set_current(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        self.0.set_current(component, version)
    }
    fn shown(&mut self, component: &str) -> Result<Option<String>, Fault> {
        self.0.shown(component)
    }
    fn show(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        self.0.show(component, version)
    }
    fn free_bytes(&mut self) -> Result<u64, Fault> {
        self.0.free_bytes()
    }
    fn is_reached_by(&mut self, component: &str, path: &Path) -> Result<bool, Fault> {
        self.0.is_reached_by(component, path)
    }
}

/// What the owner wants.
#[derive(Clone, Copy, Debug)]
enum Goal {
    Offer(&'static str),
    Return(&'static str),
}

/// How a stretch of life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Settled,
    Off,
    Stuck(String),
}

/// A device around a card and a partition `persistent`.
struct Desk<'a> {
    world: &'a World,
    card: Card,
    supply: Supply,
    store: MemoryStore,
    services: MemoryServices,
    once: Rc<Cell<bool>>,
    /// Whether the machine goes down for a reboot.
    down: Rc<Cell<bool>>,
    flagged: bool,
    boot: u64,
    mutant: Option<Mutant>,
    /// The slot that was booted last.
    slot: Slot,
    problem: Option<String>,
}

fn is_lost(e: &Error) -> bool {
    e.stopping() == Some(Stop::PowerLost)
}

impl<'a> Desk<'a> {
    /// The card as it left the factory, in a device that was never on.
    fn new(world: &'a World) -> Desk<'a> {
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
    fn fork(&self, cut: Option<u64>) -> Desk<'a> {
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
    fn power_cycle(&mut self, loss: Loss) {
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

    fn check(&mut self, holds: bool, what: &str) {
        if !holds && self.problem.is_none() {
            self.problem = Some(format!("slot {}: {what}", self.slot));
        }
    }

    /// Live until nothing is left to do, or the power goes.
    fn live(&mut self, goals: &mut Vec<Goal>) -> End {
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
    fn started(&mut self) -> Result<(), Error> {
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
    fn booted(&mut self) {
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
    fn agent(&mut self, goals: &mut Vec<Goal>) -> Result<(), Error> {
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

    fn device(&self) -> Result<Device, Error> {
        let component = |name: &str| Component {
            name: name.into(),
            installed: None,
            managed: Some(Managed {
                target: Target::Directory {
                    unit: unit(name),
                    path: format!("/run/bistable/components/{name}").into(),
                    version_file: "VERSION".into(),
                },
                health: None,
                mode: Mode::Stage,
                start_wait: Duration::ZERO,
                backup: Backup::default(),
            }),
        };
        let components = NAMES.map(component).to_vec();
        let settings = Settings { workers: NonZeroUsize::new(1), components, ..Settings::default() };
        Device::open(self.board()?, settings)
    }

    fn board(&self) -> Result<Board, Error> {
        let mut partitions: Box<dyn Partitions> = Box::new(self.card.clone());
        let clock = SimClock::new(Duration::from_secs(5));
        let once = Rc::clone(&self.once);
        let booted = Booted { slot: self.slot, flagged: self.flagged };
        let boot = boot_control(&mut *partitions, Flow::Tryboot, booted, Box::new(move |set| once.set(set)))?;
        let mut nets = Nets::default();
        nets.wire(Pin(17), Pin(27));
        let image = self.world.product.in_slot(&self.card.seen(), self.slot);
        let is_well = image.is_some_and(|image| image.nature == Nature::Good);
        let mut facts = Facts::default();
        facts.units.insert("app.service".into(), if is_well { "active" } else { "failed" }.into());
        for name in NAMES {
            let Some(runs) = self.services.running(&unit(name)) else { continue };
            let part = self.world.parts.iter().find(|part| part.folder() == runs).unwrap();
            facts.units.insert(unit(name), "active".into());
            let is_sick = part.files["BEHAVIOR"] == b"sick" && self.mutant != Some(Mutant::HealthIgnored);
            let version = &part.release.version;
            let body = format!("{{\"version\":\"{version}\"}}");
            facts.http.insert(url(name), Page { status: if is_sick { 500 } else { 200 }, body, delay_ms: 0 });
        }
        let down = Rc::clone(&self.down);
        let reboot = Box::new(move || -> Result<Never, Fault> {
            down.set(true);
            Err(Fault::Stopping(Stop::Reboot))
        });
        let supply = self.supply.clone();
        Ok(Board {
            name: "pi4".into(),
            boot,
            partitions,
            gpio: Box::new(SimGpio::new(nets, clock.clone())),
            buses: Box::new(SimBuses::default()),
            host: Box::new(SimHost::new(facts, clock.clone(), BootId::numbered(self.boot), reboot)),
            store: Box::new(MutantStore(self.store.clone(), self.mutant)),
            services: Box::new(self.services.clone()),
            engine: Box::new(MemoryEngine::new(supply.clone(), &[])),
            compose: Box::new(MemoryEngine::new(supply, &[])),
            clock: Rc::new(clock) as Rc<dyn Clock>,
        })
    }

    /// What the device remembers, and the version that runs.
    fn rests(&self) -> Result<(Version, Vec<Version>, bool), Error> {
        let device = self.device()?;
        let version = device.running().map(|image| image.version.clone()).unwrap();
        let rejected = device.record.rejected.iter().map(|rejected| rejected.version.clone()).collect();
        Ok((version, rejected, matches!(device.now(), Now::Saved(Saved::Idle))))
    }
}

fn card(world: &World, image: &super::image::Image, trouble: Option<Trouble>) -> Card {
    let watch =
        Watch::new(&world.product, world.product.releases.iter().map(|made| made.version.clone()).collect());
    Card::new(image, &world.product.places, watch, trouble)
}

/// What failed for good is news, not a reason to start the agent again.
fn news(ended: Result<(), Error>, now: &Now) -> Result<(), Error> {
    match ended {
        Err(e) if e.stopping().is_some() || !now.is_idle() => Err(e),
        _ => Ok(()),
    }
}

/// What happens to a device that runs 1.0.0, which versions it runs in the end, and what it rejects.
struct Scenario {
    name: &'static str,
    goals: &'static [Goal],
    ends: &'static str,
    rejects: &'static [&'static str],
}

const SCENARIOS: [Scenario; 4] = [
    Scenario { name: "good", goals: &[Goal::Offer("2.0.0")], ends: "2.0.0", rejects: &[] },
    Scenario { name: "one is sick", goals: &[Goal::Offer("3.0.0")], ends: "1.0.0", rejects: &["3.0.0"] },
    Scenario {
        name: "taken back",
        goals: &[Goal::Offer("2.0.0"), Goal::Return("1.0.0")],
        ends: "1.0.0",
        rejects: &["2.0.0"],
    },
    Scenario {
        name: "second right after",
        goals: &[Goal::Offer("2.0.0"), Goal::Offer("4.0.0")],
        ends: "4.0.0",
        rejects: &[],
    },
];

impl Scenario {
    /// Left alone, the device comes to rest where it should.
    fn ended(&self, desk: &mut Desk<'_>, end: &End) {
        desk.check(*end == End::Settled, &format!("{end:?}"));
        if *end != End::Settled {
            return;
        }
        let Ok((version, rejected, is_idle)) = desk.rests() else {
            desk.check(false, "it can't be read");
            return;
        };
        let rejected: Vec<String> = rejected.iter().map(ToString::to_string).collect();
        desk.check(is_idle, "it is not at rest");
        desk.check(version.to_string() == self.ends, &format!("it runs {version}"));
        desk.check(rejected == self.rejects, &format!("it rejects {rejected:?}"));
        desk.booted();
    }

    /// Cut it everywhere. Gives the crash states, and the first problem.
    fn explore(&self, start: &Desk<'_>, mutant: Option<Mutant>) -> (u64, Option<String>) {
        let mut whole = Desk { mutant, ..start.fork(None) };
        let end = whole.live(&mut self.goals.to_vec());
        let (accesses, operations) = (whole.card.accesses(), whole.supply.operations());
        self.ended(&mut whole, &end);
        if whole.problem.is_some() {
            return (0, whole.problem);
        }
        let cuts =
            (1..=accesses).map(|at| (Some(at), None)).chain((1..=operations).map(|at| (None, Some(at))));
        let mut states = 0;
        for (access, operation) in cuts {
            for loss in [Loss::All, Loss::Nothing] {
                let mut desk = Desk { mutant, ..start.fork(access) };
                if let Some(at) = operation {
                    desk.supply.cut_at(at, loss);
                }
                let mut goals = self.goals.to_vec();
                let mut end = desk.live(&mut goals);
                if end == End::Off {
                    desk.power_cycle(loss);
                    end = desk.live(&mut goals);
                }
                states += 1;
                self.ended(&mut desk, &end);
                if let Some(problem) = desk.problem {
                    return (states, Some(format!("cut at {access:?}/{operation:?}, {loss:?}: {problem}")));
                }
            }
        }
        (states, None)
    }
}

/// A device that runs 1.0.0 with the versions that it brings along.
fn start(world: &World) -> Desk<'_> {
    let mut desk = Desk::new(world);
    assert_eq!(desk.live(&mut vec![Goal::Offer("1.0.0")]), End::Settled);
    assert_eq!(desk.problem, None);
    assert!(desk.card.is_durable());
    desk
}

#[test]
fn a_cut_anywhere_leaves_image_and_components_of_one_release() {
    let world = World::new();
    let start = start(&world);
    let mut all = 0;
    for scenario in &SCENARIOS {
        let (states, problem) = scenario.explore(&start, None);
        println!("{}: {states} crash states", scenario.name);
        assert_eq!(problem, None, "{}", scenario.name);
        all += states;
    }
    assert!(all > 500, "{all}");
}

#[test]
fn every_mistake_is_found() {
    let world = World::new();
    let start = start(&world);
    for mutant in MUTANTS {
        let found = SCENARIOS.iter().find_map(|scenario| {
            scenario.explore(&start, Some(mutant)).1.map(|problem| format!("{}: {problem}", scenario.name))
        });
        println!("{mutant:?}: {found:?}");
        assert!(found.is_some(), "{mutant:?} goes unseen");
    }
}

/// The writes of an update from its trial on, by partition and place.
fn writes_from_the_trial(start: &Desk<'_>, version: &'static str) -> Vec<(Partition, u64)> {
    let mut desk = start.fork(None);
    let mut goals = vec![Goal::Offer(version)];
    desk.started().unwrap();
    let ended = desk.agent(&mut goals);
    assert!(is_reboot(&ended.unwrap_err()), "into the trial");
    desk.card.take_log();
    desk.down.set(false);
    let content = |desk: &Desk<'_>| {
        let parts = desk.world.parts.iter();
        let stored =
            parts.map(|part| desk.store.stored(part.release.component.as_deref().unwrap(), &part.folder()));
        let mut store = desk.store.clone();
        (stored.collect::<Vec<_>>(), NAMES.map(|name| store.current(name).unwrap()))
    };
    let before = content(&desk);
    desk.store.lose(Loss::Nothing);
    desk.services.lose();
    assert_eq!(desk.live(&mut goals), End::Settled);
    assert_eq!(desk.rests().unwrap().0, Version::new(1, 0, 0));
    assert!(content(&desk) == before, "nothing of the partition `persistent` changes for it");
    let write = |op: Op| match op {
        Op::Write { partition, at, .. } => Some((partition, at)),
        _ => None,
    };
    desk.card.take_log().into_iter().filter_map(write).collect()
}

#[test]
fn trial_and_way_back_write_what_those_of_an_image_alone_do() {
    let world = World::new();
    let start = start(&world);
    let (bound, alone) = (writes_from_the_trial(&start, "3.0.0"), writes_from_the_trial(&start, "5.0.0"));
    assert_eq!(bound, alone);
    assert!(bound.len() > 1, "{bound:?}");
    assert!(
        bound.iter().all(|(partition, _)| *partition != Partition::Bootconfig),
        "not the boot flag: {bound:?}"
    );
}

/// A source that brings another release than the image names: nothing begins.
#[test]
fn release_that_the_image_does_not_name_is_refused_before_anything_is_written() {
    struct Other<'a>(&'a World);
    impl BoundSource for Other<'_> {
        fn open(&mut self, _: &mut Device, bound: &Bound) -> Result<Option<Box<dyn Archive>>, Error> {
            let other = self.0.parts.iter().find(|part| part.is(&bound.component, "9.0.0"));
            Ok(other.map(|other| Box::new(other.clone()) as Box<dyn Archive>))
        }
    }
    let world = World::new();
    let mut desk = start(&world).fork(None);
    desk.started().unwrap();
    let before = desk.card.accesses();
    let mut recorder = CardRecorder { card: desk.card.clone(), good: true };
    let mut agent = Agent::attach(desk.device().unwrap(), &mut recorder);
    let offer = world.image(&Version::new(2, 0, 0));
    let e = agent
        .install_or_fetch(&mut &offer.bundle[..], None, &mut Other(&world), Overrides::NONE)
        .unwrap_err();
    assert!(matches!(&e, Error::Component(e) if matches!(**e, ComponentError::NotBrought { .. })), "{e}");
    assert_eq!(desk.card.accesses(), before);
}
