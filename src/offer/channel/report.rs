//! What the device makes of each offer, human-readable and for programs.
use super::{
    Found, OfferedComponent,
    line::{Line, reason, size},
};
use crate::{date::utc_date, status::Equivocation, steps::install::Download};
use bistable_format::{
    Channel,
    choice::{Choice, Considered},
    open::Unreadable,
};
use serde::Serialize;

/// What a channel has on offer for this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// The repository.
    pub source: String,
    /// The channel.
    pub channel: String,
    /// Number of the channel's file.
    pub sequence: u64,
    /// When that was issued, in seconds since 1970.
    pub issued_at: u64,
    /// When it expires, in seconds since 1970.
    pub expires_at: u64,
    /// Version of the root it was verified with.
    pub root_version: u32,
    /// The version that runs.
    pub running: Option<String>,
    /// Why what runs was withdrawn, if it was.
    pub withdrawn: Option<String>,
    /// The version that the other slot still holds, and that was not withdrawn: `revert` tries it again.
    pub way_back: Option<String>,
    /// What the channel was caught at, until a higher number is accepted.
    pub equivocation: Option<Equivocation>,
    /// The version that `update` would install.
    pub takes: Option<String>,
    /// What has to be fetched for that at most, if that was asked.
    pub download: Option<Download>,
    /// Why `update` without a version would not fetch that, if it wouldn't.
    pub refused: Option<String>,
    /// Everything on offer for this product, newest first.
    pub offers: Vec<Line>,
    /// What is on offer of each component that this device updates, by name.
    pub components: Vec<OfferedComponent>,
    /// Offers and withdrawals that this version can't read, and why.
    pub unreadable: Vec<String>,
}

pub(super) fn make(found: &Found, choice: &Choice<'_>) -> Report {
    let taken = choice.taken.map(|o| o.identity);
    let line = |c: &Considered<'_>| {
        let (verdict, why, turn_at) = reason(found, None, c);
        let verdict = if taken == Some(c.offer.identity) { "takes" } else { verdict };
        Line { version: c.offer.constraints.version.to_string(), verdict, why, turn_at }
    };
    Report {
        source: found.source.clone(),
        channel: found.channel.name.clone(),
        sequence: found.channel.sequence,
        issued_at: found.channel.issued_at,
        expires_at: found.channel.expires_at(),
        root_version: found.root.version,
        running: found.running.as_ref().map(|(_, version)| version.to_string()),
        withdrawn: choice.withdrawn.map(ToOwned::to_owned),
        way_back: found.way_back().map(|image| image.version.to_string()),
        equivocation: found.equivocation.as_ref().map(Equivocation::from),
        takes: choice.taken.map(|o| o.constraints.version.to_string()),
        download: None,
        refused: None,
        offers: choice.considered.iter().map(line).collect(),
        components: Vec::new(),
        unreadable: unreadable(&found.channel),
    }
}

fn unreadable(channel: &Channel) -> Vec<String> {
    let line = |what: &str, list: &[Unreadable]| -> Vec<String> {
        list.iter().map(|one| format!("{what} can't be read: {}", one.why)).collect()
    };
    [line("an offer", channel.offers.unreadable()), line("a withdrawal", channel.withdrawn.unreadable())]
        .concat()
}

/// What a delta saves, if there is one.
fn by_delta(download: &Download) -> String {
    let Some(from) = &download.delta_from else { return String::new() };
    format!(" ({} of {} by delta from {from})", size(download.bytes), size(download.full_bytes))
}

impl Report {
    /// One line of why there is nothing to do.
    pub(super) fn nothing(&self) -> String {
        let running = self.running.as_deref().unwrap_or("an unknown release");
        let waiting = self.offers.iter().find(|o| {
            matches!(o.verdict, "waits" | "behind" | "rejected" | "enough" | "incompatible" | "unusable")
        });
        match (&self.withdrawn, waiting) {
            (Some(reason), waiting) => {
                let else_ = match waiting {
                    Some(line) => format!("{}: {}", line.version, line.why.join("; ")),
                    None => format!("channel {} offers nothing else that fits", self.channel),
                };
                let back = self.way_back.as_ref().map(|v| format!("; `bistable revert` tries {v} again"));
                format!(
                    "release {running}, which runs, was withdrawn ({reason}); {else_}{}",
                    back.unwrap_or_default()
                )
            }
            (None, Some(line)) => {
                format!("{running} runs; {}: {}", line.version, line.why.join("; "))
            }
            (None, None) => format!("{running} runs, and channel {} offers nothing newer", self.channel),
        }
    }

    /// Human-readable.
    pub fn text(&self) -> String {
        let mut text = format!(
            "channel {} of {}, number {}, issued {}, expires {}\n",
            self.channel,
            self.source,
            self.sequence,
            utc_date(self.issued_at),
            utc_date(self.expires_at)
        );
        if let (Some(running), Some(reason)) = (&self.running, &self.withdrawn) {
            text.push_str(&format!("{running}, which runs, was WITHDRAWN: {reason}\n"));
        }
        if let Some(found) = &self.equivocation {
            text.push_str(&format!("{}\n", found.text(&self.channel)));
        }
        let width = self.offers.iter().map(|o| o.version.len()).max().unwrap_or(0);
        // All that is older says nothing new.
        for line in self.offers.iter().filter(|o| o.verdict != "older") {
            let mark = if line.verdict == "takes" { "▶" } else { " " };
            text.push_str(&format!("  {mark} {:width$}  {}\n", line.version, line.why.join("; ")));
        }
        for line in &self.unreadable {
            text.push_str(&format!("    {line}\n"));
        }
        for component in &self.components {
            text.push_str(&component.text());
        }
        text.push_str(&match &self.takes {
            Some(version) => {
                let saves = self.download.as_ref().map_or_else(String::new, by_delta);
                match &self.refused {
                    None => format!("update to {version}: `bistable update`{saves}"),
                    Some(why) => format!(
                        "update to {version}: `bistable update {version}`{saves}\n  not by itself: {why}"
                    ),
                }
            }
            None if self.components.iter().any(|component| component.takes.is_some()) => self.nothing(),
            None => format!("nothing to do: {}", self.nothing()),
        });
        text
    }
}
