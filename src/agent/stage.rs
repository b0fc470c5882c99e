//! From an offer to a reboot into the trial.
use super::{
    Agent, AgentEvent, BoundSource, ImageOnly, Rest,
    run::{Deadline, StepError},
};
use crate::{
    Error,
    ports::Never,
    source::Source,
    steps::{
        StepName,
        install::{self, Bundle, Content, Overrides, Stats},
        preflight, selftest,
    },
};
use bistable_boot::{Event, Failure, Now, Reason, Saved, Slot, Target};
use bistable_format::{Root, compat::Direction, selftest::Plan};
use std::{io::Read, ops::ControlFlow, rc::Rc};

impl Agent<'_> {
    /// Check what has to be right before an update.
    ///
    /// # Errors
    /// When a port fails in a way that the report can't hold.
    pub fn preflight(&mut self) -> Result<preflight::Report, Error> {
        let report = preflight::run(&mut self.device)?;
        self.observer.on_event(AgentEvent::Preflight(&report));
        Ok(report)
    }

    /// Verify a bundle's release and check that it may go onto this device. Changes nothing.
    ///
    /// # Errors
    /// As for [`install`](Self::install).
    pub fn check(
        &mut self,
        source: &mut dyn Read,
        bound: &mut dyn BoundSource,
        overrides: Overrides,
    ) -> Result<Target, Error> {
        let root = self.ready()?;
        let bundle = Bundle::open(source, &root)?;
        let target = self.accept(&bundle, overrides, Direction::Forward)?;
        self.open_bound(&bundle, bound)?;
        Ok(target)
    }

    /// The same for a release that was verified already.
    ///
    /// # Errors
    /// As for [`install`](Self::install).
    pub fn check_with(
        &mut self,
        content: &dyn Content,
        bound: &mut dyn BoundSource,
        overrides: Overrides,
        direction: Direction,
    ) -> Result<Target, Error> {
        self.ready()?;
        let target = self.accept(content, overrides, direction)?;
        self.open_bound(content, bound)?;
        Ok(target)
    }

    /// Whether no trial has to be decided first.
    ///
    /// # Errors
    /// [`Error::NotNow`] if one has.
    pub fn is_free(&self) -> Result<(), Error> {
        if self.now().is_undecided() {
            let text = format!("an update is {}: `bistable resume` finishes it", self.now().name());
            return Err(Error::NotNow(text));
        }
        Ok(())
    }

    /// Whether an update may begin at all.
    fn ready(&mut self) -> Result<Root, Error> {
        self.is_free()?;
        // Checked first, so that a missing root of trust has its own exit code.
        let root = self.device.root()?;
        self.step(StepName::Check, |agent, _| match agent.preflight()?.error() {
            Some(problem) => Err(StepError::Blameless(problem)),
            None => Ok(()),
        })?;
        Ok(root)
    }

    /// Whether it may begin with this release.
    fn accept(
        &mut self,
        content: &dyn Content,
        overrides: Overrides,
        direction: Direction,
    ) -> Result<Target, Error> {
        let target = install::accept(&mut self.device, content, overrides, direction)?;
        // One that the boot loader never tried makes way.
        if let Now::Saved(Saved::Armed { target: armed, .. }) = self.now()
            && *armed != target
            && !self.now().is_refused()
        {
            let text = format!(
                "release {} is armed: `bistable reboot` tries it, `bistable revert` gives it up",
                armed.version
            );
            return Err(Error::NotNow(text));
        }
        self.observer.on_event(AgentEvent::Accepted(&target, content.release()));
        Ok(target)
    }

    /// Verify a bundle's release, check that it may go onto this device, and write it into the inactive slot.
    /// Continues where an earlier installation of the same release was cut short.
    ///
    /// # Errors
    /// When the bundle, the device or the card is to blame: the running slot stays as it is and the default.
    pub fn install(&mut self, source: &mut dyn Read, overrides: Overrides) -> Result<Target, Error> {
        let root = self.ready()?;
        let mut bundle = Bundle::open(source, &root)?;
        self.install_content(&mut bundle, &mut ImageOnly, overrides, Direction::Forward)
    }

    /// The same, with a repository where full data may be had for what a delta's bundle can't make, and with where the components are
    /// had that the image brings along.
    ///
    /// # Errors
    /// As for [`install`](Self::install).
    pub fn install_or_fetch(
        &mut self,
        source: &mut dyn Read,
        repository: Option<Box<dyn Source>>,
        bound: &mut dyn BoundSource,
        overrides: Overrides,
    ) -> Result<Target, Error> {
        let root = self.ready()?;
        let mut bundle = Bundle::open(source, &root)?.or_fetch(repository);
        self.install_content(&mut bundle, bound, overrides, Direction::Forward)
    }

    /// The same for a release that was verified already with this device's [root](crate::Device::root): one in a
    /// repository, for example.
    ///
    /// # Errors
    /// As for [`install`](Self::install).
    pub fn install_from(
        &mut self,
        content: &mut dyn Content,
        overrides: Overrides,
        direction: Direction,
    ) -> Result<Target, Error> {
        self.install_with(content, &mut ImageOnly, overrides, direction)
    }

    /// The same with where the components are had that the image brings along.
    ///
    /// # Errors
    /// As for [`install`](Self::install), and for what can't be had.
    pub fn install_with(
        &mut self,
        content: &mut dyn Content,
        bound: &mut dyn BoundSource,
        overrides: Overrides,
        direction: Direction,
    ) -> Result<Target, Error> {
        self.ready()?;
        self.install_content(content, bound, overrides, direction)
    }

    fn install_content(
        &mut self,
        content: &mut dyn Content,
        bound: &mut dyn BoundSource,
        overrides: Overrides,
        direction: Direction,
    ) -> Result<Target, Error> {
        let target = self.accept(content, overrides, direction)?;
        // All of it is there to be had, or nothing begins.
        let brought = self.open_bound(content, bound)?;
        match self.now() {
            // There is nothing left to install: an update that was cut short continues from where it is. What was lost since of the
            // components is staged again.
            Now::Saved(Saved::Staged(there) | Saved::Armed { target: there, .. }) if *there == target => {
                self.stage_bound(brought)?;
                return Ok(target);
            }
            Now::Saved(Saved::Installing(begun)) if *begun == target => {}
            Now::Saved(Saved::Idle) => self.on(Event::Offer(target.clone()))?,
            _ => {
                let why = format!("release {} was offered instead", target.version);
                self.abandon(Failure::new(Reason::Install, &why))?;
                self.on(Event::Offer(target.clone()))?;
            }
        }
        let stats = self.step(StepName::Install, |agent, deadline| {
            // The components first, so that the slot is not touched for an image whose components can't be had.
            agent.stage_bound(brought).map_err(install_failed)?;
            agent.write(&target, content, deadline)
        })?;
        log::info!(
            version:% = target.version,
            full_bytes = stats.fetched_bytes.saturating_sub(stats.delta_bytes),
            delta_bytes = stats.delta_bytes,
            reused_bytes = stats.reused_bytes,
            chunks = stats.chunks,
            patched = stats.patched,
            reused = stats.reused,
            stale = stats.stale;
            "installed"
        );
        self.installed = Some(stats);
        self.observer.on_event(AgentEvent::Installed(&target, &stats));
        self.on(Event::Installed)?;
        Ok(target)
    }

    /// Write the inactive slot and read it back, until the deadline at the latest.
    fn write(
        &mut self,
        target: &Target,
        content: &mut dyn Content,
        deadline: Deadline,
    ) -> Result<Stats, StepError> {
        self.device.board.boot.forget(target.slot)?;
        self.observer.on_event(AgentEvent::Writing(target, content.release()));
        let observer = &mut *self.observer;
        let clock = Rc::clone(&self.device.board.clock);
        let mut late = false;
        let written = install::write(&mut self.device, target, content, &mut |n| {
            observer.on_event(AgentEvent::Read(n));
            late = deadline.is_over(clock.now());
            if late { ControlFlow::Break(()) } else { observer.wants_more() }
        });
        for remark in content.remarks() {
            self.observer.on_event(AgentEvent::Remark(&remark));
        }
        written.map_err(|e| match e {
            // What is written stays, and the same release continues from there.
            Error::Cancelled if late => StepError::Passing(deadline.error()),
            e => install_failed(e),
        })
    }

    /// The installation is incomplete and can't continue without the bundle. Meanwhile the slot must not look bootable: the power may have gone
    /// right after its header was written, and taken something else of the slot along.
    pub(super) fn wants_bundle(&mut self) -> Result<Rest, Error> {
        let Now::Saved(Saved::Installing(target)) = self.now().clone() else { return Ok(Rest::Idle) };
        install::erase_header(&install::open_slot(&mut self.device, target.slot)?)?;
        Ok(Rest::WantsBundle(target))
    }

    /// Run the self-tests that the staged release brings for before the switch, or else all those of the running one.
    /// Changes nothing.
    ///
    /// # Errors
    /// When there is no plan to be had.
    pub fn self_test(&mut self) -> Result<selftest::Report, Error> {
        let plan = match self.now() {
            Now::Saved(Saved::Staged(t) | Saved::Armed { target: t, .. }) => {
                let slot = t.slot;
                self.whole_plan(slot)?.before()
            }
            _ => self.whole_plan(self.device.board.boot.booted())?,
        };
        let board = &mut self.device.board;
        let report =
            selftest::run(&plan, &mut *board.gpio, &mut *board.buses, &mut *board.host, &*board.clock);
        self.observer.on_event(AgentEvent::SelfTests(&report));
        Ok(report)
    }

    /// The self-tests of the release in a slot, and of what it brings along.
    pub(super) fn whole_plan(&mut self, slot: Slot) -> Result<Plan, Error> {
        let mut plan = self.device.self_test_plan(slot)?;
        plan.tests.extend(self.bound_self_tests(slot)?.tests);
        Ok(plan)
    }

    /// Staged → armed, if the self-tests pass; back to idle and rejected, if not. What the boot loader refused to try is armed
    /// again in the same way.
    ///
    /// # Errors
    /// [`Error::SelfTest`] when they don't pass.
    pub fn arm(&mut self) -> Result<Target, Error> {
        let target = self.tested()?;
        self.on(Event::SelfTestsPassed)?;
        Ok(target)
    }

    /// Run the self-tests of what is staged. Nothing is saved if they pass; back to idle and rejected, if not.
    ///
    /// # Errors
    /// [`Error::SelfTest`] when they don't pass.
    pub(super) fn tested(&mut self) -> Result<Target, Error> {
        let target = match self.now() {
            Now::Saved(Saved::Staged(target)) => target.clone(),
            now @ Now::Saved(Saved::Armed { target, .. }) if now.is_refused() => target.clone(),
            Now::Saved(Saved::Armed { target, .. }) => {
                return Err(Error::NothingToDo(format!("release {} is armed already", target.version)));
            }
            Now::Saved(Saved::Idle) => {
                return Err(Error::NothingToDo("nothing is staged: install a bundle first".into()));
            }
            other => {
                return Err(Error::NotNow(format!("an update is {}: see `bistable status`", other.name())));
            }
        };
        self.step(StepName::SelfTest, |agent, _| {
            let report = agent.self_test().map_err(|e| match e {
                Error::Fault(_) => StepError::Passing(e),
                // What the image brings along was lost since: it is had again by installing the image again.
                Error::Component(_) => StepError::Passing(e),
                // No plan, no test, no flag. That says nothing about the release.
                e => StepError::failed(Failure::new(Reason::Install, &e.to_string()), e),
            })?;
            let Some(refused) = report.refusal() else { return Ok(()) };
            let summary = report.summary();
            let reason = if refused.not_run { Reason::Environment } else { Reason::SelfTest };
            Err(StepError::failed(Failure::new(reason, &summary), Error::SelfTest(summary)))
        })?;
        Ok(target)
    }

    /// Back to idle from what was not tried. An armed release leaves no trace, neither in the boot flag nor in the slot.
    fn abandon(&mut self, why: Failure) -> Result<(), Error> {
        self.on(Event::Failed(why))?;
        self.revert()
    }

    /// Armed → reboot into the trial; ends as [`Fault::Stopping`](crate::ports::Fault::Stopping).
    ///
    /// # Errors
    /// Always: a reboot doesn't return. Anything but `Stopping` means that it didn't take place.
    pub fn reboot_into_trial(&mut self) -> Result<Rest, Error> {
        self.try_once(&[])
    }

    /// Save the decisions, with the request for a reboot into the trial, and reboot. A torn flag is written whole before
    /// they are saved: it would lead to the old slot, and a power cut in that write must find what was stored while the
    /// flag was torn. Before all that, the fleet's lock is asked, unless there are decisions: then it was asked before them.
    ///
    /// Nothing is counted here: the next boot knows whether this reboot happened (I16).
    pub(super) fn try_once(&mut self, decisions: &[Event]) -> Result<Rest, Error> {
        let armed = match self.now() {
            Now::Saved(Saved::Armed { target, tries }) => Some((target.clone(), *tries)),
            _ => None,
        };
        if let Some((Target { slot, version, .. }, tries)) = &armed
            && self.now().is_refused()
        {
            let (slot, version, refused) = (*slot, version.clone(), tries.refused);
            return Err(self.not_rebooted(!slot, Error::NotTried { slot, version, refused }));
        }
        // After the last trial no other follows, and the way back never asks.
        let is_used_up = armed.as_ref().is_some_and(|(_, tries)| tries.are_used_up());
        if !is_used_up
            && decisions.is_empty()
            && let Err(e) = self.may_reboot()
        {
            let Some((target, _)) = armed else { return Err(e) };
            // A request of an earlier attempt would be honored by any reboot, without the lock. And what this boot shows
            // of that attempt is gone with the next one.
            return Err(self.not_rebooted(!target.slot, e));
        }
        if let Some(slot) = self.repair_flag()? {
            self.observer.on_event(AgentEvent::Repaired(slot));
        }
        let asked = self.device.ask()?;
        self.on_all(&[decisions, &[Event::Rebooting(asked)]].concat())?;
        let Now::Saved(Saved::Armed { target, .. }) = self.now().clone() else {
            return self.resume();
        };
        match self
            .step(StepName::Arm, |agent, _| agent.reboot_once(target.slot).map_err(StepError::Blameless))
        {
            Ok(never) => match never {},
            Err(e) => Err(e),
        }
    }

    /// The arming is undone: see [`not_rebooted`](Self::not_rebooted).
    pub(super) fn take_back_reboot(&mut self, why: Error) -> Error {
        match self.now().target().map(|target| !target.slot) {
            Some(old) => self.not_rebooted(old, why),
            None => why,
        }
    }

    fn reboot_once(&mut self, slot: Slot) -> Result<Never, Error> {
        self.device.board.boot.try_once(slot)?;
        self.observer.on_event(AgentEvent::Rebooting(slot));
        Ok(self.device.board.host.reboot()?)
    }

    /// A reboot that failed, or isn't asked for any more: the one-shot flag is taken back, and then the request, so that no
    /// later reboot tries the slot unnoticed or counts as an attempt. What can't be taken back stays asked for. Gives the
    /// reason, unless the machine goes down. A fault is the cause of [`Error::NotRebooted`]: it says nothing about the
    /// release.
    pub(super) fn not_rebooted(&mut self, old: Slot, why: Error) -> Error {
        let goes_down = |e: &Error| matches!(e, Error::Fault(e) if e.stopping().is_some());
        if goes_down(&why) {
            return why;
        }
        let taken_back = match self.device.board.boot.try_once(old) {
            Ok(()) => self.on(Event::RebootCanceled).and_then(|()| self.save_derived()),
            Err(e) => Err(e.into()),
        };
        match taken_back {
            Err(e) if goes_down(&e) => return e,
            Err(e) => log::warn!(reason:% = e; "reboot_not_canceled"),
            Ok(()) => {}
        }
        match why {
            Error::Fault(fault) => Error::NotRebooted(fault),
            why => why,
        }
    }

    /// A flag that was torn names the default slot twice: a trial would boot the old system. Write it whole.
    fn repair_flag(&mut self) -> Result<Option<Slot>, Error> {
        Ok(self.device.board.boot.mend()?)
    }
}

/// A card that fails ends the attempt, and so does a request to cancel it. A bundle that was cut short doesn't, nor does a server
/// that is gone: what is written stays, and the same release continues from there.
fn install_failed(e: Error) -> StepError {
    let resumable = matches!(&e, Error::Bundle(e) if e.is_resumable());
    let stopping = matches!(&e, Error::Fault(f) if f.stopping().is_some());
    if resumable || stopping {
        return StepError::Passing(e);
    }
    StepError::failed(Failure::new(Reason::Install, &e.to_string()), e)
}
