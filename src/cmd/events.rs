//! `events`, and what verbs themselves report.
use super::{Answer, Failed, work::Workplace};
use crate::{
    Error,
    app::{self, Events, From, Request},
    board::Access,
    cli::{EventArgs, EventFormat},
    clock::SystemClock,
    config::{self, board_settings, load},
    events::{End, Entry, Filter, Kind, Reading, SharedLog, follow::follow, text_line},
    ports::{EventPorts, EventStore},
};
use bistable_format::text::printable_json;
use serde_json::json;
use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
};

/// Who asks for something.
pub(super) struct By {
    /// The part of Bistable through which they ask.
    pub(super) source: &'static str,
    /// The user; `None` where nobody is one.
    pub(super) uid: Option<u32>,
    /// The user that `sudo` was called by.
    pub(super) user: Option<String>,
}

impl By {
    /// Who runs this program.
    pub(super) fn cli() -> By {
        let uid = Some(nix::unistd::getuid().as_raw());
        By { source: "cli", uid, user: std::env::var("SUDO_USER").ok() }
    }
}

pub(super) fn run(workplace: &Workplace<'_>, args: &EventArgs) -> Result<Answer, Error> {
    let root = workplace.root();
    let board = load(&root).map_or_else(|_| board_settings(&root), |settings| settings.board);
    let EventPorts { persistent, volatile, .. } = workplace.open(&board, Access::Look)?.events;
    let filter =
        Filter { after: args.after, stream: args.stream.clone(), from: args.from, kinds: args.kinds.clone() };
    if args.follow {
        // Without the partition, what is in memory is all there is.
        let mut store = persistent.or(volatile).map_err(Error::Events)?;
        let mut show = |entry: &Entry| match writeln!(io::stdout(), "{}", shown(entry, args.format)) {
            Ok(()) => ControlFlow::Continue(()),
            // The reader has gone away.
            Err(_) => ControlFlow::Break(()),
        };
        follow(&mut *store, &filter, &SystemClock, &mut show).map_err(Error::Events)?;
        return Ok(Answer::new("", app::Answer::Events(Events::default())));
    }
    let memory = volatile.ok().map(|mut store| wanted(&mut *store, &filter)).transpose();
    let (events, damaged) = match persistent {
        Ok(mut store) => wanted(&mut *store, &filter).map_err(Error::Events)?,
        Err(e) if memory.as_ref().is_ok_and(Option::is_some) => {
            super::say(&format!("warning: the partition persistent can't be read: {e}"));
            Default::default()
        }
        Err(e) => return Err(Error::Events(e)),
    };
    let (volatile, _) = memory.map_err(Error::Events)?.unwrap_or_default();
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
        EventFormat::Json => printable_json(&serde_json::to_string(entry).unwrap_or_default()),
    }
}

/// How past updates ended, as far as the log can be read.
pub(super) fn ends(ports: EventPorts) -> Vec<End> {
    let read = |mut store: Box<dyn EventStore>| Reading::after(&mut *store, u64::MAX);
    match ports.persistent.and_then(read) {
        Ok(reading) => reading.fold.ends,
        Err(e) => {
            log::info!(reason:% = e; "no_dates");
            Vec::new()
        }
    }
}

/// The configuration, if it isn't what it was. What can't be read is reported by whoever needs it.
pub(super) fn configured(log: &SharedLog, root: &Path) {
    if let Ok(loaded) = config::read(root) {
        let listing = loaded.listing();
        log.configured(&listing.digests(), listing.files());
    }
}

/// Who asks for what, before anything is done about it. The boot unit's `resume` isn't asked for by anybody.
pub(super) fn request(log: &SharedLog, request: &Request, by: &By) {
    let operation = match request {
        Request::Install(_) => "install",
        Request::Update(_) => "update",
        Request::Arm => "arm",
        Request::Reboot => "reboot",
        Request::Commit => "commit",
        Request::Revert => "revert",
        Request::Status
        | Request::History
        | Request::Preflight
        | Request::Check(_)
        | Request::Health
        | Request::SelfTest
        | Request::Resume => return,
    };
    let wanted = request.wanted();
    // An address may hold a secret, so only a version is named.
    let what = wanted.and_then(|wanted| match &wanted.from {
        From::Channel => None,
        From::Version(version) => Some(version.to_string()),
        From::Bundle(_) => Some("bundle".into()),
    });
    let forced = wanted.is_some_and(|wanted| wanted.retry_rejected || wanted.force_withdrawn);
    audit(log, by, operation, what.as_deref(), forced);
}

/// Somebody asks for a repair, which no agent does.
pub(super) fn repair(log: &SharedLog, by: &By) {
    audit(log, by, "repair", None, false);
}

fn audit(log: &SharedLog, by: &By, operation: &str, what: Option<&str>, forced: bool) {
    let By { source, uid, user } = by;
    let data = json!({ "operation": operation, "what": what, "forced": forced, "uid": uid, "user": user });
    log.append(Kind::Request, source, data);
}

/// What the channel has on offer.
pub(super) fn checked(log: &SharedLog, checked: &Result<Answer, Failed>) {
    let report = match checked {
        Ok(reply) => Some(&reply.answer),
        Err(failed) => failed.report.as_deref(),
    };
    let Some(app::Answer::Checked(report)) = report else {
        if let Err(failed) = checked {
            let (error, code) = (&failed.error, app::Code::of(&failed.error));
            log.append(
                Kind::Check,
                "agent",
                json!({ "problem": error.to_string(), "code": code, "uptime": log.uptime() }),
            );
        }
        return;
    };
    let data = json!({
        "channel": report.channel, "sequence": report.sequence, "version": report.takes, "uptime": log.uptime(),
    });
    let kind = if report.takes.is_some() { Kind::Available } else { Kind::UpToDate };
    log.append(kind, "agent", data);
}
