//! A job as the loop takes it: from the queue, or from the schedule.
use crate::app::{Asker, BundleStream, Request};

/// What is to be done, and for whom.
#[derive(Debug)]
pub struct QueuedJob {
    /// The name of its job.
    pub job: String,
    /// What is asked for.
    pub request: Request,
    /// Who asks.
    pub by: Asker,
    /// The bundle, where whoever asks sends one.
    pub bundle: Option<BundleStream>,
}
