//! The thread that watches over the health of the running release after its commit. It has no device: it reads what the release
//! and the owner call healthy, and asks.
use super::ReadOnlyDevice;
use crate::{
    Device, Error,
    board::Access,
    daemon::{Handle, Health, Sick, Vitals},
    events::{Kind, Reading, readable},
    ports::{Clock, Host},
    steps::health::Rounds,
};
use serde_json::json;
use std::{rc::Rc, sync::Arc, thread, time::Duration};

/// Without anything to ask: whoever changes that tells.
const IDLE: Duration = Duration::from_secs(3600);
/// What can't be read is read again after this time.
const AGAIN: Duration = Duration::from_secs(60);
/// Settings and status are read again this often, if no change was reported.
const FRESH: Duration = Duration::from_secs(600);
/// Time between two requests to the daemon to revert: it may be busy, or have reverted once.
const TOLD: Duration = Duration::from_secs(300);
/// A web client and a service manager need some.
const STACK: usize = 256 << 10;

/// Start to watch. If the thread can't be started, that is logged, and the daemon continues without it.
pub(super) fn start(read_only: &ReadOnlyDevice, handle: &Arc<Handle>) {
    let (read_only, handle) = (read_only.clone(), Arc::clone(handle));
    let watch = move || {
        let mut health_monitor = HealthMonitor {
            vitals: Vitals::known(known(&read_only)),
            read_only,
            handle,
            rounds: None,
            told: None,
        };
        let mut heard = 0;
        loop {
            let before = heard;
            let sleep = health_monitor.turn();
            health_monitor.handle.bell().wait(&mut heard, sleep);
            if heard != before {
                // Perhaps another profile counts by now.
                health_monitor.changed();
            }
        }
    };
    if let Err(e) = thread::Builder::new().name("health".into()).stack_size(STACK).spawn(watch) {
        log::error!(reason:% = e; "health_not_watched");
    }
}

/// What the log says of the health of the running release.
fn known(read_only: &ReadOnlyDevice) -> Option<bool> {
    let mut store = readable(read_only.events().ok()?).ok()?;
    Reading::after(&mut *store, u64::MAX).ok()?.fold.remembered.healthy
}

struct HealthMonitor {
    read_only: ReadOnlyDevice,
    handle: Arc<Handle>,
    vitals: Vitals,
    rounds: Option<Running>,
    /// When the daemon was last asked to revert.
    told: Option<Duration>,
}

/// What runs, and what is known of it.
struct Running {
    release: Option<(String, String)>,
    profile: bistable_format::health::Profile,
    rounds: Rounds,
    /// When it was read, in time of this thread.
    read: Duration,
}

impl HealthMonitor {
    /// What runs and what is healthy is read again in the next turn. What is known of checks that stay the same is kept.
    fn changed(&mut self) {
        if let Some(running) = &mut self.rounds {
            running.read = Duration::ZERO;
        }
    }

    /// Make a round; how long nothing is due then.
    fn turn(&mut self) -> Duration {
        match self.round() {
            Ok(sleep) => sleep,
            Err(why) => {
                log::debug!(reason:% = why; "health_not_known");
                self.handle.health(Health::unknown(&why.to_string()));
                AGAIN
            }
        }
    }

    fn round(&mut self) -> Result<Duration, Error> {
        let workplace = self.read_only.workplace();
        let root = workplace.root();
        let settings = self.read_only.kept.load(&root)?;
        let (interval, revert_after) = (settings.health.interval, settings.health.revert_after);
        let machine = workplace.open(&settings.board, Access::ReadOnly)?;
        let now = self.read_only.uptime();
        let settings = match &self.read_only.place {
            super::Place::Pi => settings.with_checks_below(&root),
            // The simulated Pi's world has programs by their paths on the device.
            #[cfg(feature = "sim")]
            super::Place::Sim(_) => settings,
        };
        let (mut host, clock): (Box<dyn Host>, Rc<dyn Clock>) = match &self.rounds {
            Some(running) if !running.read.is_zero() && now.saturating_sub(running.read) < FRESH => {
                (machine.board.host, machine.board.clock)
            }
            _ => {
                let device = Device::open(machine.board, settings)?;
                if device.now().awaits_boot(device.board.boot.booted()) {
                    self.rounds = None;
                    self.handle.health(Health::unknown("the release on trial is not decided yet"));
                    return Ok(AGAIN);
                }
                let slot = device.board.boot.booted();
                let release =
                    device.running().map(|image| (image.version.to_string(), image.release.to_string()));
                let profile = device.health_profile(slot)?;
                match &mut self.rounds {
                    Some(running) if running.profile == profile && running.release == release => {
                        running.read = now;
                    }
                    other => {
                        let rounds = Rounds::new(profile.clone());
                        *other = Some(Running { release, profile, rounds, read: now });
                    }
                }
                (device.board.host, device.board.clock)
            }
        };
        let Some(running) = &mut self.rounds else { return Ok(AGAIN) };
        let version = running.release.as_ref().map(|(version, _)| version.clone());
        if running.rounds.is_empty() {
            self.handle.health(Health::without_checks(version));
            return Ok(IDLE);
        }
        let took = running.rounds.ask(now, interval, &mut *host, &*clock);
        let verdict = running.rounds.verdict();
        let reason = verdict.clone().and_then(Result::err);
        let healthy = verdict.map(|verdict| verdict.is_ok());
        self.handle.health(Health {
            healthy,
            reason: reason.clone(),
            version: version.clone(),
            took,
            checks: running.rounds.reports(),
        });
        if let Some(healthy) = healthy {
            let follows = self.vitals.take(now, healthy, revert_after);
            if follows.changed {
                let data = json!({ "healthy": healthy, "reason": reason, "version": version });
                self.handle.report(Kind::HealthChanged, "daemon", data);
            }
            let is_due = self.told.is_none_or(|told| now.saturating_sub(told) >= TOLD);
            if let Some((version, release)) = running.release.clone().filter(|_| follows.revert && is_due) {
                self.told = Some(now);
                self.handle.sick(Sick { version, release, reason: reason.unwrap_or_default() });
            }
        }
        let due = running.rounds.due().map_or(IDLE, |due| due.saturating_sub(now));
        Ok(due.max(Duration::from_secs(1)))
    }
}
