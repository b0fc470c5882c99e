//! `config.txt`: what the Pi's firmware is told, as far as one has to know it to find the kernel.
//!
//! ```text
//! # a comment
//! kernel=kernel8.img                a setting
//! initramfs initrd.img followkernel the one line without `=`
//! include more.txt                  the lines of another file, in its place
//! [pi4]                             what follows is for some boards only
//! [all]                             and from here on for all again
//! ```
//! Source: Raspberry Pi's documentation of `config.txt`. Only what holds for all boards is looked at: a boot volume
//! is made once and for each board that the release names.

/// Files inside each other that are followed: one that includes itself ends nowhere.
const DEPTH: u32 = 8;
/// Files that are followed in all.
const INCLUDED: u32 = 64;

/// The text with the files that it includes in their places. `read` gives a file's text, nothing of one that isn't there.
///
/// # Errors
/// Those of `read`.
pub(crate) fn whole<E>(text: &str, read: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<String, E> {
    let mut left = INCLUDED;
    included(text, read, DEPTH, &mut left)
}

fn included<E>(
    text: &str,
    read: &mut dyn FnMut(&str) -> Result<String, E>,
    depth: u32,
    left: &mut u32,
) -> Result<String, E> {
    let mut whole = String::new();
    for line in text.lines() {
        let name = line.trim().strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t']));
        match name {
            Some(name) if depth > 0 && *left > 0 => {
                *left -= 1;
                let inner = read(name.trim())?;
                whole.push_str(&included(&inner, read, depth - 1, left)?);
            }
            Some(_) => {}
            None => {
                whole.push_str(line);
                whole.push('\n');
            }
        }
    }
    Ok(whole)
}

/// The last value of a setting that holds for all boards; `None` if there is none or it is empty.
pub(crate) fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let values = lines(text).filter_map(|line| line.split_once('='));
    values
        .filter(|(key, _)| key.trim() == name)
        .last()
        .map(|(_, value)| value.trim())
        .filter(|v| !v.is_empty())
}

/// The file of the last line `initramfs NAME ADDRESS` that holds for all boards.
pub(crate) fn initramfs(text: &str) -> Option<&str> {
    let words = lines(text).map(str::split_whitespace);
    words.filter_map(|mut words| (words.next()? == "initramfs").then(|| words.next())?).last()
}

/// The lines that hold for all boards, without comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut all = true;
    text.lines().map(str::trim).filter(move |line| {
        if line.starts_with('[') {
            all = *line == "[all]";
            return false;
        }
        all && !line.starts_with('#')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_for_all_boards_counts() {
        let text = "#kernel=no.img\nkernel=one.img\r\n[pi4]\nkernel=pi4.img\ninitramfs four followkernel\n[all]\n  kernel = two.img \nempty=\n\
                    initramfs initrd.img followkernel\n[none]\nkernel=never.img";
        assert_eq!(value(text, "kernel"), Some("two.img"));
        assert_eq!(initramfs(text), Some("initrd.img"));
        assert_eq!((value(text, "empty"), value(text, "os_prefix")), (None, None));
        assert_eq!(
            (value("", "kernel"), initramfs("initramfs"), initramfs("initramfsx y")),
            (None, None, None)
        );
    }

    #[test]
    fn included_files_stand_in_their_places() {
        let mut read = |name: &str| -> Result<String, std::convert::Infallible> {
            Ok(match name {
                "a.txt" => "kernel=a.img\ninclude b.txt\nx=1".into(),
                "b.txt" => "cmdline=b.txt\r\n".into(),
                "loop.txt" => "n=1\ninclude loop.txt\ninclude loop.txt\n".into(),
                _ => String::new(),
            })
        };
        let Ok(text) =
            whole("includes=1\n include a.txt \n[pi4]\ninclude b.txt\n[all]\nkernel=c.img\n", &mut read);
        assert_eq!(
            text,
            "includes=1\nkernel=a.img\ncmdline=b.txt\nx=1\n[pi4]\ncmdline=b.txt\n[all]\nkernel=c.img\n"
        );
        let Ok(text) = whole("include loop.txt\ninclude missing.txt\ny=2", &mut read);
        assert!(text.lines().count() <= 65 && text.ends_with("y=2\n"), "{text}");
    }
}
