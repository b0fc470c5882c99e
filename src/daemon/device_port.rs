//! The port to the device: what the daemon acts through.
//!
//! It is opened for each act and closed again, so between two acts nothing is locked: the boot's own service and a person on
//! the command line work beside the daemon as if there were none.
use super::{Held, QueuedJob, Report};
use crate::{
    Error,
    agent::Observer,
    app::{
        Asker, Failed, Reply,
        schedule::{Moment, Rules, Standing, When},
    },
    config::{ConfigError, Mode},
    events::Remembered,
};
use bistable_boot::component::Component;

/// A device that is opened for each act.
pub trait DevicePort {
    /// Do what a job asks for, from opening the device to closing it. What happens goes into the event log, in the stream of the
    /// job, and to `observer`.
    ///
    /// # Errors
    /// What went wrong, as on the command line.
    fn act(&mut self, queued: QueuedJob, observer: &mut dyn Observer) -> Result<Reply, Failed>;

    /// Write into the event log what parts of the daemon report that have no device, and the configuration if it is another one
    /// than the log has, which `by` is to blame for; whether all of it outlives a boot.
    ///
    /// # Errors
    /// When the device can't be opened: nothing was written then.
    fn report(&mut self, reports: &[Report], by: &Asker) -> Result<bool, Error>;

    /// Look at everything that decides about the next act. Locks nothing and saves nothing.
    ///
    /// # Errors
    /// When the device or its configuration can't be read.
    fn survey(&mut self) -> Result<Survey, Error>;

    /// The moment that is now.
    fn moment(&mut self) -> Moment;
}

/// What decides about the next act.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The device, and where its update stands.
    pub standing: Standing,
    /// What the owner wants.
    pub rules: Rules,
    /// The components that are updated beside the slots, each with its mode.
    pub components: Vec<(Component, Mode)>,
    /// What is known from before.
    pub remembered: Remembered,
    /// What holds a switch off.
    pub inhibitors: Vec<Held>,
    /// When past updates were rolled back.
    pub rollbacks: Vec<When>,
    /// Whether the release that is staged mends a hole.
    pub is_urgent: bool,
    /// The configuration, if the log has another one: something that differs whenever it does.
    pub unlogged: Option<String>,
    /// What is wrong with the configuration on the disk, if an older one counts because of that.
    pub rejected: Option<ConfigError>,
}

impl Survey {
    /// Whether the boot's own service has something to decide: nothing else acts before it has.
    pub fn is_undecided(&self) -> bool {
        self.standing.now.awaits_boot(self.standing.booted)
    }
}
