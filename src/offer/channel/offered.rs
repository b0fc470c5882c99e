//! What a channel has on offer of one component, human-readable and for programs.
use super::{
    ComponentFacts, Found,
    line::{Line, reason, size},
};
use bistable_format::{Content, Release, Urgency};
use serde::Serialize;

/// What a channel has on offer of one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OfferedComponent {
    /// The component.
    pub component: String,
    /// The version that is committed.
    pub running: Option<String>,
    /// Why that was withdrawn, if it was.
    pub withdrawn: Option<String>,
    /// The version that `component update` would install.
    pub takes: Option<Taken>,
    /// Everything on offer of it, the newest first.
    pub offers: Vec<Line>,
}

/// A version that this device takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Taken {
    /// The version.
    pub version: String,
    /// Its release: SHA-256 of the signed payload, in hexadecimal.
    pub release: String,
    /// Bytes that have to be fetched.
    pub bytes: u64,
    /// Whether it fixes a security problem.
    pub urgent: bool,
    /// Why it would not be fetched unless its version is named, if it would not.
    pub refused: Option<String>,
}

impl Taken {
    /// Of a release that was verified.
    pub fn new(release: &Release, id: String, refused: Option<String>) -> Taken {
        Taken {
            version: release.version.to_string(),
            release: id,
            bytes: bytes(&release.content),
            urgent: release.urgency == Urgency::Security,
            refused,
        }
    }
}

/// What has to be fetched of a component's content.
fn bytes(content: &Content) -> u64 {
    let artifacts = content.artifacts();
    artifacts.iter().map(|(_, artifact)| artifact.data_bytes + u64::from(artifact.list_bytes)).sum()
}

impl Found {
    /// What is on offer of a component, and which of it the device takes.
    pub fn offered(&self, facts: &ComponentFacts, takes: Option<Taken>) -> OfferedComponent {
        let choice = self.choose_component(facts);
        let line = |c| {
            let (verdict, why, turn_at) = reason(self, Some(facts.subject()), c);
            let version = c.offer.constraints.version.to_string();
            let is_taken = takes.as_ref().is_some_and(|taken| taken.release == c.offer.identity.to_string());
            Line { version, verdict: if is_taken { "takes" } else { verdict }, why, turn_at }
        };
        OfferedComponent {
            component: facts.name.clone(),
            running: facts.running.as_ref().map(|(_, version)| version.to_string()),
            withdrawn: choice.withdrawn.map(ToOwned::to_owned),
            offers: choice.considered.iter().map(line).collect(),
            takes,
        }
    }
}

impl OfferedComponent {
    /// Human-readable; each line ends with a line break.
    pub(super) fn text(&self) -> String {
        let name = &self.component;
        let running = self.running.as_deref().unwrap_or("no version");
        let mut text = format!("component {name}: {running} is installed");
        if let Some(reason) = &self.withdrawn {
            text.push_str(&format!(", and was WITHDRAWN: {reason}"));
        }
        text.push('\n');
        for line in self.offers.iter().filter(|line| !matches!(line.verdict, "older" | "running")) {
            let mark = if line.verdict == "takes" { "▶" } else { " " };
            text.push_str(&format!("  {mark} {}  {}\n", line.version, line.why.join("; ")));
        }
        match &self.takes {
            None => {}
            Some(Taken { version, bytes, refused: None, .. }) => {
                let size = size(*bytes);
                text.push_str(&format!("  `bistable component update {name}` fetches {size} of {version}\n"));
            }
            Some(Taken { version, refused: Some(why), .. }) => text
                .push_str(&format!("  `bistable component update {name} {version}`; not by itself: {why}\n")),
        }
        text
    }
}
