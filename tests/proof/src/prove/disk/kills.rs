//! The program killed at every write and flush of an update, started again, and compared with one that was left alone.
use super::{
    Options,
    device::Device,
    export::Export,
    story::{Bundles, Call, Recording, as_args},
};
use crate::prove::product::Product;
use anyhow::{Result, bail, ensure};
use bistable_boot::{
    SECTOR, Slot,
    layout::{METADATA_BYTES, Partition, RELEASE},
};
use std::collections::BTreeMap;

const UPDATE: Call = (&["update"], Some("2.0.0"));
const RESUME: Call = (&["resume"], None);
/// More calls than any recovery may take.
const MANY_CALLS: u32 = 6;

/// How often it is tried to kill it at one entry. Whoever watches the log may be late.
const TRIES: u32 = 10;

/// What came of killing it.
#[derive(Clone, Debug, Default)]
pub struct Kills {
    /// Entries of the log: at each one it was to be killed.
    pub planned: u64,
    /// At how many of them it died exactly there: the next one was never logged.
    pub exact: u64,
    /// How often it was killed in all, some entries later than planned perhaps. It recovered from each.
    pub killed: u64,
    /// How many entries later than planned it died, and how often that was so.
    pub late: BTreeMap<u64, u64>,
    /// Most calls until it was at rest with the new release.
    pub calls: u32,
    /// What was wrong, in words.
    pub wrong: Vec<String>,
}

/// Kill it at each entry, and let it recover.
///
/// # Errors
/// When the bench itself fails. What the device does wrong is in the result.
pub fn every_entry(
    product: &Product,
    bundles: &Bundles,
    good: &Recording,
    options: &Options,
) -> Result<Kills> {
    let mut kills = Kills { planned: good.entries.len() as u64, ..Kills::default() };
    for entry in 1..=kills.planned {
        for _ in 0..TRIES {
            match one(product, bundles, good, options, entry, &mut kills) {
                Ok(Died::Exactly) => {
                    kills.exact += 1;
                    break;
                }
                Ok(Died::Elsewhere) => {}
                Err(e) => {
                    kills.wrong.push(format!("killed at entry {entry}: {e:#}"));
                    break;
                }
            }
        }
    }
    Ok(kills)
}

/// Where it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Died {
    Exactly,
    /// Later, or not at all: it had ended.
    Elsewhere,
}

fn one(
    product: &Product,
    bundles: &Bundles,
    good: &Recording,
    options: &Options,
    entry: u64,
    kills: &mut Kills,
) -> Result<Died> {
    let mut export = Export::start(&product.old_card)?;
    let device = Device::new(&export, options.bistable.as_deref())?;
    let mut died = Died::Elsewhere;
    for call in [UPDATE, RESUME] {
        let from = export.counted()?;
        if device.call_until(&as_args(&bundles.words(call)), entry, from)? {
            kills.killed += 1;
            let late = export.counted()?.entries.saturating_sub(entry);
            *kills.late.entry(late).or_default() += 1;
            if late == 0 {
                died = Died::Exactly;
            }
            break;
        }
        if export.counted()?.entries >= entry {
            break;
        }
    }
    let mut calls = 0;
    let status = loop {
        let status = device.status()?;
        let (state, running) = (status["state"].as_str(), running(&status));
        if state == Some("idle") && running == Some("2.0.0") {
            break status;
        }
        calls += 1;
        if calls > MANY_CALLS {
            bail!("after {MANY_CALLS} calls it is {state:?} and runs {running:?}");
        }
        // What is staged waits for the owner, who asks again.
        let call = if matches!(state, Some("idle" | "installing" | "staged")) { UPDATE } else { RESUME };
        let ended = device.call(&as_args(&bundles.words(call)))?;
        ensure!(ended.code == Some(0), "{:?} ended with {:?}: {}", call.0, ended.code, ended.err);
    };
    kills.calls = kills.calls.max(calls);
    export.finish()?;
    for field in
        ["product", "state", "pending", "booted", "default", "once", "slots", "floors", "rejected", "root"]
    {
        let (is, should) = (&status[field], &good.status[field]);
        ensure!(is == should, "`status` says {field} {is}, and {should} of an update that was left alone");
    }
    let whole = |partition: Partition| (product.places.start(partition), product.places.bytes(partition));
    let stored = |slot| {
        (product.places.start(Partition::State) + RELEASE[slot].0 * SECTOR as u64, METADATA_BYTES as u64)
    };
    let ranges = [
        ("the boot flag's partition", whole(Partition::Bootconfig)),
        ("boot_a", whole(Partition::Boot(Slot::A))),
        ("boot_b", whole(Partition::Boot(Slot::B))),
        ("system_a", whole(Partition::System(Slot::A))),
        ("system_b", whole(Partition::System(Slot::B))),
        ("release A", stored(Slot::A)),
        ("release B", stored(Slot::B)),
        ("persistent", whole(Partition::Persistent)),
    ];
    for (name, (at, bytes)) in ranges {
        let there = export.read(at, usize::try_from(bytes)?)?;
        ensure!(good.end.holds(at, &there), "{name} is not as after an update that was left alone");
    }
    Ok(died)
}

fn running(status: &serde_json::Value) -> Option<&str> {
    let slot = status["booted"].as_str()?.to_lowercase();
    status["slots"][slot]["version"].as_str()
}
