//! The event log: what happened on this device, numbered, for longer than one run of the program and one boot.
//!
//! It is a view of what the journal decides, never the other way round: nothing is decided by it, and nothing waits for it that
//! it could refuse. See `docs/events.md`.
//!
//! | file | noun |
//! |---|---|
//! | `kind` | the types of events: one table of what follows from a type |
//! | [`entry`](Entry) | one event and its line |
//! | [`segment`](Segment) | a file of the log |
//! | `snapshot` | the fold in its file |
//! | [`fold`](Fold) | what follows from all events |
//! | [`transition`](Transition) | what an event says of that |
//! | [`shown`](Shown) | where the update is |
//! | [`remembered`](Remembered) | what the daemon knows again after a boot |
//! | [`tally`](Tally) | totals, for metrics |
//! | [`retention`](Limits) | how long events are kept |
//! | [`quota`](Quota), `repeats` | how much a source may report |
//! | [`reading`](Reading) | the log as it is read |
//! | [`log`](Log) | the log as it is written |
//! | [`overlay`](Overlay) | the log of a partition that became read-only, continued in memory |
//! | [`recorder`](Recorder) | writes what the agent does |
//! | [`filter`](Filter) | which events a reader wants |
//! | [`follow`] | events as they come |
//! | `text` | an event on a line, for people |
mod entry;
mod filter;
mod fold;
pub mod follow;
mod kind;
mod log;
mod offered;
mod overlay;
mod quota;
mod reading;
mod recorder;
mod remembered;
mod repeats;
mod retention;
mod segment;
mod shown;
mod snapshot;
mod tally;
mod text;
mod transition;

#[cfg(test)]
mod tests;

pub use self::log::{DELAY, Log, Place, Session};
#[cfg(all(test, feature = "daemon"))]
pub(crate) use entry::tests::entry as test_entry;
pub use entry::{Entry, LINE_MAX, Priority, VERSION};
pub use filter::Filter;
pub use fold::{End, Fold};
pub use kind::{Kind, StreamKind, Traits};
pub use offered::OfferedVersion;
pub use overlay::{Overlay, readable};
pub use quota::{Allowance, Passage, Quota};
pub use reading::Reading;
pub use recorder::{Recorder, SharedLog, ended};
pub use remembered::{
    HeldOff, JOBS, JobEnd, JobStart, LastCheck, Left, Moment, PastEnd, PastJob, Remembered, StagedComponent,
};
pub use retention::Limits;
pub use segment::{BLOCK, Class, NoSegment, Segment, SegmentName, packed, padded};
pub use shown::{Shown, Subject};
pub use snapshot::SNAPSHOT;
pub use tally::{TIMED, Tally, Took};
pub use text::line as text_line;
pub use transition::{Ended, Transition};
