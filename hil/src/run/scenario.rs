//! The scenarios: what happens to a device, and what must have become of it. The same list on every rig.
use super::{
    clock::Clock,
    components,
    course::{INTERVAL_MIN, Outcome, at_rest, commit, committed, configure, first_boot},
    device::Device,
    observations::{self, What},
    release::{FACTORY, GOOD, HANGS, HEALTH_DEADLINE_S, NEXT, NO_INIT, PANICS, Release, SICK},
    rig::{Jig, Power, Written},
};
use anyhow::{Context, Result, ensure};
use bistable_boot::{
    Lba, SECTOR, Slot,
    layout::{ALIGN, BOOT_BLOCK, JOURNAL, Partition},
};
use std::time::Duration;

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens; an error is what is wrong.
    pub story: fn(&mut Device<'_>) -> Result<Outcome>,
    /// What the rig must have for it.
    pub needs: Needs,
}

/// What a scenario takes that not every rig has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A log of what is written to the card.
    WriteLog,
    /// A repository in the device's reach, and the daemon as a service.
    Repository,
    /// Components that its image declares, with services, and their releases.
    Components,
}

/// All of them, but for the power cuts.
pub const ALL: [Scenario; 11] = [
    Scenario { name: "update", story: update, needs: Needs::Nothing },
    Scenario { name: "left alone", story: left_alone, needs: Needs::Repository },
    Scenario { name: "self-test refused", story: refused, needs: Needs::Nothing },
    Scenario { name: "unhealthy", story: |d| reverted(d, SICK, Bar::Health), needs: Needs::Nothing },
    Scenario { name: "panic", story: |d| reverted(d, PANICS, Bar::Seconds(45)), needs: Needs::Nothing },
    Scenario { name: "hang", story: |d| reverted(d, HANGS, Bar::Seconds(60)), needs: Needs::Nothing },
    Scenario {
        name: "init missing",
        story: |d| reverted(d, NO_INIT, Bar::Seconds(90)),
        needs: Needs::Nothing,
    },
    Scenario { name: "kernel damaged", story: kernel_damaged, needs: Needs::Nothing },
    Scenario { name: "components", story: components::alone, needs: Needs::Components },
    Scenario { name: "bound", story: components::bound, needs: Needs::Components },
    Scenario { name: "writes", story: writes, needs: Needs::WriteLog },
];

/// How long a way back may take, from the fault to the old system's shell.
#[derive(Clone, Copy, Debug)]
enum Bar {
    Seconds(u64),
    /// The health check's deadline, and the time for going down and coming up: twice a boot, which is measured.
    Health,
}

fn update(device: &mut Device<'_>) -> Result<Outcome> {
    first_boot(device)?;
    let time = commit(device, GOOD, Slot::B).context("into slot B")?;
    device.off_with_default(Slot::B)?;
    // What is committed survives a power cycle, and an update into the other slot goes as well.
    let pace = device.rig().pace();
    let from = device.seen.len();
    device.power(Power::On)?;
    device.up(GOOD.version, from, pace.boot)?;
    at_rest(&device.settle(pace.boot)?, GOOD, Slot::B).context("after a power cycle")?;
    commit(device, NEXT, Slot::A).context("into slot A")?;
    device.off_with_default(Slot::A)?;
    Ok(Outcome { what: "commit", time, bar: None, note: String::new() })
}

/// Some settings, and hands off: the daemon finds the release, stages, tests and tries it, and the boot commits it.
fn left_alone(device: &mut Device<'_>) -> Result<Outcome> {
    first_boot(device)?;
    let pace = device.rig().pace();
    configure(device, "auto")?;
    let from = device.seen.len();
    let start = Clock::start();
    // A look that is overdue comes within the interval.
    let within = Duration::from_secs(INTERVAL_MIN * 60) + pace.install + pace.boot;
    if let Err(e) = device.up(GOOD.version, from, within) {
        // For the log of the console.
        for question in ["bistable events --format text", "systemctl --no-pager status bistable.service"] {
            device.ask(question, pace.answer)?;
        }
        return Err(e);
    }
    let time = committed(device, GOOD, Slot::B, start)?;
    let resident = idle_kib(device)?;
    ensure!(resident <= IDLE_KIB, "the idle daemon has {resident} KiB in memory, and may have {IDLE_KIB}");
    device.off_with_default(Slot::B)?;
    let note = format!("asked every {INTERVAL_MIN} min; {resident} KiB when idle");
    Ok(Outcome { what: "commit", time, bar: None, note })
}

/// The most memory that a daemon may have while nothing happens.
const IDLE_KIB: u64 = 12 * 1024;
/// Longer than between two looks at the application's health, and than what follows a boot.
const IDLE_AFTER: Duration = Duration::from_secs(45);

/// What the daemon has in memory when it has done what follows a boot (VmRSS of proc(5): its program's own pages, too).
fn idle_kib(device: &mut Device<'_>) -> Result<u64> {
    device.watch(device.seen.len(), IDLE_AFTER, |_| false)?;
    let answer = device.rig().pace().answer;
    let question = "grep VmRSS: /proc/$(systemctl show --property MainPID --value bistable.service)/status";
    let said = device.ask(question, answer)?.context("no answer to how much memory the daemon has")?;
    let kib = said
        .text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.with_context(|| format!("the daemon doesn't run: {}", said.text))
}

fn refused(device: &mut Device<'_>) -> Result<Outcome> {
    first_boot(device)?;
    device.jig(Jig::Unwired)?;
    let install = device.rig().pace().install;
    let bundle = device.rig().bundle(GOOD.version);
    let start = Clock::start();
    let said = device.ask(&format!("bistable update --progress quiet {bundle}"), install)?;
    let time = start.now();
    let said =
        said.with_context(|| format!("no answer: the device rebooted, or hangs; {}", device.last()))?;
    ensure!(said.code == 7, "`bistable update` ended with {} instead of 7: {}", said.code, said.text);
    let rest = device.rig().pace().answer;
    at_rest(&device.settle(rest)?, FACTORY, Slot::A)?;
    let boots = observations::boots(&device.seen);
    ensure!(boots <= 1, "the device booted {boots} times");
    device.off_with_default(Slot::A)?;
    Ok(Outcome { what: "refused", time, bar: None, note: String::new() })
}

/// A release that is bad in some way: it is tried, and the old one comes back by itself.
fn reverted(device: &mut Device<'_>, bad: Release, bar: Bar) -> Result<Outcome> {
    let one_boot = first_boot(device)?;
    let bundle = device.rig().bundle(bad.version);
    let from = device.seen.len();
    device.start(&format!("bistable update --progress quiet {bundle}"))?;
    back(device, bad, from, bar, one_boot)
}

fn kernel_damaged(device: &mut Device<'_>) -> Result<Outcome> {
    let one_boot = first_boot(device)?;
    let install = device.rig().pace().install;
    let bundle = device.rig().bundle(GOOD.version);
    let said = device.ask(&format!("bistable install --progress quiet {bundle} && bistable arm"), install)?;
    let said = said.with_context(|| format!("no answer; {}", device.last()))?;
    ensure!(said.code == 0, "install and arm ended with {}: {}", said.code, said.text);
    device.rig().spoil_kernel(Slot::B)?;
    let from = device.seen.len();
    device.start("bistable reboot")?;
    back(device, GOOD, from, Bar::Seconds(45), one_boot)
}

/// After the reboot into a bad release: the old one must come back, know why, and be at rest.
fn back(device: &mut Device<'_>, bad: Release, from: usize, bar: Bar, one_boot: Duration) -> Result<Outcome> {
    let pace = device.rig().pace();
    let deadline = pace.install + pace.boot + pace.boot + Duration::from_secs(HEALTH_DEADLINE_S);
    let reset = device.watch(from, deadline, |s| matches!(s.what, What::Reset | What::Loader))?;
    let reset = reset.with_context(|| format!("the device never rebooted; {}", device.last()))?;
    device.up(FACTORY.version, reset, deadline)?;
    // Each trial that ends without a word counts; after three of them the release is given up.
    let status = device.settle(deadline * 2)?;
    at_rest(&status, FACTORY, Slot::A)?;
    let history = device.history()?;
    let last = history.last().context("no history")?;
    ensure!(
        last.version == bad.version && last.outcome == "reverted",
        "the last update in the history is {last:?}"
    );
    let rejected = status.rejected.iter().any(|r| r.version == bad.version);
    ensure!(rejected, "{} was not rejected", bad.version);
    device.off_with_default(Slot::A)?;
    let part = device.seen.get(from..).unwrap_or_default();
    let time = observations::time_back(part, bad.version, FACTORY.version).context("no fault was seen")?;
    let bar = match bar {
        // The first boot says how fast the host is now.
        Bar::Seconds(seconds) => {
            let slower = one_boot.as_secs_f64() / pace.usual_boot.as_secs_f64();
            Duration::from_secs(seconds).mul_f64(slower.max(1.0))
        }
        Bar::Health => Duration::from_secs(HEALTH_DEADLINE_S) + one_boot * 2,
    };
    ensure!(
        time <= bar,
        "{:.1} s until the old system was back, and at most {:.1} s are allowed",
        time.as_secs_f64(),
        bar.as_secs_f64()
    );
    Ok(Outcome { what: "revert", time, bar: Some(bar), note: String::new() })
}

/// A whole update, and what it wrote: slot B, the journal, and for the commit one sector.
fn writes(device: &mut Device<'_>) -> Result<Outcome> {
    ensure!(device.rig().log_writes(), "this rig doesn't log what is written");
    first_boot(device)?;
    let time = commit(device, GOOD, Slot::B)?;
    let writes = device.rig().written()?;
    let sum = |wanted: &dyn Fn(&Written) -> bool| -> u64 {
        writes.iter().filter(|w| wanted(w)).map(|w| w.bytes).sum()
    };
    let within = |w: &Written, place: Lba, bytes: u64| {
        let start = place.0 * SECTOR as u64;
        w.partition == Some(Partition::State) && (start..start + bytes).contains(&w.at)
    };
    let flag = |w: &Written| {
        w.partition == Some(Partition::Bootconfig) || BOOT_BLOCK.iter().any(|at| within(w, *at, ALIGN))
    };
    let journal = |w: &Written| JOURNAL.iter().any(|at| within(w, *at, ALIGN));
    let strangers: Vec<_> = writes
        .iter()
        .filter(|w| {
            let running = matches!(w.partition, Some(Partition::Boot(Slot::A) | Partition::System(Slot::A)));
            running || w.partition.is_none()
        })
        .collect();
    ensure!(strangers.is_empty(), "the running slot or the table was written: {strangers:?}");
    let sectors = writes.iter().filter(|w| flag(w)).collect::<Vec<_>>();
    let whole = sectors.iter().all(|w| w.bytes == SECTOR as u64);
    // With the firmware's flag the commit is all that is written. The boot block is written when it is armed, when the
    // script counts the try down, and when it is committed.
    let (commits, how) = match device.rig().name().1.as_str() {
        "tryboot" => (1, "commit"),
        _ => (3, "arm, count down, commit"),
    };
    ensure!(whole && sectors.len() == commits, "the boot flag was written as {sectors:?}");
    let slot =
        |w: &Written| matches!(w.partition, Some(Partition::Boot(Slot::B) | Partition::System(Slot::B)));
    let note = format!(
        "flag {commits} sectors ({how}), journal {} B in {} writes, rest of state {} B, persistent {} B, slot B {} B",
        sum(&journal),
        writes.iter().filter(|w| journal(w)).count(),
        sum(&|w| w.partition == Some(Partition::State) && !journal(w) && !flag(w)),
        sum(&|w| w.partition == Some(Partition::Persistent)),
        sum(&slot),
    );
    Ok(Outcome { what: "commit", time, bar: None, note })
}
