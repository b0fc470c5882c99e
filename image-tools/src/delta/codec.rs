//! One zstd frame with bytes of the base as its prefix.
use bistable_format::limits;
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, ErrorCode, compress_bound};

/// What zstd says of an error.
pub(super) fn name(code: ErrorCode) -> String {
    zstd_safe::get_error_name(code).into()
}

/// Levels below this one look for matches in small tables, and find little of a long prefix: long-distance matching does.
/// From here on it finds nothing more: of the deltas of an ext4 and of a squashfs a second try with it saved 0.3 % at level 9
/// and a thousandth at levels 12 and 19, for twice the time.
const REACHES_FROM: i32 = 9;

/// Compress to one frame that has its content's size and no checksum. Each has a context of its own: nothing that was
/// compressed before changes a byte.
pub(super) fn compress(raw: &[u8], prefix: &[u8], level: i32) -> Result<Vec<u8>, ErrorCode> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(level))?;
    context.set_parameter(CParameter::WindowLog(window_log(prefix.len() + raw.len())))?;
    context.set_parameter(CParameter::EnableLongDistanceMatching(level < REACHES_FROM))?;
    if !prefix.is_empty() {
        context.ref_prefix(prefix)?;
    }
    let mut frame = Vec::with_capacity(compress_bound(raw.len()));
    context.compress2(&mut frame, raw)?;
    Ok(frame)
}

/// The window that reaches from the chunk's end to the prefix's beginning.
fn window_log(bytes: usize) -> u32 {
    let log = usize::BITS - bytes.saturating_sub(1).leading_zeros();
    log.clamp(18, 27)
}

/// Decompress a frame to exactly `bytes`; what comes out is anything until its digest is right.
pub(super) fn decompress(frame: &[u8], prefix: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
    let mut context = DCtx::create();
    if !prefix.is_empty() {
        context.ref_prefix(prefix).map_err(name)?;
    }
    let mut raw = Vec::with_capacity(bytes.min(limits::CHUNK_MAX as usize));
    context.decompress(&mut raw, frame).map_err(name)?;
    if raw.len() == bytes { Ok(raw) } else { Err(format!("{} bytes instead of {bytes}", raw.len())) }
}

/// Check that a patch is one frame of the form that [`compress`] gives: with its content's size, which is its window, and
/// neither a dictionary nor a checksum. A device takes no other.
pub(super) fn check_form(frame: &[u8], bytes: usize) -> Result<(), String> {
    // RFC 8878, 3.1.1.1: the magic number, and a byte of flags. Bit 5: a single segment. Bits 0 to 3: no dictionary, no
    // checksum, nothing reserved.
    let flags = match frame {
        [0x28, 0xb5, 0x2f, 0xfd, flags, ..] => *flags,
        _ => return Err("it is not a zstd frame".into()),
    };
    if flags & 0b0010_1111 != 0b0010_0000 {
        return Err(format!("its flags are {flags:#010b}"));
    }
    if !matches!(zstd_safe::get_frame_content_size(frame), Ok(Some(size)) if size == bytes as u64) {
        return Err("it claims another size".into());
    }
    match zstd_safe::find_frame_compressed_size(frame).map_err(name)? {
        size if size == frame.len() => Ok(()),
        size => Err(format!("it ends after {size} of {} bytes", frame.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_kit::product::noise;

    #[test]
    fn with_its_prefix_a_frame_gives_the_bytes_back_and_is_small() {
        let raw = noise(1, 1 << 20);
        let prefix = [noise(2, 1 << 20), raw[..900_000].to_vec(), noise(3, 1 << 20)].concat();
        for level in [3, 9, 19] {
            let frame = compress(&raw, &prefix, level).unwrap();
            assert!(frame.len() < 150_000, "{} bytes", frame.len());
            check_form(&frame, raw.len()).unwrap();
            assert_eq!(decompress(&frame, &prefix, raw.len()).unwrap(), raw);
            assert_ne!(decompress(&frame, &noise(4, prefix.len()), raw.len()).ok(), Some(raw.clone()));
        }
    }

    #[test]
    fn bytes_that_look_like_a_dictionary_are_a_prefix_like_any_other() {
        let raw = noise(1, 300_000);
        let prefix = [&[0x37, 0xa4, 0x30, 0xec], &raw[..]].concat();
        let frame = compress(&raw, &prefix, 9).unwrap();
        assert!(frame.len() < 1000);
        assert_eq!(decompress(&frame, &prefix, raw.len()).unwrap(), raw);
    }

    #[test]
    fn frames_of_another_form_are_refused() {
        let raw = noise(1, 300_000);
        let good = compress(&raw, &[], 3).unwrap();
        check_form(&good, raw.len()).unwrap();
        let made = |set: &dyn Fn(&mut CCtx<'_>)| {
            let mut context = CCtx::create();
            set(&mut context);
            let mut frame = Vec::with_capacity(compress_bound(raw.len()));
            context.compress2(&mut frame, &raw).unwrap();
            frame
        };
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4], &good[..]].concat();
        let mut dictionary = good.clone();
        dictionary[4] |= 1;
        for (what, frame) in [
            ("a checksum", made(&|c| assert!(c.set_parameter(CParameter::ChecksumFlag(true)).is_ok()))),
            (
                "no content size",
                made(&|c| assert!(c.set_parameter(CParameter::ContentSizeFlag(false)).is_ok())),
            ),
            ("a smaller window", made(&|c| assert!(c.set_parameter(CParameter::WindowLog(10)).is_ok()))),
            ("a dictionary", dictionary),
            ("a skippable frame before it", skippable),
            ("two frames", [&good[..], &good].concat()),
            ("a byte behind it", [&good[..], &[0]].concat()),
            ("cut off", good[..good.len() - 1].to_vec()),
            ("nothing", Vec::new()),
        ] {
            assert!(check_form(&frame, raw.len()).is_err(), "{what}");
        }
        assert!(check_form(&good, raw.len() - 1).is_err());
        assert!(decompress(&good, &[], raw.len() - 1).is_err(), "never more than asked for");
        assert!(decompress(&good, &[], raw.len() + 1).is_err());
    }

    #[test]
    fn the_window_reaches_over_prefix_and_chunk() {
        for (bytes, log) in [(0, 18), (1 << 18, 18), ((1 << 18) + 1, 19), (8 << 20, 23)] {
            assert_eq!(window_log(bytes), log, "{bytes}");
        }
    }
}
