//! Kills of the daemon and power cuts at random moments of an update that it was asked for over its API, some in a row, as where the
//! power is bad. Then the update must end by itself with one verdict, and no durable event may be lost.
use super::{
    clock::Clock,
    course::{Outcome, at_rest, configure, first_boot},
    cuts::BEHIND,
    device::{Device, Status, json},
    observations::{Seen, What, is_up},
    release::{FACTORY, GOOD},
    rig::Power,
};
use anyhow::{Context, Result, ensure};
use bistable_boot::Slot;
use bistable_kit::{dice::Dice, ledger::Ledger};
use std::time::Duration;

/// The most cuts on one card; a new card now and then, so that nothing that was left hides what others leave.
const IN_A_ROW: u32 = 5;
/// The most cuts while the device decides by itself, be it before or in a trial. The one before may have ended its first trial: three
/// without a verdict reject a release, as they must.
const UNASKED: u32 = 1;

/// Cut the power this many times, and kill the daemon before it where it comes to that.
///
/// # Errors
/// What is wrong with the device after a cut, and which cut it was.
pub fn toll(device: &mut Device<'_>, name: &str, count: u32, seed: u64) -> Result<Outcome> {
    let clock = Clock::start();
    let mut dice = Dice(seed);
    first_boot(device)?;
    // The first one is let be: it says how long one takes.
    let whole = let_be(device, &mut Ledger::default()).context("the update that is let be")?;
    let mut toll = Toll::default();
    while toll.cuts < count {
        device.power(Power::Off)?;
        device.rig().factory(name)?;
        first_boot(device)?;
        let (first, mut unasked, mut ledger) = (toll, 0, Ledger::default());
        let about = |toll: Toll| {
            format!("after {} cuts of {count}, {} of them on this card", toll.cuts, toll.cuts - first.cuts)
        };
        while toll.cuts < count && toll.cuts - first.cuts < IN_A_ROW && unasked < UNASKED {
            let asked = cut(device, &mut dice, whole, &mut toll).with_context(|| about(toll))?;
            unasked += u32::from(!asked);
            look(device, &mut ledger).with_context(|| about(toll))?;
        }
        let_be(device, &mut ledger).with_context(|| about(toll))?;
    }
    device.power(Power::Off)?;
    let Toll { kills, cuts } = toll;
    let note = format!("seed {seed}: {cuts} power cuts, {kills} kills of the daemon before them");
    Ok(Outcome { what: "cuts", time: clock.now(), bar: None, note })
}

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Toll {
    kills: u32,
    cuts: u32,
}

/// Ask the daemon for the update, kill it in the middle of that and ask again, and cut the power. A device that decides something by
/// itself isn't asked. Gives whether it was.
fn cut(device: &mut Device<'_>, dice: &mut Dice, whole: Duration, toll: &mut Toll) -> Result<bool> {
    let asked = device.status()?.is_some_and(|status| waits(&status));
    let range = if asked { whole } else { whole / 3 };
    let after = range.mul_f64(dice.fraction() * BEHIND);
    // It is done with writing, and the machine restarts, after about half the time.
    let kill = after.min(whole / 2).mul_f64(dice.fraction());
    if asked {
        configure(device, "check")?;
        device.start(&format!("{{ ({}) >/dev/null 2>&1 & }}", asked_and_killed(kill)))?;
    }
    let from = device.seen.len();
    let down = |s: &Seen| matches!(s.what, What::Reset | What::Loader);
    let gone = device.watch(from, kill, down)?.is_some();
    toll.kills += u32::from(asked && !gone);
    device.watch(device.seen.len(), after.saturating_sub(kill), |_| false)?;
    device.power(Power::Off)?;
    toll.cuts += 1;
    let from = device.seen.len();
    device.power(Power::On)?;
    let boot = device.rig().pace().boot;
    let is_known = |s: &Seen| is_up(s, FACTORY.version) || is_up(s, GOOD.version);
    let up = device.watch(from, boot, is_known)?;
    up.with_context(|| format!("neither the old nor the new release came up; {}", device.last()))?;
    Ok(asked)
}

/// On the old release, and nothing continues by itself.
fn waits(status: &Status) -> bool {
    status.running() == Some(FACTORY.version)
        && matches!(status.state.as_str(), "idle" | "installing" | "staged")
}

/// The shell's words that ask for the update, kill the daemon after some time, and ask again.
fn asked_and_killed(kill: Duration) -> String {
    format!("{ASK}; sleep {:.2}; systemctl kill --signal KILL bistable; {ASK}", kill.as_secs_f64())
}

/// Ask the daemon to update to what the channel offers. It may still be starting.
const ASK: &str = "for try in 1 2 3 4 5 6 7 8 9 10; do systemctl reload-or-restart bistable && /usr/lib/rig/ask POST /v1/update {} && break; sleep 1; done";

/// Whatever is half done is asked for, and ends: committed, decided once, with all events. Gives how long that took.
fn let_be(device: &mut Device<'_>, ledger: &mut Ledger) -> Result<Duration> {
    let pace = device.rig().pace();
    let start = Clock::start();
    let status = device.settle(pace.boot * 2)?;
    if waits(&status) {
        let from = device.seen.len();
        configure(device, "check")?;
        let said = device.ask(ASK, pace.answer)?.context("no answer to what the daemon is asked")?;
        ensure!(said.code == 0, "the daemon wasn't to be asked: {}", said.text);
        device.up(GOOD.version, from, pace.install + pace.boot)?;
    }
    let status = device.settle(pace.boot)?;
    let took = start.now();
    at_rest(&status, GOOD, Slot::B)?;
    ensure!(status.rejected.is_empty(), "a good release was rejected: {:?}", status.rejected);
    look(device, ledger)?;
    ledger.is_decided_once()?;
    Ok(took)
}

/// The events about updates, beside those that were there before.
fn look(device: &mut Device<'_>, ledger: &mut Ledger) -> Result<()> {
    let answer = device.rig().pace().answer;
    let said = device
        .ask("bistable events --type 'update.*' --json", answer)?
        .context("no answer to `bistable events`")?;
    ensure!(said.code == 0, "`bistable events` ended with {}: {}", said.code, said.text);
    let log = json(&said.text).with_context(|| said.text.clone())?;
    Ok(ledger.look(&log)?)
}
