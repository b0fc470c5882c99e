//! A machine at a place: opened for one request, worked on or looked at, and closed again.
use super::{
    Answer, Failed,
    audit::{self, By},
    bundle::{Opener, Seen},
    inspect,
    machine::Machine,
    place::Place,
    pre_hooks, repair,
    request::Work,
    say,
};
#[cfg(feature = "daemon")]
use crate::config::Kept;
use crate::{
    Device, Error,
    agent::{self, Agent, Observer, Silence},
    app::{self, BundleStream, Request},
    board::Access,
    cli::GlobalArgs,
    config::{ConfigError, Settings, board_settings, load},
    events::{Log, Recorder, Session, SharedLog},
    ports::Board,
};
use bistable_boot::JournalError;
#[cfg(feature = "daemon")]
use std::sync::Arc;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Where a machine is, and how it is opened.
pub(super) struct Workplace<'a> {
    pub(super) at: &'a GlobalArgs,
    pub(super) place: Place,
    /// How long another process that works on it is waited for.
    pub(super) patience: Duration,
    /// The configuration that was good last, for whoever runs for long.
    #[cfg(feature = "daemon")]
    pub(super) kept: Option<Arc<Kept>>,
}

impl Workplace<'_> {
    /// Where the running system's configuration is.
    pub(super) fn root(&self) -> PathBuf {
        self.place.root(self.at)
    }

    /// The configuration: as it is now, or as it was good last.
    fn load(&self, root: &Path) -> Result<Settings, ConfigError> {
        #[cfg(feature = "daemon")]
        if let Some(kept) = &self.kept {
            return kept.load(root);
        }
        load(root)
    }

    /// Open the machine.
    pub(super) fn open(
        &self,
        board: &crate::config::BoardSettings,
        access: Access,
    ) -> Result<Machine, Error> {
        self.place.open(self.at, self.patience, board, access)
    }

    /// `status` and `history`: nothing is locked and nothing saved, so that they work at any time.
    pub(super) fn look(&self, request: &Request) -> Result<Answer, Failed> {
        let root = self.root();
        // Looking must be possible above all when something is wrong.
        let loaded = self.load(&root);
        let board = loaded.as_ref().map_or_else(|_| board_settings(&root), |s| s.board.clone());
        let machine = self.open(&board, Access::ReadOnly)?;
        let settings = loaded.unwrap_or_else(|e| {
            say(&format!("warning: {e}"));
            Settings::default()
        });
        let device = match (Device::open(machine.board, settings.clone()), request) {
            // Looking must be possible above all when something is wrong.
            (Err(Error::Journal(e @ JournalError::Lost { .. })), Request::Status) => {
                let machine = self.open(&board, Access::ReadOnly)?;
                return Ok(inspect::lost(machine.board, &settings, machine.power, e.to_string())?);
            }
            (opened, _) => opened?,
        };
        let mut silence = Silence;
        let mut seen = Seen { power: machine.power, events: Some(machine.events) };
        app::handle(&mut Agent::attach(device, &mut silence), request, &mut seen)
    }

    /// What works on a machine, or may. `observer` and the event log get what happens, as a part of `session`.
    pub(super) fn work(
        &self,
        asked: &Work<'_>,
        by: &By,
        session: Session,
        bundle: Option<BundleStream>,
        observer: &mut dyn Observer,
    ) -> Result<Answer, Failed> {
        let root = self.root();
        let loaded =
            self.load(&root).map(|settings| settings.read_below(&root)).map(|settings| match self.place {
                Place::Pi => settings.with_checks_below(&root),
                // The simulated Pi's world has programs by their paths on the device.
                #[cfg(feature = "sim")]
                Place::Sim(_) => settings,
            });
        let programs = match self.place {
            Place::Pi => root.clone(),
            #[cfg(feature = "sim")]
            Place::Sim(_) => "/".into(),
        };
        let board = loaded.as_ref().map_or_else(|_| board_settings(&root), |s| s.board.clone());
        let access = access(asked, &self.place);
        let Machine { board, verb_end, events, .. } = self.open(&board, access)?;
        // Read-only access writes nothing.
        let job = by.is_job.then(|| session.request.clone());
        let log = (access == Access::Exclusive && !asked.is_dry_run())
            .then(|| SharedLog::new(Log::open(events, session)));
        // A simulated machine that was never on boots first: that comes before what the verb does.
        verb_end.tell_console();
        if let Some(log) = &log {
            audit::configured(log, &root, by);
        }
        let proxy = loaded.as_ref().ok().and_then(|settings| settings.source.proxy.clone());
        let mut opener = Opener { verb_end: &verb_end, log: log.as_ref(), bundle, job, proxy };
        let ended = on_board(board, loaded, &Task { asked, by, programs }, &mut opener, observer);
        drop(opener);
        drop(log);
        // Whatever happened, the machine remembers what a machine remembers.
        verb_end.save()?;
        ended
    }
}

/// What a verb needs of its machine. What changes nothing and has no use for pins keeps no other process out on a real board. A
/// simulated one may have to boot first.
fn access(asked: &Work<'_>, place: &Place) -> Access {
    match (asked, place) {
        (Work::Ask(Request::Preflight), Place::Pi) => Access::ReadOnly,
        (asked, Place::Pi) if asked.is_dry_run() => Access::ReadOnly,
        _ => Access::Exclusive,
    }
}

/// What is asked for, by whom, and below which folder the operator's programs are.
struct Task<'a> {
    asked: &'a Work<'a>,
    by: &'a By,
    programs: PathBuf,
}

fn on_board(
    mut board: Board,
    loaded: Result<Settings, ConfigError>,
    Task { asked, by, programs }: &Task<'_>,
    opener: &mut Opener<'_>,
    observer: &mut dyn Observer,
) -> Result<Answer, Failed> {
    let log = opener.log;
    let settings = match (loaded, asked) {
        (Ok(settings), _) => settings,
        // A system on trial that can't be configured goes back, and any other one runs: the boot unit must not just stop.
        (Err(e), Work::Ask(Request::Resume)) => {
            let device = Device::open(board, Settings::default())?;
            return listening(log, observer, |observer| {
                let mut agent = start(device, log, observer)?;
                let rest = agent.boot_unconfigured(e);
                app::rested(&agent, rest, opener)
            });
        }
        (Err(e), _) => return Err(e.into()),
    };
    let request = match asked {
        Work::Ask(request) => request,
        Work::Repair(args) => {
            if let Some(log) = log {
                audit::repair(log, by);
            }
            return Ok(repair::run(board, settings, args)?);
        }
    };
    if let Some(log) = log {
        if by.is_job {
            audit::started(log, request.operation(), by);
        }
        audit::request(log, request, by);
    }
    let ended = match may_begin(&mut board, &settings, request, programs, log) {
        Ok(()) => ask(board, settings, request, opener, observer),
        Err(e) => Err(e.into()),
    };
    if let Some(log) = log.filter(|_| by.is_job) {
        audit::ended(log, &ended);
    }
    ended
}

/// Whether the operator's programs let a request begin. A boot asks none.
fn may_begin(
    board: &mut Board,
    settings: &Settings,
    request: &Request,
    programs: &Path,
    log: Option<&SharedLog>,
) -> Result<(), Error> {
    match (&settings.root, log) {
        (Some(root), Some(log)) => {
            pre_hooks::ask(request, root, programs, settings.hooks.timeout, &mut *board.host, log)
        }
        // Read-only access writes nothing, and changes nothing.
        _ => Ok(()),
    }
}

fn ask(
    board: Board,
    settings: Settings,
    request: &Request,
    opener: &mut Opener<'_>,
    observer: &mut dyn Observer,
) -> Result<Answer, Failed> {
    let log = opener.log;
    let device = Device::open(board, settings)?;
    listening(log, observer, |observer| {
        let mut agent = match request.only_looks() {
            true => Agent::attach(device, observer),
            false => start(device, log, observer)?,
        };
        let ended = app::handle(&mut agent, request, opener);
        if let (Some(log), Request::Check(_)) = (log, request) {
            audit::checked(log, &ended);
        }
        ended
    })
}

/// Take the device over, with a log that agrees with its journal.
fn start<'a>(
    device: Device,
    log: Option<&SharedLog>,
    observer: &'a mut dyn Observer,
) -> Result<Agent<'a>, Error> {
    if let Some(log) = log {
        log.reconcile(&device);
        // One that can't be read is the business of whoever needs it.
        if let Ok(record) = agent::components::record(&device) {
            log.reconcile_components(&record);
        }
    }
    Agent::start(device, observer)
}

/// Do something while an observer and the event log are told of it.
fn listening<T>(
    log: Option<&SharedLog>,
    observer: &mut dyn Observer,
    work: impl FnOnce(&mut dyn Observer) -> T,
) -> T {
    match log {
        Some(log) => work(&mut Recorder::new(log.clone(), observer)),
        None => work(observer),
    }
}
