//! gzip: members one after another, and zeros behind the last one, as copies in whole blocks leave them (gzip(1) ignores them, too).
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};

/// The decompressed bytes of all members.
pub(super) struct Members<R> {
    state: State<R>,
    /// Whether a member ended: what follows may be zeros.
    has_one: bool,
}

enum State<R> {
    Between(R),
    Inside(Box<GzDecoder<R>>),
    /// At the end, or after an error.
    Over,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(input: R) -> Members<R> {
        Members { state: State::Between(input), has_one: false }
    }

    /// Begin the next member, if there is one.
    fn begin(&mut self, mut input: R) -> io::Result<()> {
        if self.has_one {
            loop {
                let waiting = input.fill_buf()?;
                if waiting.is_empty() {
                    return Ok(());
                }
                let zeros = waiting.iter().take_while(|byte| **byte == 0).count();
                let is_all = zeros == waiting.len();
                input.consume(zeros);
                if !is_all {
                    break;
                }
            }
        }
        self.state = State::Inside(Box::new(GzDecoder::new(input)));
        Ok(())
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Ok(0),
                State::Between(input) => self.begin(input)?,
                State::Inside(mut decoder) => match decoder.read(buffer)? {
                    0 => {
                        self.has_one = true;
                        self.state = State::Between(decoder.into_inner());
                    }
                    got => {
                        self.state = State::Inside(decoder);
                        return Ok(got);
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::{BufReader, Write};

    fn member(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8], buffer: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Members::new(BufReader::with_capacity(buffer, bytes)).read_to_end(&mut all).map(|_| all)
    }

    #[test]
    fn members_and_the_zeros_behind_them() {
        let (one, two, zeros) = (member(b"one"), member(b"two"), vec![0; 10_000]);
        for buffer in [1, 7, 4096, 1 << 20] {
            for (bytes, found) in [
                (one.clone(), &b"one"[..]),
                ([&one[..], &two].concat(), b"onetwo"),
                ([&one[..], &zeros].concat(), b"one"),
                ([&one[..], &zeros, &two, &zeros].concat(), b"onetwo"),
                (member(b""), b""),
            ] {
                assert_eq!(read(&bytes, buffer).unwrap(), found);
            }
        }
    }

    #[test]
    fn anything_else_behind_a_member_is_damage_and_so_is_a_cut() {
        let one = member(b"one");
        for bytes in
            [[&one[..], b"\0\0x"].concat(), [&one[..], b"\x1f\x8b"].concat(), vec![0; 100], Vec::new()]
        {
            read(&bytes, 64).unwrap_err();
        }
        for cut in 0..one.len() {
            assert!(read(&one[..cut], 64).is_err(), "{cut}");
        }
    }
}
