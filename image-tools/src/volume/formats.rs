//! The formats that a system's agent reads: `/usr/share/bistable/formats`, one decimal number. The release repeats it
//! ([`Release::durable`]), so that the agents of both slots write what the other one reads (I18).
use super::error::VolumeError;
use super::load_ext4::{Last, load_ext4, real_path};
use super::tree::{Tree, Unfit};
use bistable_boot::FIRST_FORMAT;
use bistable_format::Release;
use ext4_view::{Ext4Error, FileType};
use std::fs::File;
use std::path::Path;

/// What a system without the file reads: the formats of the first agents.
pub(crate) const FIRST: u16 = FIRST_FORMAT;
/// Most bytes of the file: a number, a line end, and room for blanks.
pub(crate) const MOST: usize = 64;

/// The number in a system volume that is still a tree.
///
/// # Errors
/// The file has no such number, or something else has its name.
pub(super) fn of_tree(source: &Path, tree: &mut Tree) -> Result<u16, VolumeError> {
    let path = Release::FORMATS_PATH.trim_start_matches('/');
    let Some(file) = tree.file_at(source, path, MOST)? else { return Ok(FIRST) };
    let refuse = |why: String| VolumeError::BadImage { path: source.into(), why };
    file.map_err(why_unfit).and_then(|text| parse(&text)).map_err(refuse)
}

/// The number in an ext4 image, or why the file system can't be read.
///
/// # Errors
/// The file has no such number, or something else has its name.
pub(super) fn of_ext4(source: &Path, image: &File) -> Result<Result<u16, String>, VolumeError> {
    let refuse = |why: String| VolumeError::BadImage { path: source.into(), why };
    match read_ext4(image) {
        Ok(None) => Ok(Ok(FIRST)),
        Ok(Some(file)) => file.map_err(why_unfit).and_then(|text| parse(&text)).map(Ok).map_err(refuse),
        Err(e) => Ok(Err(e.to_string())),
    }
}

/// The file's bytes, if it is there, or why it can't be the right one.
fn read_ext4(image: &File) -> Result<Option<Result<Vec<u8>, Unfit>>, Ext4Error> {
    let failed = |e| Ext4Error::Io(Box::new(e));
    let bytes = image.metadata().map_err(failed)?.len();
    let fs = load_ext4(Box::new(image.try_clone().map_err(failed)?), bytes)?;
    let path = real_path(&fs, Release::FORMATS_PATH, Last::Kept)?;
    let meta = match fs.symlink_metadata(path.as_str()) {
        Ok(meta) => meta,
        Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => return Ok(None),
        Err(e) => return Err(e),
    };
    if meta.file_type() != FileType::Regular {
        return Ok(Some(Err(Unfit::NotAFile)));
    }
    if meta.len() > MOST as u64 {
        return Ok(Some(Err(Unfit::TooLarge)));
    }
    Ok(Some(Ok(fs.read(path.as_str())?)))
}

/// The number in the file's bytes.
///
/// # Errors
/// A message that says what is there instead.
pub(crate) fn parse(bytes: &[u8]) -> Result<u16, String> {
    let text = bytes.trim_ascii();
    // `parse` also takes a sign.
    let digits = if text.iter().all(u8::is_ascii_digit) { std::str::from_utf8(text).ok() } else { None };
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(number @ 1..) => Ok(number),
        _ => Err(wrong(&format!("has \"{}\" in it", bytes.trim_ascii().escape_ascii()))),
    }
}

fn why_unfit(file: Unfit) -> String {
    match file {
        Unfit::NotAFile => wrong("is not a file"),
        Unfit::TooLarge => wrong(&format!("has more than {MOST} bytes")),
    }
}

fn wrong(what: &str) -> String {
    format!(
        "{} {what}: it must hold one number from 1 to 65535, the highest format that the agent in this system reads; \
         Bistable's package installs it",
        Release::FORMATS_PATH
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_from_1_to_65535_is_one_of_formats() {
        for (text, number) in [("1\n", 1), ("1", 1), ("7\r\n", 7), (" 65535 \n", 65_535), ("0002\n", 2)] {
            assert_eq!(parse(text.as_bytes()), Ok(number), "{text:?}");
        }
        for text in [
            "",
            "\n",
            "0\n",
            "65536\n",
            "-1",
            "+1",
            "1.0",
            "1 2",
            "1\n2\n",
            "one",
            "\u{661}",
            "99999999999999999999",
        ] {
            let why = parse(text.as_bytes()).unwrap_err();
            assert!(why.starts_with("/usr/share/bistable/formats has \""), "{text:?}: {why}");
            assert!(why.contains("from 1 to 65535"), "{text:?}: {why}");
        }
        assert!(parse(b"\xff\x1b[31m").unwrap_err().contains(r#"has "\xff\x1b[31m" in it"#));
    }
}
