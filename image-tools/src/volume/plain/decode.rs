//! One compressed stream out of several things in a row: an initramfs is a concatenation.
use std::io::{self, BufRead, Read};

use crate::volume::tar::{Compression, XZ_MEMORY, ZSTD_WINDOW};

/// What the Linux kernel unpacks and we don't, by its first bytes (lib/decompress.c).
const UNSUPPORTED: [(&[u8], &str); 4] =
    [(b"\x02\x21\x4c\x18", "lz4"), (b"BZh", "bzip2"), (b"\x89LZO\0", "lzo"), (b"\x5d\0\0", "lzma")];

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// In a way that can be unpacked.
    Known(Compression),
    /// In a way that the kernel knows and we don't, and its name.
    Unsupported(&'static str),
}

impl Packing {
    /// By the first bytes; `None` if they are not compressed in any way that the kernel knows.
    pub(super) fn of(bytes: &[u8]) -> Option<Packing> {
        let unsupported = || {
            let found = UNSUPPORTED.iter().find(|(magic, _)| bytes.starts_with(magic));
            found.map(|(_, name)| Packing::Unsupported(name))
        };
        Compression::of(bytes).map(Packing::Known).or_else(unsupported)
    }
}

/// Why a stream gave no bytes.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    /// Its decoder says that it is damaged.
    #[error("its {format} data is damaged: {source}")]
    Damaged {
        /// The format's name.
        format: &'static str,
        /// What the decoder said.
        source: io::Error,
    },
    /// It has more bytes than wanted.
    #[error("it has more than {limit} bytes without compression")]
    TooLarge {
        /// The most.
        limit: usize,
    },
}

/// Decodes the first `most` bytes or fewer of the stream that `bytes` begin with.
pub(super) fn begin(how: Compression, bytes: &[u8], most: usize) -> Result<Vec<u8>, DecodeError> {
    let damaged = |source| DecodeError::Damaged { format: how.name(), source };
    let mut input = bytes;
    let mut out = Vec::new();
    decoder(how, &mut input)
        .and_then(|reader| reader.take(most as u64).read_to_end(&mut out))
        .map_err(damaged)?;
    Ok(out)
}

/// Decodes the one stream that `bytes` begin with; returns what it holds and the bytes behind it.
pub(super) fn stream(how: Compression, bytes: &[u8], limit: usize) -> Result<(Vec<u8>, &[u8]), DecodeError> {
    let mut input = bytes;
    let mut out = Vec::new();
    let read =
        decoder(how, &mut input).and_then(|reader| reader.take(limit as u64 + 1).read_to_end(&mut out));
    read.map_err(|source| DecodeError::Damaged { format: how.name(), source })?;
    if out.len() > limit {
        return Err(DecodeError::TooLarge { limit });
    }
    Ok((out, input))
}

/// A decoder that takes no byte behind the end of its stream.
fn decoder<'a>(how: Compression, input: &'a mut &[u8]) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match how {
        Compression::None => Box::new(io::empty()),
        Compression::Gzip => Box::new(flate2::bufread::GzDecoder::new(input)),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Compression::Zstd => Box::new(zstd_frame(input)?),
    })
}

fn zstd_frame<R: BufRead>(input: R) -> io::Result<impl Read> {
    let mut decoder = zstd::Decoder::with_buffer(input)?.single_frame();
    decoder.window_log_max(ZSTD_WINDOW)?;
    Ok(decoder)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    pub(crate) fn packed(how: Compression, bytes: &[u8]) -> Vec<u8> {
        match how {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    #[test]
    fn a_stream_ends_where_it_ends_whatever_follows() {
        for how in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
            for content in [&b""[..], b"x", &[7; 300_000]] {
                for behind in [&b""[..], b"\0\0\0\0", b"070701", &packed(how, b"another")] {
                    let whole = [&packed(how, content), behind].concat();
                    let (found, rest) = stream(how, &whole, 1 << 20).unwrap();
                    assert_eq!((found.as_slice(), rest), (content, behind), "{how:?}");
                    assert_eq!(Packing::of(&whole), Some(Packing::Known(how)));
                }
            }
        }
    }

    #[test]
    fn a_damaged_or_too_large_stream_is_refused() {
        for how in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
            let whole = packed(how, &[7; 300_000]);
            assert!(matches!(stream(how, &whole, 299_999), Err(DecodeError::TooLarge { limit: 299_999 })));
            assert!(stream(how, &whole, 300_000).is_ok());
            let cut = &whole[..whole.len() - 5];
            assert!(matches!(stream(how, cut, 1 << 20), Err(DecodeError::Damaged { .. })), "{how:?}");
            assert_eq!(begin(how, &whole, 10).unwrap(), [7; 10]);
        }
    }

    #[test]
    fn what_the_kernel_knows_and_we_do_not_has_a_name() {
        for (bytes, name) in
            [(&b"\x02\x21\x4c\x18.."[..], "lz4"), (b"BZh9", "bzip2"), (b"\x5d\0\0\x80", "lzma")]
        {
            assert_eq!(Packing::of(bytes), Some(Packing::Unsupported(name)));
        }
        assert_eq!(Packing::of(b"070701"), None);
        assert_eq!(Packing::of(b""), None);
    }
}
