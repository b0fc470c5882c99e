//! The driver of a component's table: ask what the state wants, do it, decide, save, repeat.
use super::{Archive, ComponentError, ComponentEvent, ComponentObserver, ComponentStep, Subject};
use crate::{
    Error,
    ports::{
        Buses, Clock, ComponentStore, ComposeProject, ContainerEngine, Gpio, Host, ServiceManager, WallClock,
    },
};
use bistable_boot::{
    BootId, Failure, Reason, ReleaseId,
    component::{Action, BootTime, Component, ComponentRecord, Event, Held},
};
use bistable_format::{Release, health::Profile, release};
use std::time::Duration;

/// How long the service manager may take for one service.
pub(crate) const SERVICE_MAX: Duration = Duration::from_secs(90);

/// What the device remembers of its components.
pub trait Memory {
    /// The record, as it is saved.
    fn record(&self) -> &ComponentRecord;

    /// Save another one. After `Ok`, and only then, it survives a power cut.
    ///
    /// # Errors
    /// When it can't be saved.
    fn save(&mut self, next: ComponentRecord) -> Result<(), Error>;
}

/// The ports that the update of a component needs.
#[allow(missing_debug_implementations, reason = "the ports are trait objects")]
pub struct World<'a> {
    /// Where versions lie.
    pub store: &'a mut dyn ComponentStore,
    /// The container engine.
    pub engine: &'a mut dyn ContainerEngine,
    /// The Compose projects that it runs.
    pub compose: &'a mut dyn ComposeProject,
    /// The service manager.
    pub services: &'a mut dyn ServiceManager,
    /// Programs, units, web servers.
    pub host: &'a mut dyn Host,
    /// The pins, for self-tests.
    pub gpio: &'a mut dyn Gpio,
    /// The buses, for self-tests.
    pub buses: &'a mut dyn Buses,
    /// Time.
    pub clock: &'a dyn Clock,
}

/// Verifies the signature of a release with the keys that this device trusts.
pub type Trust<'a> = &'a dyn Fn(&[u8]) -> Result<Release, Error>;

/// What differs between the kinds of components: how a version is staged, run, proven and committed. When that has to be done, and what
/// follows from it, is for the [`Updater`] to decide, and is the same of all.
pub trait Procedure {
    /// Check what has to be right before anything is fetched.
    ///
    /// # Errors
    /// What isn't right. Nothing has begun.
    fn preflight(&self, updater: &mut Updater<'_>, release: &Release) -> Result<(), Error>;

    /// Make the new version complete and durable, and give it its name (I13). What an earlier attempt left of it counts for nothing.
    ///
    /// # Errors
    /// Why that can't be done: the version has no name then.
    fn stage(&self, updater: &mut Updater<'_>, content: &mut dyn Archive, target: &Held)
    -> Result<(), Error>;

    /// Remove a version, complete or not.
    ///
    /// # Errors
    /// When a port fails.
    fn remove(&self, updater: &mut Updater<'_>, version: &str) -> Result<(), Error>;

    /// The versions that lie on the device, complete or not.
    ///
    /// # Errors
    /// When a port fails.
    fn stored(&self, updater: &mut Updater<'_>) -> Result<Vec<String>, Error>;

    /// Whether this boot leads to that version.
    ///
    /// # Errors
    /// When a port fails.
    fn is_shown(&self, updater: &mut Updater<'_>, version: Option<&Held>) -> Result<bool, Error>;

    /// End the version that runs, if it has to end before another one can be shown.
    ///
    /// # Errors
    /// When a port fails.
    fn leave(&self, updater: &mut Updater<'_>) -> Result<(), Error>;

    /// Have this boot lead to a version. It is complete already, whichever it is (I14), and nothing durable changes.
    ///
    /// # Errors
    /// When a port fails.
    fn switch(&self, updater: &mut Updater<'_>, to: Option<&Held>) -> Result<(), Error>;

    /// Have what this boot leads to run, or not if an operator stopped it.
    ///
    /// # Errors
    /// When a port fails, or it ends at once.
    fn resume(&self, updater: &mut Updater<'_>) -> Result<(), Error>;

    /// Run what this boot leads to, wait, and check its health. Gives why it isn't healthy.
    ///
    /// # Errors
    /// When that can't be found out.
    fn prove(
        &self,
        updater: &mut Updater<'_>,
        version: &Held,
        profile: &Profile,
    ) -> Result<Option<Failure>, Error>;

    /// Have the durable name lead to a version, or to none.
    ///
    /// # Errors
    /// When a port fails.
    fn set_current(&self, updater: &mut Updater<'_>, version: Option<&Held>) -> Result<(), Error>;

    /// Whether a complete version can still be run.
    ///
    /// # Errors
    /// When that can't be asked.
    fn is_there(&self, _updater: &mut Updater<'_>, _version: &Held) -> Result<bool, Error> {
        Ok(true)
    }

    /// Have nothing else remove a version that can be returned to.
    ///
    /// # Errors
    /// When a port fails.
    fn keep(&self, _updater: &mut Updater<'_>, _version: &Held) -> Result<(), Error> {
        Ok(())
    }

    /// The version that runs may start without this program from now on, durably: it is the committed one.
    ///
    /// # Errors
    /// When a port fails.
    fn hand_over(&self, _updater: &mut Updater<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Take that back, durably, before a version is given up that may have been handed over.
    ///
    /// # Errors
    /// When a port fails.
    fn take_back(&self, _updater: &mut Updater<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// Updates one component.
#[allow(missing_debug_implementations, reason = "the ports are trait objects")]
pub struct Updater<'a> {
    /// What it is on this device.
    pub subject: &'a Subject,
    /// How its kind is updated.
    pub procedure: &'a dyn Procedure,
    /// What is remembered of it.
    pub memory: &'a mut dyn Memory,
    /// The ports.
    pub world: World<'a>,
    /// Versions of it that the images in the slots bring along: whatever becomes of the component, they stay. `None` while that can't be
    /// found out: then no version is removed.
    pub bound: Option<&'a [ReleaseId]>,
    /// This many rollbacks within an hour end its updates until an operator resets it.
    pub max_rollbacks: usize,
    /// Whose releases count.
    pub trust: Trust<'a>,
    /// Who hears what happens.
    pub observer: &'a mut dyn ComponentObserver,
}

impl Updater<'_> {
    /// What is remembered of the component.
    pub fn component(&self) -> Component {
        let name = &self.subject.name;
        self.memory.record().get(name).cloned().unwrap_or_else(|| Component::registered(name))
    }

    /// Continue until nothing is left to do that needs no content: after a commit or a revert, or with a first version missing.
    ///
    /// # Errors
    /// [`ComponentError::GivenUp`] when an update ended on the way back, [`ComponentError::Failed`] when no version is healthy, and
    /// whatever keeps a step from being done: then the state stays, and continuing later does the step again.
    pub fn run(&mut self) -> Result<(), Error> {
        self.settle()?;
        let mut given_up = None;
        loop {
            match self.component().state.todo() {
                Action::Wait => break,
                // Only an offer brings the content again.
                Action::Install => break,
                Action::SelfTest => self.self_test()?,
                Action::Try => self.trial()?,
                Action::Commit => self.commit()?,
                Action::Revert => given_up = Some(self.back()?),
                Action::Remove => self.removal()?,
            }
        }
        match given_up {
            Some(given_up) => Err(given_up.into()),
            None => Ok(()),
        }
    }

    /// Go back to a version that is kept: it is tried and committed like any other.
    ///
    /// # Errors
    /// When it isn't kept, something else is in flight, or as for [`run`](Self::run).
    pub fn return_to(&mut self, held: &Held) -> Result<(), Error> {
        self.settle()?;
        if !self.procedure.is_there(self, held)? {
            let (name, version) = (self.subject.name.clone(), held.version.clone());
            return Err(ComponentError::ImageGone { name, version }.into());
        }
        self.on(Event::Return(held.clone()))?;
        self.run()
    }

    /// Give up the update in flight.
    ///
    /// # Errors
    /// When there is none; as for [`run`](Self::run).
    pub fn give_up(&mut self) -> Result<(), Error> {
        self.settle()?;
        if self.component().state.is_undecided() {
            self.procedure.take_back(self)?;
        }
        self.on(Event::Failed(Failure::new(Reason::Operator, "given up by an operator")))?;
        self.clean_up();
        self.run()
    }

    /// Stop the component, across reboots, or have it run again.
    ///
    /// # Errors
    /// When an update is in flight, or a port fails.
    pub fn set_stopped(&mut self, is_stopped: bool) -> Result<(), Error> {
        self.settle()?;
        self.on(if is_stopped { Event::Stop } else { Event::Start })?;
        self.restart()
    }

    /// An operator looked into a component that failed.
    ///
    /// # Errors
    /// When it has not failed, or a port fails.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.on(Event::Reset)?;
        self.restart()
    }

    /// Remove all versions of a component that an operator stopped, and forget it. Done again after a power cut, it removes what is left.
    ///
    /// # Errors
    /// When it runs, or an update of it is in flight, or a port fails.
    pub fn remove(&mut self) -> Result<(), Error> {
        if self.component().state.todo() != Action::Remove {
            self.on(Event::Remove)?;
        }
        self.removal()
    }

    fn removal(&mut self) -> Result<(), Error> {
        let name = self.subject.name.as_str();
        self.step(ComponentStep::Remove, |this| {
            let procedure = this.procedure;
            // No name leads to a version that goes.
            procedure.set_current(this, None)?;
            this.world.store.show(name, None)?;
            for version in procedure.stored(this)? {
                if !this.is_bound(&version) {
                    procedure.remove(this, &version)?;
                }
            }
            this.world.store.keep_values(name, &[])?;
            Ok(this.world.store.sync()?)
        })?;
        let mut next = self.memory.record().clone();
        next.remove(name);
        self.memory.save(next)?;
        self.observer.on_event(ComponentEvent::Saved(&Component::registered(name), None));
        Ok(())
    }

    /// End what a process began that is gone: outside of a trial of this process, the link of this boot leads where the state says, and
    /// the service runs from there.
    ///
    /// # Errors
    /// When a port fails.
    pub fn settle(&mut self) -> Result<(), Error> {
        let component = self.component();
        if component.state.is_undecided() {
            return Ok(());
        }
        if self.procedure.is_shown(self, component.leads_to())? {
            return Ok(());
        }
        self.restart()
    }

    /// Decide: save what follows, then report it.
    pub(crate) fn on(&mut self, event: Event) -> Result<(), Error> {
        let name = self.subject.name.as_str();
        let now = self.moment();
        let mut next = self.memory.record().clone();
        let component = next.entry(name).ok_or_else(|| ComponentError::TooMany { name: name.into() })?;
        let was_idle = component.state.todo() == Action::Wait;
        let is_new = component
            .on_at(event, now)
            .map_err(|refused| ComponentError::Refused { name: name.into(), refused })?;
        if is_new {
            let now = component.clone();
            self.memory.save(next)?;
            log::info!(component = name, state = now.state.name(); "component_state");
            let has_ended = !was_idle && now.state.todo() == Action::Wait;
            self.observer.on_event(ComponentEvent::Saved(&now, now.last.as_ref().filter(|_| has_ended)));
        }
        Ok(())
    }

    /// Run a step, and report how long it took and whether it ended well.
    pub(crate) fn step<T>(
        &mut self,
        step: ComponentStep,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.judged(step, work, |_| None)
    }

    /// The same for a step that may be done and yet say that something is wrong: `judge` says what.
    pub(crate) fn judged<T>(
        &mut self,
        step: ComponentStep,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
        judge: impl FnOnce(&T) -> Option<String>,
    ) -> Result<T, Error> {
        let start = self.begin(step, 0);
        let done = work(self);
        self.end(step, start, &done, judge);
        done
    }

    /// A step begins.
    pub(crate) fn begin(&mut self, step: ComponentStep, bytes: u64) -> Duration {
        self.observer.on_event(ComponentEvent::Begun(step, bytes));
        self.world.clock.now()
    }

    /// A step ended, or the power did: then nothing can be said any more.
    pub(crate) fn end<T>(
        &mut self,
        step: ComponentStep,
        start: Duration,
        done: &Result<T, Error>,
        judge: impl FnOnce(&T) -> Option<String>,
    ) {
        let problem = match done {
            Ok(done) => judge(done),
            Err(e) if e.stopping().is_some() => return,
            Err(e) => Some(e.to_string()),
        };
        let took = self.world.clock.now().saturating_sub(start);
        self.observer.on_event(ComponentEvent::Step(step, took, problem.as_deref()));
    }

    /// An error if the caller has taken the update back.
    pub(crate) fn unless_break(&self) -> Result<(), Error> {
        if self.observer.wants_more().is_continue() { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Continue, unless the caller has taken the update back.
    pub(crate) fn unless_cancelled(&mut self) -> Result<(), Error> {
        self.unless_break().or_else(|_| self.cancelled())
    }

    /// Give up an update that was taken back, and that nothing depends on yet.
    pub(crate) fn cancelled(&mut self) -> Result<(), Error> {
        self.on(Event::Failed(Failure::new(Reason::Install, "canceled before its trial")))?;
        self.clean_up();
        Err(Error::Cancelled)
    }

    /// Have the version run that the state says, or none if an operator stopped it.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        let (component, procedure) = (self.component(), self.procedure);
        procedure.leave(self)?;
        procedure.switch(self, component.leads_to())?;
        procedure.resume(self)
    }

    /// Whether an image in a slot brings that version along, or may do so.
    pub(crate) fn is_bound(&self, version: &str) -> bool {
        self.bound.is_none_or(|bound| bound.iter().any(|release| release.to_string() == version))
    }

    /// The moment that is now.
    pub(crate) fn moment(&mut self) -> BootTime {
        let uptime = u32::try_from(self.world.clock.now().as_secs()).unwrap_or(u32::MAX);
        let host = &mut *self.world.host;
        let wall = match (host.wall_clock(), host.unix_time()) {
            (Ok(WallClock::Synchronized), Ok(at)) => Some(at),
            _ => None,
        };
        BootTime { boot: host.boot_id(), uptime, wall }
    }

    pub(crate) fn boot(&self) -> BootId {
        self.world.host.boot_id()
    }

    /// The release of a version that is complete. Its name is its digest, and it must be signed.
    pub(crate) fn release_of(&mut self, held: &Held) -> Result<Release, Error> {
        let name = self.subject.name.as_str();
        let stored = |problem: String| ComponentError::StoredRelease { name: name.into(), problem };
        let bytes = self.world.store.release(name, &version_name(held)).map_err(|e| stored(e.to_string()))?;
        if ReleaseId(release::identity(&bytes).0) != held.release {
            return Err(stored("it is not the one that was installed".into()).into());
        }
        (self.trust)(&bytes).map_err(|e| stored(e.to_string()).into())
    }
}

/// The name of a version's folder.
pub(crate) fn version_name(held: &Held) -> String {
    held.release.to_string()
}

/// The name that leads to a version, and to its configuration if it has one.
pub(crate) fn name_of(held: &Held) -> String {
    match held.configuration {
        Some(number) => format!("{}-{number}", held.release),
        None => version_name(held),
    }
}
