//! `events`, and what verbs themselves report.
use super::{Answer, work::Workplace};
use crate::{
    Error,
    app::{self, Events},
    board::{Access, writes_in},
    cli::{EventArgs, EventFormat},
    config::{board_settings, load},
    events::{Entry, Filter, Reading, follow::follow, readable, text_line},
    ports::{EventPorts, EventStore},
};
use bistable_format::json;
use std::{
    io::{self, Write},
    ops::ControlFlow,
};

pub(super) fn run(workplace: &Workplace<'_>, args: &EventArgs) -> Result<Answer, Error> {
    let root = workplace.root();
    let board = load(&root).map_or_else(|_| board_settings(&root), |settings| settings.board);
    let events = workplace.open(&board, Access::ReadOnly)?.events;
    let of_component = args.component.as_ref().map(|name| format!("component/{name}"));
    let filter = Filter {
        after: args.after,
        stream: of_component.or_else(|| args.stream.clone()),
        from: args.from,
        kinds: args.kinds.clone(),
    };
    if args.follow {
        let mut store = readable(events).map_err(Error::Events)?;
        let mut wake = writes_in(&store.folders());
        let mut show = |entry: &Entry| match writeln!(io::stdout(), "{}", shown(entry, args.format)) {
            Ok(()) => ControlFlow::Continue(()),
            // The reader has gone away.
            Err(_) => ControlFlow::Break(()),
        };
        follow(&mut *store, &filter, &mut *wake, &mut show).map_err(Error::Events)?;
        return Ok(Answer::new("", app::Answer::Events(Events::default())));
    }
    let EventPorts { persistent, volatile, .. } = events;
    let memory = volatile.ok().map(|mut store| wanted(&mut *store, &filter)).transpose();
    let (events, damaged) = match persistent {
        Ok(mut store) => wanted(&mut *store, &filter).map_err(Error::Events)?,
        Err(e) if memory.as_ref().is_ok_and(Option::is_some) => {
            super::say(&format!("warning: the partition persistent can't be read: {e}"));
            Default::default()
        }
        Err(e) => return Err(Error::Events(e)),
    };
    let (mut volatile, _) = memory.map_err(Error::Events)?.unwrap_or_default();
    // Of a partition that can't be written any more, what is continued was copied.
    volatile.retain(|entry| !events.contains(entry));
    let lines = |entries: &[Entry]| entries.iter().map(|entry| shown(entry, args.format)).collect::<Vec<_>>();
    let mut text = lines(&events);
    if !volatile.is_empty() {
        if args.format == EventFormat::Text {
            text.push("in memory only, until the next boot:".into());
        }
        text.extend(lines(&volatile));
    }
    if damaged > 0 {
        super::say(&format!("warning: {damaged} damaged lines of the event log were passed over"));
    }
    Ok(Answer::styled(text.join("\n"), app::Answer::Events(Events { events, volatile, damaged })))
}

fn wanted(store: &mut dyn EventStore, filter: &Filter) -> io::Result<(Vec<Entry>, u64)> {
    let mut reading = Reading::after(store, filter.after)?;
    reading.entries.retain(|entry| filter.wants(entry));
    Ok((reading.entries, reading.damaged.values().sum()))
}

fn shown(entry: &Entry, format: EventFormat) -> String {
    match format {
        EventFormat::Text => text_line(entry),
        // Only a map whose keys aren't strings fails, and there is none.
        EventFormat::Json => json::line(entry),
    }
}
