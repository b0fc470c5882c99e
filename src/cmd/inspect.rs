//! `status` and `history`: look, and change nothing.
use super::Answer;
use crate::{
    Device, Error,
    app::{self, policy},
    config::Settings,
    events::{self, End},
    ports::Board,
    ports::Power,
    status::{self, Charset, Date, Facts, Lost, LostFacts, RootFacts, Status, Style},
};
use bistable_boot::BySlot;

pub(super) fn status(mut device: Device, power: Power, ascii: bool) -> Answer {
    let default = device.board.boot.default_slot().map_err(|e| e.to_string());
    let root = device.root().map(|root| RootFacts::from(&root)).map_err(|e| e.to_string());
    let journal_copies = device.journal_copies();
    let status = Status::new(Facts {
        record: &device.record,
        now: device.now(),
        board: &device.board.name,
        power,
        booted: device.board.boot.booted(),
        default,
        root,
        system_root: device.system_root(),
        waits: policy::waits(device.now(), device.board.boot.booted(), device.settings.update.mode),
        journal_copies,
    });
    Answer::styled(status::picture(&status, style(ascii)), app::Answer::Status(Box::new(status)))
}

/// `status` where both copies of the journal are lost.
pub(super) fn lost(
    mut board: Board,
    settings: &Settings,
    power: Power,
    problem: String,
) -> Result<Answer, Error> {
    let remains = Device::remains(&mut board, settings)?;
    let lost = Lost::new(LostFacts {
        board: &board.name,
        power,
        booted: board.boot.booted(),
        default: board.boot.default_slot().map_err(|e| e.to_string()),
        root: remains.root.map(|root| RootFacts::from(&root)).map_err(|e| e.to_string()),
        releases: BySlot::new(|slot| {
            let release = remains.releases[slot].as_ref()?;
            Some((release.product().to_owned(), release.version.to_string()))
        }),
        floors: remains.floors,
        problem,
    });
    Ok(Answer::new(lost.text(), app::Answer::Lost(Box::new(lost))))
}

pub(super) fn history(device: &Device, ends: &[End]) -> Answer {
    let history = status::history(&device.record, &dates(device, ends));
    Answer::styled(status::history_text(&history, style(false)), app::Answer::History(history))
}

/// When each past update ended, as far as the log knows. The newest ones are held against each other first: the same release
/// may have ended in the same way before.
fn dates(device: &Device, ends: &[End]) -> Vec<Option<Date>> {
    let mut ends = ends.iter().rev().peekable();
    let mut dates: Vec<Option<Date>> = device
        .record
        .history
        .iter()
        .rev()
        .map(|entry| {
            let ended = events::ended(entry)?;
            // What the log doesn't have is passed over; what the journal doesn't have, too.
            let mut rest = ends.clone();
            let end = rest.find(|end| end.release == ended.release && end.kind == ended.kind)?;
            ends = rest;
            Some(Date { time: end.timestamp.clone(), synchronized: end.synchronized })
        })
        .collect();
    dates.reverse();
    dates
}

fn style(ascii: bool) -> Style {
    let mut style = Style::of_stdout();
    if ascii {
        style.charset = Charset::Ascii;
    }
    style
}
