//! The channel's newest file. Its numbers have no gaps, so that the newest is found in a few steps, whatever the hint says.
use crate::{error::CheckError, source::Source};
use bistable_format::{Envelope, repository};

/// Bytes of a hint.
const HINT_BYTES: usize = 32;

/// Find and fetch the newest file: its number, where it was, its bytes. Nothing is verified yet. A server that hides the
/// newest, or names files that aren't there, can waste a few dozen requests, no more.
pub(super) fn fetch(
    source: &mut dyn Source,
    channel: &str,
    floor: u64,
) -> Result<(u64, String, Vec<u8>), CheckError> {
    let hint = match source.get(&repository::channel_hint(channel), HINT_BYTES) {
        Ok(bytes) => bytes.as_deref().and_then(repository::parse_hint),
        // It is only a hint.
        Err(e) if e.is_transport() => return Err(e.into()),
        Err(_) => None,
    };
    let mut get = |number: u64| source.get(&repository::channel(channel, number), Envelope::MAX_BYTES);
    let mut newest = None;
    // A source that is behind lacks what was seen; it must not be taken for one that never had the channel.
    let mut starts: Vec<u64> =
        [hint, Some(floor), Some(1)].into_iter().flatten().filter(|n| *n > 0).collect();
    starts.dedup();
    for start in starts {
        if let Some(bytes) = get(start)? {
            newest = Some((start, bytes));
            break;
        }
    }
    let Some(mut newest) = newest else {
        // Not even the first one is there: an empty place, or the wrong one, unless one that couldn't be asked has it.
        if let Some(e) = source.unasked() {
            return Err(e.into());
        }
        return Err(CheckError::NoChannel { at: source.name(), channel: channel.into() });
    };
    // In growing steps until one isn't there, then in halves back to the last that is.
    let (mut step, mut missing) = (1, None);
    while missing.is_none() {
        let Some(next) = newest.0.checked_add(step) else { break };
        match get(next)? {
            Some(bytes) => newest = (next, bytes),
            None => missing = Some(next),
        }
        step *= 2;
    }
    while let Some(end) = missing.filter(|end| end - newest.0 > 1) {
        let middle = newest.0 + (end - newest.0) / 2;
        match get(middle)? {
            Some(bytes) => newest = (middle, bytes),
            None => missing = Some(middle),
        }
    }
    let (number, bytes) = newest;
    Ok((number, format!("{}/{}", source.name(), repository::channel(channel, number)), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Memory, SourceError, Span};

    /// Counts what is asked.
    struct Asked(Memory, u64);

    impl Source for Asked {
        fn name(&self) -> String {
            self.0.name()
        }
        fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
            self.1 += 1;
            self.0.get(path, limit)
        }
        fn open_range(&mut self, path: &str, span: Span) -> Result<(), SourceError> {
            self.0.open_range(path, span)
        }
        fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
            self.0.read(into)
        }
    }

    /// The newest of this many files, with a hint and a floor; and how many requests that took.
    fn newest(files: u64, hint: Option<&str>, floor: u64) -> (Option<u64>, u64) {
        let channels = (1..=files).map(|n| (repository::channel("staging", n), n.to_le_bytes().to_vec()));
        let hint = hint.map(|text| (repository::channel_hint("staging"), text.as_bytes().to_vec()));
        let mut asked = Asked(Memory::new(channels.chain(hint)), 0);
        let found = fetch(&mut asked, "staging", floor).ok();
        if let Some((number, at, bytes)) = &found {
            assert_eq!(bytes, &number.to_le_bytes());
            assert!(at.ends_with(&repository::channel("staging", *number)), "{at}");
        }
        (found.map(|(number, ..)| number), asked.1)
    }

    #[test]
    fn the_newest_is_found_whatever_the_hint_says() {
        for files in 1..40 {
            for hint in
                [None, Some("1\n"), Some("17"), Some("99999999"), Some("0"), Some("-1"), Some("rubbish")]
            {
                for floor in [0, 1, files / 2, files] {
                    assert_eq!(newest(files, hint, floor).0, Some(files), "{files} {hint:?} {floor}");
                }
            }
        }
    }

    #[test]
    fn with_a_right_hint_three_requests_are_enough() {
        assert_eq!(newest(1000, Some("1000\n"), 3), (Some(1000), 3));
        let (found, requests) = newest(1000, Some("1\n"), 0);
        assert!(found == Some(1000) && requests < 25, "{requests}");
    }

    #[test]
    fn an_empty_place_has_no_channel() {
        for hint in [None, Some("7")] {
            assert_eq!(newest(0, hint, 5).0, None);
        }
    }
}
