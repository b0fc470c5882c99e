//! Full names of keys: parts with dots between them, as TOML writes them. A part that has dots of its own is in quotes:
//! `component."a.b".installed`.
use std::iter;

/// In a key's name, the part that is the owner's.
pub(super) const OWNERS: &str = "NAME";

/// The name of `part` in a table; the empty table is the file.
pub(super) fn join(table: &str, part: &str) -> String {
    let dot = if table.is_empty() { "" } else { "." };
    format!("{table}{dot}{}", quoted(part))
}

/// A part as it is written; whatever would end it is escaped.
pub(super) fn quoted(part: &str) -> String {
    if !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        return part.into();
    }
    let odd = |c: char| c.is_control() || matches!(c, '"' | '\\');
    let text = part.chars().fold(String::new(), |text, c| {
        if odd(c) { text + &c.escape_unicode().to_string() } else { text + c.encode_utf8(&mut [0; 4]) }
    });
    format!("\"{text}\"")
}

/// The parts of a name, without their quotes. Nothing for the empty name.
pub(super) fn parts(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(name).filter(|name| !name.is_empty());
    iter::from_fn(move || {
        let (part, after) = split(rest?);
        rest = after;
        Some(part)
    })
}

fn split(name: &str) -> (&str, Option<&str>) {
    let end = name.strip_prefix('"').and_then(|inner| inner.find('"'));
    match end {
        Some(end) => (name.get(1..=end).unwrap_or_default(), name.get(end + 3..)),
        None => name.split_once('.').map_or((name, None), |(part, after)| (part, Some(after))),
    }
}

/// Whether a name is of this pattern, in which [`OWNERS`] stands for any part.
pub(super) fn is_of(pattern: &str, name: &str) -> bool {
    let mut found = parts(name);
    parts(pattern).all(|want| found.next().is_some_and(|part| want == OWNERS || want == part))
        && found.next().is_none()
}

/// The owner's part of a name of this pattern.
pub(super) fn owners<'n>(pattern: &str, name: &'n str) -> Option<&'n str> {
    let at = pattern.split('.').position(|part| part == OWNERS)?;
    parts(name).nth(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_with_dots_is_quoted() {
        assert_eq!(join("", "install"), "install");
        assert_eq!(join("component", "app"), "component.app");
        assert_eq!(join(&join("component", "a.b"), "kind"), "component.\"a.b\".kind");
        assert_eq!(join("", ""), "\"\"");
        assert_eq!(join("", "a\"b\n"), "\"a\\u{22}b\\u{a}\"");
    }

    #[test]
    fn a_pattern_takes_any_part_for_the_owners_and_only_one() {
        let pattern = "component.NAME.backup.path";
        assert!(is_of(pattern, "component.app.backup.path"));
        assert!(is_of(pattern, "component.\"a.backup.path\".backup.path"));
        assert_eq!(owners(pattern, "component.\"a.b\".backup.path"), Some("a.b"));
        for other in ["component.a.b.backup.path", "component.app.backup", "component.app.backup.path.x", ""]
        {
            assert!(!is_of(pattern, other), "{other}");
        }
        assert!(is_of("", "") && !is_of("", "a"));
        assert!(!is_of("install.flush_bytes", "\"install.flush_bytes\""));
    }

    proptest! {
        #[test]
        fn names_come_apart_as_they_were_joined(names in prop::collection::vec("[a-zA-Z0-9._-]{0,8}", 1..5)) {
            let name = names.iter().fold(String::new(), |table, part| join(&table, part));
            prop_assert_eq!(parts(&name).collect::<Vec<_>>(), names);
        }

        #[test]
        fn any_part_stays_one_part(part in "\\PC{0,8}|[\"\\\\.\n a]{0,8}") {
            let name = join("component", &part);
            prop_assert_eq!(parts(&name).count(), 2);
            prop_assert!(!name.contains(char::is_control));
        }
    }
}
