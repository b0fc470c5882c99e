//! Scenarios of components: each service starts once in a boot, in the right version, whatever was updated, taken back or cut off.
use super::{
    clock::Clock,
    course::{Outcome, at_rest, committed, first_boot},
    device::Device,
    part::{self, BETTER, BROUGHT, BROUGHT_SICK, CORE, FIRST, PANEL, Part, WORSE},
    release::{BRINGS, BRINGS_SICK, FACTORY},
    rig::Power,
};
use anyhow::{Context, Result, ensure};
use bistable_boot::Slot;
use std::time::Duration;

/// After a system came up: its services have started, and no verdict is reached yet.
const IN_A_TRIAL: Duration = Duration::from_secs(3);

/// A component is updated, taken back, and cut off in its trial.
pub fn alone(device: &mut Device<'_>) -> Result<Outcome> {
    first_boot(device)?;
    install(device, FIRST)?;
    let start = Clock::start();
    update(device, BETTER, 0)?;
    let time = start.now();
    update(device, WORSE, 8)?;
    ran(device, CORE, &[&["1.0.0", "1.1.0", "1.2.0", "1.1.0"]])?;
    cut(device)?;
    ran(device, CORE, &[&["1.0.0", "1.1.0", "1.2.0", "1.1.0"], &["1.1.0"]])?;
    ran(device, PANEL, &[&["1.0.0"], &["1.0.0"]])?;
    // In the trial of an update.
    let [next, _] = BROUGHT;
    let path = device_path(device, next);
    device.start(&format!("{{ bistable component update {CORE} {path} >/dev/null 2>&1 & }}"))?;
    let install = device.rig().pace().install;
    let found = device.tries(install, &started(next))?;
    ensure!(found, "{} {} was never started; {}", next.name, next.version, device.last());
    cut(device)?;
    let said = device
        .ask(&format!("bistable component resume {CORE}"), install)?
        .context("no answer to `resume`")?;
    // 3: the boot continued it, and it is committed.
    ensure!(
        [0, 3].contains(&said.code),
        "`bistable component resume` ended with {}: {}",
        said.code,
        said.text
    );
    ran(device, CORE, &[&["1.0.0", "1.1.0", "1.2.0", "1.1.0"], &["1.1.0", "2.0.0"], &["1.1.0", "2.0.0"]])?;
    cut(device)?;
    ran(
        device,
        CORE,
        &[&["1.0.0", "1.1.0", "1.2.0", "1.1.0"], &["1.1.0", "2.0.0"], &["1.1.0", "2.0.0"], &["2.0.0"]],
    )?;
    device.off_with_default(Slot::A)?;
    Ok(Outcome { what: "update", time, bar: None, note: "core 1.0.0 to 1.1.0".into() })
}

/// An image brings both components along: switched, judged, cut off and taken back with it.
pub fn bound(device: &mut Device<'_>) -> Result<Outcome> {
    let pace = device.rig().pace();
    first_boot(device)?;
    install(device, FIRST)?;
    // Cut off in the trial: what comes up is old as a whole.
    let from = device.seen.len();
    let start = Clock::start();
    let bundle = device.rig().bundle(BRINGS.version);
    device.start(&format!("bistable update --progress quiet {bundle}"))?;
    device.up(BRINGS.version, from, pace.install + pace.boot)?;
    device.watch(device.seen.len(), IN_A_TRIAL, |_| false)?;
    device.power(Power::Off)?;
    let from = device.seen.len();
    device.power(Power::On)?;
    device.up(FACTORY.version, from, pace.boot)?;
    device.watch(device.seen.len(), IN_A_TRIAL, |_| false)?;
    // It is tried again by itself.
    device.up(BRINGS.version, from, pace.boot * 2)?;
    let time = committed(device, BRINGS, Slot::B, start)?;
    for name in [CORE, PANEL] {
        ran(device, name, &[&["1.0.0"], &["2.0.0"], &["1.0.0"], &["2.0.0"]])?;
    }
    // One of them is sick.
    let from = device.seen.len();
    let bundle = device.rig().bundle(BRINGS_SICK.version);
    device.start(&format!("bistable update --progress quiet {bundle}"))?;
    let tried = device.up(BRINGS_SICK.version, from, pace.install + pace.boot)?;
    device.up(BRINGS.version, tried, pace.boot * 3)?;
    let status = device.settle(pace.boot)?;
    at_rest(&status, BRINGS, Slot::B)?;
    ensure!(
        status.rejected.iter().any(|r| r.version == BRINGS_SICK.version),
        "{} was not rejected",
        BRINGS_SICK.version
    );
    for Part { name, version, .. } in BROUGHT_SICK {
        ran(device, name, &[&["1.0.0"], &["2.0.0"], &["1.0.0"], &["2.0.0"], &[version], &["2.0.0"]])?;
    }
    device.off_with_default(Slot::B)?;
    Ok(Outcome { what: "commit", time, bar: None, note: "cut off once in the trial".into() })
}

fn device_path(device: &mut Device<'_>, part: Part) -> String {
    device.rig().component(part.name, part.version)
}

fn install(device: &mut Device<'_>, parts: [Part; 2]) -> Result<()> {
    parts.into_iter().try_for_each(|part| update(device, part, 0))
}

/// Update a component from its file: it ends with this code.
fn update(device: &mut Device<'_>, part: Part, code: i32) -> Result<()> {
    let path = device_path(device, part);
    let within = device.rig().pace().install;
    let command = format!("bistable component update {} --progress quiet {path}", part.name);
    let said = device.ask(&command, within)?.with_context(|| format!("no answer; {}", device.last()))?;
    ensure!(said.code == code, "`{command}` ended with {} instead of {code}: {}", said.code, said.text);
    Ok(())
}

/// Whether a version was started in this boot, for the shell.
fn started(part: Part) -> String {
    format!("grep -q \"$(cat /proc/sys/kernel/random/boot_id) {}\" {}", part.version, part::starts(part.name))
}

/// Cut the power, and switch it on again: the system that runs comes up, and its agent comes to rest.
fn cut(device: &mut Device<'_>) -> Result<()> {
    let boot = device.rig().pace().boot;
    device.power(Power::Off)?;
    let from = device.seen.len();
    device.power(Power::On)?;
    device.up(FACTORY.version, from, boot)?;
    device.settle(boot).map(drop)
}

/// The service of a component must have run in these versions, boot by boot.
fn ran(device: &mut Device<'_>, name: &str, expected: &[&[&str]]) -> Result<()> {
    let answer = device.rig().pace().answer;
    let said = device
        .ask(&format!("cat {}", part::starts(name)), answer)?
        .context("no answer to what was started")?;
    let found = part::by_boot(&said.text);
    ensure!(found == expected, "{name} was started as {found:?}, and must have been as {expected:?}");
    Ok(())
}
