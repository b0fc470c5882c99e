//! What can be asked of a device: one variant for each verb of the agent. The command line builds them from its words, and
//! whatever else asks sends the same.
use crate::component::Change;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", content = "payload", rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Request {
    /// Both slots, the boot flag, the last update and what to do next.
    Status,
    /// How past updates ended.
    History,
    /// Whether an update may begin.
    Preflight,
    /// What the channel has on offer.
    Check(Offers),
    /// Write a release into the inactive slot.
    Install(Wanted),
    /// The running release's health check, as a report.
    Health,
    /// The same without the self-tests that use pins or buses.
    HealthWithoutPins,
    /// The self-tests, as a report.
    SelfTest,
    /// Run the self-tests, and have the next reboot try what is staged.
    Arm,
    /// Reboot; into the trial if a release is armed.
    Reboot,
    /// All of it up to the reboot into the trial.
    Update(Wanted),
    /// What a boot does by itself.
    Resume,
    /// Finish a trial now.
    Commit,
    /// Go back.
    Revert,
    /// All components.
    Components,
    /// One component.
    Component(Named),
    /// Stage another version of a component: the one that runs stays.
    ComponentInstall(ComponentUpdate),
    /// Have a component run another version.
    ComponentUpdate(ComponentUpdate),
    /// Continue the update of a component.
    ComponentResume(Named),
    /// Give up the update of a component, or have the version before run.
    ComponentRevert(Named),
    /// Have a component run that was stopped.
    ComponentStart(Named),
    /// Stop a component, across reboots.
    ComponentStop(Named),
    /// Allow updates of a component that failed.
    ComponentReset(Named),
    /// Remove a component that is stopped, and forget it.
    ComponentRemove(Named),
    /// Have a component run with other values.
    ComponentConfigure(ComponentConfigure),
    /// Recreate the record of all components.
    ComponentRepair,
}

/// A component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Named {
    /// Its name.
    pub component: String,
}

/// The update of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentUpdate {
    /// The component.
    pub component: String,
    /// Which of its releases, and how it is taken.
    #[serde(default)]
    pub wanted: Wanted,
}

/// A change of what is set of a component.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentConfigure {
    /// The component.
    pub component: String,
    /// What is set.
    #[serde(default)]
    pub change: Change,
}

impl fmt::Debug for ComponentConfigure {
    /// Without values: each may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentConfigure({}, {:?})", self.component, self.change)
    }
}

impl Request {
    /// Its name, as it is written.
    pub fn operation(&self) -> &'static str {
        match self {
            Request::Status => "status",
            Request::History => "history",
            Request::Preflight => "preflight",
            Request::Check(_) => "check",
            Request::Install(_) => "install",
            Request::Health | Request::HealthWithoutPins => "health",
            Request::SelfTest => "self-test",
            Request::Arm => "arm",
            Request::Reboot => "reboot",
            Request::Update(_) => "update",
            Request::Resume => "resume",
            Request::Commit => "commit",
            Request::Revert => "revert",
            Request::Components => "components",
            Request::Component(_) => "component",
            Request::ComponentInstall(_) => "component-install",
            Request::ComponentUpdate(_) => "component-update",
            Request::ComponentResume(_) => "component-resume",
            Request::ComponentRevert(_) => "component-revert",
            Request::ComponentStart(_) => "component-start",
            Request::ComponentStop(_) => "component-stop",
            Request::ComponentReset(_) => "component-reset",
            Request::ComponentRemove(_) => "component-remove",
            Request::ComponentConfigure(_) => "component-configure",
            Request::ComponentRepair => "component-repair",
        }
    }

    /// The component that it is about, if it is about one.
    pub fn component(&self) -> Option<&str> {
        match self {
            Request::ComponentInstall(update) | Request::ComponentUpdate(update) => Some(&update.component),
            Request::ComponentConfigure(configure) => Some(&configure.component),
            Request::Component(named)
            | Request::ComponentResume(named)
            | Request::ComponentRevert(named)
            | Request::ComponentStart(named)
            | Request::ComponentStop(named)
            | Request::ComponentReset(named)
            | Request::ComponentRemove(named) => Some(&named.component),
            _ => None,
        }
    }

    /// Whether the device is only looked at: nothing is saved, and nothing that a power cut left is repaired first.
    pub fn only_looks(&self) -> bool {
        match self {
            Request::Status
            | Request::History
            | Request::Preflight
            | Request::SelfTest
            | Request::Health
            | Request::HealthWithoutPins
            | Request::Components
            | Request::Component(_) => true,
            Request::Install(_)
            | Request::Update(_)
            | Request::ComponentInstall(_)
            | Request::ComponentUpdate(_) => self.is_dry_run(),
            Request::Check(_)
            | Request::Arm
            | Request::Reboot
            | Request::Resume
            | Request::Commit
            | Request::Revert
            | Request::ComponentResume(_)
            | Request::ComponentRevert(_)
            | Request::ComponentStart(_)
            | Request::ComponentStop(_)
            | Request::ComponentReset(_)
            | Request::ComponentRemove(_)
            | Request::ComponentConfigure(_)
            | Request::ComponentRepair => false,
        }
    }

    /// The release that is asked for, if one is.
    pub fn wanted(&self) -> Option<&Wanted> {
        match self {
            Request::Install(wanted) | Request::Update(wanted) => Some(wanted),
            Request::ComponentInstall(update) | Request::ComponentUpdate(update) => Some(&update.wanted),
            _ => None,
        }
    }

    /// Whether a release is only verified and checked.
    pub fn is_dry_run(&self) -> bool {
        self.wanted().is_some_and(|wanted| wanted.dry_run)
    }
}

/// Where releases are on offer, if it isn't where the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Offers {
    /// Repositories with the same content: addresses, or absolute paths of folders.
    pub source: Vec<String>,
    /// The channel.
    pub channel: Option<String>,
}

/// Which release, and how it is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Wanted {
    /// Where it comes from.
    pub from: From,
    /// Where releases are on offer.
    pub offers: Offers,
    /// Verify and check only; write nothing.
    pub dry_run: bool,
    /// Install it even though this device rejected it before.
    pub retry_rejected: bool,
    /// Install a bundle even though the channel withdrew its release.
    pub force_withdrawn: bool,
}

/// Where a release comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum From {
    /// What the channel offers.
    #[default]
    Channel,
    /// That version of what the channel offers.
    Version(#[cfg_attr(test, schemars(with = "String"))] Version),
    /// A bundle. The caller opens it: see [`Context::bundle`](super::Context::bundle).
    Bundle(PathBuf),
}

impl Wanted {
    /// The version, if one was named.
    pub fn version(&self) -> Option<&Version> {
        match &self.from {
            From::Version(version) => Some(version),
            From::Channel | From::Bundle(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core() -> Named {
        Named { component: "core".into() }
    }

    #[test]
    fn each_request_is_read_as_it_is_written() {
        let wanted = Wanted {
            from: From::Version(Version::new(1, 2, 0)),
            offers: Offers { source: vec!["/repo".into()], channel: Some("beta".into()) },
            dry_run: true,
            ..Wanted::default()
        };
        let bundle = Wanted { from: From::Bundle("x.bundle".into()), ..Wanted::default() };
        let change = Change {
            set: [("LISTEN".into(), "hush".into())].into(),
            unset: vec!["MODE".into()],
            later: true,
        };
        let configure = ComponentConfigure { component: "core".into(), change };
        assert!(!format!("{configure:?}").contains("hush"), "a value may be a secret");
        for (request, operation) in [
            (Request::Status, "status"),
            (Request::History, "history"),
            (Request::Preflight, "preflight"),
            (Request::Check(Offers::default()), "check"),
            (Request::Install(bundle), "install"),
            (Request::Health, "health"),
            (Request::SelfTest, "self-test"),
            (Request::Arm, "arm"),
            (Request::Reboot, "reboot"),
            (Request::Update(wanted.clone()), "update"),
            (Request::Resume, "resume"),
            (Request::Commit, "commit"),
            (Request::Revert, "revert"),
            (Request::Components, "components"),
            (Request::Component(core()), "component"),
            (
                Request::ComponentInstall(ComponentUpdate {
                    component: "core".into(),
                    wanted: Wanted::default(),
                }),
                "component-install",
            ),
            (
                Request::ComponentUpdate(ComponentUpdate { component: "core".into(), wanted }),
                "component-update",
            ),
            (Request::ComponentResume(core()), "component-resume"),
            (Request::ComponentRevert(core()), "component-revert"),
            (Request::ComponentStart(core()), "component-start"),
            (Request::ComponentStop(core()), "component-stop"),
            (Request::ComponentReset(core()), "component-reset"),
            (Request::ComponentRemove(core()), "component-remove"),
            (Request::ComponentConfigure(configure), "component-configure"),
            (Request::ComponentRepair, "component-repair"),
        ] {
            let json = serde_json::to_value(&request).unwrap();
            assert_eq!((json["operation"].as_str(), request.operation()), (Some(operation), operation));
            assert_eq!(serde_json::from_value::<Request>(json).unwrap(), request);
        }
    }

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_unknown_is_refused() {
        let read = |text: &str| serde_json::from_str::<Request>(text);
        let any = Request::Update(Wanted::default());
        assert_eq!(read(r#"{"operation":"update","payload":{}}"#).unwrap(), any);
        for bad in [
            r#"{"operation":"update","payload":{"force":true}}"#,
            r#"{"operation":"format"}"#,
            r#"{"operation":"install","payload":{"from":{"version":"1"}}}"#,
            r#"{"operation":"arm","payload":{},"also":1}"#,
            "{}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
