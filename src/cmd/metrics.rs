//! `metrics`: what the device measures of itself, from its event log and its state; from the daemon if one answers.
#[cfg(feature = "daemon")]
mod socket;

use super::{Answer, Failed, work::Workplace};
use crate::{
    Error,
    app::{self, Metrics, Request},
    board::Access,
    cli::MetricsArgs,
    config::{board_settings, load},
    durable,
    events::{Reading, readable},
    metrics::{Facts, Format, Live, Storage, scrape},
};
use bistable_format::exposition::used_ratio;
use nix::sys::statvfs::statvfs;
use std::path::Path;

/// Write what is measured, into a file if one is named.
pub(super) fn run(workplace: &Workplace<'_>, args: &MetricsArgs) -> Result<Answer, Failed> {
    #[cfg(feature = "daemon")]
    let told = socket::metrics(&workplace.root());
    #[cfg(not(feature = "daemon"))]
    let told = None;
    let text = match told {
        Some(text) => text,
        // What only a daemon knows is absent.
        None => text(workplace, Format::Prometheus, Live::default())?,
    };
    let Some(path) = &args.textfile else {
        return Ok(Answer::new(
            text.clone(),
            app::Answer::Metrics(Metrics { metrics: Some(text), file: None }),
        ));
    };
    durable::write(path, text.as_bytes()).map_err(|source| Error::Open { path: path.clone(), source })?;
    Ok(Answer::new("", app::Answer::Metrics(Metrics { metrics: None, file: Some(path.clone()) })))
}

/// The text of a scrape. Nothing is locked, and a device that can't be read has less to say.
///
/// # Errors
/// When there is no device.
pub(super) fn text(workplace: &Workplace<'_>, format: Format, live: Live) -> Result<String, Error> {
    let root = workplace.root();
    let loaded = load(&root);
    let board = loaded.as_ref().map_or_else(|_| board_settings(&root), |settings| settings.board.clone());
    let mut events = workplace.open(&board, Access::ReadOnly)?.events;
    let now = events.stamps.now();
    let reading = readable(events).and_then(|mut store| Reading::after(&mut *store, u64::MAX));
    let fold = reading.map(|reading| reading.fold).unwrap_or_default();
    let status = workplace.look(&Request::Status).ok().and_then(|reply| match reply.answer {
        app::Answer::Status(status) => Some(status),
        _ => None,
    });
    #[cfg(feature = "daemon")]
    let inhibited = crate::daemon::inhibitors::held_for(&root, &now);
    #[cfg(not(feature = "daemon"))]
    let inhibited = std::time::Duration::ZERO;
    let facts = Facts {
        fold: &fold,
        status: status.as_deref(),
        components: loaded.as_ref().map_or(&[], |settings| &settings.components),
        storage: storage(&root, &workplace.place.persistent(workplace.at)),
        synchronized: now.synchronized,
        inhibited,
        live,
    };
    Ok(scrape(&facts, format))
}

/// What is not there has no sample.
fn storage(root: &Path, persistent: &Path) -> Vec<Storage> {
    let both = [("root", root), ("persistent", persistent)];
    both.into_iter().filter_map(|(name, path)| Some(Storage { name, used: used(path)? })).collect()
}

fn used(path: &Path) -> Option<f64> {
    let found = statvfs(path).ok()?;
    #[allow(clippy::useless_conversion, reason = "they are 32 bits wide on a 32-bit Pi")]
    let [all, free, available] =
        [found.blocks(), found.blocks_free(), found.blocks_available()].map(u64::from);
    used_ratio(all, free, available)
}
