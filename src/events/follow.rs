//! Events as they come: the log is read when something woke whoever waits for them. What didn't change isn't read.
use super::{Entry, Filter, Reading};
use crate::ports::{EventStore, Wake};
use std::{io, ops::ControlFlow};

/// Give each event that a filter wants to `each`, those that are there and those that come, until it breaks. `wake` has waited since before
/// this is called, so that nothing comes in between.
///
/// # Errors
/// When the log can't be read.
pub fn follow(
    store: &mut dyn EventStore,
    filter: &Filter,
    wake: &mut dyn Wake,
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
        wake.wait()?;
    }
}
