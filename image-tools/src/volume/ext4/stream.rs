//! One sequential stream from a layout that gives its metadata first.
//!
//! The writer emits all metadata and zeros in ascending order, leaving out exactly the blocks of file data.
//! Those follow each other in ascending order too. So whenever the next metadata lie further on than what is
//! out already, the gap is file data, and they are fetched right then: no thread, no temporary file.

use std::io::{self, BufWriter, Write};

use mkext4::RegionSink;

use super::Ext4Image;
use super::names::Patches;
use crate::volume::content::{PIECE, PIECE_LEN, Reader};
use crate::volume::data::Range;
use crate::volume::error::VolumeError;
use crate::volume::options::BLOCK;
use crate::volume::tree::{Kind, NodeId};

/// How many bytes are read from a file at a time.
const BUFFER: usize = 1 << 20;
static ZEROS: [u8; PIECE_LEN] = [0; PIECE_LEN];

pub(super) fn write(
    image: &Ext4Image,
    out: &mut dyn Write,
    progress: &dyn Fn(u64),
) -> Result<(), VolumeError> {
    let mut merge = Merge {
        image,
        out: BufWriter::with_capacity(BUFFER, out),
        progress,
        at: 0,
        next_file: 0,
        buffer: vec![0; BUFFER],
        failure: None,
        patches: &image.patches,
    };
    let emitted = image.layout.writer(&mut merge).map(|_| ());
    if let Some(failure) = merge.failure.take() {
        return Err(failure);
    }
    emitted.map_err(VolumeError::Ext4)?;
    merge.data_up_to(image.layout.image_len())?;
    if merge.next_file < image.files.len() {
        return Err(VolumeError::Internal("not all files found their place in the image".into()));
    }
    let size = image.size();
    merge.put_zeros(size - merge.at)?;
    merge.out.flush().map_err(VolumeError::Output)?;
    progress(size);
    Ok(())
}

struct Merge<'a, 'o> {
    image: &'a Ext4Image,
    out: BufWriter<&'o mut dyn Write>,
    progress: &'o dyn Fn(u64),
    /// Bytes that are out.
    at: u64,
    /// The next file whose data aren't out.
    next_file: usize,
    buffer: Vec<u8>,
    /// The real reason when the sink has to report an [`io::Error`].
    failure: Option<VolumeError>,
    patches: &'a Patches,
}

impl Merge<'_, '_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), VolumeError> {
        self.out.write_all(bytes).map_err(VolumeError::Output)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn put_zeros(&mut self, mut len: u64) -> Result<(), VolumeError> {
        while len > 0 {
            let piece = usize::try_from(len.min(PIECE)).unwrap_or(0);
            self.put(ZEROS.get(..piece).unwrap_or_default())?;
            len -= piece as u64;
            (self.progress)(self.at);
        }
        Ok(())
    }

    /// Writes the data of the files that lie between here and `offset`.
    fn data_up_to(&mut self, offset: u64) -> Result<(), VolumeError> {
        while self.at < offset {
            let Some((handle, id)) = self.image.files.get(self.next_file).copied() else {
                return Err(VolumeError::Internal(format!("nothing to fill bytes {} to {offset}", self.at)));
            };
            self.next_file += 1;
            self.file(id, &self.image.layout.extents(handle), offset)?;
            (self.progress)(self.at);
        }
        Ok(())
    }

    /// Writes one file, whose runs may be interrupted by metadata: those are written by whoever called, so a
    /// file that continues behind `offset` is remembered by going back to it.
    fn file(&mut self, id: NodeId, runs: &[(u64, u64)], offset: u64) -> Result<(), VolumeError> {
        let Kind::File(data) = &self.image.tree.node(id).kind else {
            return Err(VolumeError::Internal("a file is not a file".into()));
        };
        let whole = [Range { offset: 0, len: data.size }];
        let ranges = data.data.as_deref().unwrap_or(&whole);
        let starts: Vec<u64> = ranges
            .iter()
            .scan(0, |next, range| {
                let start = *next;
                *next += range.len;
                Some(start)
            })
            .collect();
        let mut reader = None;
        // Position within the file's data, holes left out.
        let mut position = 0;
        for (start, len) in runs.iter().copied() {
            if start >= offset {
                // The rest lies behind metadata that come first.
                self.next_file -= 1;
                return Ok(());
            }
            if start < self.at {
                // Written when this file was last here.
                position += len;
                continue;
            }
            if start != self.at {
                return Err(VolumeError::Internal(format!("data at {start} where {} was expected", self.at)));
            }
            let reader = match &mut reader {
                Some(reader) => reader,
                none => none.insert(self.image.tree.contents.open(data)?),
            };
            self.run(reader, (ranges, &starts), position, len)?;
            position += len;
            self.put_zeros(len.next_multiple_of(BLOCK) - len)?;
        }
        Ok(())
    }

    /// Writes `len` bytes from `position` of a file's data on. `starts` are the positions of the ranges.
    fn run(
        &mut self,
        reader: &Reader<'_>,
        (ranges, starts): (&[Range], &[u64]),
        position: u64,
        len: u64,
    ) -> Result<(), VolumeError> {
        let first = starts.partition_point(|start| *start <= position).saturating_sub(1);
        let end = position + len;
        let mut at = position;
        for (range, start) in ranges.iter().zip(starts).skip(first) {
            let to = end.min(start + range.len);
            while at < to {
                let piece = usize::try_from(to - at).map_or(BUFFER, |rest| rest.min(BUFFER));
                let mut buffer = std::mem::take(&mut self.buffer);
                let bytes = buffer.get_mut(..piece).unwrap_or_default();
                reader.read_at(range.offset + (at - start), bytes)?;
                self.put(bytes)?;
                self.buffer = buffer;
                at += piece as u64;
                (self.progress)(self.at);
            }
            if at == end {
                return Ok(());
            }
        }
        Err(VolumeError::Internal("a file's data are longer than the file".into()))
    }

    fn metadata(&mut self, offset: u64, bytes: &[u8]) -> Result<(), VolumeError> {
        self.data_up_to(offset)?;
        match self.patches.apply(offset, bytes) {
            Some(patched) => self.put(&patched),
            None => self.put(bytes),
        }?;
        (self.progress)(self.at);
        Ok(())
    }

    fn or_stop(&mut self, done: Result<(), VolumeError>) -> io::Result<()> {
        done.map_err(|failure| {
            self.failure = Some(failure);
            io::Error::other("stopped")
        })
    }
}

impl RegionSink for Merge<'_, '_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let done = self.metadata(offset, bytes);
        self.or_stop(done)
    }

    fn zeros(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let done = self.data_up_to(offset).and_then(|()| self.put_zeros(len));
        self.or_stop(done)
    }
}
