//! Events as they come. The log's folder is looked at once a second; what didn't change isn't read.
use super::{Entry, Filter, Reading};
use crate::ports::{Clock, EventStore};
use std::{io, ops::ControlFlow, time::Duration};

/// How long it may take until an event is seen.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Give each event that a filter wants to `each`, those that are there and those that come, until it breaks.
///
/// # Errors
/// When the log can't be read.
pub fn follow(
    store: &mut dyn EventStore,
    filter: &Filter,
    clock: &dyn Clock,
    each: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
) -> io::Result<()> {
    let (mut seen, mut after) = (None, filter.after);
    loop {
        let files = store.files()?;
        if seen.as_ref() != Some(&files) {
            let reading = Reading::after(store, after)?;
            for entry in &reading.entries {
                after = after.max(entry.seq);
                if filter.wants(entry) && each(entry).is_break() {
                    return Ok(());
                }
            }
            seen = Some(files);
        }
        clock.wait(INTERVAL);
    }
}
