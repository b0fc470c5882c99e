//! What was tried in vain for components, of this run of the daemon.
use crate::app::schedule::LastTry;
use std::collections::BTreeMap;

/// What was tried in vain for each component.
#[derive(Debug, Default)]
pub(super) struct ComponentTries {
    /// To stage a release.
    stages: BTreeMap<String, (String, LastTry)>,
    /// To switch.
    switches: BTreeMap<String, LastTry>,
}

impl ComponentTries {
    /// The last attempt to stage that release of it, if it failed.
    pub(super) fn stage(&self, component: &str, release: &str) -> Option<LastTry> {
        self.stages.get(component).filter(|(tried, _)| tried == release).map(|(_, last)| *last)
    }

    /// The last switch of it, if it was refused.
    pub(super) fn switch(&self, component: &str) -> Option<LastTry> {
        self.switches.get(component).copied()
    }

    /// An attempt to stage a release ended; with `None` if it succeeded.
    pub(super) fn staged(&mut self, component: &str, release: &str, failed: Option<LastTry>) {
        match failed {
            Some(last) => self.stages.insert(component.to_owned(), (release.to_owned(), last)),
            None => self.stages.remove(component),
        };
    }

    /// A switch ended; with `None` unless it was refused.
    pub(super) fn switched(&mut self, component: &str, refused: Option<LastTry>) {
        match refused {
            Some(last) => self.switches.insert(component.to_owned(), last),
            None => self.switches.remove(component),
        };
    }
}
