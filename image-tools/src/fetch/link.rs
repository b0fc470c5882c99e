//! Which page of a long answer comes next (RFC 8288).
use url::Url;

/// Where the next page is.
pub(super) fn next(header: &str, from: &Url) -> Option<Url> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (parameters, end) = parameters(after);
        let is_next = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("rel")
                && value.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
        };
        if parameters.iter().any(is_next) {
            return from.join(target).ok();
        }
        rest = end;
    }
}

/// A link's parameters, and what comes behind them.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    while let Some(after) = rest.strip_prefix(';') {
        let after = after.trim_start();
        let end = after.find(['=', ';', ',']).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => (String::new(), after),
        };
        found.push((name.trim().into(), value));
        rest = after.trim_start();
    }
    (found, rest)
}

/// A token or a quoted string.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.trim().into(), rest);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_whatever_else_is_linked() {
        let from = Url::parse("https://api.example.com/repos/a/b/releases?per_page=2").unwrap();
        for (header, wanted) in [
            (r#"<https://api.example.com/x?page=2>; rel="next""#, Some("https://api.example.com/x?page=2")),
            (
                r#"<https://e.com/?page=1>; rel="prev", <https://e.com/?page=3>; rel="next", <https://e.com/?page=9>; rel="last""#,
                Some("https://e.com/?page=3"),
            ),
            (
                r#"</v2/x/tags/list?last=b&n=2>; rel=next"#,
                Some("https://api.example.com/v2/x/tags/list?last=b&n=2"),
            ),
            (
                r#"<?page=2>;title="a, \"b\"; rel=next <c>";rel="last next""#,
                Some("https://api.example.com/repos/a/b/releases?page=2"),
            ),
            (r#"<https://e.com/a>; rel="last""#, None),
            (r#"<https://e.com/a>"#, None),
            (r#"<https://e.com/a"#, None),
            (r#"<https://e.com/a>; rel="next"#, Some("https://e.com/a")),
            ("<http://[>; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next(header, &from).map(|u| u.to_string()).as_deref(), wanted, "{header}");
        }
    }
}
