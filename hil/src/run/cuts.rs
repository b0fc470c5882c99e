//! Power cuts at random moments of an update. After each the device must come up by itself with a good system. Some are
//! made in a row, as where the power is bad; then the same update must succeed, or the next one if it was committed.
use super::{
    clock::Clock,
    device::{Device, Status},
    observations::What,
    release::{FACTORY, GOOD, NEXT},
    rig::Power,
    scenario::{Outcome, commit, first_boot},
};
use anyhow::{Context, Result, ensure};
use bistable_boot::Slot;
use std::{collections::BTreeMap, time::Duration};

/// The most cuts on one card. What one leaves behind meets the next; a new card now and then, so that nothing
/// that was left hides what others leave.
const IN_A_ROW: u32 = 5;
/// How far behind the end of an update the power is still cut.
const BEHIND: f64 = 1.15;

/// Cut the power this many times.
///
/// # Errors
/// What is wrong with the device after a cut, and which cut it was.
pub fn cuts(device: &mut Device<'_>, name: &str, count: u32, seed: u64) -> Result<Outcome> {
    let clock = Clock::start();
    let mut random = Random(seed);
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
        let after = whole.mul_f64(random.fraction() * BEHIND);
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

/// Numbers from a seed (SplitMix64), the same on every machine.
#[derive(Clone, Copy, Debug)]
struct Random(u64);

impl Random {
    /// At least 0 and less than 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spread_and_repeat_with_the_seed() {
        let draw = |seed| {
            let mut random = Random(seed);
            (0..1000).map(|_| random.fraction()).collect::<Vec<_>>()
        };
        let first = draw(1);
        assert_eq!(first, draw(1));
        assert_ne!(first, draw(2));
        assert!(first.iter().all(|f| (0.0..1.0).contains(f)));
        for part in 0..10 {
            let low = f64::from(part) / 10.0;
            let hits = first.iter().filter(|f| (low..low + 0.1).contains(f)).count();
            assert!((60..140).contains(&hits), "{hits} of 1000 from {low}");
        }
    }
}
