//! `repair`: recreates a lost journal or boot flag, and acknowledges an equivocation.
use super::Answer;
use crate::{Device, Error, config::Settings, ports::Board};
use serde_json::json;

pub(super) fn run(board: Board, settings: Settings) -> Result<Answer, Error> {
    let (device, repaired) = Device::repair(board, settings)?;
    let journal = repaired.journal.map(|seq| format!("the journal was made anew at number {seq}"));
    let flag =
        repaired.flag.map(|slot| format!("the boot flag was written anew: slot {slot} is the default"));
    let acknowledged = repaired.acknowledged.map(|found| {
        format!("the equivocation at number {} is acknowledged and no longer shown", found.sequence)
    });
    let text = [journal, flag, acknowledged].into_iter().flatten().collect::<Vec<_>>().join("\n");
    let fields = json!({
        "repaired": true,
        "seq": device.record.seq,
        "journal": repaired.journal.is_some(),
        "boot_flag": repaired.flag,
        "acknowledged": repaired.acknowledged.map(|found| found.sequence),
    });
    Ok(Answer::with(text, fields))
}
