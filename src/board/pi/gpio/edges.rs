//! Rising edges, counted by the kernel's interrupts: registers alone would miss those between two looks.
use super::{chip::Chip, safe};
use crate::{
    ports::{Clock, GpioError},
    teardown,
};
use bistable_format::selftest::Pin;
use gpiocdev::{
    Request,
    line::{Bias, EdgeDetection},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use std::{os::fd::AsFd, sync::Arc, time::Duration};

// Events that the kernel keeps for us. If there are more, it drops the oldest, and numbers them all the same: it is
// their numbers that count.
const KEPT: u32 = 256;
// Events that are read at once.
const BATCH: usize = 16;

/// Count an input's rising edges over a time. The line is requested for that long only; without `bias` the pull
/// resistor stays as it is.
pub(super) fn rising(
    chip: &Chip,
    pin: Pin,
    bias: Option<Bias>,
    window: Duration,
    clock: &dyn Clock,
) -> Result<u32, GpioError> {
    let mut builder = Request::builder();
    builder
        .on_chip(chip.path())
        .with_consumer("bistable")
        .with_line(pin.0.into())
        .as_input()
        .with_bias(bias)
        .with_edge_detection(EdgeDetection::RisingEdge)
        .with_kernel_event_buffer_size(KEPT);
    let start = || builder.request().map(Arc::new);
    // Dropped before the request: this line is closed as it is, and safe again when its claim is released.
    let (request, _entry) = teardown::begin(start, |request| safe::undo(pin, request))
        .map_err(|e: gpiocdev::Error| chip.refused(pin, &e))?;
    let end = clock.now().saturating_add(window);
    let mut edges = 0;
    loop {
        let left = end.saturating_sub(clock.now());
        if left.is_zero() {
            break;
        }
        if wait(&request, pin, left)? {
            edges = newest(&request, pin)?;
        }
    }
    // Those that came in time and weren't read yet.
    for _ in 0..KEPT {
        if !wait(&request, pin, Duration::ZERO)? {
            break;
        }
        edges = newest(&request, pin)?;
    }
    Ok(edges)
}

/// Wait until there are events, or the time is over, or a signal comes.
fn wait(request: &Request, pin: Pin, time: Duration) -> Result<bool, GpioError> {
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(request.as_fd(), PollFlags::POLLIN)], time) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(e) => Err(failed(pin, &e)),
    }
}

/// The number of the newest event of a batch, the first edge's being 1.
fn newest(request: &Request, pin: Pin) -> Result<u32, GpioError> {
    let size = request.edge_event_u64_size();
    let mut batch = vec![0; size * BATCH];
    let words = request.read_edge_events_into_slice(&mut batch).map_err(|e| failed(pin, &e))?;
    let last = words.checked_sub(size).and_then(|from| batch.get(from..words)).unwrap_or_default();
    Ok(request.edge_event_from_slice(last).map_err(|e| failed(pin, &e))?.line_seqno)
}

fn failed(pin: Pin, e: &dyn std::error::Error) -> GpioError {
    GpioError::Failed { pin, problem: format!("counting edges: {e}") }
}
