//! The daemon on the simulated Pi, with one release on offer: from a boot until there is nothing left for it to do.
use super::{
    card::{Card, Op},
    event_volume::EventVolume,
    invariants::Watch,
    mutant::Mutant,
    product::Made,
    recorder::CardRecorder,
};
use bistable::{
    Device, Error,
    agent::{Agent, AgentEvent, Observer},
    app::{
        self, Answer, Asker, CardWrites, Context, Document, Failed, Holding, Inhibit, NotInhibited, Reboot,
        Reply, Request,
        schedule::{Moment, Rules, Standing},
    },
    config::Mode,
    daemon::{self, Daemon, DevicePort, Queries, QueuedJob, Survey, Turn},
    events::{End, Entry, Filter, Kind, OfferedVersion, Reading, Recorder, SharedLog},
    metrics::{Format, Live},
    offer::channel::Report,
    ports::{Fault, Power, Stop},
    serve::{Backend as _, Found, TokenStore},
    status::Date,
    steps::install::Overrides,
};
use bistable_boot::Slot;
use serde_json::json;
use std::{
    cell::Cell, collections::BTreeMap, io::Read, ops::ControlFlow, path::Path, rc::Rc, time::Duration,
};

/// After a boot, devices that start together don't ask at once. This one has waited long enough.
const AWAKE: Duration = Duration::from_secs(2 * 3600);
/// More turns than any boot may take.
const MANY_TURNS: u32 = 200;

/// How the daemon came to rest.
pub(super) enum Rested {
    /// There is nothing left to do for it.
    Settled,
    /// The machine goes down.
    Down,
}

/// The device that the daemon works on.
pub(super) trait Home {
    fn open(&self, slot: Slot, release: &Made) -> Result<Device, Error>;
    /// The event log, to be written.
    fn log(&self) -> SharedLog;
    /// Its folder.
    fn events(&self) -> EventVolume;
    /// Hears what an agent in that release says.
    fn recorder(&self, release: &Made) -> CardRecorder;
    fn card(&self) -> &Card;
    /// What is wrong with the agent, if anything is.
    fn mutant(&self) -> Option<Mutant>;
    /// What the owner configured.
    fn mode(&self) -> Mode;
}

/// What the daemon does from the end of the boot's own service on.
pub(super) fn follow(home: &dyn Home, slot: Slot, release: &Made, offer: &Made) -> Result<Rested, Error> {
    let seen = Rc::new(Seen::default());
    seen.passed.set(AWAKE);
    let port = Followed { home, slot, release, offer, seen: Rc::clone(&seen) };
    let (mut daemon, handle, _letters) = Daemon::new(port, Box::new(Blind), "session");
    for _ in 0..MANY_TURNS {
        match daemon.turn() {
            Turn::Acted => {}
            Turn::Down => return if seen.lost.get() { Err(power_lost()) } else { Ok(Rested::Down) },
            Turn::Sleep(_) if seen.lost.get() => return Err(power_lost()),
            Turn::Sleep(_) if seen.settled.get() => return Ok(Rested::Settled),
            Turn::Sleep(time) => seen.passed.set(seen.passed.get().saturating_add(time)),
        }
    }
    let jobs = handle.jobs().len();
    Err(Error::NotNow(format!("the daemon does not come to rest in {MANY_TURNS} turns and {jobs} jobs")))
}

fn power_lost() -> Error {
    Error::Fault(Fault::Stopping(Stop::PowerLost))
}

/// What the works tell whoever turns the daemon.
#[derive(Default)]
struct Seen {
    passed: Cell<Duration>,
    /// The power went.
    lost: Cell<bool>,
    /// What is on offer runs, or is nothing for this device or its mode.
    settled: Cell<bool>,
}

struct Followed<'a> {
    home: &'a dyn Home,
    slot: Slot,
    release: &'a Made,
    offer: &'a Made,
    seen: Rc<Seen>,
}

impl Followed<'_> {
    fn open(&self) -> Result<Device, Error> {
        self.home.open(self.slot, self.release)
    }

    /// The power may have gone.
    fn note(&self, e: &Error) {
        if matches!(e, Error::Fault(Fault::Stopping(Stop::PowerLost))) {
            self.seen.lost.set(true);
        }
    }

    fn request(&mut self, request: &Request, observer: &mut dyn Observer) -> Result<Reply, Failed> {
        let device = self.open()?;
        let (card, log) = (self.home.card().clone(), self.home.log());
        card.watch(Watch::logs);
        log.append(
            Kind::JobStarted,
            "daemon",
            json!({ "operation": request.operation(), "via": "schedule", "uid": null }),
        );
        log.reconcile(&device);
        let mut both = Both(self.home.recorder(self.release), observer);
        let mut recorder = Recorder::new(log.clone(), &mut both);
        let mut agent = Agent::start(device, &mut recorder)?;
        match request {
            Request::Check(_) if self.runs(&agent) => {
                self.seen.settled.set(true);
                Err(Error::NothingToDo("it runs".into()).into())
            }
            Request::Check(_) => {
                self.seen.settled.set(self.home.mode() == Mode::Check);
                Ok(looked(&self.offer.version.to_string()))
            }
            Request::Install(_) => {
                // To continue what is in flight is no new goal: the trials that happened still count.
                if agent.now().is_idle() {
                    card.watch(Watch::offered);
                    card.note(Op::NewGoal);
                }
                let installed = agent.install(&mut &self.offer.bundle[..], Overrides::NONE);
                if matches!(installed, Err(Error::Rejected(_))) {
                    self.seen.settled.set(true);
                }
                installed.map(|target| done(target.slot)).map_err(Into::into)
            }
            request => {
                if self.home.mode() != Mode::Auto {
                    card.watch(|watch| {
                        watch.break_rule("the daemon switched, and the owner didn't want that");
                    });
                }
                app::handle(&mut agent, request, &mut Bare)
            }
        }
    }

    fn runs(&self, agent: &Agent<'_>) -> bool {
        agent.now().is_idle() && self.release.version == self.offer.version
    }
}

impl DevicePort for Followed<'_> {
    fn act(&mut self, queued: QueuedJob, observer: &mut dyn Observer) -> Result<Reply, Failed> {
        let ended = self.request(&queued.request, observer);
        if let Err(failed) = &ended {
            self.note(&failed.error);
        }
        ended
    }

    fn report(&mut self, _: &[daemon::Report], _: &Asker) -> Result<bool, Error> {
        Ok(true)
    }

    fn survey(&mut self) -> Result<Survey, Error> {
        let device = self.open().inspect_err(|e| self.note(e))?;
        let fold = Reading::after(&mut self.home.events(), u64::MAX).map(|reading| reading.fold);
        let fold = fold.unwrap_or_default();
        let mut update = device.settings.update.clone();
        if self.home.mutant() == Some(Mutant::ModeIgnored) {
            update.mode = Mode::Auto;
        }
        Ok(Survey {
            components: Vec::new(),
            standing: Standing {
                now: device.now().clone(),
                booted: device.board.boot.booted(),
                id: "hub-7".into(),
                boot: device.board.host.boot_id(),
            },
            rules: Rules::of(&update, true),
            inhibitors: Vec::new(),
            rollbacks: Vec::new(),
            remembered: fold.remembered,
            is_urgent: false,
            unlogged: None,
            rejected: None,
        })
    }

    fn moment(&mut self) -> Moment {
        Moment { uptime: self.seen.passed.get(), wall: None, unverified: None }
    }
}

/// The channel has that version for the device.
fn looked(version: &str) -> Reply {
    let report = Report {
        source: String::new(),
        channel: String::new(),
        sequence: 1,
        issued_at: 0,
        expires_at: 0,
        root_version: 1,
        running: None,
        withdrawn: None,
        way_back: None,
        equivocation: None,
        takes: Some(version.into()),
        download: None,
        refused: None,
        offers: Vec::new(),
        components: Vec::new(),
        unreadable: Vec::new(),
    };
    let answer = Answer::Checked(Box::new(report));
    Reply { text: String::new(), answer, unusable: Vec::new(), reboot: Reboot::No }
}

fn done(slot: Slot) -> Reply {
    let answer = Answer::MayInstall(app::MayInstall { would_install: String::new(), slot });
    Reply { text: String::new(), answer, unusable: Vec::new(), reboot: Reboot::No }
}

/// Two listeners as one.
struct Both<'a>(CardRecorder, &'a mut dyn Observer);

impl Observer for Both<'_> {
    fn on_event(&mut self, event: AgentEvent<'_>) {
        self.0.on_event(event);
        self.1.on_event(event);
    }

    fn wants_more(&self) -> ControlFlow<()> {
        self.1.wants_more()
    }
}

/// A device on which only the daemon asks for anything.
struct Bare;

impl Context for Bare {
    fn power(&self) -> Power {
        Power::On
    }
    fn written(&self) -> CardWrites {
        CardWrites::default()
    }
    fn booted(&self) -> Option<Slot> {
        None
    }
    fn job(&self) -> Option<String> {
        None
    }
    fn ends(&mut self) -> Vec<End> {
        Vec::new()
    }
    fn offered(&mut self) -> BTreeMap<String, OfferedVersion> {
        BTreeMap::new()
    }
    fn bundle(&mut self, name: &Path) -> Result<Box<dyn Read>, Error> {
        Err(Error::Open { path: name.into(), source: std::io::ErrorKind::NotFound.into() })
    }
}

/// Nothing is queried.
struct Blind;

impl Queries for Blind {
    fn look(&self, _: &Request) -> Result<Document, Box<Document>> {
        Err(Box::new(app::document(Err(Error::NotNow("nothing is queried".into()).into())).0))
    }
    fn events(&self, filter: &Filter, _: usize) -> Result<Found, Box<Document>> {
        Ok(Found { events: Vec::<Entry>::new(), searched: filter.after })
    }
    fn inhibitors(&self) -> Vec<Holding> {
        Vec::new()
    }
    fn inhibit(&self, _: &Inhibit, _: &Asker) -> Result<Holding, NotInhibited> {
        Err(NotInhibited::TooMany(0))
    }
    fn release(&self, id: &str, _: &Asker, _: bool) -> Result<Holding, NotInhibited> {
        Err(NotInhibited::Unknown(id.into()))
    }
    fn config(&self) -> Result<Document, Box<Document>> {
        self.look(&Request::Status)
    }
    fn check_config(&self) -> Result<Document, Box<Document>> {
        self.look(&Request::Status)
    }
    fn metrics(&self, _: Format, _: Live) -> Result<String, Box<Document>> {
        Ok(String::new())
    }
    fn token_store(&self) -> TokenStore {
        TokenStore::default()
    }
    fn date(&self) -> Date {
        Date { time: "2027-01-15T08:00:00Z".into(), synchronized: true }
    }
    fn beat(&self) {}
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}
