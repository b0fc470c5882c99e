//! `daemon`: the device is opened for each act, as if it had been typed.
mod deliveries;
mod health_monitor;

use super::{Answer, Failed, audit::By, place::Place, request::Work, work::Workplace};
use crate::{
    Device, Error,
    agent::{Observer, components},
    app::{
        self, Asker, Document, Holding, Inhibit, NotInhibited, Reply, Request,
        schedule::{Moment, Rules, Standing, When},
    },
    board::{self, Access},
    cli::{ConfigVerb, DaemonArgs, GlobalArgs},
    clock::{self, SystemClock},
    config::{self, BoardSettings, Kept, WebRead, tokens::Tokens},
    daemon::{self, Daemon, DevicePort, Ended, Queries, QueuedJob, Report, Survey, inhibitors, watchdog},
    events::{self, End, Entry, Filter, Kind, Log, Reading, Session},
    logging,
    metrics::{Format, Live},
    ports::{Clock, EventPorts, Stamp, Stamps},
    serve::{self, Door, Entrance, Found, Stopper, TokenStore},
    status::Date,
};
use bistable_boot::{Now, Saved, component::Component};
use bistable_format::Urgency;
use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

/// The name under which systemd passes the web page's socket: `FileDescriptorName=` in its unit.
const WEB: &str = "web";
/// Who may open a socket that the daemon makes itself: owner and group.
const SOCKET_MODE: u32 = 0o660;

/// Work until the machine goes down.
pub(super) fn run(at: &GlobalArgs, args: &DaemonArgs) -> Result<Answer, Failed> {
    let (locked, read_only) = device(at)?;
    let watched = locked.folders();
    let (daemon, handle, messages) = Daemon::new(locked, Box::new(read_only.clone()), logging::session());
    // Dropped when the machine goes down: then no request is answered any more.
    let (_stopper, stopped) = Stopper::new();
    let doors = doors(args)?;
    if doors.is_empty() {
        log::warn!("api_not_served");
    } else {
        let backend = Arc::clone(&handle);
        let server = thread::Builder::new().name("api".into());
        let served = server.spawn(move || {
            if let Err(e) = serve::serve(backend, doors, stopped) {
                log::error!(reason:% = e; "api_ended");
            }
        });
        served.map_err(Error::Daemon)?;
    }
    #[cfg(target_os = "linux")]
    if let Err(e) = daemon::watch::start(&handle, &watched) {
        log::warn!(reason:% = e; "changes_not_watched");
    }
    deliveries::start(&read_only, &handle);
    health_monitor::start(&read_only, &handle);
    // An act may take an hour in which nothing is told but waited: a health check, or retries.
    let (beats, own) = (Arc::clone(&handle), thread::current().id());
    clock::at_wait(move || {
        if thread::current().id() == own {
            beats.beat();
        }
    });
    watchdog::ready();
    log::info!("daemon_ready");
    if daemon::run(daemon, &messages, is_replaced) == Ended::Replaced {
        let text = "the program's file was replaced: the new one takes over when systemd starts it";
        return Err(Error::NotNow(text.into()).into());
    }
    let seen = read_only.workplace().look(&Request::Status)?;
    Ok(Answer { text: "the machine goes down".into(), ..seen })
}

/// The device that the daemon works on, and what answers of it.
///
/// # Errors
/// When there is none.
pub fn device(at: &GlobalArgs) -> Result<(LockedDevice, ReadOnlyDevice), Error> {
    let read_only = ReadOnlyDevice { at: at.clone(), place: Place::of(at)?, kept: Arc::default() };
    Ok((LockedDevice { stamps: read_only.stamps()?, read_only: read_only.clone() }, read_only))
}

/// The sockets that systemd passes, or those with these names.
fn doors(args: &DaemonArgs) -> Result<Vec<Door>, Error> {
    let named = [(&args.socket, Entrance::Socket), (&args.web_socket, Entrance::Token)];
    if named.iter().any(|(socket, _)| socket.is_some()) {
        let named = named.into_iter().filter_map(|(socket, entrance)| Some((socket.as_ref()?, entrance)));
        return named.map(|(path, entrance)| Ok(Door { listener: listener(path)?, entrance })).collect();
    }
    let passed = board::passed_sockets().map_err(Error::Daemon)?;
    // Any other name is that of the API, whose unit is older than names are.
    let entrance = |name: &str| if name == WEB { Entrance::Token } else { Entrance::Socket };
    Ok(passed.into_iter().map(|(name, listener)| Door { entrance: entrance(&name), listener }).collect())
}

fn listener(path: &Path) -> Result<UnixListener, Error> {
    let open = |source| Error::Open { path: path.into(), source };
    // One that a daemon left which was killed.
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path).map_err(open)?;
    }
    let listener = UnixListener::bind(path).map_err(open)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(open)?;
    Ok(listener)
}

/// Where acts are done.
#[allow(missing_debug_implementations, reason = "the clock is a trait object")]
pub struct LockedDevice {
    read_only: ReadOnlyDevice,
    /// What says when it is, for longer than an act.
    stamps: Box<dyn Stamps>,
}

impl LockedDevice {
    /// Folders in which a change matters.
    fn folders(&self) -> Vec<PathBuf> {
        let root = self.read_only.workplace().root();
        let mut folders = config::folders(&root);
        folders.push(root.join(inhibitors::FOLDER));
        folders.push(root.join("run/bistable/events"));
        folders.push(self.read_only.place.persistent(&self.read_only.at).join("bistable/events"));
        folders
    }
}

impl DevicePort for LockedDevice {
    fn act(&mut self, queued: QueuedJob, observer: &mut dyn Observer) -> Result<Reply, Failed> {
        let QueuedJob { job, request, by, bundle } = queued;
        let by = By::of(&by);
        let session = Session { id: logging::session().into(), request: job };
        self.read_only.workplace().work(&Work::Ask(request), &by, session, bundle, observer)
    }

    fn report(&mut self, reports: &[Report], by: &Asker) -> Result<bool, Error> {
        let workplace = self.read_only.workplace();
        let root = workplace.root();
        let machine = workplace.open(&self.read_only.board(), Access::Exclusive)?;
        let session = logging::session();
        let mut log = Log::open(machine.events, Session { id: session.into(), request: session.into() });
        if let Ok(loaded) = config::read(&root) {
            let listing = loaded.listing();
            log.configured(&listing.digests(), listing.files(), &By::of(by).json());
        }
        for Report { kind, source, data } in reports {
            log.append(*kind, source, data.clone());
        }
        log.flush();
        let is_kept = log.place() == events::Place::Persistent && log.trouble().is_none();
        drop(log);
        machine.verb_end.save().map(|()| is_kept)
    }

    fn survey(&mut self) -> Result<Survey, Error> {
        let workplace = self.read_only.workplace();
        let root = workplace.root();
        let settings = self.read_only.kept.load(&root)?;
        let configured = config::read(&root).map(|loaded| loaded.listing().digests());
        let machine = workplace.open(&settings.board, Access::ReadOnly)?;
        let reading =
            events::readable(machine.events).and_then(|mut store| Reading::after(&mut *store, u64::MAX));
        let fold = reading.map(|reading| reading.fold).unwrap_or_default();
        let mut device = Device::open(machine.board, settings)?;
        let rolled_back = Kind::RollbackCompleted.traits().name;
        // An event says when it was by the wall clock only.
        let when = |end: &End| When { wall: end.time(), uptime: None };
        Ok(Survey {
            standing: Standing {
                now: device.now().clone(),
                booted: device.board.boot.booted(),
                // Without one, all such devices have the same place: they are few.
                id: device.id().unwrap_or_default(),
                boot: device.board.host.boot_id(),
            },
            rules: Rules::of(&device.settings.update, !device.settings.source.urls.is_empty()),
            inhibitors: inhibitors::read(&root, &self.stamps.now()),
            rollbacks: fold.ends.iter().filter(|end| end.kind == rolled_back).map(when).collect(),
            is_urgent: is_urgent(&device),
            components: cases(&device),
            // The text of a map is sorted.
            unlogged: configured.ok().filter(|set| *set != fold.config).map(|set| format!("{set:?}")),
            rejected: self.read_only.kept.problem(),
            remembered: fold.remembered,
        })
    }

    fn moment(&mut self) -> Moment {
        let Stamp { uptime, unix, synchronized, .. } = self.stamps.now();
        Moment { uptime, wall: synchronized.then_some(unix), unverified: Some(unix) }
    }
}

/// The components that are updated here, each with its mode. One whose record can't be read is left alone.
fn cases(device: &Device) -> Vec<(Component, config::Mode)> {
    let record = match components::record(device) {
        Ok(record) => record,
        Err(e) => {
            log::debug!(reason:% = e; "components_not_read");
            return Vec::new();
        }
    };
    let case = |name: String| {
        let declared = device.settings.components.iter().find(|declared| declared.name == name)?;
        let known = record.get(&name).cloned();
        Some((known.unwrap_or_else(|| Component::registered(&name)), declared.managed.as_ref()?.mode))
    };
    components::managed(device).into_iter().filter_map(case).collect()
}

/// Time that continues from a moment of the simulated Pi, as fast as real time.
#[cfg(feature = "sim")]
struct Flowing {
    from: Stamp,
    since: Duration,
}

#[cfg(feature = "sim")]
impl Flowing {
    fn new(mut stamps: Box<dyn Stamps>) -> Flowing {
        Flowing { from: stamps.now(), since: SystemClock.now() }
    }
}

#[cfg(feature = "sim")]
impl Stamps for Flowing {
    fn now(&mut self) -> Stamp {
        let passed = SystemClock.now().saturating_sub(self.since);
        let (unix, uptime) = (self.from.unix.saturating_add(passed.as_secs()), self.from.uptime + passed);
        Stamp { unix, uptime, ..self.from }
    }
}

/// Answers what needs no agent that has taken the device over.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "it is never printed")]
pub struct ReadOnlyDevice {
    at: GlobalArgs,
    place: Place,
    kept: Arc<Kept>,
}

impl ReadOnlyDevice {
    /// Where the configuration is.
    fn root(&self) -> PathBuf {
        self.workplace().root()
    }

    /// Time since some moment of this run: the simulated Pi's stands still between two programs.
    fn uptime(&self) -> Duration {
        SystemClock.now()
    }

    /// What the owner says about the board.
    fn board(&self) -> BoardSettings {
        let root = self.root();
        self.kept.load(&root).map_or_else(|_| config::board_settings(&root), |settings| settings.board)
    }

    /// The board's serial number.
    fn serial(&self) -> Result<String, Error> {
        let workplace = self.workplace();
        let mut machine = workplace.open(&self.board(), Access::ReadOnly)?;
        machine.board.host.serial().map_err(|e| Error::Environment(e.to_string()))
    }

    fn workplace(&self) -> Workplace<'_> {
        let (place, kept) = (self.place.clone(), Some(Arc::clone(&self.kept)));
        Workplace { at: &self.at, place, patience: Duration::ZERO, kept }
    }

    /// What of the machine has to do with events. Nothing is locked, and the rest of the configuration may be wrong.
    fn events(&self) -> Result<EventPorts, Error> {
        Ok(self.workplace().open(&self.board(), Access::ReadOnly)?.events)
    }

    /// The moment that is now, by the device's clocks.
    fn now_there(&self) -> io::Result<Stamp> {
        self.stamps().map(|mut stamps| stamps.now()).map_err(|e| io::Error::other(e.to_string()))
    }

    /// What says when it is.
    fn stamps(&self) -> Result<Box<dyn Stamps>, Error> {
        let stamps = self.events()?.stamps;
        Ok(match self.place {
            Place::Pi => stamps,
            #[cfg(feature = "sim")]
            Place::Sim(_) => Box::new(Flowing::new(stamps)),
        })
    }
}

impl Queries for ReadOnlyDevice {
    fn look(&self, request: &Request) -> Result<Document, Box<Document>> {
        answered(self.workplace().look(request))
    }

    fn events(&self, filter: &Filter, limit: usize) -> Result<Found, Box<Document>> {
        let found = ReadOnlyDevice::events(self).and_then(|events| {
            let mut store = events::readable(events).map_err(Error::Events)?;
            let reading = Reading::after(&mut *store, filter.after).map_err(Error::Events)?;
            Ok(first(reading, filter, limit))
        });
        found.map_err(|e| Box::new(app::document(Err(e.into())).0))
    }

    fn inhibitors(&self) -> Vec<Holding> {
        self.stamps().map(|mut stamps| inhibitors::shown(&self.root(), &stamps.now())).unwrap_or_default()
    }

    fn inhibit(&self, asked: &Inhibit, by: &Asker) -> Result<Holding, NotInhibited> {
        inhibitors::add(&self.root(), &self.now_there()?, asked, by)
    }

    fn release(&self, id: &str, by: &Asker, any: bool) -> Result<Holding, NotInhibited> {
        inhibitors::remove(&self.root(), &self.now_there()?, id, by, any)
    }

    fn config(&self) -> Result<Document, Box<Document>> {
        answered(super::config::run(&self.at, &ConfigVerb::Show))
    }

    fn check_config(&self) -> Result<Document, Box<Document>> {
        answered(super::config::run(&self.at, &ConfigVerb::Check))
    }

    fn metrics(&self, format: Format, live: Live) -> Result<String, Box<Document>> {
        let live = Live { resident: resident(), ..live };
        super::metrics::text(&self.workplace(), format, live)
            .map_err(|e| Box::new(app::document(Err(e.into())).0))
    }

    fn token_store(&self) -> TokenStore {
        let root = self.workplace().root();
        let tokens = Tokens::read(&root, &self.place.persistent(&self.at));
        // With a configuration that can't be read, a token is needed.
        let read = config::web_settings(&root).map(|web| web.read).unwrap_or_default();
        TokenStore { tokens, reads_are_open: read == WebRead::Open }
    }

    fn date(&self) -> Date {
        let (unix, synchronized) = match ReadOnlyDevice::events(self) {
            Ok(mut events) => {
                let Stamp { unix, synchronized, .. } = events.stamps.now();
                (unix, synchronized)
            }
            Err(_) => (board::unix_time().unwrap_or_default(), false),
        };
        Date { time: crate::date::rfc3339(unix), synchronized }
    }

    fn beat(&self) {
        watchdog::beat();
    }

    fn now(&self) -> Duration {
        SystemClock.now()
    }
}

/// Bytes of memory that this process has; only Linux says it here.
fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Whether the release that is staged, if one is, mends a hole. One that can't be read doesn't: a trial would fail with it.
fn is_urgent(device: &Device) -> bool {
    let Now::Saved(Saved::Staged(target) | Saved::Armed { target, .. }) = device.now() else { return false };
    device.staged_release(target).is_ok_and(|release| release.urgency == Urgency::Security)
}

/// Whether this program's file is another one by now, as after an upgrade of its package. One that is gone has no successor.
fn is_replaced() -> bool {
    let file = fs::read_link("/proc/self/exe").ok();
    let file = file.as_deref().and_then(Path::to_str).and_then(|file| file.strip_suffix(" (deleted)"));
    file.is_some_and(|file| Path::new(file).is_file())
}

fn answered(ended: Result<Answer, Failed>) -> Result<Document, Box<Document>> {
    let failed = ended.is_err();
    let (document, _) = app::document(ended);
    if failed { Err(Box::new(document)) } else { Ok(document) }
}

/// The first events that a filter wants.
fn first(reading: Reading, filter: &Filter, limit: usize) -> Found {
    let newest = reading.fold.seq.max(filter.after);
    let wanted: Vec<Entry> =
        reading.entries.into_iter().filter(|entry| filter.wants(entry)).take(limit).collect();
    let searched = match wanted.last() {
        Some(last) if wanted.len() == limit => last.seq,
        _ => newest,
    };
    Found { events: wanted, searched }
}
