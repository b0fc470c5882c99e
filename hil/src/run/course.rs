//! What the stories of scenarios are made of: a first boot, a commit, the device at rest.
use super::{
    clock::Clock,
    device::{Device, Status},
    release::{FACTORY, Release},
    rig::Power,
};
use anyhow::{Context, Result, ensure};
use bistable_boot::Slot;
use std::time::Duration;

/// What a scenario that passed reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was timed, in one word.
    pub what: &'static str,
    /// How long it took.
    pub time: Duration,
    /// How long it may take at most; `None` without a limit.
    pub bar: Option<Duration>,
    /// A remark for people.
    pub note: String,
}

/// Switch on, and wait until the factory's system is at rest.
pub fn first_boot(device: &mut Device<'_>) -> Result<Duration> {
    let from = device.seen.len();
    let start = Clock::start();
    device.power(Power::On)?;
    let pace = device.rig().pace();
    device.up(FACTORY.version, from, pace.boot)?;
    let took = start.now();
    let status = device.settle(pace.boot)?;
    at_rest(&status, FACTORY, Slot::A)?;
    Ok(took)
}

/// The device must be at rest on a release in a slot.
pub fn at_rest(status: &Status, release: Release, slot: Slot) -> Result<()> {
    let found = (status.state.as_str(), status.running(), status.booted, status.default);
    let wanted = ("idle", Some(release.version), slot, Some(slot));
    ensure!(found == wanted, "the device says {found:?}, and it must be {wanted:?}");
    Ok(())
}

/// Update and commit; gives the time from the command to the commit, as seen from outside.
pub fn commit(device: &mut Device<'_>, release: Release, slot: Slot) -> Result<Duration> {
    let pace = device.rig().pace();
    let from = device.seen.len();
    let bundle = device.rig().bundle(release.version);
    let start = Clock::start();
    device.start(&format!("bistable update --progress quiet {bundle}"))?;
    device.up(release.version, from, pace.install + pace.boot)?;
    committed(device, release, slot, start)
}

/// The device came up with a release: it must come to rest on it, and say that it was committed. Gives the time since `start`.
pub fn committed(device: &mut Device<'_>, release: Release, slot: Slot, start: Clock) -> Result<Duration> {
    let boot = device.rig().pace().boot;
    let status = device.settle(boot)?;
    let took = start.now();
    at_rest(&status, release, slot)?;
    let history = device.history()?;
    let last = history.last().context("no history")?;
    ensure!(
        last.version == release.version && last.outcome == "committed",
        "the last update in the history is {last:?}"
    );
    Ok(took)
}

/// The repository in the device's reach, and how far the daemon goes by itself. Lasts until the next boot. The id is for boards
/// without a serial number.
///
/// # Errors
/// When the device doesn't take the settings.
pub fn configure(device: &mut Device<'_>, mode: &str) -> Result<()> {
    let settings = format!(
        "[source]\\nurls = [\"{}\"]\\nchannel = \"staging\"\\n[update]\\nid = \"rig-1\"\\nmode = \"{mode}\"\\ncheck_interval = \"{INTERVAL_MIN}m\"\\n",
        device.rig().repository()?
    );
    let command = format!(
        "mkdir -p /run/bistable/config.d && printf '{settings}' > /run/bistable/config.d/60-rig.toml"
    );
    let answer = device.rig().pace().answer;
    let said = device.ask(&command, answer)?.context("no answer to the settings")?;
    ensure!(said.code == 0, "writing the settings ended with {}: {}", said.code, said.text);
    Ok(())
}

/// The shortest interval between two looks at a channel that can be configured.
pub const INTERVAL_MIN: u64 = 5;
