//! The way back: the version before, and if that isn't healthy either, the ones before it.
use super::{ComponentError, ComponentEvent, ComponentStep, Updater};
use crate::Error;
use bistable_boot::{
    Failure, Reason,
    component::{Component, Event, State},
};

impl Updater<'_> {
    /// Have an older version run, and check its health. Gives how the update ended; nothing while the way leads further.
    pub(crate) fn back(&mut self) -> Result<ComponentError, Error> {
        let began = self.begin(ComponentStep::Revert, 0);
        let given_up = self.older_version();
        self.end(ComponentStep::Revert, began, &given_up, |ended| match ended {
            ComponentError::Failed { failure, .. } => Some(failure.to_string()),
            _ => None,
        });
        if let Ok(ComponentError::GivenUp { version, failure, .. }) = &given_up {
            self.observer.on_event(ComponentEvent::Reverted(version, failure));
            self.clean_up();
        }
        given_up
    }

    fn older_version(&mut self) -> Result<ComponentError, Error> {
        loop {
            let component = self.component();
            let State::Reverting { target, failure, skipped } = component.state.clone() else {
                return Err(Error::NotNow("nothing to go back from".into()));
            };
            let (name, procedure) = (self.subject.name.clone(), self.procedure);
            let to = component.leads_to().cloned();
            procedure.leave(self)?;
            if skipped > 0 {
                // It becomes the current version, if it is healthy; a power cut before that does all of this again.
                procedure.set_current(self, to.as_ref())?;
            }
            procedure.switch(self, to.as_ref())?;
            let unhealthy = match &to {
                None => {
                    self.procedure.resume(self)?;
                    None
                }
                Some(held) => {
                    let profile = self.profile(held)?;
                    procedure.prove(self, held, &profile)?
                }
            };
            match unhealthy {
                None => {
                    procedure.hand_over(self)?;
                    match self.too_many_rollbacks(&component) {
                        Some(halted) => self.on(Event::Halted(halted))?,
                        None => self.on(Event::Reverted)?,
                    }
                    let is_back = to.is_some();
                    return Ok(ComponentError::GivenUp { name, version: target.version, failure, is_back });
                }
                Some(why) => {
                    self.on(Event::StillUnhealthy(why.clone()))?;
                    if let State::Failed(failure) = self.component().state {
                        // The durable name is the current version's again, healthy or not.
                        let current = self.component().current;
                        procedure.set_current(self, current.as_ref())?;
                        self.restart()?;
                        return Ok(ComponentError::Failed { name, failure });
                    }
                }
            }
        }
    }

    /// Why no other update may follow this one, if too many were rolled back. Without a version that runs it failed all the same.
    fn too_many_rollbacks(&mut self, component: &Component) -> Option<Failure> {
        let recent = component.recent_rollbacks(&self.moment());
        if component.current.is_none() || recent < self.max_rollbacks {
            return None;
        }
        let name = &self.subject.name;
        let text = format!("{recent} within an hour; `bistable component reset {name}` allows updates again");
        Some(Failure::new(Reason::RollbackLimit, &text))
    }
}
