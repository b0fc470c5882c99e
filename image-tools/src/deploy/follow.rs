//! Follows a trial: which verdict a device has come to, decided on what it says of itself.
use super::device::{Device, Update};

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The release runs, and is the default.
    Committed,
    /// It was given up, or gone back from.
    GaveUp(GaveUp),
    /// The device keeps it until a person acts.
    Waits(String),
    /// The device does not have it: the connection broke before it was whole.
    NotTaken,
}

/// Why a device does not keep a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GaveUp {
    /// How it ended: `reverted` or `abandoned`.
    pub outcome: String,
    /// The step that failed: `self-test`, `trial-boot`, `health` and others.
    pub step: String,
    /// Why.
    pub reason: String,
}

/// A release on its way.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Its identity.
    release: String,
    /// The last update and the journal's number before anything was sent: an end that is in it is an older one's.
    before: (Option<Update>, Option<u64>),
}

impl Follow {
    /// Follow a release that is about to be sent to a device in this state.
    pub fn new(release: String, before: &Device) -> Follow {
        Follow { release, before: (before.update.clone(), before.journal.map(|journal| journal.seq)) }
    }

    /// What a device has come to; `None` while that is open.
    pub fn verdict(&self, now: &Device) -> Option<Verdict> {
        let seq = now.journal.map(|journal| journal.seq);
        let ours = now.update.as_ref().filter(|update| update.release.full == self.release);
        let is_new = (now.update.as_ref(), seq) != (self.before.0.as_ref(), self.before.1);
        // One that has no end yet is followed, whoever sent it.
        match ours.filter(|update| is_new || update.outcome.is_none()) {
            Some(update) => self.of_ours(update, now),
            // Nothing of it was stored, and nothing is under way.
            None if now.state == "idle" => Some(Verdict::NotTaken),
            None => None,
        }
    }

    fn of_ours(&self, update: &Update, now: &Device) -> Option<Verdict> {
        match update.outcome.as_deref() {
            None if now.state == "installing" => Some(Verdict::NotTaken),
            None => now.waits.clone().map(Verdict::Waits),
            Some("committed") => now.keeps(&self.release).then_some(Verdict::Committed),
            Some(outcome) => {
                let failed = update.steps.iter().find(|step| step.mark == "failed");
                Some(Verdict::GaveUp(GaveUp {
                    outcome: outcome.into(),
                    step: failed.map_or_else(|| "update".into(), |step| step.step.clone()),
                    reason: failed
                        .and_then(|step| step.reason.clone())
                        .unwrap_or_else(|| "the device gives no reason".into()),
                }))
            }
        }
    }
}
