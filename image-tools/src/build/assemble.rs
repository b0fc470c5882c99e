//! The bundle's file. Data is written once, to about where it will lie: what comes before it depends on the data, so
//! its place is estimated from above, and at the end all data slides down by the few bytes that were too many.
//!
//! ```text
//! │ head and lists: at most `reserve` bytes │ first data │ pad │ header │ next data │ pad │ end │
//! ```
use super::data::{Data, write_at};
use super::encode::{Encoded, list_bound};
use super::{BuildError, BuildOptions};
use crate::output::{NewFile, OutputError};
use crate::progress::{Progress, Stage};
use bistable_format::bundle::{self, BLOCK, BadHeader, EMPTY, Frame, LAYOUT};
use bistable_format::{ArtifactId, Content, Digest, Envelope, Release, limits};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Entries before the chunk lists, and the first data's.
const HEAD_ENTRIES: u64 = 5 + 1;
/// What is moved at a time.
const PIECE: usize = 1 << 20;

/// What a bundle has around its data.
pub(super) struct Parts<'a> {
    pub(super) artifacts: &'a [Encoded],
    /// Manifests and configurations of containers, and the SBOM: all that comes between the lists and the data.
    pub(super) small: &'a [Vec<u8>],
    /// The SBOM, the last of these.
    pub(super) sbom: Option<&'a [u8]>,
}

/// A bundle in the making.
#[derive(Debug)]
pub(super) struct Assembly {
    output: NewFile,
    /// Where the first artifact's data begins for now.
    reserve: u64,
}

/// A bundle that is there.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) release: Release,
    /// The release's identity.
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

impl Assembly {
    /// For artifacts of these sizes, and these small files.
    pub(super) fn begin(
        output: NewFile,
        options: &BuildOptions,
        artifacts: &[u64],
        small: &[Vec<u8>],
    ) -> Assembly {
        let list = |bytes: &u64| BLOCK as u64 + blocks(list_bound(*bytes, options));
        let lists: u64 = artifacts.iter().map(list).sum();
        let small: u64 = small.iter().map(|file| BLOCK as u64 + blocks(file.len() as u64)).sum();
        let head = HEAD_ENTRIES * BLOCK as u64
            + blocks(LAYOUT.len() as u64)
            + 2 * blocks(limits::BUNDLE_TEXT)
            + blocks(EMPTY.len() as u64)
            + blocks(Envelope::MAX_BYTES as u64);
        Assembly { output, reserve: head + lists + small }
    }

    /// Where an artifact's data goes, if that of these comes before it, in their order.
    pub(super) fn data(&self, before: &[Encoded]) -> Data<'_> {
        Data { output: &self.output, at: self.reserve + run(before) }
    }

    /// Sign, write what is around the data, and make the file durable under its name.
    pub(super) fn finish(
        self,
        options: &BuildOptions,
        durable: u16,
        content: Content,
        parts: &Parts<'_>,
        progress: &dyn Progress,
    ) -> Result<Assembled, BuildError> {
        let artifacts = parts.artifacts;
        let release = options.release(options.root()?, durable, content, parts.sbom);
        let release = release.map_err(|e| BuildError::Release(e.into()))?;
        let signed = options.seal(&release).map_err(BuildError::Release)?;
        let frame = Frame::new(&signed, &release);
        let total = frame.bundle_bytes();
        progress.begin(Stage::Assemble, total);

        // What a header can't say is the size of the largest data, which was checked already.
        let largest = || artifacts.iter().max_by_key(|e| e.artifact.data_bytes).map(|e| e.id);
        let too_much =
            |_: BadHeader| BuildError::TooMuchData { id: largest().unwrap_or(ArtifactId::Archive) };
        let lists = artifacts.iter().map(|e| &e.list_bytes[..]);
        let contents = [&signed[..]].into_iter().chain(lists).chain(parts.small.iter().map(Vec::as_slice));
        let head = frame.head(contents).map_err(too_much)?;
        let mut data_at = Vec::new();
        let mut at = head.len() as u64;
        for header in frame.headers.iter().skip(frame.headers.len().saturating_sub(artifacts.len())) {
            data_at.push((at, header.encode().map_err(too_much)?, header.clone()));
            at += BLOCK as u64 + header.bytes + header.padding() as u64;
        }

        // All data is one run, from the first artifact's first byte to the last one's last: no header follows it.
        let run = run(artifacts).saturating_sub(BLOCK as u64);
        let first = data_at.first().map_or(0, |(at, ..)| at + BLOCK as u64);
        slide_down(&self.output, self.reserve, first, run, progress)?;
        for (at, block, header) in &data_at {
            write_at(&self.output, block, *at)?;
            let end = at + BLOCK as u64 + header.bytes;
            write_at(&self.output, &[0; BLOCK][..header.padding()], end)?;
        }
        write_at(&self.output, &head, 0)?;
        // The end is two blocks of zeros: what slid away may have left other bytes there.
        let end = total - bundle::END_BYTES as u64;
        let file = self.output.file();
        let path = self.output.path().to_path_buf();
        file.set_len(end).and_then(|()| file.set_len(total)).map_err(OutputError::io("write", &path))?;
        self.output.commit()?;
        progress.advance(Stage::Assemble, total);
        progress.end(Stage::Assemble);
        Ok(Assembled { release, digest: bistable_format::release::identity(&signed), bytes: total })
    }
}

/// Move `len` bytes at `from` to the lower place `to`.
fn slide_down(
    output: &NewFile,
    from: u64,
    to: u64,
    len: u64,
    progress: &dyn Progress,
) -> Result<(), OutputError> {
    let mut buffer = vec![0; PIECE];
    let mut done = 0;
    while done < len {
        let want = usize::try_from(len - done).unwrap_or(PIECE).min(PIECE);
        let piece = buffer.get_mut(..want).unwrap_or_default();
        let got = read_up_to(output.file(), piece, from + done)
            .map_err(OutputError::io("read back", output.path()))?;
        // Padding behind the last data was never written: it reads as nothing, and is zero.
        piece.get_mut(got..).unwrap_or_default().fill(0);
        write_at(output, piece, to + done)?;
        done += want as u64;
        progress.advance(Stage::Assemble, to + done);
    }
    Ok(())
}

fn read_up_to(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match file.read_at(into.get_mut(got..).unwrap_or_default(), at + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

/// Bytes of the data of these, each with a header behind it.
fn run(artifacts: &[Encoded]) -> u64 {
    artifacts.iter().map(|e| blocks(e.artifact.data_bytes) + BLOCK as u64).sum()
}

/// Bytes of a content with its padding.
fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK as u64)
}
