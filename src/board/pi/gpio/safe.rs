//! The safe state of a line: an input without pull.
use crate::teardown;
use bistable_format::selftest::Pin;
use gpiocdev::{Request, line::Bias, request::Config};
use std::sync::Arc;

/// Makes the line safe when the program ends. The kernel then refuses to drive it, because it is an input. Nothing is logged: a
/// full standard error would keep what comes after it from being undone.
pub(super) fn undo(pin: Pin, request: &Arc<Request>) -> teardown::Undo {
    let request = Arc::clone(request);
    Box::new(move || {
        let _ = request.reconfigure(&safe(pin));
    })
}

/// An input without pull. The kernel may leave a line that is closed as it is.
fn safe(pin: Pin) -> Config {
    let mut safe = Config::default();
    safe.with_line(pin.0.into()).as_input().with_bias(Bias::Disabled);
    safe
}

/// Make the line safe, because its pin is released.
pub(super) fn rest(pin: Pin, request: &Request) {
    if let Err(e) = request.reconfigure(&safe(pin)) {
        log::warn!(pin:%, reason:% = e; "pin_not_released");
    }
}
