//! What a version runs with: the values that an operator set, and the files that its service gets of them.
//!
//! A configuration belongs to one version and is never changed: another one gets another number, and lies beside it, complete and durable,
//! before anything leads there (I13). So a change is tried, committed and taken back like a version.
use super::{ComponentError, ComponentStep, Updater, updater::name_of};
use crate::{
    Error,
    ports::{ComponentStore, STORED_MAX},
};
use bistable_boot::{
    Refused,
    component::{Event, Held, State},
};
use bistable_format::{
    Release,
    archive::{Entry, EntryKind},
    configuration::{Declaration, FILE, Place, Rendered, SETTINGS, VALUES, Values},
    limits,
    release::DataPolicy,
};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Other values.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "ConfigureChange"))]
pub struct Change {
    /// New values, by name.
    pub set: Values,
    /// Settings that get their default again.
    pub unset: Vec<String>,
    /// For versions to come: what runs stays as it is.
    pub later: bool,
}

impl fmt::Debug for Change {
    /// Without values: each may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.set.keys().collect();
        write!(f, "Change(set {names:?}, unset {:?}, later {})", self.unset, self.later)
    }
}

impl Change {
    fn apply(&self, values: &mut Values) {
        values.retain(|name, _| !self.unset.contains(name));
        values.extend(self.set.clone());
    }
}

impl Updater<'_> {
    /// Have the version that runs run with other values: they are tried, committed or taken back like a version.
    ///
    /// # Errors
    /// [`ComponentError::Configuration`] when the version doesn't take them, [`Error::NothingToDo`] when they are set already; and as for
    /// [`run`](Self::run).
    pub fn configure(&mut self, change: &Change) -> Result<(), Error> {
        if change.later {
            return self.set_for_later(|values| change.apply(values));
        }
        self.settle()?;
        let (component, name) = (self.component(), self.subject.name.clone());
        let state = match &component.state {
            State::Idle | State::Failed(_) if component.is_stopped => Some("stopped"),
            State::Idle | State::Failed(_) => None,
            other => Some(other.name()),
        };
        if let Some(state) = state {
            let refused = Refused { state, event: "another configuration" };
            return Err(ComponentError::Refused { name, refused }.into());
        }
        let none = |version| Error::from(ComponentError::NotConfigurable { name: name.clone(), version });
        let current = component.current.clone().ok_or_else(|| none(None))?;
        let release = self.release_of(&current)?;
        let declaration = self.declaration(&release)?.ok_or_else(|| none(Some(current.version.clone())))?;
        let before = values_of(&mut *self.world.store, &name, Some(&current))?;
        let mut values = before.clone();
        change.apply(&mut values);
        self.checked(&declaration, &mut values, &current.version, false)?;
        if values == before {
            self.set_for_no_other(change)?;
            return Err(Error::NothingToDo(format!("component {name} has these values already")));
        }
        let target = Held { configuration: Some(component.next_configuration()), ..current };
        self.stage_configuration(&target, &declaration, &values)?;
        self.on(Event::Return(target))?;
        self.run()?;
        self.set_for_no_other(change)
    }

    /// What was set and proven counts for later versions, too.
    fn set_for_no_other(&mut self, change: &Change) -> Result<(), Error> {
        let is_named = |known: &String| change.set.contains_key(known) || change.unset.contains(known);
        if later(&mut *self.world.store, &self.subject.name)?.keys().any(is_named) {
            self.set_for_later(|values| values.retain(|name, _| !is_named(name)))?;
        }
        Ok(())
    }

    fn set_for_later(&mut self, change: impl FnOnce(&mut Values)) -> Result<(), Error> {
        let name = self.subject.name.as_str();
        let mut values = later(&mut *self.world.store, name)?;
        change(&mut values);
        // Which names and values are right, only a version can say.
        let is_bounded =
            |(name, value): (&String, &String)| name.len() <= limits::NAME && value.len() <= FILE;
        if values.len() > SETTINGS || !values.iter().all(is_bounded) {
            let problem = format!("at most {SETTINGS} settings, with values of at most {FILE} bytes");
            return Err(ComponentError::Values { name: name.into(), problem }.into());
        }
        let bytes = if values.is_empty() { Vec::new() } else { bounded(name, &values)? };
        Ok(self.world.store.keep_values(name, &bytes)?)
    }

    /// A version that is to be installed, with the configuration that it gets.
    ///
    /// # Errors
    /// As for [`check_configuration`](Self::check_configuration).
    pub(crate) fn configured(
        &mut self,
        target: Held,
        release: &Release,
    ) -> Result<(Held, Option<(Declaration, Values)>), Error> {
        let Some((declaration, values)) = self.configuration_of(release)? else { return Ok((target, None)) };
        let component = self.component();
        // An installation that continues keeps its number, so that it is the same one.
        let number = match &component.state {
            State::Installing(before) if before.release == target.release => before.configuration,
            State::Staged(before) if before.release == target.release => {
                let staged = values_of(&mut *self.world.store, &self.subject.name, Some(before));
                before.configuration.filter(|_| staged.is_ok_and(|staged| staged == values))
            }
            _ => None,
        };
        let number = number.unwrap_or_else(|| component.next_configuration());
        Ok((Held { configuration: Some(number), ..target }, Some((declaration, values))))
    }

    /// Check that a version could be taken back, and would have the configuration that it needs.
    ///
    /// # Errors
    /// [`ComponentError::Migrates`], or [`ComponentError::Configuration`] with everything that it lacks.
    pub fn check_configuration(&mut self, release: &Release) -> Result<(), Error> {
        self.configuration_of(release).map(drop)
    }

    /// What a version that is to be installed runs with: what is set for the version that runs, and over it what is set for later ones, as
    /// far as it knows them.
    fn configuration_of(&mut self, release: &Release) -> Result<Option<(Declaration, Values)>, Error> {
        self.check_data(release)?;
        let Some(declaration) = self.declaration(release)? else { return Ok(None) };
        let (component, name) = (self.component(), self.subject.name.as_str());
        let store = &mut *self.world.store;
        let mut values = values_of(store, name, component.current.as_ref())?;
        values.extend(later(store, name)?);
        values.retain(|name, _| declaration.get(name).is_some());
        self.checked(&declaration, &mut values, &release.version, true)?;
        Ok(Some((declaration, values)))
    }

    /// Values as a version takes them.
    fn checked(
        &self,
        declaration: &Declaration,
        values: &mut Values,
        version: &Version,
        is_update: bool,
    ) -> Result<(), Error> {
        normalize(declaration, values);
        let (name, version) = (self.subject.name.clone(), version.clone());
        let refused = |problems| ComponentError::Configuration { name, version, problems, is_update };
        Ok(declaration.check(values).map_err(refused)?)
    }

    /// Make a configuration complete and durable, and give it its name.
    pub(crate) fn stage_configuration(
        &mut self,
        target: &Held,
        declaration: &Declaration,
        values: &Values,
    ) -> Result<(), Error> {
        let mut files = declaration.render(values);
        let text = String::from_utf8_lossy(&bounded(&self.subject.name, values)?).into_owned();
        files.push(Rendered { name: VALUES.into(), text, secret: true });
        self.step(ComponentStep::Configure, |this| {
            let (component, name) = (this.subject.name.as_str(), name_of(target));
            let mtime = this.world.host.unix_time().unwrap_or(0);
            let mut folder = this.world.store.begin(component, &name)?;
            for Rendered { name, text, secret } in &files {
                let (mode, bytes) = (if *secret { 0o600 } else { 0o644 }, text.len() as u64);
                folder.begin(&Entry { path: name.as_bytes(), kind: EntryKind::File, mode, mtime, bytes })?;
                folder.content(text.as_bytes())?;
                folder.end()?;
            }
            drop(folder);
            // Data first, then the name (I13).
            this.world.store.sync()?;
            Ok(this.world.store.complete(component, &name)?)
        })
    }

    /// Refuse a version that could not be taken back: the one before it can't use the data any more.
    fn check_data(&self, release: &Release) -> Result<(), Error> {
        if release.data == DataPolicy::Compatible || self.component().current.is_none() {
            return Ok(());
        }
        let (name, version) = (self.subject.name.clone(), release.version.clone());
        Err(ComponentError::Migrates { name, version }.into())
    }

    fn declaration(&self, release: &Release) -> Result<Option<Declaration>, Error> {
        let stored =
            |problem: String| ComponentError::StoredRelease { name: self.subject.name.clone(), problem };
        Ok(release.configuration().map_err(|e| stored(e.to_string()))?)
    }
}

/// The line end that a file ends with is not part of a variable.
fn normalize(declaration: &Declaration, values: &mut Values) {
    for (name, value) in values {
        let is_variable = declaration.get(name).is_some_and(|setting| setting.place == Place::Environment);
        if is_variable && value.ends_with('\n') {
            value.pop();
        }
    }
}

/// Values as they are stored. What could not be read back is refused before it is written.
fn bounded(name: &str, values: &Values) -> Result<Vec<u8>, Error> {
    let bytes = serde_json::to_vec(values).unwrap_or_default();
    if bytes.len() as u64 > STORED_MAX {
        let problem = format!("all values together may have {STORED_MAX} bytes, and have {}", bytes.len());
        return Err(ComponentError::Values { name: name.into(), problem }.into());
    }
    Ok(bytes)
}

/// What an operator set for a version.
pub(crate) fn values_of(
    store: &mut dyn ComponentStore,
    name: &str,
    held: Option<&Held>,
) -> Result<Values, Error> {
    match held.filter(|held| held.configuration.is_some()) {
        None => Ok(Values::new()),
        Some(held) => read(name, &store.file(name, &name_of(held), VALUES)?),
    }
}

/// What an operator set for versions to come.
pub(crate) fn later(store: &mut dyn ComponentStore, name: &str) -> Result<Values, Error> {
    match store.values(name)?.as_slice() {
        [] => Ok(Values::new()),
        bytes => read(name, bytes),
    }
}

fn read(name: &str, bytes: &[u8]) -> Result<Values, Error> {
    serde_json::from_slice(bytes).map_err(|e| {
        // The parser quotes what it read, which may be a secret.
        let problem = format!("what is stored of them is damaged, line {}", e.line());
        ComponentError::Values { name: name.into(), problem }.into()
    })
}
