use super::{MemoryStore, Supply};
use crate::ports::{ComponentStore, HostError, Service, ServiceManager, UnitState, parts_of};
use bistable_format::configuration::ENVIRONMENT;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

/// What a version does when it is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Behavior {
    /// It runs, and answers that all is well.
    #[default]
    Good,
    /// It runs, and answers that it isn't well.
    Sick,
    /// It ends at once.
    Dead,
    /// It ends and is restarted, again and again.
    Restarting,
    /// It runs, and the engine's own health check says that it isn't well.
    Unhealthy,
}

/// Services that run from a component: which version, is decided when they start, by the link of the boot.
#[derive(Clone, Debug)]
pub struct MemoryServices {
    supply: Supply,
    store: MemoryStore,
    /// The component that each service runs from.
    units: BTreeMap<String, String>,
    running: Rc<RefCell<BTreeMap<String, Running>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Running {
    version: String,
    behavior: Behavior,
}

impl MemoryServices {
    /// Services by name, each with the component that it runs from.
    pub fn new(supply: Supply, store: MemoryStore, units: &[(&str, &str)]) -> MemoryServices {
        let units = units.iter().map(|(unit, component)| ((*unit).into(), (*component).into())).collect();
        MemoryServices { supply, store, units, running: Rc::default() }
    }

    /// Other ones in the same state, with another power supply, on another store.
    #[must_use]
    pub fn fork(&self, supply: Supply, store: MemoryStore) -> MemoryServices {
        let running = Rc::new(RefCell::new(self.running.borrow().clone()));
        MemoryServices { supply, store, units: self.units.clone(), running }
    }

    /// The version that a service runs.
    pub fn running(&self, unit: &str) -> Option<String> {
        self.running.borrow().get(unit).map(|running| running.version.clone())
    }

    /// What the service that runs from a component does.
    pub fn behavior(&self, component: &str) -> Option<Behavior> {
        let unit = self.units.iter().find(|(_, of)| *of == component)?.0;
        self.running.borrow().get(unit).map(|running| running.behavior)
    }

    /// The power went.
    pub fn lose(&self) {
        self.running.borrow_mut().clear();
    }

    /// What a version says of itself, in a file `BEHAVIOR`: nothing is good, an empty tree is dead, and so is an empty configuration. One that
    /// says `sick` makes it so.
    fn behavior_of(&self, component: &str, name: &str) -> Behavior {
        let (version, configuration) = parts_of(name);
        if configuration.is_some() {
            let stored = self.store.stored(component, name).filter(|stored| stored.is_complete);
            let environment =
                stored.and_then(|stored| stored.files.get(ENVIRONMENT).cloned()).unwrap_or_default();
            match String::from_utf8_lossy(&environment) {
                text if text.is_empty() => return Behavior::Dead,
                text if text.contains("sick") => return Behavior::Sick,
                _ => {}
            }
        }
        let Some(stored) = self.store.stored(component, version) else { return Behavior::Dead };
        if stored.files.get("VERSION").is_none_or(Vec::is_empty) {
            return Behavior::Dead;
        }
        match stored.files.get("BEHAVIOR").map(Vec::as_slice) {
            Some(b"sick") => Behavior::Sick,
            Some(b"dead") => Behavior::Dead,
            Some(b"restarting") => Behavior::Restarting,
            _ => Behavior::Good,
        }
    }
}

impl ServiceManager for MemoryServices {
    fn service(&mut self, unit: &str, _timeout: Duration) -> Result<Service, HostError> {
        self.supply.look().map_err(|e| HostError::Failed(e.to_string()))?;
        if !self.units.contains_key(unit) {
            return Ok(Service { state: UnitState::Missing, restarts: 0 });
        }
        let behavior = self.running.borrow().get(unit).map(|running| running.behavior);
        let state = match behavior {
            None => UnitState::Other("inactive".into()),
            Some(Behavior::Dead) => UnitState::Other("failed".into()),
            Some(_) => UnitState::Active,
        };
        Ok(Service { state, restarts: if behavior == Some(Behavior::Restarting) { 3 } else { 0 } })
    }

    fn start(&mut self, unit: &str, _timeout: Duration) -> Result<(), HostError> {
        let failed = |e: crate::ports::Fault| HostError::Failed(e.to_string());
        let component =
            self.units.get(unit).cloned().ok_or_else(|| HostError::Failed("no such unit".into()))?;
        let shown = self.store.shown(&component).map_err(failed)?;
        let behavior = shown.as_ref().map(|version| self.behavior_of(&component, version));
        self.supply
            .operate(|| {
                let mut running = self.running.borrow_mut();
                if let (Some(version), Some(behavior)) = (shown, behavior) {
                    // One that runs already is not started again.
                    running.entry(unit.into()).or_insert(Running { version, behavior });
                }
                Ok(())
            })
            .map_err(failed)?;
        match behavior {
            None => Err(HostError::Failed("nothing to run".into())),
            Some(Behavior::Dead) => Err(HostError::Failed("the main process exited, code 1".into())),
            Some(_) => Ok(()),
        }
    }

    fn stop(&mut self, unit: &str, _timeout: Duration) -> Result<(), HostError> {
        let stopped = self.supply.operate(|| {
            self.running.borrow_mut().remove(unit);
            Ok(())
        });
        stopped.map_err(|e| HostError::Failed(e.to_string()))
    }

    /// What a version prints is its name.
    fn logs(&mut self, unit: &str, lines: u32, _timeout: Duration) -> Result<String, HostError> {
        self.supply.look().map_err(|e| HostError::Failed(e.to_string()))?;
        let running = self.running.borrow();
        let said = running.get(unit).map(|running| format!("{}\n", running.version));
        Ok(said.filter(|_| lines > 0).unwrap_or_default())
    }
}
