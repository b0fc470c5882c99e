//! When the firmware files of a Pi 4 were built, by what they say of themselves.
//!
//! On a Pi 4, an EEPROM of 2025-02-11 or later tells `start4.elf` the number of the partition that it boots, and firmware from before
//! [`RIGHT_NUMBERS`] reads it wrong on a card with a GPT: it finds no kernel (rpi-eeprom issues 654, 668 and 854). So a release has to
//! bring new files before its devices get a new EEPROM.
use super::error::VolumeError;
use super::fat::{self, BootFile};
use super::tree::Tree;
use jiff::civil::Date;

/// The first build that was seen to boot a GPT card under the EEPROM of 2025-02-11; that of 2024-11-26 did not (issue 668).
const RIGHT_NUMBERS: Date = Date::constant(2025, 1, 16);
/// What stands before the time and the date of a build; each is a text of its own.
const MARK: &[u8] = b"VC_BUILD_ID_TIME: ";
/// As in "Jan 16 2025" or "Aug  3 2015".
const DATE_BYTES: usize = 11;
/// Most bytes of a file that is looked at: ten times what such files have.
const MOST: u32 = 32 << 20;

/// A note on the oldest of a boot volume's `start4*.elf`, if it is too old.
///
/// # Errors
/// A file that can't be read.
pub(super) fn notes(tree: &Tree, files: &[BootFile]) -> Result<Option<String>, VolumeError> {
    let is_firmware = |file: &&BootFile| {
        let name = file.path.to_ascii_lowercase();
        name.starts_with("start4") && name.ends_with(".elf") && file.size <= MOST
    };
    let mut oldest: Option<(Date, &str)> = None;
    for file in files.iter().filter(is_firmware) {
        if let Some(date) = built(&fat::read(tree, file.node)?) {
            oldest = oldest.into_iter().chain([(date, &*file.path)]).min();
        }
    }
    let old = oldest.filter(|(date, _)| *date < RIGHT_NUMBERS);
    Ok(old.map(|(date, name)| {
        format!(
            "{name} was built on {date}: with an EEPROM of 2025-02-11 or later, firmware from before {RIGHT_NUMBERS} does not boot a Pi 4 from \
             this card layout; take newer firmware files into the boot volume, and update the EEPROM of no device before it runs them"
        )
    }))
}

/// The day on which a firmware file was built.
fn built(bytes: &[u8]) -> Option<Date> {
    let marks = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    let mut texts = marks.filter_map(|(at, _)| bytes.get(at + MARK.len()..)?.get(..DATE_BYTES));
    texts.find_map(|text| date(std::str::from_utf8(text).ok()?))
}

fn date(text: &str) -> Option<Date> {
    Date::strptime("%b %e %Y", text.replace("  ", " ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firmware_file_says_when_it_was_built() {
        let with = |texts: &[&str]| {
            let mut bytes = b"\x7fELF....".to_vec();
            for text in texts {
                bytes.extend(b"\0VC_BUILD_ID_TIME: ");
                bytes.extend(text.as_bytes());
                bytes.push(0);
            }
            built(&bytes)
        };
        assert_eq!(with(&["15:54:38", "Jan 16 2025"]), Some(RIGHT_NUMBERS));
        assert_eq!(with(&["Aug  3 2015", "14:58:37"]), Some(Date::constant(2015, 8, 3)));
        // The time alone, a month that isn't one, and one that is cut off.
        for texts in [&["15:54:38"][..], &["Foo 16 2025"], &["Jan 16 20"], &[]] {
            assert_eq!(with(texts), None, "{texts:?}");
        }
    }
}
