//! All scenarios on the simulated Pi: what the emulated one is then asked to do as well.
use anyhow::{Result, ensure};
use bistable_boot::Flow;
use bistable_hil::run::{
    play,
    scenario::{self, Needs},
    sim::Sim,
};
use std::path::Path;

fn all(flow: Flow) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut sim = Sim::new(folder.path(), Path::new(env!("CARGO_BIN_EXE_bistable-hil")), flow)?;
    for scenario in scenario::ALL.into_iter().filter(|s| s.needs == Needs::Nothing) {
        let row = play(&mut sim, scenario.name, scenario.story)?;
        ensure!(row.ended.is_ok(), "{}: {:?}", scenario.name, row.ended);
    }
    Ok(())
}

#[test]
fn all_scenarios_with_the_firmwares_flag() -> Result<()> {
    all(Flow::Tryboot)
}

#[test]
fn all_scenarios_with_the_boot_block() -> Result<()> {
    all(Flow::Uboot)
}
