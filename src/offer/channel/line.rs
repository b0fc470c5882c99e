//! What the device makes of one offer.
use super::Found;
use crate::date::utc_minute;
use bistable_boot::Rejected;
use bistable_format::{
    choice::{Considered, Verdict},
    compat::Incompatible,
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

/// What becomes of an offer of the image, or of a component with these rejected releases, and why; and when its turn comes.
pub(super) fn reason(
    found: &Found,
    component: Option<(&str, &[Rejected])>,
    considered: &Considered<'_>,
) -> (&'static str, Vec<String>, Option<u64>) {
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
            let rejected = component.map_or(&*found.rejected, |(_, rejected)| rejected);
            let why = rejected.iter().find(|r| r.release.0 == identity.0).map(|r| r.failure.to_string());
            let verb = component.map_or("update".into(), |(name, _)| format!("component update {name}"));
            let version = &considered.offer.constraints.version;
            one(
                "rejected",
                format!(
                    "this device rejected it: {}; `bistable {verb} {version} --retry-rejected` tries it again",
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

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    // A tenth of the unit, rounded up: nothing is less than it says.
    let (unit, tenth) = if bytes < 100_000 { ("kB", 100) } else { ("MB", 100_000) };
    let tenths = bytes.div_ceil(tenth);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}
