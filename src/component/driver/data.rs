//! The data of a component, around a version that migrates them: the owner's program saves them before that version starts, and brings
//! them back before an older one does.
//!
//! What is saved lies beside the versions, complete and durable, under the name of the version that is about to change the data. While it is
//! there and that version is in flight, the data may have any form: so nothing older starts before they are brought back, not even at a boot.
use super::{ComponentError, ComponentStep, Updater, updater::version_name};
use crate::{
    Error,
    ports::{ComponentStore, Fault},
};
use bistable_boot::{
    Origin,
    component::{Component, Held, State},
};
use bistable_format::{Release, release::DataPolicy};
use std::time::Duration;

/// How long the owner's program may take.
const HOOK_MAX: Duration = Duration::from_secs(600);

/// Where the data lie that were saved before a version changed them.
pub(crate) fn saved_name(held: &Held) -> String {
    format!("{}-data", version_name(held))
}

/// The versions after that one: the current one, and those between them. None after one that is not kept.
pub(crate) fn newer<'a>(component: &'a Component, to: Option<&Held>) -> Vec<&'a Held> {
    let all: Vec<&Held> = component.current.iter().chain(&component.kept).collect();
    let at = all.iter().position(|held| to.is_some_and(|to| to.release == held.release));
    all.into_iter().take(at.unwrap_or(0)).collect()
}

/// The versions whose changes have to be undone before another one starts, the newest first.
fn undone<'a>(component: &'a Component, to: Option<&Held>, saved: &[String]) -> Vec<&'a Held> {
    let in_flight = match &component.state {
        State::Armed { target, .. } | State::Reverting { target, .. } if to != Some(target) => target,
        _ => return Vec::new(),
    };
    let all = [in_flight].into_iter().chain(newer(component, to));
    all.filter(|held| saved.contains(&saved_name(held))).collect()
}

/// Whether data have to be brought back before the version starts that the state says.
///
/// # Errors
/// When the store can't be read.
pub(crate) fn is_due(store: &mut dyn ComponentStore, component: &Component) -> Result<bool, Fault> {
    let saved = saved(store, &component.name)?;
    Ok(!undone(component, component.leads_to(), &saved).is_empty())
}

/// The names of what is complete.
pub(crate) fn saved(store: &mut dyn ComponentStore, name: &str) -> Result<Vec<String>, Fault> {
    let stored = store.versions(name)?.into_iter().filter(|stored| stored.is_complete);
    Ok(stored.map(|stored| stored.name).collect())
}

impl Updater<'_> {
    /// Refuse a release whose changes to the data could not be undone.
    pub(crate) fn check_data(&self, release: &Release) -> Result<(), Error> {
        let is_first = self.component().current.is_none();
        if release.data == DataPolicy::Compatible || is_first || self.subject.data_hook.is_some() {
            return Ok(());
        }
        let (name, version) = (self.subject.name.clone(), release.version.clone());
        Err(ComponentError::DataHook { name, version }.into())
    }

    /// Refuse a way back to a version that can't use the data, and for which none were saved.
    pub(crate) fn check_way_back(&mut self, to: &Held) -> Result<(), Error> {
        let (component, name) = (self.component(), self.subject.name.clone());
        let saved = saved(self.world.store, &name)?;
        for held in newer(&component, Some(to)) {
            if self.release_of(held)?.data == DataPolicy::Migrates && !saved.contains(&saved_name(held)) {
                let (version, to) = (held.version.clone(), to.version.clone());
                return Err(ComponentError::DataGone { name, version, to }.into());
            }
        }
        Ok(())
    }

    /// Before the first trial of a version: what an earlier life of it saved is of no use.
    pub(crate) fn forget_data(&mut self, target: &Held) -> Result<(), Error> {
        self.remove_data(&[target])
    }

    /// Nothing runs, and the version is about to start that is tried: save the data if it changes them, and bring back older ones if it is
    /// older itself. After a trial that was cut, the data are first those of before it again.
    pub(crate) fn prepare_data(&mut self, target: &Held) -> Result<(), Error> {
        let component = self.component();
        let saved = saved(self.world.store, &self.subject.name)?;
        let is_return = component.origin == Origin::Slot;
        let is_older = |held: &&Held| is_return && saved.contains(&saved_name(held));
        let older = newer(&component, Some(target)).into_iter().rfind(is_older);
        let changes = !is_return && component.current.is_some() && {
            self.release_of(target)?.data == DataPolicy::Migrates
        };
        if !changes && older.is_none() {
            return Ok(());
        }
        match saved.contains(&saved_name(target)) {
            true => self.bring_back(target)?,
            false => self.save_data(target)?,
        }
        older.map_or(Ok(()), |older| self.bring_back(older))
    }

    /// Nothing runs, and another version than the one that is tried is about to start: bring back what it can use. What it writes from then
    /// on is never taken back once more.
    pub(crate) fn restore_data(&mut self, to: Option<&Held>) -> Result<(), Error> {
        let component = self.component();
        let saved = saved(self.world.store, &self.subject.name)?;
        let undone = undone(&component, to, &saved);
        let Some(oldest) = undone.last() else { return Ok(()) };
        self.bring_back(oldest)?;
        self.remove_data(&undone)
    }

    fn save_data(&mut self, target: &Held) -> Result<(), Error> {
        self.step(ComponentStep::SaveData, |this| {
            let (component, name) = (this.subject.name.as_str(), saved_name(target));
            drop(this.world.store.begin(component, &name)?);
            this.hook("save", target)?;
            // Data first, then the name (I13).
            this.world.store.sync()?;
            Ok(this.world.store.complete(component, &name)?)
        })
    }

    fn bring_back(&mut self, held: &Held) -> Result<(), Error> {
        self.step(ComponentStep::RestoreData, |this| this.hook("restore", held))
    }

    fn remove_data(&mut self, all: &[&Held]) -> Result<(), Error> {
        let component = self.subject.name.as_str();
        let stored = self.world.store.versions(component)?;
        let mut is_any = false;
        for name in all.iter().map(|held| saved_name(held)) {
            if stored.iter().any(|stored| stored.name == name) {
                self.world.store.remove(component, &name)?;
                is_any = true;
            }
        }
        if is_any { Ok(self.world.store.sync()?) } else { Ok(()) }
    }

    /// Run the owner's program on the folder of a version's saved data.
    fn hook(&mut self, verb: &str, held: &Held) -> Result<(), Error> {
        let name = self.subject.name.as_str();
        let Some(hook) = &self.subject.data_hook else {
            return Err(ComponentError::DataHook { name: name.into(), version: held.version.clone() }.into());
        };
        let folder = self.world.store.folder(name, &saved_name(held))?;
        let words = [hook.display().to_string(), verb.into(), folder.display().to_string()];
        let failed = |why: String| Error::NotNow(format!("{} {verb}: {why}", hook.display()));
        match self.world.host.run(&words, HOOK_MAX) {
            Ok(exit) if exit.code == Some(0) => Ok(()),
            Ok(exit) => {
                let code = exit.code.map_or("a signal".into(), |code| format!("exit code {code}"));
                Err(failed(format!("{code}: {}", exit.said)))
            }
            Err(e) => Err(failed(e.to_string())),
        }
    }
}
