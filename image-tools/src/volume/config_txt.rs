//! `config.txt`: what the Pi's firmware is told, as far as one has to know it to find the kernel.
//!
//! ```text
//! # a comment
//! kernel=kernel8.img                a setting
//! initramfs initrd.img followkernel the one line without `=`
//! [pi4]                             what follows is for some boards only
//! [all]                             and from here on for all again
//! ```
//! Source: Raspberry Pi's documentation of `config.txt`. Only what holds for all boards is looked at: a boot volume
//! is made once and for each board that the release names.

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
}
