//! Which names are meant: `*` stands for any characters, `?` for one.

/// Whether a name is meant by a pattern.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The last star, and the characters that it has taken so far: no star before it has to be tried again.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || name.get(n) == Some(c) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    p = at + 1;
                    n = taken + 1;
                    star = Some((at, n));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, wanted) in [
            ("*", "", true),
            ("*", "core.tar.gz", true),
            ("core.tar.gz", "core.tar.gz", true),
            ("core.tar.gz", "core.tar.gz.sig", false),
            ("*.tar.gz", "core-1.2.0.tar.gz", true),
            ("*.tar.gz", ".tar.gz", true),
            ("*.tar.gz", "core.tar.xz", false),
            ("core-*-arm64.*", "core-1.2.0-arm64.tar.zst", true),
            ("core-*-arm64.*", "core-1.2.0-amd64.tar.zst", false),
            ("core-?.tar", "core-1.tar", true),
            ("core-?.tar", "core-10.tar", false),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("", "x", false),
            ("**", "x", true),
            ("größe?*", "größe1.tar", true),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
