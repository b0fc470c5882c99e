//! What `deploy` answers.
use crate::deploy::{self, GaveUp, Verdict};
use serde::Serialize;

/// What became of a release on a device.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Deployed {
    /// The device, as it was named.
    pub host: String,
    /// The product.
    pub product: String,
    /// The component; null for an image.
    pub component: Option<String>,
    /// The version that was sent.
    pub version: String,
    /// The release's identity.
    pub release: String,
    /// `committed`, `reverted`, `abandoned`, `waits` or `not-taken`.
    pub verdict: String,
    /// The step that failed, if the device gave it up: `self-test`, `trial-boot`, `health` and others.
    pub step: Option<String>,
    /// Why the device does not keep it, or waits.
    pub reason: Option<String>,
    /// The version that the device, or the component, runs now.
    pub running: Option<String>,
    /// Trial boots that it took.
    pub trials: u8,
    /// Seconds in all.
    pub seconds: f64,
}

impl Deployed {
    pub(crate) fn new(
        host: &str,
        release: &bistable_format::Release,
        identity: &bistable_format::Digest,
        done: &deploy::Deployed,
    ) -> Deployed {
        let (verdict, step, reason) = match &done.verdict {
            Verdict::Committed => ("committed", None, None),
            Verdict::GaveUp(GaveUp { outcome, step, reason }) => {
                (outcome.as_str(), Some(step.clone()), Some(reason.clone()))
            }
            Verdict::Waits(why) => ("waits", None, Some(why.clone())),
            Verdict::NotTaken => ("not-taken", None, None),
        };
        Deployed {
            host: host.into(),
            product: release.product().into(),
            component: release.component.clone(),
            version: release.version.to_string(),
            release: identity.to_string(),
            verdict: verdict.into(),
            step,
            reason,
            running: done.running.clone(),
            trials: done.trials,
            seconds: done.took.as_secs_f64(),
        }
    }
}
