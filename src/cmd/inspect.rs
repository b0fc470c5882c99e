//! `status` and `history`: look, and change nothing.
use super::Answer;
use crate::{
    Device, Error, app,
    config::Settings,
    ports::Board,
    ports::Power,
    status::{self, Charset, Lost, LostFacts, RootFacts, Style},
};
use bistable_boot::BySlot;

/// The reply with its drawing for this terminal.
pub(super) fn drawn(reply: Answer, ascii: bool) -> Answer {
    let text = match &reply.answer {
        app::Answer::Status(status) => status::picture(status, style(ascii)),
        app::Answer::History(history) => status::history_text(history, style(false)),
        _ => return reply,
    };
    Answer { text, ..reply }
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

fn style(ascii: bool) -> Style {
    let mut style = Style::of_stdout();
    if ascii {
        style.charset = Charset::Ascii;
    }
    style
}
