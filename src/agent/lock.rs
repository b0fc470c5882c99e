//! The fleet's lock: not all devices of a site are gone at once.
use super::Agent;
use crate::{
    Error,
    fleet_lock::{Held, Lock, Phase, Post, ask},
    ports::{Answer, Host, HostError, Request},
};
use std::time::Duration;

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The way to a server through the host.
struct ByHost<'a>(&'a mut dyn Host);

impl Post for ByHost<'_> {
    fn post(&mut self, request: &Request, timeout: Duration) -> Result<Answer, HostError> {
        self.0.http_post(request, timeout)
    }
}

impl Agent<'_> {
    /// Check the configuration once more, and ask the fleet's lock, if there is one, for the reboot into a trial. Asking again
    /// is fine. The way back from a trial never asks.
    ///
    /// # Errors
    /// [`Error::Environment`] or [`Error::NotNow`]: nothing was decided yet, and the release stays where it is.
    pub(super) fn may_reboot(&mut self) -> Result<(), Error> {
        // Preflight is minutes or days ago, and a wrong configuration fails every trial.
        if let Some(problem) = self.device.settings.problem_now() {
            return Err(Error::Environment(problem));
        }
        if self.device.settings.update.fleet_lock.is_some() {
            // Before the server knows: a place that this device doesn't remember is held forever.
            self.remember_place(true)?;
        }
        self.ask(Phase::PreReboot).map_err(|held| {
            Error::NotNow(format!("{held}; the release stays where it is: run the command again later"))
        })
    }

    /// At rest: give back the place, if the device may hold one. If that fails, for example before the network is up, the next boot
    /// tries again, and so does the next look at the channel.
    pub fn give_back(&mut self) {
        if self.now().is_idle() {
            self.release_lock();
        }
    }

    /// Give back the place: no reboot follows now. A device that asked for none asks nothing: a server that doesn't answer must
    /// not hold up its boots.
    pub(super) fn release_lock(&mut self) {
        if !self.device.record.may_hold_place() {
            return;
        }
        if let Err(held) = self.ask(Phase::SteadyState) {
            log::warn!(reason:% = held; "fleet_lock_not_given_back");
            return;
        }
        if let Err(e) = self.remember_place(false) {
            log::warn!(reason:% = e; "fleet_lock_not_forgotten");
        }
    }

    fn remember_place(&mut self, may_hold: bool) -> Result<(), Error> {
        if self.device.record.may_hold_place() == may_hold {
            return Ok(());
        }
        let mut next = self.device.record.clone();
        next.set_place(may_hold);
        self.device.save(next)
    }

    fn ask(&mut self, phase: Phase) -> Result<(), Held> {
        if self.device.settings.update.fleet_lock.is_none() {
            return Ok(());
        }
        let id = self.device.id().map_err(Held::Unreachable)?;
        match Lock::of(&self.device.settings.update, &id) {
            Some(lock) => {
                let host = &mut *self.device.board.host;
                ask(&mut ByHost(host), &lock, phase, TIMEOUT).map(|_| log::info!(phase:?; "fleet_lock_asked"))
            }
            None => Ok(()),
        }
    }
}
