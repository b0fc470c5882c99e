//! What the device makes of each offer, human-readable and for programs.
use super::Found;
use crate::{
    date::{utc_date, utc_minute},
    status::Equivocation,
    steps::install::Download,
};
use bistable_format::{
    Channel,
    choice::{Choice, Considered, Verdict},
    compat::Incompatible,
    open::Unreadable,
    rollout::Admission,
};
use serde::Serialize;

/// An offer, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Line {
    /// Its version.
    pub version: String,
    /// `takes`, `fits`, `running`, `rejected`, `enough`, `behind`, `waits`, `older`, `incompatible` or `unusable`.
    pub verdict: &'static str,
    /// Why.
    pub why: Vec<String>,
    /// When its turn comes, in seconds since 1970, if that is known.
    pub turn_at: Option<u64>,
}

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
    /// Offers and withdrawals that this version can't read, and why.
    pub unreadable: Vec<String>,
}

pub(super) fn make(found: &Found, choice: &Choice<'_>) -> Report {
    let taken = choice.taken.map(|o| o.identity);
    let line = |c: &Considered<'_>| {
        let (verdict, why, turn_at) = reason(found, c);
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

pub(super) fn reason(found: &Found, considered: &Considered<'_>) -> (&'static str, Vec<String>, Option<u64>) {
    let one = |word, text: String| (word, vec![text], None);
    if let Some(unusable) = found.why_unusable(considered.offer) {
        return one("unusable", format!("can't be used: {}", unusable.problem));
    }
    match &considered.verdict {
        Verdict::Fits(Admission::Canary) => one("fits", "this device's group goes first".into()),
        Verdict::Fits(Admission::Wave(n)) => one("fits", format!("wave {n} has come to this device")),
        Verdict::Fits(_) => one("fits", "for every device".into()),
        Verdict::Running => one("running", "runs already".into()),
        Verdict::Rejected => {
            let identity = considered.offer.identity;
            let why =
                found.rejected.iter().find(|r| r.release.0 == identity.0).map(|r| r.failure.to_string());
            let version = &considered.offer.constraints.version;
            one(
                "rejected",
                format!(
                    "this device rejected it: {}; `bistable update {version} --retry-rejected` tries it again",
                    why.unwrap_or_default()
                ),
            )
        }
        Verdict::TooManyFailures(failed) => one(
            "enough",
            format!(
                "too many releases failed on this device; only versions newer than {failed} are installed automatically"
            ),
        ),
        Verdict::Behind(first) => one("behind", format!("only after {first}, which every device has to run")),
        Verdict::Waits(Admission::Later { wave, at }) => {
            ("waits", vec![format!("wave {wave} comes to this device at {}", utc_minute(*at))], Some(*at))
        }
        Verdict::Waits(Admission::Paused) => one("waits", "the rollout is paused".into()),
        Verdict::Waits(Admission::Halted) => one("waits", "the rollout is halted".into()),
        Verdict::Waits(_) => one("waits", "no wave has come to this device yet".into()),
        Verdict::Incompatible(reasons) => {
            // Half of all lines would only say that what is old is old.
            let older = |r: &Incompatible| matches!(r, Incompatible::NotNewer { .. });
            let word = if reasons.iter().all(older) { "older" } else { "incompatible" };
            (word, reasons.iter().map(ToString::to_string).collect(), None)
        }
    }
}

/// What a delta saves, if there is one.
fn by_delta(download: &Download) -> String {
    let Some(from) = &download.delta_from else { return String::new() };
    format!(" ({} of {} by delta from {from})", size(download.bytes), size(download.full_bytes))
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    // A tenth of the unit, rounded up: nothing is less than it says.
    let (unit, tenth) = if bytes < 100_000 { ("kB", 100) } else { ("MB", 100_000) };
    let tenths = bytes.div_ceil(tenth);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
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
            None => format!("nothing to do: {}", self.nothing()),
        });
        text
    }
}
