//! When a device acts without being asked, and what it does: the daemon's schedule, without the daemon.
//!
//! [`next`] is a function of data: two clocks, where the update stands, the owner's rules, and what happened. It says what to do
//! now, or until when to sleep and why. Nothing here reads a clock, and nothing is random but by hashes, so a year is played
//! in seconds by a test.
//!
//! | file | noun |
//! |---|---|
//! | [`next`] | what to do now |
//! | `component` | what a component does |
//! | `act` | what that can be |
//! | `plan` | what a switch waits for |
//! | `case` | a component, what its owner wants, and what happened to it |
//! | `facts` | what that is a function of |
//! | `due` | when the next look at the channel is due |
//! | `windows` | whether the maintenance windows are open |
//! | `zone` | local time |
//! | `moment` | now and then, by the clocks that can tell |
//! | `draw` | randomness by hashes |
//! | `why` | why nothing is done |
mod act;
mod case;
mod component;
mod draw;
mod due;
mod facts;
mod moment;
mod next;
mod plan;
#[cfg(test)]
mod tests;
mod why;
mod windows;
mod zone;

pub use act::{Act, Next};
pub use case::ComponentCase;
pub use due::{BACK_OFF_MAX, BACK_OFF_MIN, CATCH_UP_MAX, Due, LastTry, Pace};
pub use facts::{Facts, Inhibitor, Rules, Standing};
pub use moment::{Moment, When};
pub use next::{announced, next, next_look};
pub use why::Why;
pub use windows::{Openness, Windows};
pub use zone::Zone;
