//! Which events a reader wants.
use super::Entry;

/// Which events a reader wants: those that fit all that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those with a higher number.
    pub after: u64,
    /// Only of this stream.
    pub stream: Option<String>,
    /// Only from this number in the stream on.
    pub from: u64,
    /// Only of these types: `update.*` is all that begin with `update.`; none is all.
    pub kinds: Vec<String>,
}

impl Filter {
    /// Whether it wants an event.
    pub fn wants(&self, entry: &Entry) -> bool {
        entry.seq > self.after
            && self
                .stream
                .as_ref()
                .is_none_or(|stream| *stream == entry.stream && entry.stream_seq >= self.from)
            && (self.kinds.is_empty() || self.kinds.iter().any(|pattern| fits(pattern, &entry.kind)))
    }
}

/// Whether a name fits a pattern, in which each `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("update.*", "update.armed", true),
            ("update.*", "updates", false),
            ("update.armed", "update.armed", true),
            ("update.armed", "update.armed2", false),
            ("*", "", true),
            ("*.completed", "rollback.completed", true),
            ("a*b*b", "ab", false),
            ("a*b*b", "abxb", true),
            ("", "x", false),
        ];
        for (pattern, name, does) in table {
            assert_eq!(fits(pattern, name), does, "{pattern} {name}");
        }
    }

    #[test]
    fn all_that_is_said_must_fit() {
        let all = Filter::default();
        assert!(all.wants(&entry(1, "x")));
        let after = Filter { after: 1, ..Filter::default() };
        assert!(!after.wants(&entry(1, "x")) && after.wants(&entry(2, "x")));
        let stream = Filter { stream: Some("device".into()), from: 3, ..Filter::default() };
        assert!(!stream.wants(&entry(2, "x")) && stream.wants(&entry(3, "x")));
        assert!(!stream.wants(&Entry { stream: "job/1".into(), ..entry(3, "x") }));
        let kinds = Filter { kinds: vec!["a".into(), "x*".into()], ..Filter::default() };
        assert!(kinds.wants(&entry(1, "xy")) && !kinds.wants(&entry(1, "b")));
    }
}
