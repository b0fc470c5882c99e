//! `repair`: make anew what is lost, the journal or the boot flag.
use super::Answer;
use crate::{Device, Error, config::Settings, ports::Board};
use serde_json::json;

pub(super) fn run(board: Board, settings: Settings) -> Result<Answer, Error> {
    let (device, repaired) = Device::repair(board, settings)?;
    let journal = repaired.journal.map(|seq| format!("the journal was made anew at number {seq}"));
    let flag =
        repaired.flag.map(|slot| format!("the boot flag was written anew: slot {slot} is the default"));
    let text = [journal, flag].into_iter().flatten().collect::<Vec<_>>().join("\n");
    let fields = json!({
        "repaired": true,
        "seq": device.record.seq,
        "journal": repaired.journal.is_some(),
        "boot_flag": repaired.flag,
    });
    Ok(Answer::with(text, fields))
}
