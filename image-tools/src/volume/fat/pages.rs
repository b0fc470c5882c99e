//! A disk in memory that takes only as much of it as has been written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// Length of a page in bytes.
const PAGE: usize = 64 << 10;

/// The disk and a position in it.
#[derive(Debug)]
pub(super) struct Pages {
    pages: BTreeMap<u64, Box<[u8]>>,
    len: u64,
    at: u64,
}

impl Pages {
    /// A disk of `len` zero bytes.
    pub(super) fn new(len: u64) -> Self {
        Self { pages: BTreeMap::new(), len, at: 0 }
    }

    /// The same with the position at the beginning.
    pub(super) fn rewound(mut self) -> Self {
        self.at = 0;
        self
    }

    /// The bytes at a place; beyond the end they are zero.
    pub(super) fn bytes<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.transfer(at, N, |page, range| {
            if let (Some(page), Some(to)) = (page, bytes.get_mut(range)) {
                to.copy_from_slice(page);
            }
        });
        bytes
    }

    /// Writes bytes to a place; the disk must be large enough.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let (number, within) = split(at + done as u64);
            let page = self.pages.entry(number).or_insert_with(|| vec![0; PAGE].into());
            let room = page.get_mut(within..).unwrap_or_default();
            let len = room.len().min(rest.len());
            room.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            done += len;
        }
    }

    /// Writes the disk to a file, which becomes sparse where nothing was written.
    pub(super) fn store(&self, file: &File) -> io::Result<()> {
        for (number, page) in &self.pages {
            file.write_all_at(page, number * PAGE as u64)?;
        }
        file.set_len(self.len)
    }

    /// Calls `each` with every part of `len` bytes at `at` that lies in one page, and where in the bytes it is.
    fn transfer(&self, at: u64, len: usize, mut each: impl FnMut(Option<&[u8]>, std::ops::Range<usize>)) {
        let mut done = 0;
        while done < len {
            let (number, within) = split(at + done as u64);
            let part = (PAGE - within).min(len - done);
            let page = self.pages.get(&number).and_then(|page| page.get(within..within + part));
            each(page, done..done + part);
            done += part;
        }
    }

    fn room(&self, len: usize) -> usize {
        usize::try_from(self.len.saturating_sub(self.at)).map_or(len, |left| left.min(len))
    }
}

/// Page number and place in the page.
fn split(at: u64) -> (u64, usize) {
    (at / PAGE as u64, usize::try_from(at % PAGE as u64).unwrap_or(0))
}

impl Read for Pages {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.room(buffer.len());
        self.transfer(self.at, len, |page, range| {
            let to = buffer.get_mut(range).unwrap_or_default();
            match page {
                Some(page) => to.copy_from_slice(page),
                None => to.fill(0),
            }
        });
        self.at += len as u64;
        Ok(len)
    }
}

impl Write for Pages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.room(bytes.len());
        self.put(self.at, bytes.get(..len).unwrap_or_default());
        self.at += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Pages {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, step) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(step) => (self.at, step),
            SeekFrom::End(step) => (self.len, step),
        };
        self.at = base.checked_add_signed(step).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
