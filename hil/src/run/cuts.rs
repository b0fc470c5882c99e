//! Power cuts at random moments of an update. After each the device must come up by itself with a good system. Some are
//! made in a row, as where the power is bad; then the same update must succeed, or the next one if it was committed.
use super::{
    clock::Clock,
    course::{Outcome, commit, first_boot},
    device::{Device, Status},
    observations::What,
    release::{FACTORY, GOOD, NEXT},
    rig::Power,
};
use anyhow::{Context, Result, ensure};
use bistable_boot::Slot;
use bistable_kit::dice::Dice;
use std::{collections::BTreeMap, time::Duration};

/// The most cuts on one card. What one leaves behind meets the next; a new card now and then, so that nothing
/// that was left hides what others leave.
const IN_A_ROW: u32 = 5;
/// How far behind the end of an update the power is still cut.
pub(super) const BEHIND: f64 = 1.15;

/// Cut the power this many times.
///
/// # Errors
/// What is wrong with the device after a cut, and which cut it was.
pub fn cuts(device: &mut Device<'_>, name: &str, count: u32, seed: u64) -> Result<Outcome> {
    let clock = Clock::start();
    let mut dice = Dice(seed);
    first_boot(device)?;
    // The first one isn't cut: it says how long one takes.
    let whole = commit(device, GOOD, Slot::B).context("the update that isn't cut")?;
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    let mut in_a_row = 0;
    for cut in 0..count {
        if in_a_row == 0 {
            device.power(Power::Off)?;
            device.rig().factory(name)?;
            first_boot(device)?;
        }
        let after = whole.mul_f64(dice.fraction() * BEHIND);
        let about = || {
            format!("cut {} of {count}, {:.2} s after the start of the update", cut + 1, after.as_secs_f64())
        };
        let (status, what) = one(device, after).with_context(about)?;
        *found.entry(what).or_default() += 1;
        in_a_row += 1;
        let committed = status.running() == Some(GOOD.version);
        if committed || in_a_row == IN_A_ROW || cut + 1 == count {
            let (release, say) =
                if committed { (NEXT, "the next update") } else { (GOOD, "the same update again") };
            commit(device, release, !status.booted).context(say).with_context(about)?;
            in_a_row = 0;
        }
    }
    device.power(Power::Off)?;
    let found: Vec<_> = found.iter().map(|(what, n)| format!("{n} {what}")).collect();
    Ok(Outcome {
        what: "cuts",
        time: clock.now(),
        bar: None,
        note: format!("seed {seed}: {}", found.join(", ")),
    })
}

/// One cut; gives where the device came to rest, and what it had kept of the update.
fn one(device: &mut Device<'_>, after: Duration) -> Result<(Status, &'static str)> {
    let pace = device.rig().pace();
    let bundle = device.rig().bundle(GOOD.version);
    let from = device.seen.len();
    device.start(&format!("bistable update --progress quiet {bundle}"))?;
    device.watch(from, after, |_| false)?;
    device.power(Power::Off)?;
    let from = device.seen.len();
    device.power(Power::On)?;
    // By itself, whichever system it is; a staged release waits for the operator.
    let up = device.watch(from, pace.boot, |s| matches!(s.what, What::Up { .. }))?;
    up.with_context(|| format!("nothing came up; {}", device.last()))?;
    let status = device.settle(pace.boot * 3 + pace.install)?;
    let running = status.running().unwrap_or("nothing");
    let known = [FACTORY.version, GOOD.version].contains(&running);
    ensure!(known, "{running} runs, which is neither the old nor the new release");
    let default = status.default;
    ensure!(
        default == Some(status.booted),
        "slot {} is at rest, and the default is {default:?}",
        status.booted
    );
    ensure!(status.rejected.is_empty(), "a good release was rejected: {:?}", status.rejected);
    let what = match (running == GOOD.version, status.state.as_str()) {
        (true, _) => "committed by itself",
        (false, "installing") => "half installed",
        (false, "staged") => "staged",
        (false, _) => "back at the old release",
    };
    Ok((status, what))
}
