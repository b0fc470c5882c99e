//! A kernel or initramfs from its compressed form.
use std::fmt;

use super::cpio;
use super::decode::{self, DecodeError, Packing};
use crate::volume::tar::Compression;

/// Where an arm64 kernel has its magic (Documentation/arch/arm64/booting.rst).
const ARM64_MAGIC_AT: usize = 56;
const ARM64_MAGIC: &[u8] = b"ARM\x64";
/// Enough of a file to know it by.
const HEAD: usize = ARM64_MAGIC_AT + ARM64_MAGIC.len();
/// The kernel looks for the next archive at multiples of this.
const ALIGN: usize = 4;

/// What a file is for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Kernel,
    Initramfs,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Kernel => "kernel",
            What::Initramfs => "initramfs",
        })
    }
}

/// What a file of the boot volume turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Neither kernel nor initramfs.
    Other,
    /// One of them, without compression.
    Plain,
    /// One of them, without compression now.
    Unpacked { what: What, bytes: Vec<u8> },
    /// One of them, but it can't be unpacked, for this reason.
    Kept(String),
}

/// Unpacks a file of a boot volume if it is a kernel or an initramfs; `limit` is the most bytes that it may have then.
pub(super) fn unpack(bytes: &[u8], limit: usize) -> Found {
    if is_kernel(bytes) {
        return Found::Plain;
    }
    if cpio::begins(bytes) {
        return initramfs(bytes, limit);
    }
    let how = match Packing::of(bytes) {
        None => return Found::Other,
        // Whatever it holds.
        Some(Packing::Unsupported(name)) => return Found::Kept(unsupported(name)),
        Some(Packing::Known(how)) => how,
    };
    match decode::begin(how, bytes, HEAD) {
        Ok(head) if is_kernel(&head) => kernel(how, bytes, limit),
        Ok(head) if cpio::begins(&head) => initramfs(bytes, limit),
        // A compressed file of another kind, or damaged as a whole: it stays what it is.
        _ => Found::Other,
    }
}

fn is_kernel(bytes: &[u8]) -> bool {
    bytes.get(ARM64_MAGIC_AT..).is_some_and(|rest| rest.starts_with(ARM64_MAGIC))
}

fn kernel(how: Compression, bytes: &[u8], limit: usize) -> Found {
    match decode::stream(how, bytes, limit) {
        // Signatures and device trees are appended to kernels: what they belong to would be another file.
        Ok((_, behind)) if behind.iter().any(|byte| *byte != 0) => {
            Found::Kept(format!("{} bytes that are not part of the kernel follow it", behind.len()))
        }
        Ok((bytes, _)) => Found::Unpacked { what: What::Kernel, bytes },
        Err(e) => Found::Kept(e.to_string()),
    }
}

/// Goes through the archives as the kernel does (init/initramfs.c): plain ones stay byte by byte, compressed ones are replaced by what
/// they hold.
fn initramfs(bytes: &[u8], limit: usize) -> Found {
    let mut out = Vec::new();
    let (mut rest, mut compressed) = (bytes, false);
    while !rest.is_empty() {
        let (take, behind) = match next(rest, limit.saturating_sub(out.len())) {
            Ok(next) => next,
            Err(why) => {
                let at = bytes.len() - rest.len();
                return Found::Kept(format!("its part at byte {at} can't be unpacked: {why}"));
            }
        };
        match take {
            Part::Zeros(count) => out.resize(out.len() + count, 0),
            Part::Archive(plain) => {
                // Padding that the source had there may not fit any more.
                out.resize(out.len().next_multiple_of(ALIGN), 0);
                out.extend_from_slice(plain);
            }
            Part::Compressed(plain) => {
                compressed = true;
                out.resize(out.len().next_multiple_of(ALIGN), 0);
                out.extend_from_slice(&plain);
            }
        }
        rest = behind;
    }
    match compressed {
        true => Found::Unpacked { what: What::Initramfs, bytes: out },
        false => Found::Plain,
    }
}

enum Part<'a> {
    Zeros(usize),
    Archive(&'a [u8]),
    Compressed(Vec<u8>),
}

/// The next part of an initramfs, and what is behind it.
fn next(rest: &[u8], limit: usize) -> Result<(Part<'_>, &[u8]), String> {
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    if let Some(behind) = rest.get(zeros..).filter(|_| zeros > 0) {
        return Ok((Part::Zeros(zeros), behind));
    }
    if cpio::begins(rest) {
        let (archive, behind) = cpio::archive(rest).ok_or("the archive is damaged")?;
        return Ok((Part::Archive(archive), behind));
    }
    match Packing::of(rest) {
        None => Err("it is neither an archive nor compressed".into()),
        Some(Packing::Unsupported(name)) => Err(unsupported(name)),
        Some(Packing::Known(how)) => {
            let (plain, behind) = decode::stream(how, rest, limit).map_err(|e: DecodeError| e.to_string())?;
            match cpio::begins(&plain) {
                true => Ok((Part::Compressed(plain), behind)),
                false => Err("it holds no archive".into()),
            }
        }
    }
}

fn unsupported(name: &str) -> String {
    format!("it is compressed by {name}; gzip, xz and zstd are supported")
}

#[cfg(test)]
mod tests {
    use super::cpio::tests::archive_of;
    use super::decode::tests::packed;
    use super::*;

    const LIMIT: usize = 1 << 20;
    const ALL: [Compression; 3] = [Compression::Gzip, Compression::Xz, Compression::Zstd];

    fn kernel() -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..25_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        bytes[ARM64_MAGIC_AT..HEAD].copy_from_slice(ARM64_MAGIC);
        bytes
    }

    #[test]
    fn a_compressed_kernel_is_unpacked_and_nothing_else_is_taken_for_one() {
        for how in ALL {
            let unpacked = Found::Unpacked { what: What::Kernel, bytes: kernel() };
            assert_eq!(unpack(&packed(how, &kernel()), LIMIT), unpacked);
            // gzip pads to a block in some builds.
            assert_eq!(unpack(&[&packed(how, &kernel())[..], &[0; 100]].concat(), LIMIT), unpacked);
            assert_eq!(unpack(&packed(how, &[5; 100_000]), LIMIT), Found::Other);
            assert_eq!(unpack(&packed(how, b""), LIMIT), Found::Other);
        }
        assert_eq!(unpack(&kernel(), LIMIT), Found::Plain);
        assert_eq!(unpack(&[5; 100_000], LIMIT), Found::Other);
        assert_eq!(unpack(b"", LIMIT), Found::Other);
    }

    #[test]
    fn a_kernel_with_something_behind_it_stays() {
        let signed = [&packed(Compression::Gzip, &kernel())[..], b"~Module signature appended~\n"].concat();
        let Found::Kept(why) = unpack(&signed, LIMIT) else { panic!("unpacked") };
        assert_eq!(why, "28 bytes that are not part of the kernel follow it");
        let Found::Kept(why) = unpack(&packed(Compression::Zstd, &kernel()), 1000) else {
            panic!("unpacked")
        };
        assert_eq!(why, "it has more than 1000 bytes without compression");
    }

    #[test]
    fn an_initramfs_is_the_same_archives_at_places_where_the_kernel_looks() {
        let early = archive_of(&[("kernel/microcode", b"abc")]);
        let main = archive_of(&[("init", b"#!/bin/sh\n"), ("lib/x.ko", &[9; 5000])]);
        for how in ALL {
            for padding in [0, 3, 4, 512] {
                let source =
                    [&early[..], &vec![0; padding], &packed(how, &main), &packed(how, &main)].concat();
                let Found::Unpacked { what: What::Initramfs, bytes } = unpack(&source, LIMIT) else {
                    panic!("{how:?} {padding}")
                };
                let gap = padding.next_multiple_of(ALIGN);
                assert_eq!(bytes, [&early[..], &vec![0; gap], &main, &main].concat(), "{how:?} {padding}");
                // And what came out is plain.
                assert_eq!(unpack(&bytes, LIMIT), Found::Plain);
            }
        }
    }

    #[test]
    fn an_initramfs_that_cannot_be_unpacked_stays() {
        let main = archive_of(&[("init", b"#!/bin/sh\n")]);
        let at = main.len();
        for (behind, why) in [
            (&b"\x02\x21\x4c\x18...."[..], "it is compressed by lz4; gzip, xz and zstd are supported"),
            (b"garbage", "it is neither an archive nor compressed"),
            (b"070701....", "the archive is damaged"),
            (&packed(Compression::Gzip, b"no archive"), "it holds no archive"),
        ] {
            let found = unpack(&[&main[..], behind].concat(), LIMIT);
            assert_eq!(found, Found::Kept(format!("its part at byte {at} can't be unpacked: {why}")));
        }
        let Found::Kept(why) = unpack(b"\x02\x21\x4c\x18....", LIMIT) else { panic!("unpacked") };
        assert_eq!(why, "it is compressed by lz4; gzip, xz and zstd are supported");
        let twice = [packed(Compression::Xz, &main), packed(Compression::Xz, &main)].concat();
        let Found::Kept(why) = unpack(&twice, main.len() + 10) else { panic!("unpacked") };
        assert!(why.ends_with("it has more than 10 bytes without compression"), "{why}");
    }
}
