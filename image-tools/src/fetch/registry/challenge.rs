//! How a registry wants to be asked: the header `WWW-Authenticate`.

/// A way to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each question.
    Basic,
    /// A token, which is had elsewhere.
    Bearer {
        /// Where.
        realm: String,
        /// For which registry.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first way in the header that is known here.
    pub(super) fn parse(header: &str) -> Option<Challenge> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameters = parameters(rest);
        let named = |wanted: &str| {
            let mut all = parameters.iter();
            all.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone())
        };
        Some(Challenge::Bearer { realm: named("realm")?, service: named("service"), scope: named("scope") })
    }
}

/// `a="b c",d=e`.
fn parameters(text: &str) -> Vec<(String, String)> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_owned();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((name, value.trim().to_owned()));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_authenticate() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let [service, scope] = [service, scope].map(|text| text.map(Into::into));
            Some(Challenge::Bearer { realm: realm.into(), service, scope })
        };
        for (header, wanted) in [
            (
                r#"Bearer realm="https://auth.example.com/token",service="reg",scope="repository:a/b:pull,push""#,
                bearer("https://auth.example.com/token", Some("reg"), Some("repository:a/b:pull,push")),
            ),
            (r#"bearer Scope=x , realm=https://a/t"#, bearer("https://a/t", None, Some("x"))),
            (r#"Bearer realm="https://a/t",error="invalid_token""#, bearer("https://a/t", None, None)),
            (r#"Basic realm="Registry""#, Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            (r#"Bearer service="reg""#, None),
            (r#"Bearer realm="https://a"#, bearer("https://a", None, None)),
            ("Digest realm=x", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), wanted, "{header}");
        }
    }
}
