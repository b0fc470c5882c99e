//! A device in memory, with one component and releases of it.
use super::mutant::{Mutant, MutantStore};
use crate::{
    Error,
    board::{
        memory::{Behavior, Loss, MemoryServices, MemoryStore, Supply},
        sim::{
            buses::{I2c, SimBuses, Spi, Uart},
            clock::SimClock,
            gpio::SimGpio,
            nets::Nets,
        },
    },
    component::{Archive, ComponentEvent, ComponentStep, Memory, Subject, Updater, World, write_links},
    ports::{
        Answer, ComponentStore as _, Exit, Fault, Host, HostError, KnownTime, Never, Request,
        ServiceManager as _, UnitState, WallClock,
    },
};
use bistable_boot::{
    BootId, ReleaseId,
    component::{Component, ComponentRecord, Held},
};
use bistable_format::{
    Artifact, Content, Digest, Envelope, Head, Release, Role, TrustError, content::Directory, limits, release,
};
use bistable_kit::product::archive;
use ed25519_dalek::SigningKey;
use semver::Version;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

pub(super) const UNIT: &str = "core.service";
pub(super) const CORE: &str = "core";
pub(super) const URL: &str = "http://127.0.0.1:8080/health";

/// A release of the component, with its archive.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) release: Release,
    pub(super) signed: Vec<u8>,
    pub(super) tar: Vec<u8>,
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Made {
    pub(super) fn held(&self) -> Held {
        Held {
            release: ReleaseId(release::identity(&self.signed).0),
            version: self.release.version.clone(),
            security_version: self.release.security_version,
        }
    }

    pub(super) fn name(&self) -> String {
        self.held().release.to_string()
    }
}

impl Archive for Made {
    fn release(&self) -> &Release {
        &self.release
    }
    fn signed(&self) -> &[u8] {
        &self.signed
    }
    fn read(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        self.tar.chunks(1000).try_for_each(take)
    }
}

/// A tree's files, sorted.
pub(super) fn files(version: &str, behavior: &str) -> BTreeMap<String, Vec<u8>> {
    [("VERSION", version), ("BEHAVIOR", behavior), ("main.py", "print('hello')")]
        .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
        .into()
}

/// A release of that version that behaves like that.
pub(super) fn made(version: &str, behavior: &str) -> Made {
    made_of(version, files(version, behavior), |_| {})
}

pub(super) fn made_of(
    version: &str,
    files: BTreeMap<String, Vec<u8>>,
    change: impl FnOnce(&mut Release),
) -> Made {
    let tar = archive(files.iter().map(|(path, content)| (path.as_str(), content.as_slice())));
    let zero = Digest([0; 32]);
    let archive = Artifact {
        bytes: tar.len() as u64,
        digest: Digest::of(&tar),
        chunk_bytes: limits::CHUNK_MIN,
        chunks: zero,
        list: zero,
        list_bytes: 512,
        data: zero,
        data_bytes: 1,
    };
    let version: Version = version.parse().unwrap();
    let content = Content::Directory(Directory { archive });
    let mut release = Release::new(Head::new(zero, "hub"), version, vec!["pi4".into()], content);
    release.component = Some(CORE.into());
    release.health = format!(
        "deadline_s = 30\nsettle_s = 2\n[[check]]\nname = \"web\"\nkind = \"http\"\nurl = \"{URL}\"\nexpect_version = true\n"
    );
    change(&mut release);
    let signed = release.seal(&[&SigningKey::from_bytes(&[7; 32])]).unwrap();
    Made { release, signed, tar, files }
}

/// A device: what it remembers, what lies on it, what runs.
pub(super) struct Desk {
    pub(super) supply: Supply,
    pub(super) store: MemoryStore,
    pub(super) services: MemoryServices,
    pub(super) record: Rc<RefCell<ComponentRecord>>,
    pub(super) boot: u64,
    pub(super) mutant: Option<Mutant>,
    pub(super) subject: Subject,
    pub(super) steps: Vec<ComponentStep>,
    pub(super) health_asked: Rc<RefCell<u32>>,
    /// How many rollbacks within an hour there may be.
    pub(super) max_rollbacks: usize,
}

impl Desk {
    /// Nothing is installed.
    pub(super) fn empty(mutant: Option<Mutant>) -> Desk {
        let supply = Supply::new();
        let store = MemoryStore::new(supply.clone());
        let services = MemoryServices::new(supply.clone(), store.clone(), &[(UNIT, CORE)]);
        let subject = Subject {
            name: CORE.into(),
            unit: UNIT.into(),
            path: "/run/bistable/components/core".into(),
            version_file: "VERSION".into(),
            start_wait: Duration::from_secs(10),
            health: None,
        };
        Desk {
            supply,
            store,
            services,
            record: Rc::new(RefCell::new(ComponentRecord::new("hub"))),
            boot: 1,
            mutant,
            subject,
            steps: Vec::new(),
            health_asked: Rc::default(),
            max_rollbacks: 3,
        }
    }

    /// These were committed, one after the other.
    pub(super) fn with(mutant: Option<Mutant>, versions: &[&Made]) -> Desk {
        let mut desk = Desk::empty(None);
        for made in versions {
            desk.update(made).unwrap();
        }
        desk.mutant = mutant;
        desk.steps.clear();
        desk
    }

    /// The same device once more.
    pub(super) fn fork(&self) -> Desk {
        let supply = Supply::new();
        let store = self.store.fork(supply.clone());
        Desk {
            services: self.services.fork(supply.clone(), store.clone()),
            supply,
            store,
            record: Rc::new(RefCell::new(self.record.borrow().clone())),
            boot: self.boot,
            mutant: self.mutant,
            subject: self.subject.clone(),
            steps: Vec::new(),
            health_asked: Rc::default(),
            max_rollbacks: self.max_rollbacks,
        }
    }

    pub(super) fn component(&self) -> Component {
        self.record.borrow().get(CORE).cloned().unwrap_or_else(|| Component::registered(CORE))
    }

    /// Do something with an updater of its own, as a process does.
    pub(super) fn act<T>(
        &mut self,
        act: impl FnOnce(&mut Updater<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let clock = SimClock::new(Duration::from_secs(100));
        let mut gpio = SimGpio::new(Nets::default(), clock.clone());
        let mut buses = SimBuses::new(I2c::default(), Spi::default(), Uart::default(), clock.clone());
        let mut store = MutantStore::new(self.store.clone(), self.mutant, Rc::clone(&self.record));
        let deferred = store.deferred();
        let mut memory = Record {
            held: self.record.borrow().clone(),
            stored: Rc::clone(&self.record),
            supply: self.supply.clone(),
            mutant: self.mutant,
            deferred,
        };
        let mut services =
            super::mutant::MutantServices { inner: self.services.clone(), mutant: self.mutant };
        let mut host = DeskHost {
            services: self.services.clone(),
            store: self.store.clone(),
            supply: self.supply.clone(),
            boot: self.boot,
            mutant: self.mutant,
            asked: Rc::clone(&self.health_asked),
        };
        // Whose it is, is tested elsewhere.
        let trust = |signed: &[u8]| {
            let release = Envelope::parse(signed, Role::Release).map_err(TrustError::from);
            release.and_then(|envelope| Ok(Release::decode(envelope.payload)?)).map_err(Error::Root)
        };
        let steps = &mut self.steps;
        let mut observer = |event: ComponentEvent<'_>| {
            if let ComponentEvent::Step(step, ..) = event {
                steps.push(step);
            }
        };
        act(&mut Updater {
            subject: &self.subject,
            memory: &mut memory,
            world: World {
                store: &mut store,
                services: &mut services,
                host: &mut host,
                gpio: &mut gpio,
                buses: &mut buses,
                clock: &clock,
            },
            max_rollbacks: self.max_rollbacks,
            trust: &trust,
            observer: &mut observer,
        })
    }

    /// Install a version and try it.
    pub(super) fn update(&mut self, made: &Made) -> Result<(), Error> {
        let mut content = made.clone();
        self.act(|updater| {
            updater.install(&mut content)?;
            updater.run()
        })
    }

    /// Continue, and offer the version again if it is not there yet, as whoever looks after a device does.
    pub(super) fn proceed(&mut self, made: &Made) -> Result<(), Error> {
        use bistable_boot::component::State;
        let continued = self.act(|updater| updater.run());
        let component = self.component();
        let is_wanted = match &component.state {
            State::Installing(_) => true,
            State::Idle => {
                component.current != Some(made.held()) && component.rejection(&made.held().release).is_none()
            }
            _ => false,
        };
        if is_wanted && continued.is_ok() { self.update(made) } else { continued }
    }

    /// The power went, and comes back: the boot writes the links, and starts the service.
    pub(super) fn power_cycle(&mut self, loss: Loss) {
        self.supply.restore();
        self.store.lose(loss);
        self.services.lose();
        self.boot += 1;
        let is_skipped = self.mutant == Some(Mutant::LinksNotWritten);
        let links = |desk: &Desk| {
            if !is_skipped {
                write_links(&mut desk.store.clone(), Some(&desk.record.borrow()), CORE).unwrap();
            }
        };
        if self.mutant != Some(Mutant::UnitBeforeLinks) {
            links(self);
        }
        if self.component().runs().is_some() {
            let _ = self.services.start(UNIT, Duration::ZERO);
        }
        links(self);
        self.supply.restore();
    }

    pub(super) fn behavior(&self) -> Option<Behavior> {
        self.services.behavior(CORE)
    }
}

/// What the device remembers, in memory: a save takes place or it doesn't.
struct Record {
    held: ComponentRecord,
    stored: Rc<RefCell<ComponentRecord>>,
    supply: Supply,
    mutant: Option<Mutant>,
    deferred: super::mutant::Deferred,
}

impl Memory for Record {
    fn record(&self) -> &ComponentRecord {
        &self.held
    }

    fn save(&mut self, next: ComponentRecord) -> Result<(), Error> {
        let kept = super::mutant::saved(self.mutant, next.clone());
        self.supply.operate(|| {
            *self.stored.borrow_mut() = kept;
            Ok(())
        })?;
        self.held = next;
        self.deferred.now()?;
        Ok(())
    }
}

/// The system around it: one web page, which the running version serves.
struct DeskHost {
    services: MemoryServices,
    store: MemoryStore,
    supply: Supply,
    boot: u64,
    mutant: Option<Mutant>,
    asked: Rc<RefCell<u32>>,
}

impl Host for DeskHost {
    fn run(&mut self, _: &[String], _: Duration) -> Result<Exit, HostError> {
        self.supply.look().map_err(|e| HostError::Failed(e.to_string()))?;
        Ok(Exit { code: Some(0), said: String::new() })
    }
    fn unit(&mut self, unit: &str, timeout: Duration) -> Result<UnitState, HostError> {
        Ok(self.services.clone().service(unit, timeout)?.state)
    }
    fn http_get(&mut self, _: &str, _: Duration) -> Result<Answer, HostError> {
        self.supply.look().map_err(|e| HostError::Failed(e.to_string()))?;
        *self.asked.borrow_mut() += 1;
        let version =
            self.services.running(UNIT).ok_or_else(|| HostError::Failed("connection refused".into()))?;
        let files = self.store.stored(CORE, &version).map(|stored| stored.files).unwrap_or_default();
        let said = String::from_utf8_lossy(files.get("VERSION").map_or(&[][..], Vec::as_slice)).into_owned();
        let status = match self.services.behavior(CORE) {
            Some(Behavior::Sick) => 500,
            Some(Behavior::Dead) | None => return Err(HostError::Failed("connection refused".into())),
            Some(Behavior::Good | Behavior::Restarting) => 200,
        };
        if self.mutant == Some(Mutant::HealthIgnored) {
            let shown = self.store.clone().shown(CORE).ok().flatten().unwrap_or_default();
            let files = self.store.stored(CORE, &shown).map(|stored| stored.files).unwrap_or_default();
            let said =
                String::from_utf8_lossy(files.get("VERSION").map_or(&[][..], Vec::as_slice)).into_owned();
            return Ok(Answer { status: 200, body: format!("{{\"version\":\"{said}\"}}").into_bytes() });
        }
        Ok(Answer { status, body: format!("{{\"status\":\"healthy\",\"version\":\"{said}\"}}").into_bytes() })
    }
    fn http_post(&mut self, request: &Request, timeout: Duration) -> Result<Answer, HostError> {
        self.http_get(&request.url, timeout)
    }
    fn boot_id(&self) -> BootId {
        BootId::numbered(self.boot)
    }
    fn wall_clock(&mut self) -> Result<WallClock, HostError> {
        Ok(WallClock::Synchronized)
    }
    fn unix_time(&mut self) -> Result<u64, HostError> {
        Ok(1)
    }
    fn system_root(&mut self) -> Result<Option<Vec<u8>>, HostError> {
        Ok(None)
    }
    fn saved_time(&mut self) -> Option<u64> {
        None
    }
    fn known_time(&mut self) -> Option<KnownTime> {
        None
    }
    fn keep_time(&mut self, _: KnownTime) {}
    fn serial(&mut self) -> Result<String, HostError> {
        Ok("1".into())
    }
    fn free_bytes(&mut self) -> Result<u64, HostError> {
        Ok(8 << 30)
    }
    fn reboot(&mut self) -> Result<Never, Fault> {
        Err(Fault::Unfit("no reboot here".into()))
    }
}
