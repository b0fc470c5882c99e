//! The kernel's command line.

/// The words of a command line, as the kernel has them (`next_arg` in lib/cmdline.c): blanks in quotes don't end one. A quote that is
/// left open reaches to the end of the line; it is closed, or it would swallow what is added behind it.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        is_quoted ^= c == '"';
        if c.is_ascii_whitespace() && !is_quoted {
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

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn blanks_in_quotes_end_no_word() {
        for (line, found) in [
            ("", &[][..]),
            (" a\tb  c ", &["a", "b", "c"]),
            ("a=\"b  c\" d", &["a=\"b  c\"", "d"]),
            ("\"a=b c\" d", &["\"a=b c\"", "d"]),
            ("a \"b c", &["a", "\"b c\""]),
        ] {
            assert_eq!(words(line), found, "{line}");
        }
    }
}
