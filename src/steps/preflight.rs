//! Preflight: what has to be right before an update begins.
use crate::{
    Device, Error,
    ports::{Fault, Flag, Support, WallClock},
};
use bistable_boot::{Slot, layout::Partition};
use bistable_format::selftest::Need;
use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether an update may begin.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// Whether only another process is in the way, so that it may be right later.
    #[serde(skip)]
    pub passes: bool,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Worth knowing; the update repairs it or can do without it.
    Note,
    /// No update may begin.
    Stop,
}

/// All checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// The checks, in order.
    pub checks: Vec<Check>,
}

impl Report {
    /// Why no update may begin, if so.
    pub fn problem(&self) -> Option<String> {
        self.stop().map(|c| format!("{}: {}", c.name, c.found))
    }

    /// The same as an error.
    pub fn error(&self) -> Option<Error> {
        let problem = self.problem()?;
        Some(if self.stop()?.passes { Error::PreflightWaits(problem) } else { Error::Preflight(problem) })
    }

    /// What doesn't pass by itself comes first.
    fn stop(&self) -> Option<&Check> {
        let mut stops = self.checks.iter().filter(|c| c.verdict == Verdict::Stop);
        stops.clone().find(|c| !c.passes).or_else(|| stops.next())
    }
}

/// What was found, and whether it passes.
struct Found {
    text: String,
    passes: bool,
}

impl From<String> for Found {
    fn from(text: String) -> Found {
        Found { text, passes: false }
    }
}

impl From<&str> for Found {
    fn from(text: &str) -> Found {
        text.to_owned().into()
    }
}

impl From<Fault> for Found {
    fn from(fault: Fault) -> Found {
        Found { text: fault.to_string(), passes: matches!(fault, Fault::InUse(_)) }
    }
}

/// Look at everything. Writes nothing.
///
/// # Errors
/// When the machine goes down.
pub fn run(device: &mut Device) -> Result<Report, Error> {
    let mut checks = Vec::new();
    let mut add = |name, verdict, found: Found| {
        let Found { text: found, passes } = found;
        checks.push(Check { name, verdict, found, passes });
    };

    match device.root() {
        Ok(root) => {
            let demo = root.refuse_demo().is_err();
            let found = format!("version {}{}", root.version, if demo { ", with demo keys" } else { "" });
            add("root of trust", if demo { Verdict::Note } else { Verdict::Pass }, found.into());
        }
        Err(e) => add("root of trust", Verdict::Stop, e.to_string().into()),
    }
    if matches!(device.root_copies()?, [true, false] | [false, true]) {
        add("root of trust", Verdict::Note, "one copy is damaged; the next install repairs it".into());
    }
    if let Err(e) = device.board.partitions.check_disk() {
        if e.stopping().is_some() {
            return Err(e.into());
        }
        add("disk", Verdict::Stop, e.into());
    }
    match device.board.partitions.open(Partition::State).and_then(|state| state.check_use()) {
        Ok(()) => {}
        Err(e) => add("journal", Verdict::Stop, e.into()),
    }
    match device.journal_copies() {
        [Some(_), Some(_)] => add("journal", Verdict::Pass, "both copies are readable".into()),
        _ => add("journal", Verdict::Note, "one copy is damaged; the next save repairs it".into()),
    }
    let booted = device.board.boot.booted();
    let flag = device.board.boot.read();
    let is_torn = flag.as_ref().is_ok_and(Flag::is_torn);
    match flag.and_then(|flag| Ok((flag.default_slot()?, flag))) {
        // A flag that can't be written would only show at the commit.
        Ok((default, flag)) if default == booted => match flag.check() {
            Ok(()) => {
                add("boot flag", Verdict::Pass, format!("slot {booted} is running and the default").into());
            }
            Err(e) => add("boot flag", Verdict::Stop, e.into()),
        },
        Ok((default, _)) => {
            let found = format!(
                "slot {booted} is running, but {default} is the default: `bistable commit` keeps what runs if it is \
                 healthy, `bistable reboot` boots the default"
            );
            add("boot flag", Verdict::Stop, found.into());
        }
        Err(e) => add("boot flag", Verdict::Stop, e.into()),
    }
    if is_torn {
        add("boot flag", Verdict::Note, "torn by a power cut; repaired before the next trial".into());
    }
    match device.board.boot.support() {
        Ok(Support::Supported(found)) => add("boot loader", Verdict::Pass, found.into()),
        Ok(Support::Note(found)) => add("boot loader", Verdict::Note, found.into()),
        Err(e) => add("boot loader", Verdict::Stop, e.into()),
    }
    for partition in [Partition::Boot(!booted), Partition::System(!booted)] {
        let opened = device.board.partitions.open(partition);
        // A process that only reads has it open although another one uses it.
        match opened.and_then(|volume| volume.check_use().map(|()| volume)) {
            Ok(volume) => {
                add(slot_name(partition), Verdict::Pass, format!("{} MiB", volume.bytes() >> 20).into());
            }
            Err(e) => add(slot_name(partition), Verdict::Stop, e.into()),
        }
    }
    // Neither is needed to update from a file.
    match device.board.host.free_bytes() {
        Ok(bytes) => add("persistent volume", Verdict::Pass, format!("{} MiB free", bytes >> 20).into()),
        Err(e) => add("persistent volume", Verdict::Note, e.to_string().into()),
    }
    match device.board.host.wall_clock() {
        Ok(WallClock::Synchronized) => add("wall clock", Verdict::Pass, "synchronized".into()),
        Ok(WallClock::Free) => {
            add("wall clock", Verdict::Note, "not synchronized: dates aren't believed until it is".into());
        }
        Err(e) => add("wall clock", Verdict::Note, e.to_string().into()),
    }
    operator_checks(device, &mut add);
    Ok(Report { checks })
}

/// A required check that isn't trusted would fail every trial: better refused before anything is written (I16).
fn operator_checks(device: &Device, add: &mut impl FnMut(&'static str, Verdict, Found)) {
    let checks = &device.settings.checks;
    for check in checks {
        let verdict = if check.need == Need::Required { Verdict::Stop } else { Verdict::Note };
        if let Some(why) = &check.refused {
            add("operator's checks", verdict, format!("{} is not trusted: {why}", check.name).into());
        }
    }
    if !checks.is_empty() && checks.iter().all(|check| check.refused.is_none()) {
        let required = checks.iter().filter(|check| check.need == Need::Required).count();
        let found = format!("{required} required, {} wanted", checks.len() - required);
        add("operator's checks", Verdict::Pass, found.into());
    }
}

fn slot_name(partition: Partition) -> &'static str {
    match partition {
        Partition::Boot(Slot::A) => "inactive boot volume (A)",
        Partition::Boot(Slot::B) => "inactive boot volume (B)",
        Partition::System(Slot::A) => "inactive system volume (A)",
        _ => "inactive system volume (B)",
    }
}
