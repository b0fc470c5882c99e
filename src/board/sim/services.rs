//! Services that run from components: what each does follows from the version that its component shows.
use super::world::{Facts, Page};
use crate::ports::{COMPONENT_LINKS, HostError, Service, ServiceManager, UnitState};
use semver::Version;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// The services of a simulated Pi. One that was stopped is marked in its `/run`.
#[derive(Clone, Debug)]
pub struct SimServices {
    facts: Facts,
    run: PathBuf,
}

impl SimServices {
    /// Those of a system whose `/run` is this folder.
    pub(super) fn new(facts: Facts, run: &Path) -> SimServices {
        SimServices { facts, run: run.into() }
    }

    /// What the service manager says of a unit.
    pub(super) fn state(&self, unit: &str) -> UnitState {
        if self.mark(unit).exists() {
            return UnitState::Other("inactive".into());
        }
        let shown = self.facts.components.iter().filter(|of| self.is_shown(&of.name, &of.version));
        match shown.filter_map(|of| of.units.get(unit)).next() {
            Some(state) => Facts::state(state),
            None => self.facts.unit(unit),
        }
    }

    /// What a web server on the device answers.
    pub(super) fn page(&self, url: &str) -> Option<Page> {
        let shown = self.facts.components.iter().filter(|of| self.is_shown(&of.name, &of.version));
        let page = shown.filter_map(|of| of.http.get(url)).next();
        page.or_else(|| self.facts.http.get(url)).cloned()
    }

    fn is_shown(&self, component: &str, version: &Version) -> bool {
        let file = self.run.join(COMPONENT_LINKS).join(component).join("VERSION");
        fs::read(file).is_ok_and(|text| bistable_format::archive::says_version(&text, version))
    }

    fn mark(&self, unit: &str) -> PathBuf {
        self.run.join("stopped").join(unit)
    }
}

fn failed(e: &io::Error) -> HostError {
    HostError::Failed(e.to_string())
}

impl ServiceManager for SimServices {
    fn service(&mut self, unit: &str, _timeout: Duration) -> Result<Service, HostError> {
        Ok(Service { state: self.state(unit), restarts: 0 })
    }

    fn start(&mut self, unit: &str, _timeout: Duration) -> Result<(), HostError> {
        match fs::remove_file(self.mark(unit)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&e)),
            _ => {}
        }
        match self.state(unit) {
            UnitState::Active => Ok(()),
            UnitState::Other(state) => Err(HostError::Failed(format!("the unit is {state}"))),
            UnitState::Missing => Err(HostError::Failed("no such unit".into())),
        }
    }

    fn stop(&mut self, unit: &str, _timeout: Duration) -> Result<(), HostError> {
        let mark = self.mark(unit);
        mark.parent().map_or(Ok(()), fs::create_dir_all).map_err(|e| failed(&e))?;
        #[expect(clippy::disallowed_methods, reason = "an empty mark in a folder that stands for memory")]
        fs::write(&mark, b"").map_err(|e| failed(&e))
    }

    /// What a simulated service prints is its state.
    fn logs(&mut self, unit: &str, lines: u32, _timeout: Duration) -> Result<String, HostError> {
        match self.state(unit) {
            _ if lines == 0 => Ok(String::new()),
            UnitState::Active => Ok(format!("{unit}: active\n")),
            UnitState::Other(state) => Ok(format!("{unit}: {state}\n")),
            UnitState::Missing => Ok(String::new()),
        }
    }
}
