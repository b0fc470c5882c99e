//! `status` and `history`: look, and change nothing.
use super::Answer;
use crate::{
    Device,
    status::{self, Charset, Facts, Power, RootFacts, Status, Style},
};

pub(super) fn status(mut device: Device, power: Power, ascii: bool) -> Answer {
    let default = device.board.boot.default_slot().map_err(|e| e.to_string());
    let root = device
        .root()
        .map(|root| RootFacts { version: root.version, demo: root.refuse_demo().is_err() })
        .map_err(|e| e.to_string());
    let journal_copies = device.journal_copies();
    let status = Status::new(Facts {
        record: &device.record,
        now: device.now(),
        board: &device.board.name,
        power,
        booted: device.board.boot.booted(),
        default,
        root,
        journal_copies,
    });
    Answer::styled(status::picture(&status, style(ascii)), &status)
}

pub(super) fn history(device: &Device) -> Answer {
    let history = status::history(&device.record);
    Answer::styled(status::history_text(&history, style(false)), &history)
}

fn style(ascii: bool) -> Style {
    let mut style = Style::of_stdout();
    if ascii {
        style.charset = Charset::Ascii;
    }
    style
}
