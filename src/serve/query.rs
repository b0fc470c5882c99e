//! The question after a path, as a filter of events.
use super::problem::{Kind, Problem};
use crate::events::Filter;
use axum::http::HeaderMap;
use std::str::FromStr;

/// Events in an answer, if nothing else is said.
const LIMIT: usize = 100;
/// More are never in one.
pub(super) const LIMIT_MAX: usize = 1_000;
/// Types that may be named.
const KINDS_MAX: usize = 32;

/// Which events are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) filter: Filter,
    pub(super) limit: usize,
}

impl Question {
    /// Read `after=…&type=…&stream=…&from=…&limit=…`. Of a stream that continues, `Last-Event-ID` counts more than `after`.
    pub(super) fn of(query: Option<&str>, headers: &HeaderMap) -> Result<Question, Problem> {
        let mut question = Question { filter: Filter::default(), limit: LIMIT };
        let mut seen = Vec::new();
        for (name, value) in pairs(query)? {
            if name != "type" && seen.contains(&name) {
                return Err(malformed(format!("`{name}` is named twice")));
            }
            let filter = &mut question.filter;
            match name.as_str() {
                "after" => filter.after = number(&name, &value)?,
                "from" => filter.from = number(&name, &value)?,
                "limit" => question.limit = number(&name, &value)?,
                "stream" => filter.stream = Some(value),
                "type" => filter.kinds.push(value),
                _ => {
                    let detail =
                        format!("unknown parameter `{name}`: expected after, type, stream, from or limit");
                    return Err(malformed(detail));
                }
            }
            seen.push(name);
        }
        if let Some(last) = headers.get("last-event-id") {
            question.filter.after = number("Last-Event-ID", last.to_str().unwrap_or("not ASCII"))?;
        }
        question.checked()
    }

    /// Whatever asks, by the same rules.
    pub(super) fn about(filter: Filter) -> Result<Question, Problem> {
        Question { filter, limit: LIMIT }.checked()
    }

    fn checked(self) -> Result<Question, Problem> {
        let question = self;
        if question.filter.from > 0 && question.filter.stream.is_none() {
            return Err(malformed("`from` counts within a stream: name one with `stream`"));
        }
        if !(1..=LIMIT_MAX).contains(&question.limit) {
            return Err(malformed(format!("`limit` must be 1 to {LIMIT_MAX}")));
        }
        if question.filter.kinds.len() > KINDS_MAX {
            return Err(malformed(format!("`type` may be repeated {KINDS_MAX} times at most")));
        }
        Ok(question)
    }
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::Malformed, detail)
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, Problem> {
    // `+7` is a number for the library, and a blank and a 7 in a query.
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { value.parse().ok() } else { None };
    number.ok_or_else(|| malformed(format!("`{name}` must be a number, not {value:?}")))
}

fn pairs(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    let pairs = parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Some((decoded(name)?, decoded(value)?))
    });
    pairs.collect::<Option<_>>().ok_or_else(|| malformed("the query is not percent-encoded UTF-8"))
}

/// Percent-decoded; a plus is a blank.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit =
                    || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit()? << 4 | digit()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_a_question_or_refused(text in "([%+&=a-z0-9.*]|\\PC){0,40}", name in "after|type|stream|from|limit") {
            let _ = read(&format!("{name}={text}"));
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(read(&format!("type={encoded}")).unwrap().filter.kinds, [text]);
        }
    }

    fn read(query: &str) -> Result<Question, String> {
        Question::of(Some(query), &HeaderMap::new()).map_err(|problem| problem.json())
    }

    #[test]
    fn parameters_make_the_filter() {
        let question = read("after=7&type=update.%2A&type=a+b&stream=component%2Fx&from=2&limit=5").unwrap();
        let filter = Filter {
            after: 7,
            stream: Some("component/x".into()),
            from: 2,
            kinds: vec!["update.*".into(), "a b".into()],
        };
        assert_eq!(question, Question { filter, limit: 5 });
        assert_eq!(read("").unwrap(), Question { filter: Filter::default(), limit: LIMIT });
    }

    #[test]
    fn wrong_parameters_are_refused_by_name() {
        for (query, says) in [
            ("after=-1", "`after` must be a number"),
            ("after=%2B1", "`after` must be a number"),
            ("after=99999999999999999999", "`after` must be a number"),
            ("after=", "`after` must be a number"),
            ("after=1&after=2", "`after` is named twice"),
            ("limit=0", "`limit` must be 1 to 1000"),
            ("limit=1001", "`limit` must be 1 to 1000"),
            ("from=1", "`from` counts within a stream"),
            ("file=/etc/shadow", "unknown parameter `file`"),
            ("type=%", "not percent-encoded"),
            ("type=%f", "not percent-encoded"),
            ("type=%zz", "not percent-encoded"),
            ("type=%ff", "not percent-encoded"),
            (&"type=a&".repeat(KINDS_MAX + 1), "may be repeated 32 times"),
        ] {
            let refused = read(query).unwrap_err();
            assert!(refused.contains(says), "{query}: {refused}");
        }
    }

    #[test]
    fn last_event_id_counts_more_than_after() {
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", "9".parse().unwrap());
        assert_eq!(Question::of(Some("after=3"), &headers).unwrap().filter.after, 9);
        headers.insert("last-event-id", "x".parse().unwrap());
        assert!(Question::of(None, &headers).is_err());
    }
}
