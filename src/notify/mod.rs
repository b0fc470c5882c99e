//! Sends events to those who don't read the log: webhooks, push gateways, and the operator's hooks. See `docs/notify.md`.
//!
//! Nothing here has the device: the log is read, and what is to be reported goes to whoever writes it. A target that is slow
//! or hostile costs only its own thread's time.
//!
//! | file | noun |
//! |---|---|
//! | [`delivery`](Delivery) | how one target is served: what is sent next, and when |
//! | [`target`](Target) | a webhook, ready to be served |
//! | `message` | an event as a target gets it |
//! | [`deliveries`](Deliveries) | serves all targets |
//! | [`hooks`](Hooks) | runs the operator's programs |
//! | [`push`](Push) | sends what is measured to a push gateway |
//! | [`outside`](Outside) | the ports of both |
//! | `cursors` | how far each target is, on the disk |
mod cursors;
mod deliveries;
mod delivery;
mod hooks;
mod message;
mod outside;
mod push;
mod target;
#[cfg(test)]
mod tests;

pub use cursors::{CursorFile, Cursors};
pub use deliveries::Deliveries;
pub use delivery::{Answer, BACK_OFF_MIN, Cursor, Delivery, Now, RETRY_AFTER_MAX, RetryPolicy, Step};
pub use hooks::{HOOKS, Hooks};
pub use outside::{Message, Outside, Ran};
pub use push::Push;
pub use target::Target;
