//! From the words of a command line to what is asked of the device.
#[cfg(feature = "sim")]
use crate::cli::SimVerb;
#[cfg(feature = "daemon")]
use crate::cli::{DaemonArgs, InhibitArgs, TokenVerb, WebArgs};
use crate::{
    app::{ComponentUpdate, From, Named, Offers, Request, Wanted},
    cli::{
        ComponentConfigArgs, ComponentVerb, ConfigVerb, EventArgs, MetricsArgs, OfferArgs, RepairArgs,
        Repository, Source, Verb,
    },
};
use semver::Version;
use std::path::Path;

/// What a verb asks for.
pub(super) enum Asked<'a> {
    /// Something about the configuration.
    Config(&'a ConfigVerb),
    /// Something of a simulated Pi's world.
    #[cfg(feature = "sim")]
    Sim(&'a SimVerb),
    /// What happened.
    Events(&'a EventArgs),
    /// What a boot does about components.
    AtBoot(AtBoot<'a>),
    /// The last lines that a component printed, at most this many.
    Logs(&'a str, u32),
    /// To have a component run with other values.
    Configure(&'a ComponentConfigArgs),
    /// To follow a repository that was brought.
    Offer(&'a OfferArgs),
    /// What is measured.
    Metrics(&'a MetricsArgs),
    /// To hold a switch off.
    #[cfg(feature = "daemon")]
    Inhibit(&'a InhibitArgs),
    /// To look after updates.
    #[cfg(feature = "daemon")]
    Daemon(&'a DaemonArgs),
    /// To serve the web page.
    #[cfg(feature = "daemon")]
    Web(&'a WebArgs),
    /// Something about the tokens of the web page.
    #[cfg(feature = "daemon")]
    Token(&'a TokenVerb),
    /// Work on a machine, or a look at it.
    Work(Work<'a>),
}

/// What systemd runs at each boot for components.
#[derive(Clone, Copy, Debug)]
pub(super) enum AtBoot<'a> {
    /// Write the links of this boot.
    Links,
    /// Run the containers of the versions that are committed.
    Containers,
    /// Have services wait for the links.
    Units(&'a Path),
}

/// What is done on a machine.
pub(super) enum Work<'a> {
    /// What the agent does.
    Ask(Request),
    /// What no agent does.
    Repair(&'a RepairArgs),
}

impl Work<'_> {
    /// Whether a release is only verified and checked.
    pub(super) fn is_dry_run(&self) -> bool {
        matches!(self, Work::Ask(request) if request.is_dry_run())
    }
}

/// What a verb asks for.
pub(super) fn asked(verb: &Verb) -> Asked<'_> {
    let request = match verb {
        Verb::Status { .. } => Request::Status,
        Verb::History => Request::History,
        Verb::Preflight => Request::Preflight,
        Verb::Check(repository) => Request::Check(offers(repository)),
        Verb::Install(source) => Request::Install(wanted(source)),
        Verb::Health { no_pins: false } => Request::Health,
        Verb::Health { no_pins: true } => Request::HealthWithoutPins,
        Verb::SelfTest => Request::SelfTest,
        Verb::Arm => Request::Arm,
        Verb::Reboot => Request::Reboot,
        Verb::Update(source) => Request::Update(wanted(source)),
        Verb::Resume => Request::Resume,
        Verb::Commit => Request::Commit,
        Verb::Revert => Request::Revert,
        Verb::Repair(args) => return Asked::Work(Work::Repair(args)),
        Verb::Events(args) => return Asked::Events(args),
        Verb::Offer(args) => return Asked::Offer(args),
        Verb::Metrics(args) => return Asked::Metrics(args),
        Verb::Component(verb) => return component(verb),
        Verb::Config(verb) => return Asked::Config(verb),
        #[cfg(feature = "daemon")]
        Verb::Daemon(args) => return Asked::Daemon(args),
        #[cfg(feature = "daemon")]
        Verb::Inhibit(args) => return Asked::Inhibit(args),
        #[cfg(feature = "daemon")]
        Verb::Web(args) => return Asked::Web(args),
        #[cfg(feature = "daemon")]
        Verb::Token(verb) => return Asked::Token(verb),
        #[cfg(feature = "sim")]
        Verb::Sim(verb) => return Asked::Sim(verb),
    };
    Asked::Work(Work::Ask(request))
}

/// What a verb asks of a component, or what is no request.
fn component(verb: &ComponentVerb) -> Asked<'_> {
    let named = |name: &String| Named { component: name.clone() };
    let request = match verb {
        ComponentVerb::List => Request::Components,
        ComponentVerb::Show { name } => Request::Component(named(name)),
        ComponentVerb::Install { name, source } => {
            Request::ComponentInstall(ComponentUpdate { component: name.clone(), wanted: wanted(source) })
        }
        ComponentVerb::Update { name, source } => {
            Request::ComponentUpdate(ComponentUpdate { component: name.clone(), wanted: wanted(source) })
        }
        ComponentVerb::Resume { name } => Request::ComponentResume(named(name)),
        ComponentVerb::Revert { name } => Request::ComponentRevert(named(name)),
        ComponentVerb::Start { name } => Request::ComponentStart(named(name)),
        ComponentVerb::Stop { name } => Request::ComponentStop(named(name)),
        ComponentVerb::Reset { name } => Request::ComponentReset(named(name)),
        ComponentVerb::Remove { name } => Request::ComponentRemove(named(name)),
        ComponentVerb::Config(args) if args.changes() => return Asked::Configure(args),
        ComponentVerb::Config(args) => Request::Component(named(&args.name)),
        ComponentVerb::Logs { name, lines } => return Asked::Logs(name, *lines),
        ComponentVerb::Repair => Request::ComponentRepair,
        ComponentVerb::Links => return Asked::AtBoot(AtBoot::Links),
        ComponentVerb::Containers => return Asked::AtBoot(AtBoot::Containers),
        ComponentVerb::Units { folder } => return Asked::AtBoot(AtBoot::Units(folder)),
    };
    Asked::Work(Work::Ask(request))
}

fn wanted(source: &Source) -> Wanted {
    Wanted {
        from: from(source),
        offers: offers(&source.repository),
        dry_run: source.dry_run,
        retry_rejected: source.retry_rejected,
        force_withdrawn: source.force_withdrawn,
    }
}

/// A file whose name looks like a version is named with a folder: `./1.2.3`.
fn from(source: &Source) -> From {
    match &source.what {
        None => From::Channel,
        Some(path) => match path.to_str().map(Version::parse) {
            Some(Ok(version)) => From::Version(version),
            _ => From::Bundle(path.clone()),
        },
    }
}

fn offers(repository: &Repository) -> Offers {
    let source = repository.source.iter().map(|url| from_here(url)).collect();
    Offers { source, channel: repository.channel.clone() }
}

/// On a command line, a path may begin where one is.
fn from_here(url: &str) -> String {
    match std::path::absolute(url) {
        Ok(path) if !url.contains("://") => path.to_str().map_or_else(|| url.into(), Into::into),
        _ => url.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn asked(words: &str) -> Option<Request> {
        let words = ["bistable"].into_iter().chain(words.split_whitespace());
        match super::asked(&Cli::try_parse_from(words).unwrap().verb) {
            Asked::Work(Work::Ask(request)) => Some(request),
            _ => None,
        }
    }

    #[test]
    fn words_ask_for_what_they_say() {
        let wanted = |from| Wanted { from, ..Wanted::default() };
        let from_folder = Offers { source: vec!["/repo".into()], channel: Some("beta".into()) };
        let forced =
            Wanted { dry_run: true, retry_rejected: true, force_withdrawn: true, ..Wanted::default() };
        let core = || Named { component: "core".into() };
        let retried = ComponentUpdate {
            component: "core".into(),
            wanted: Wanted { retry_rejected: true, ..wanted(From::Bundle("x.bundle".into())) },
        };
        for (words, request) in [
            ("status --ascii", Request::Status),
            ("history", Request::History),
            ("preflight", Request::Preflight),
            ("check --source /repo --channel beta", Request::Check(from_folder.clone())),
            ("install x.bundle", Request::Install(wanted(From::Bundle("x.bundle".into())))),
            ("install -", Request::Install(wanted(From::Bundle("-".into())))),
            ("install 1.2.0", Request::Install(wanted(From::Version(Version::new(1, 2, 0))))),
            ("install ./1.2.0", Request::Install(wanted(From::Bundle("./1.2.0".into())))),
            ("update", Request::Update(wanted(From::Channel))),
            ("update -n --retry-rejected --force-withdrawn", Request::Update(forced)),
            ("health", Request::Health),
            ("health --no-pins", Request::HealthWithoutPins),
            ("self-test", Request::SelfTest),
            ("arm", Request::Arm),
            ("reboot", Request::Reboot),
            ("resume", Request::Resume),
            ("commit", Request::Commit),
            ("revert", Request::Revert),
            ("component list", Request::Components),
            ("component show core", Request::Component(core())),
            ("component update core x.bundle --retry-rejected", Request::ComponentUpdate(retried)),
            ("component config core", Request::Component(core())),
            ("component resume core", Request::ComponentResume(core())),
            ("component revert core", Request::ComponentRevert(core())),
            ("component start core", Request::ComponentStart(core())),
            ("component stop core", Request::ComponentStop(core())),
            ("component reset core", Request::ComponentReset(core())),
            ("component remove core", Request::ComponentRemove(core())),
            ("component repair", Request::ComponentRepair),
        ] {
            assert_eq!(asked(words), Some(request), "{words}");
        }
        for words in [
            "events",
            "repair",
            "config show",
            "component logs core",
            "component config core A=1",
            "component links",
            "component containers",
        ] {
            assert_eq!(asked(words), None, "{words}");
        }
        #[cfg(feature = "sim")]
        assert_eq!(asked("sim world"), None);
    }

    /// Who asks over which way makes no difference. What a way doesn't have is none.
    #[cfg(feature = "daemon")]
    #[test]
    fn all_ways_ask_for_the_same() {
        use crate::serve::{asked_over_http, ws};
        let url = "https://repo.example/hub";
        let source = format!("{{\"source\":[\"{url}\"],\"channel\":\"beta\"}}");
        let with_source = |rest: &str| format!("{{\"offers\":{source}{rest}}}");
        let (plain, other) = (String::from("{}"), with_source(""));
        let forced = String::from(r#"{"dry_run":true,"retry_rejected":true,"force_withdrawn":true}"#);
        let version = String::from(r#"{"from":{"version":"1.2.0"}}"#);
        let elsewhere = format!("--source {url} --channel beta");
        for (words, path, subject, body) in [
            ("status".into(), "status", Some("updater.status"), &plain),
            ("history".into(), "history", None, &plain),
            ("check".into(), "check", Some("updater.check"), &plain),
            (format!("check {elsewhere}"), "check", Some("updater.check"), &source),
            ("update".into(), "update", Some("updater.perform_update"), &plain),
            ("update 1.2.0".into(), "update", Some("updater.perform_update"), &version),
            (format!("update {elsewhere}"), "update", Some("updater.perform_update"), &other),
            (
                "update -n --retry-rejected --force-withdrawn".into(),
                "update",
                Some("updater.perform_update"),
                &forced,
            ),
            ("install 1.2.0".into(), "install", None, &version),
            (format!("install {elsewhere}"), "install", None, &other),
            ("preflight".into(), "preflight", None, &plain),
            ("self-test".into(), "self-test", None, &plain),
            ("health".into(), "health", None, &plain),
            ("arm".into(), "arm", None, &plain),
            ("reboot".into(), "reboot", None, &plain),
            ("commit".into(), "commit", None, &plain),
            ("revert".into(), "revert", None, &plain),
            ("component list".into(), "components", None, &plain),
            ("component show core".into(), "components/core", None, &plain),
            ("component update core".into(), "components/core/update", None, &plain),
            ("component update core 1.2.0".into(), "components/core/update", None, &version),
            (format!("component update core {elsewhere}"), "components/core/update", None, &other),
            ("component install core 1.2.0".into(), "components/core/install", None, &version),
            ("component resume core".into(), "components/core/resume", None, &plain),
            ("component revert core".into(), "components/core/revert", None, &plain),
            ("component start core".into(), "components/core/start", None, &plain),
            ("component stop core".into(), "components/core/stop", None, &plain),
            ("component reset core".into(), "components/core/reset", None, &plain),
            ("component remove core".into(), "components/core/remove", None, &plain),
        ] {
            let request = asked(&words);
            assert!(request.is_some(), "{words}");
            assert_eq!(asked_over_http(&format!("/v1/{path}"), body), request, "{path} {body}");
            if let Some(subject) = subject {
                let message = format!("{{\"subject\":\"{subject}\",\"id\":1,\"body\":{body}}}");
                assert_eq!(ws::asked(&message), request, "{message}");
            }
        }
        let message =
            r#"{"subject":"updater.perform_update","body":{"component":"core","from":{"version":"1.2.0"}}}"#;
        assert_eq!(ws::asked(message), asked("component update core 1.2.0"));
    }

    #[test]
    fn path_of_a_repository_begins_where_the_command_line_is() {
        let here = std::env::current_dir().unwrap().join("repo");
        let Some(Request::Check(offers)) = asked("check --source repo --source https://x/y") else {
            panic!()
        };
        assert_eq!(offers.source, [here.to_str().unwrap(), "https://x/y"]);
    }
}
