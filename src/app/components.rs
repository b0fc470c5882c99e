//! What the verbs of components answer.
use super::Code;
use crate::{agent::components, event::BoundBy, events::OfferedVersion};
use bistable_boot::component::{Component, Lifecycle};
use bistable_format::configuration::{Place, Setting, Values};
use serde::{Deserialize, Serialize};

/// Components of this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Components {
    /// One for each that was asked for, by name.
    pub components: Vec<ComponentStatus>,
}

/// The last lines that a component's service or container printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentLogs {
    /// The component.
    pub component: String,
    /// The lines, the newest last, without control characters.
    pub lines: Vec<String>,
}

/// How the update of a component ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentUpdated {
    /// Whether what was asked for was done.
    pub success: bool,
    /// Human-readable.
    pub message: String,
    /// The component.
    pub component: String,
    /// The version that is committed now.
    pub version: Option<String>,
    /// Whether an older version took the place of the one that was tried.
    pub rollback_performed: bool,
    /// What was found wrong with the release or the device before anything was switched.
    pub validation_errors: Vec<String>,
    /// What was saved before.
    pub backup: Option<String>,
    /// What kind of failure it was.
    pub reason: Option<Code>,
    /// The job that did it, if the daemon did.
    pub job: Option<String>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentStatus {
    /// Its name.
    pub name: String,
    /// `registered`, `deploying`, `running`, `updating`, `stopped` or `failed`.
    pub lifecycle: String,
    /// The state of its update.
    pub state: String,
    /// The version that is committed; of a component that the booted image brings along, that one.
    pub version: Option<String>,
    /// Which image brings it along, if one does: then it changes with the image only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<BoundBy>,
    /// The version that an update is about.
    pub target: Option<String>,
    /// Versions that `revert` can return to, the newest first.
    pub kept: Vec<String>,
    /// Those of them that can't be returned to any more: something removed their images from the container engine's store.
    pub gone: Vec<String>,
    /// Versions that are not installed again by themselves, each with the reason.
    pub rejected: Vec<RejectedVersion>,
    /// How the last update ended.
    pub last: Option<LastUpdate>,
    /// What can be set of it, and what is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configured>,
    /// The version that the channel offered for it when it was last checked, unless it was installed or rejected since.
    #[serde(default)]
    pub offered: Option<OfferedVersion>,
}

/// What can be set of a component, and what is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Configured {
    /// Which of its configurations its version runs with.
    pub number: Option<u32>,
    /// What its version declares, by name.
    pub settings: Vec<ConfiguredSetting>,
    /// What is set for later versions.
    pub later: Vec<String>,
}

impl Configured {
    /// Nothing if nothing can be set and nothing is.
    pub fn of(component: &Component, found: &components::Configured) -> Option<Configured> {
        let number = component.current.as_ref().and_then(|current| current.configuration);
        let settings = found.declaration.settings.iter();
        let settings = settings.map(|setting| ConfiguredSetting::of(setting, &found.values)).collect();
        let later: Vec<String> = found.later.keys().cloned().collect();
        (number.is_some() || !later.is_empty()).then_some(Configured { number, settings, later })
    }
}

/// One thing that can be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConfiguredSetting {
    /// Its name: of a variable, or of a file.
    pub name: String,
    /// `environment` or `file`.
    pub place: String,
    /// What its values are, human-readable.
    pub values: String,
    /// What it is, human-readable.
    pub description: String,
    /// Whether it is set; else it has its default, or nothing.
    pub is_set: bool,
    /// Whether it has to be.
    pub required: bool,
    /// Whether its value is a secret.
    pub secret: bool,
    /// Its value, unless that is a secret.
    pub value: Option<String>,
}

impl ConfiguredSetting {
    /// A setting with what an operator set.
    pub fn of(setting: &Setting, values: &Values) -> ConfiguredSetting {
        let value = setting.value(values);
        ConfiguredSetting {
            name: setting.name.clone(),
            place: setting.place.name().into(),
            values: setting.values(),
            description: setting.description.clone(),
            is_set: values.contains_key(&setting.name),
            required: setting.required,
            secret: setting.secret,
            value: value.filter(|_| !setting.secret).cloned(),
        }
    }

    /// A line for a person.
    fn line(&self) -> String {
        let value = match &self.value {
            Some(text) if self.place == Place::File.name() => format!("{} bytes", text.len()),
            Some(text) => text.clone(),
            None if self.is_set => "(set, not shown)".into(),
            None => "(not set)".into(),
        };
        let default = if self.is_set || self.value.is_none() { "" } else { " (default)" };
        let description =
            if self.description.is_empty() { String::new() } else { format!(": {}", self.description) };
        format!("{} = {value}{default}  [{}{description}]", self.name, self.values)
    }
}

/// A version that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RejectedVersion {
    /// The version.
    pub version: String,
    /// Why.
    pub reason: String,
}

/// How an update of a component ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LastUpdate {
    /// The version that it was about.
    pub version: String,
    /// Whether that was committed.
    pub success: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Trials that began.
    pub attempts: u8,
}

impl From<&Component> for ComponentStatus {
    fn from(component: &Component) -> ComponentStatus {
        let rejected = component
            .rejected
            .iter()
            .map(|r| RejectedVersion { version: r.version.to_string(), reason: r.failure.to_string() });
        let last = component.last.as_ref().map(|ended| LastUpdate {
            version: ended.version.to_string(),
            success: ended.outcome.is_proven(),
            reason: ended.outcome.failure().map(ToString::to_string),
            attempts: ended.attempts,
        });
        ComponentStatus {
            name: component.name.clone(),
            lifecycle: Lifecycle::from(component).name().into(),
            state: component.state.name().into(),
            version: component.current.as_ref().map(|held| held.version.to_string()),
            bound: None,
            target: component.state.target().map(|held| held.version.to_string()),
            kept: component.kept.iter().map(|held| held.version.to_string()).collect(),
            gone: Vec::new(),
            rejected: rejected.collect(),
            last,
            configuration: None,
            offered: None,
        }
    }
}

impl ComponentStatus {
    /// The same with the version that the booted image brings along.
    #[must_use]
    pub fn bound_to(mut self, version: &str, by: BoundBy) -> ComponentStatus {
        self.lifecycle = by.lifecycle().into();
        self.version = Some(version.into());
        self.bound = Some(by);
        (self.kept, self.gone) = (Vec::new(), Vec::new());
        self
    }

    /// A line for a person.
    pub fn line(&self) -> String {
        let version = self.version.as_deref().unwrap_or("no version");
        let mut line = format!("{}  {version}  {}", self.name, self.lifecycle);
        if let Some(bound) = &self.bound {
            line.push_str(&format!("  {}", bound.text()));
        }
        if let Some(target) = &self.target {
            line.push_str(&format!("  ({target} is {})", self.state));
        }
        if !self.kept.is_empty() {
            line.push_str(&format!("  way back: {}", self.kept.join(", ")));
        }
        if let Some(offered) = &self.offered {
            line.push_str(&format!("  on offer: {}", offered.version));
        }
        if !self.gone.is_empty() {
            line.push_str(&format!(
                "\n  no way back to {}: the image was removed from the engine's store",
                self.gone.join(", ")
            ));
        }
        for setting in self.configuration.iter().flat_map(|configured| &configured.settings) {
            line.push_str(&format!("\n  {}", setting.line()));
        }
        let later = self.configuration.iter().flat_map(|configured| &configured.later);
        let later: Vec<&str> = later.map(String::as_str).collect();
        if !later.is_empty() {
            line.push_str(&format!("\n  set for later versions: {}", later.join(", ")));
        }
        for rejected in &self.rejected {
            line.push_str(&format!("\n  {} was rejected: {}", rejected.version, rejected.reason));
        }
        line
    }
}
