//! What the engine reads back of an image: a tar in which each layer is a file (`docker save`). The engine compares what it reads with what
//! it once unpacked, and fails if a file is another one (measured: "file integrity checksum failed").
use super::super::{PiClock, process};
use crate::ports::HostError;
use bistable_format::{Digest, Hasher};
use std::time::Duration;

const BLOCK: usize = 512;
/// Files of an archive at most: an image has a few for each layer.
const FILES: usize = 4096;

/// The digest of each file of the archive; `None` if the engine can't read the image back.
pub(super) fn layers(
    docker: &[String],
    image: &str,
    timeout: Duration,
) -> Result<Option<Vec<Digest>>, HostError> {
    let mut command = docker.to_vec();
    command.extend(["save".into(), image.into()]);
    let mut hashes = Hashes::default();
    let output = process::run_reading(&command, &mut |bytes| hashes.push(bytes), timeout, &PiClock)?;
    match output.code {
        Some(0) => Ok(hashes.end()),
        _ if output.tail.contains("integrity") || output.tail.contains("checksum") => Ok(None),
        // Other damage has other words: an unexpected end, a file that isn't there.
        _ if output.tail.contains("unexpected EOF") || output.tail.contains("no such file") => Ok(None),
        _ => Err(HostError::Failed(format!("docker save: {}", output.last_line()))),
    }
}

/// Hashes the files of a tar as it comes.
#[derive(Default)]
struct Hashes {
    header: Vec<u8>,
    file: Option<Open>,
    /// Bytes up to the next header.
    padding: u64,
    found: Vec<Digest>,
    is_bad: bool,
}

/// The file that comes.
struct Open {
    hash: Hasher,
    left: u64,
    padding: u64,
}

impl Hashes {
    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_bad {
            let most = match &self.file {
                Some(open) => open.left,
                None if self.padding > 0 => self.padding,
                None => (BLOCK - self.header.len()) as u64,
            };
            let (taken, rest) = bytes.split_at(usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len()));
            bytes = rest;
            match &mut self.file {
                Some(open) => {
                    open.hash.update(taken);
                    open.left -= taken.len() as u64;
                    self.close();
                }
                None if self.padding > 0 => self.padding -= taken.len() as u64,
                None => {
                    self.header.extend_from_slice(taken);
                    if self.header.len() == BLOCK {
                        self.begin();
                    }
                }
            }
        }
    }

    fn begin(&mut self) {
        let header = std::mem::take(&mut self.header);
        if header.iter().all(|b| *b == 0) {
            return;
        }
        match size(&header) {
            Some(left) if self.found.len() < FILES => {
                let padding = left.next_multiple_of(BLOCK as u64) - left;
                self.file = Some(Open { hash: Hasher::new(), left, padding });
                self.close();
            }
            _ => self.is_bad = true,
        }
    }

    /// The file is over, if it is.
    fn close(&mut self) {
        if let Some(open) = self.file.take_if(|open| open.left == 0) {
            self.found.push(open.hash.finish());
            self.padding = open.padding;
        }
    }

    fn end(self) -> Option<Vec<Digest>> {
        (!self.is_bad && self.file.is_none()).then_some(self.found)
    }
}

/// The size in a header: octal digits, or, of a large file, a number in base 256.
fn size(header: &[u8]) -> Option<u64> {
    const MOST: u64 = 1 << 40;
    let field = header.get(124..136)?;
    let size = match field.split_first()? {
        (0x80, rest) => {
            rest.iter().try_fold(0_u64, |sum, b| sum.checked_mul(256)?.checked_add(u64::from(*b)))?
        }
        _ => {
            let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
            u64::from_str_radix(text, 8).ok()?
        }
    };
    (size <= MOST).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, content: &[u8]) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        let mut all = [header, content.to_vec()].concat();
        all.resize(all.len().next_multiple_of(BLOCK), 0);
        all
    }

    #[test]
    fn each_file_of_an_archive_is_hashed_however_it_comes() {
        let contents: [&[u8]; 4] = [b"one", b"", &[7; 1024], &[8; 700]];
        let mut archive: Vec<u8> =
            contents.iter().flat_map(|content| entry("x/layer.tar", content)).collect();
        archive.resize(archive.len() + 2 * BLOCK, 0);
        for piece in [1, 7, 511, 512, 513, 4096] {
            let mut hashes = Hashes::default();
            archive.chunks(piece).for_each(|bytes| hashes.push(bytes));
            assert_eq!(hashes.end().unwrap(), contents.map(Digest::of), "{piece}");
        }
        let mut cut = Hashes::default();
        cut.push(&archive[..BLOCK + 1]);
        assert_eq!(cut.end(), None, "an archive that ends early");
        let mut bad = Hashes::default();
        bad.push(&[b'x'; BLOCK]);
        assert_eq!(bad.end(), None, "no archive");
    }
}
