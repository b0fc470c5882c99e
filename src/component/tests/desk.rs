//! A device in memory, with one component and releases of it.
use super::{
    host::{Outside, TestHost},
    mutant::{Deferred, Mutant, MutantEngine, MutantStore},
};
use crate::{
    Error,
    board::{
        engine_contract::image,
        memory::{Behavior, Loss, MemoryEngine, MemoryServices, MemoryStore, Supply},
        sim::{
            buses::{I2c, SimBuses, Spi, Uart},
            clock::SimClock,
            gpio::SimGpio,
            nets::Nets,
        },
    },
    component::{
        Archive, ComponentError, ComponentEvent, ComponentStep, Containers, Directory, Memory, Subject,
        Target, Updater, World, driver::name_of, repository, write_links,
    },
    ports::{
        Answer, ComponentStore as _, ComposeProject as _, ContainerEngine as _, HostError, ImageParts as _,
        ServiceManager as _, ServiceOf, UnitState, parts_of,
    },
    steps::install::{ReleasePart, TakePart},
};
use bistable_boot::{
    ReleaseId,
    component::{Component, ComponentRecord, Held},
};
use bistable_format::{
    Artifact, ArtifactId, Content, Digest, Envelope, Head, Release, Role, TrustError, compose::Compose,
    content, limits, release,
};
use bistable_kit::product::archive;
use ed25519_dalek::SigningKey;
use semver::Version;
use serde_json::json;
use std::{cell::RefCell, collections::BTreeMap, io::Read as _, rc::Rc, time::Duration};

pub(super) const UNIT: &str = "core.service";
pub(super) const CORE: &str = "core";
pub(super) const URL: &str = "http://127.0.0.1:8080/health";

/// A release of the component, with its archive.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) release: Release,
    pub(super) signed: Vec<u8>,
    pub(super) tar: Vec<u8>,
    /// Of containers: what the release consists of, and what the files of the image say.
    pub(super) parts: Vec<(ReleasePart, Vec<u8>)>,
    pub(super) text: String,
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Made {
    pub(super) fn held(&self) -> Held {
        Held {
            release: ReleaseId(release::identity(&self.signed).0),
            version: self.release.version.clone(),
            security_version: self.release.security_version,
            configuration: None,
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
    fn read(&mut self, take: TakePart<'_>) -> Result<(), Error> {
        for (part, bytes) in &self.parts {
            let most = if bytes.len() < 100 { 20 } else { bytes.len() };
            bytes.chunks(most).try_for_each(|bytes| take(*part, bytes))?;
        }
        let archive = ReleasePart::Artifact(ArtifactId::Archive);
        self.tar.chunks(1000).try_for_each(|bytes| take(archive, bytes))
    }
}

/// A tree's files, sorted.
pub(super) fn files(version: &str, behavior: &str) -> BTreeMap<String, Vec<u8>> {
    [("VERSION", version), ("BEHAVIOR", behavior), ("main.py", "print('hello')")]
        .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
        .into()
}

/// What a release says of an archive or a layer.
fn artifact(bytes: &[u8]) -> Artifact {
    let zero = Digest([0; 32]);
    Artifact {
        bytes: bytes.len() as u64,
        digest: Digest::of(bytes),
        chunk_bytes: limits::CHUNK_MIN,
        chunks: zero,
        list: zero,
        list_bytes: 512,
        data: zero,
        data_bytes: 1,
    }
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
    let (zero, archive) = (Digest([0; 32]), artifact(&tar));
    let version: Version = version.parse().unwrap();
    let content = Content::Directory(content::Directory { archive });
    let mut release = Release::new(Head::new(zero, "hub"), version, vec!["pi4".into()], content);
    release.component = Some(CORE.into());
    release.health = format!(
        "deadline_s = 30\nsettle_s = 2\n[[check]]\nname = \"web\"\nkind = \"http\"\nurl = \"{URL}\"\nexpect_version = true\n"
    );
    change(&mut release);
    let signed = release.seal(&[&SigningKey::from_bytes(&[7; 32])]).unwrap();
    Made { release, signed, tar, files, parts: Vec::new(), text: String::new() }
}

/// The project, and its Compose file as the product has it.
pub(super) const PROJECT: &str = "hub";
pub(super) const FACTORY: &str = "registry.example.com/hub/core:1.0";
pub(super) const COMPOSE: &str =
    "services:\n  core:\n    image: registry.example.com/hub/core:1.0 # ü\n    restart: always\n";

/// A release of the component as containers, whose image behaves like that.
pub(super) fn made_image(version: &str, behavior: &str) -> Made {
    made_image_of(version, behavior, "arm64", |_| {})
}

pub(super) fn made_image_of(
    version: &str,
    behavior: &str,
    architecture: &str,
    change: impl FnOnce(&mut Release),
) -> Made {
    let layers = [b"BASE=1\n".to_vec(), format!("VERSION={version} BEHAVIOR={behavior}\n").into_bytes()];
    made_layers(version, &layers, &json!({"architecture": architecture, "os": "linux"}), change)
}

/// A release of the component as containers, whose image has these layers.
pub(super) fn made_layers(
    version: &str,
    layers: &[Vec<u8>],
    configuration: &serde_json::Value,
    change: impl FnOnce(&mut Release),
) -> Made {
    let (parts, manifest, configuration) = image(layers, configuration);
    let blob = |digest| {
        let mut bytes = Vec::new();
        parts.open(&digest).unwrap().unwrap().1.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let blobs = [blob(manifest), blob(configuration)];
    let content = Content::Containers(content::Containers {
        services: vec![content::Service { name: CORE.into(), manifest }],
        layers: layers.iter().map(|layer| artifact(layer)).collect(),
        blobs: blobs
            .iter()
            .map(|blob| content::Blob { digest: Digest::of(blob), bytes: u32::try_from(blob.len()).unwrap() })
            .collect(),
    });
    let mut made = made_of(version, BTreeMap::new(), |release| {
        release.content = content;
        change(release);
    });
    let blobs = blobs.into_iter().map(|blob| (ReleasePart::Blob(Digest::of(&blob)), blob));
    let ids = (1..).map(|number| ReleasePart::Artifact(ArtifactId::Layer(number)));
    made.text = String::from_utf8_lossy(&layers.concat()).into_owned();
    made.parts = blobs.chain(ids.zip(layers.iter().cloned())).collect();
    made.tar.clear();
    made
}

/// The kinds of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    Containers,
}

impl Kind {
    /// A release of that version that behaves like that.
    pub(super) fn made(self, version: &str, behavior: &str) -> Made {
        match self {
            Kind::Directory => made(version, behavior),
            Kind::Containers => made_image(version, behavior),
        }
    }
}

/// A device: what it remembers, what lies on it, what runs.
pub(super) struct Desk {
    pub(super) supply: Supply,
    pub(super) store: MemoryStore,
    pub(super) services: MemoryServices,
    pub(super) engine: MemoryEngine,
    /// What ran right after the last boot, before anything was done about it.
    pub(super) early: Vec<String>,
    pub(super) record: Rc<RefCell<ComponentRecord>>,
    pub(super) boot: u64,
    pub(super) mutant: Option<Mutant>,
    pub(super) subject: Subject,
    pub(super) target: Target,
    pub(super) steps: Vec<ComponentStep>,
    pub(super) health_asked: Rc<RefCell<u32>>,
    /// Versions that the images in the slots bring along.
    pub(super) bound: Vec<ReleaseId>,
    /// How many rollbacks within an hour there may be.
    pub(super) max_rollbacks: usize,
}

impl Desk {
    /// Nothing is installed.
    pub(super) fn empty(mutant: Option<Mutant>) -> Desk {
        Desk::of(Kind::Directory, mutant)
    }

    /// The same for a kind. A product comes with containers that run.
    pub(super) fn of(kind: Kind, mutant: Option<Mutant>) -> Desk {
        let supply = Supply::new();
        let store = MemoryStore::new(supply.clone());
        let services = MemoryServices::new(supply.clone(), store.clone(), &[(UNIT, CORE)]);
        let subject = Subject { name: CORE.into(), start_wait: Duration::from_secs(10), health: None };
        let target = match kind {
            Kind::Directory => Target::Directory(Directory {
                unit: UNIT.into(),
                path: "/run/bistable/components/core".into(),
                version_file: "VERSION".into(),
            }),
            Kind::Containers => {
                Target::Containers(Containers { project: PROJECT.into(), service: CORE.into() })
            }
        };
        let engine = MemoryEngine::new(supply.clone(), &[(PROJECT, COMPOSE)]);
        if kind == Kind::Containers {
            engine.factory((PROJECT, CORE), FACTORY, "VERSION=0.9.0 BEHAVIOR=good");
        }
        Desk {
            supply,
            store,
            services,
            engine,
            early: Vec::new(),
            record: Rc::new(RefCell::new(ComponentRecord::new("hub"))),
            boot: 1,
            mutant,
            subject,
            target,
            steps: Vec::new(),
            health_asked: Rc::default(),
            bound: Vec::new(),
            max_rollbacks: 3,
        }
    }

    /// What the component is made of, to be changed.
    pub(super) fn directory(&mut self) -> &mut Directory {
        match &mut self.target {
            Target::Directory(directory) => directory,
            Target::Containers(_) => panic!("it is containers"),
        }
    }

    /// These were committed, one after the other.
    pub(super) fn with(mutant: Option<Mutant>, versions: &[&Made]) -> Desk {
        Desk::with_kind(Kind::Directory, mutant, versions)
    }

    pub(super) fn with_kind(kind: Kind, mutant: Option<Mutant>, versions: &[&Made]) -> Desk {
        let mut desk = Desk::of(kind, None);
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
            engine: self.engine.fork(supply.clone()),
            early: self.early.clone(),
            supply,
            store,
            record: Rc::new(RefCell::new(self.record.borrow().clone())),
            boot: self.boot,
            mutant: self.mutant,
            subject: self.subject.clone(),
            target: self.target.clone(),
            steps: Vec::new(),
            health_asked: Rc::default(),
            bound: self.bound.clone(),
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
            deferred: deferred.clone(),
        };
        let mut services =
            super::mutant::MutantServices { inner: self.services.clone(), mutant: self.mutant };
        let mut engine = MutantEngine::new(self.engine.clone(), self.mutant, deferred.clone());
        let mut compose = engine.clone();
        let outside = DeskOutside {
            engine: self.engine.clone(),
            kind: self.kind(),
            services: self.services.clone(),
            store: self.store.clone(),
            supply: self.supply.clone(),
            mutant: self.mutant,
            asked: Rc::clone(&self.health_asked),
        };
        let mut host = TestHost { boot: self.boot, outside };
        let steps = &mut self.steps;
        let mut observer = |event: ComponentEvent<'_>| {
            if let ComponentEvent::Step(step, ..) = event {
                steps.push(step);
            }
        };
        act(&mut Updater {
            subject: &self.subject,
            procedure: self.target.procedure(),
            memory: &mut memory,
            world: World {
                store: &mut store,
                engine: &mut engine,
                compose: &mut compose,
                services: &mut services,
                host: &mut host,
                gpio: &mut gpio,
                buses: &mut buses,
                clock: &clock,
            },
            bound: Some(&self.bound),
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
        self.engine.lose(loss);
        self.engine.boot();
        self.early = self.images();
        if self.kind() == Kind::Containers {
            if self.mutant != Some(Mutant::NotConverged) {
                let converged = self.converge();
                assert!(converged.is_ok() || self.mutant.is_some(), "{converged:?}");
            }
            self.supply.restore();
            return;
        }
        let is_skipped = self.mutant == Some(Mutant::LinksNotWritten);
        let links = |desk: &Desk| {
            if !is_skipped {
                let mut store = desk.store.clone();
                write_links(&mut store, Some(&desk.record.borrow()), CORE).unwrap();
                if desk.mutant == Some(Mutant::BootWithoutConfiguration) {
                    let shown = store.shown(CORE).unwrap();
                    store.show(CORE, shown.as_deref().map(|name| parts_of(name).0)).unwrap();
                }
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

    /// What the boot does about containers.
    pub(super) fn converge(&mut self) -> Result<(), Error> {
        let Target::Containers(containers) = &self.target else { return Ok(()) };
        let mut engine = MutantEngine::new(self.engine.clone(), self.mutant, Deferred::default());
        let mut compose = engine.clone();
        containers.converge(&mut engine, &mut compose, Some(&self.record.borrow()), CORE)
    }

    pub(super) fn kind(&self) -> Kind {
        match self.target {
            Target::Directory(_) => Kind::Directory,
            Target::Containers(_) => Kind::Containers,
        }
    }

    /// The images that run: the version of each, or `factory`.
    pub(super) fn images(&self) -> Vec<String> {
        let engine = &mut self.engine.fork(Supply::new());
        let tagged = engine.tagged(&repository(CORE)).unwrap_or_default();
        let name = |id: Digest| {
            let tag = tagged.iter().find(|(_, of)| *of == id).map(|(tag, _)| tag.clone());
            tag.unwrap_or_else(|| "factory".into())
        };
        engine.running(PROJECT, CORE).into_iter().map(name).collect()
    }

    /// The version that runs.
    pub(super) fn running(&self) -> Option<String> {
        match self.kind() {
            Kind::Directory => self.services.running(UNIT),
            Kind::Containers => match self.images().as_slice() {
                [] => None,
                [one] => Some(one.clone()),
                many => Some(format!("{} containers", many.len())),
            },
        }
    }

    /// What has to run if the state says this.
    pub(super) fn wanted(&self) -> Option<String> {
        let leads_to = self.component().leads_to().map(name_of);
        match self.kind() {
            Kind::Directory => leads_to,
            Kind::Containers => leads_to.or_else(|| Some("factory".into())),
        }
    }

    /// Whether this may run after a boot before anything was done: what is committed, or is being committed.
    pub(super) fn may_start_itself(&self, early: &str) -> bool {
        let current = self.component().current.map(|held| held.release.to_string());
        let current = current.unwrap_or_else(|| "factory".into());
        self.wanted().as_deref() == Some(early) || current == early
    }

    /// The version that the durable name leads to.
    pub(super) fn durable_name(&self) -> Option<String> {
        // A device without power can be looked into all the same.
        match &self.target {
            Target::Directory(_) => self.store.fork(Supply::new()).current(CORE).unwrap(),
            Target::Containers(containers) => {
                containers.current(&mut self.engine.fork(Supply::new()), CORE).unwrap()
            }
        }
    }

    /// Whether what lies there of a version is all of it.
    pub(super) fn is_whole(&self, made: &Made) -> bool {
        match self.kind() {
            Kind::Directory => {
                self.store.stored(CORE, &made.name()).is_some_and(|stored| stored.files == made.files)
            }
            Kind::Containers => {
                let name = format!("{}:{}", repository(CORE), made.name());
                self.engine.text(&name).as_ref() == Some(&made.text)
            }
        }
    }

    pub(super) fn behavior(&self) -> Option<Behavior> {
        match self.kind() {
            Kind::Directory => self.services.behavior(CORE),
            Kind::Containers => {
                let running = self.engine.running(PROJECT, CORE);
                running.first().map(|image| self.engine.says(image).1)
            }
        }
    }
}

/// Whose it is, is tested elsewhere.
pub(super) fn trust(signed: &[u8]) -> Result<Release, Error> {
    let release = Envelope::parse(signed, Role::Release).map_err(TrustError::from);
    release.and_then(|envelope| Ok(Release::decode(envelope.payload)?)).map_err(Error::Root)
}

/// What the device remembers, in memory: a save takes place or it doesn't.
struct Record {
    held: ComponentRecord,
    stored: Rc<RefCell<ComponentRecord>>,
    supply: Supply,
    mutant: Option<Mutant>,
    deferred: Deferred,
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
struct DeskOutside {
    engine: MemoryEngine,
    kind: Kind,
    services: MemoryServices,
    store: MemoryStore,
    supply: Supply,
    mutant: Option<Mutant>,
    asked: Rc<RefCell<u32>>,
}

impl DeskOutside {
    /// The version that answers, and how it does.
    fn running(&self) -> Result<(String, Behavior), HostError> {
        let refused = || HostError::Failed("connection refused".into());
        match self.kind {
            Kind::Directory => {
                let version = self.services.running(UNIT).ok_or_else(refused)?;
                Ok((self.file(&version), self.services.behavior(CORE).ok_or_else(refused)?))
            }
            Kind::Containers => {
                let running = self.engine.running(PROJECT, CORE);
                Ok(self.engine.says(running.first().ok_or_else(refused)?))
            }
        }
    }

    /// What the version that is shown says of itself, whether it runs or not.
    fn shown(&self) -> String {
        match self.kind {
            Kind::Directory => self.file(&self.store.clone().shown(CORE).ok().flatten().unwrap_or_default()),
            Kind::Containers => {
                let of = ServiceOf { project: PROJECT, service: CORE };
                let text = self.engine.fork(Supply::new()).shown(of).unwrap().unwrap_or_default();
                let file = Compose::parse(&text).unwrap();
                let text = self.engine.text(&file.service(CORE).unwrap().image).unwrap_or_default();
                text.split_once("VERSION=")
                    .map(|(_, rest)| rest.split(' ').next().unwrap().into())
                    .unwrap_or_default()
            }
        }
    }

    fn file(&self, version: &str) -> String {
        let files =
            self.store.stored(CORE, parts_of(version).0).map(|stored| stored.files).unwrap_or_default();
        String::from_utf8_lossy(files.get("VERSION").map_or(&[][..], Vec::as_slice)).into_owned()
    }
}

impl Outside for DeskOutside {
    fn reached(&mut self) -> Result<(), HostError> {
        self.supply.look().map_err(|e| HostError::Failed(e.to_string()))
    }
    fn unit(&mut self, unit: &str, timeout: Duration) -> Result<UnitState, HostError> {
        Ok(self.services.clone().service(unit, timeout)?.state)
    }
    fn page(&mut self, _: &str) -> Result<Answer, HostError> {
        self.reached()?;
        *self.asked.borrow_mut() += 1;
        let (said, behavior) = self.running()?;
        let status = match behavior {
            Behavior::Sick => 500,
            Behavior::Dead => return Err(HostError::Failed("connection refused".into())),
            Behavior::Good | Behavior::Restarting | Behavior::Unhealthy => 200,
        };
        if self.mutant == Some(Mutant::HealthIgnored) {
            let said = self.shown();
            return Ok(Answer { status: 200, body: format!("{{\"version\":\"{said}\"}}").into_bytes() });
        }
        Ok(Answer { status, body: format!("{{\"status\":\"healthy\",\"version\":\"{said}\"}}").into_bytes() })
    }
    fn time(&mut self) -> u64 {
        u64::from(*self.asked.borrow())
    }
}

/// What went wrong with a component.
pub(super) fn component_error(e: Error) -> ComponentError {
    match e {
        Error::Component(e) => *e,
        e => panic!("{e}"),
    }
}
