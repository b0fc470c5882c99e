//! The kernel's command line.

/// The words of a command line, as the kernel has them (`next_arg` in lib/cmdline.c): blanks in quotes don't end one. A quote that is
/// left open reaches to the end of the line; it is closed, or it would swallow what is added behind it.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        is_quoted ^= c == '"';
        if is_blank(c) && !is_quoted {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
        } else {
            word.push(c);
        }
    }
    if is_quoted {
        word.push('"');
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// What the kernel takes for a blank (`_ctype` in lib/ctype.c): a vertical tab as well, and the no-break space of Latin-1. As UTF-8
/// has that, the kernel would cut it in two.
fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, '\u{b}' | '\u{a0}')
}

/// Whether the word begins like this: the kernel takes a quote off a word's begin, so that `"root=/dev/sda1"` is `root=`, too.
pub(crate) fn begins(word: &str, begin: &str) -> bool {
    word.strip_prefix('"').unwrap_or(word).starts_with(begin)
}

#[cfg(test)]
mod tests {
    use super::{begins, words};

    #[test]
    fn blanks_in_quotes_end_no_word() {
        for (line, found) in [
            ("", &[][..]),
            (" a\tb  c ", &["a", "b", "c"]),
            ("a=\"b  c\" d", &["a=\"b  c\"", "d"]),
            ("\"a=b c\" d", &["\"a=b c\"", "d"]),
            ("a \"b c", &["a", "\"b c\""]),
            ("a\u{b}b\u{a0}c", &["a", "b", "c"]),
        ] {
            assert_eq!(words(line), found, "{line}");
        }
    }

    #[test]
    fn a_quote_at_the_begin_hides_nothing() {
        assert!(begins("root=x", "root=") && begins("\"root=x y\"", "root="));
        assert!(!begins("x=\"root=\"", "root=") && !begins("xroot=", "root="));
    }
}
