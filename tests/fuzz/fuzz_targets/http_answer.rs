//! Any bytes as what a web server sends: no question takes more answers than there may be redirects, and what is read is
//! exactly the range that was asked for, or an error.
#![no_main]
use bistable::ports::Clock;
use bistable::source::{Http, Limits, Source, Span, http::Address};
use bistable_fuzz::{Input, Served, agent};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

/// Bytes of a small file at most.
const SMALL: usize = 64;

/// Time stands still: how slow a server may be is tested elsewhere.
struct Still;

impl Clock for Still {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn wait(&self, _: Duration) {}
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let questions = input.byte();
    // Where one answer ends and the next connection begins.
    let answers = input.0.split(|byte| *byte == 0xff).map(<[u8]>::to_vec);
    let served = Served::new(answers);
    let limits = Limits::default();
    let most = limits.redirects as usize + 1;
    let scheme = if questions & 1 == 0 { "http" } else { "https" };
    let base = Address::parse(&format!("{scheme}://host/repo")).unwrap();
    let mut http = Http::through(base, limits, Box::new(Still), |config| agent(config, &served));

    for _ in 0..2 {
        let before = served.connections();
        if let Ok(Some(bytes)) = http.get("channel", SMALL) {
            assert!(bytes.len() <= SMALL);
        }
        assert!(served.connections() - before <= most, "redirects without an end");
    }
    for span in [Span::new(2, 9), Span::new(9, 12), Span::new(2, 2), Span::WHOLE, Span { from: 3, to: None }]
    {
        let before = served.bytes();
        let mut read = 0;
        let mut buffer = [0; 5];
        let mut end = http.open_range("blob", span).map(|()| 1);
        while let Ok(1..) = end {
            end = http.read(&mut buffer);
            read += end.as_ref().map_or(0, |n| *n as u64);
            assert!(read <= (served.bytes() - before + data.len()) as u64, "more bytes than were sent");
        }
        if let Some(to) = span.to {
            assert!(read <= to - span.from);
            assert!(end.is_err() || read == to - span.from, "an end before the end");
            assert!(end.is_ok() || http.read(&mut buffer).is_err() || read == to - span.from);
        }
    }
    assert!(served.connections() <= 16 * most);
});
