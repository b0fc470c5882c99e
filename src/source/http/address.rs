//! Addresses: as far as a source needs them.
use crate::{
    http_client::Scheme,
    source::{SourceError, is_plain},
};
use std::fmt;
use ureq::http::Uri;

/// `http[s]://host[:port]/path[?query]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// With or without encryption.
    pub scheme: Scheme,
    host: String,
    /// Begins with `/`.
    path: String,
    /// With the `?`, or empty.
    query: String,
}

impl Address {
    /// Read one. For what lies below it, a slash at its end makes no difference.
    ///
    /// # Errors
    /// [`SourceError::Address`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Address, SourceError> {
        let refused = |problem: String| SourceError::Address { text: text.into(), problem };
        let scheme = Scheme::of(text).ok_or_else(|| refused("it has to be http:// or https://".into()))?;
        let uri: Uri = text.parse().map_err(|e| refused(format!("{e}")))?;
        let host = uri.authority().filter(|a| !a.host().is_empty());
        let host = host.ok_or_else(|| refused("it names no host".into()))?.as_str();
        if host.contains('@') {
            return Err(refused("names and passwords don't belong into an address: logs show it".into()));
        }
        let path = match uri.path() {
            "" => "/",
            path => path,
        };
        let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
        Ok(Address { scheme, host: host.into(), path: path.into(), query })
    }

    /// A file below this address; this address itself for the empty path.
    ///
    /// # Errors
    /// [`SourceError::Address`] for a path that isn't plain, or below an address with a query.
    pub fn below(&self, path: &str) -> Result<Address, SourceError> {
        if path.is_empty() {
            return Ok(self.clone());
        }
        let refused = |problem: &str| SourceError::Address { text: path.into(), problem: problem.into() };
        if !is_plain(path) {
            return Err(refused("this is not a path in a repository"));
        }
        if !self.query.is_empty() {
            return Err(refused("nothing lies below an address with a query"));
        }
        let path = format!("{}/{path}", self.path.trim_end_matches('/'));
        Ok(Address { path, ..self.clone() })
    }

    /// Where a redirect's `Location` leads (RFC 9110, 10.2.2; RFC 3986, 4.2).
    ///
    /// # Errors
    /// [`SourceError::Address`] when it makes no sense.
    pub fn follow(&self, location: &str) -> Result<Address, SourceError> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = match self.scheme {
            Scheme::Http => "http:",
            Scheme::Https => "https:",
        };
        if location.starts_with("//") {
            return Address::parse(&format!("{scheme}{location}"));
        }
        if location.starts_with('/') {
            return Address::parse(&format!("{scheme}//{}{location}", self.host));
        }
        let before_query = location.split('?').next().unwrap_or_default();
        if before_query.contains(':') {
            return Address::parse(location);
        }
        let folder = self.path.rfind('/').and_then(|end| self.path.get(..=end)).unwrap_or("/");
        Address::parse(&format!("{scheme}//{}{folder}{location}", self.host))
    }
}

impl Address {
    /// All of it, for the request. A query may be a secret: presigned addresses have their signature in it.
    pub fn with_query(&self) -> String {
        let query = &self.query;
        format!("{}{query}", Address { query: String::new(), ..self.clone() })
    }

    /// Whether it has a query.
    pub fn has_query(&self) -> bool {
        !self.query.is_empty()
    }
}

/// For people: of a query it only shows that there is one.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let query = if self.query.is_empty() { "" } else { "?…" };
        write!(f, "{scheme}://{}{}{query}", self.host, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_an_address() {
        for (base, path, whole) in [
            ("http://h", "a/b", "http://h/a/b"),
            ("HTTPS://h:8443/r/", "a", "https://h:8443/r/a"),
            ("https://h/x.bundle?sig=1", "", "https://h/x.bundle?sig=1"),
            ("https://[::1]:80/r", "a", "https://[::1]:80/r/a"),
        ] {
            assert_eq!(Address::parse(base).unwrap().below(path).unwrap().with_query(), whole);
        }
        for (base, path) in [("http://h", "../a"), ("http://h", "/a"), ("http://h?q", "a")] {
            assert!(Address::parse(base).unwrap().below(path).is_err(), "{base} {path}");
        }
        for text in ["http://", "http://user:secret@h/", "ftp://h/", "h/", "http://h h/", "https:h", ""] {
            assert!(matches!(Address::parse(text), Err(SourceError::Address { .. })), "{text}");
        }
    }

    #[test]
    fn a_query_is_asked_for_and_never_shown() {
        let address = Address::parse("https://h/x.bundle?X-Amz-Signature=SECRET").unwrap();
        assert_eq!(address.with_query(), "https://h/x.bundle?X-Amz-Signature=SECRET");
        assert_eq!(address.to_string(), "https://h/x.bundle?…");
    }

    #[test]
    fn redirects_lead_where_they_say() {
        let base = Address::parse("https://h/r/a/b?q").unwrap();
        for (location, whole) in [
            ("https://other/x?y#z", "https://other/x?y"),
            ("http://other", "http://other/"),
            ("//other/x", "https://other/x"),
            ("/x", "https://h/x"),
            ("x?y=a:b", "https://h/r/a/x?y=a:b"),
            ("?y", "https://h/r/a/?y"),
        ] {
            assert_eq!(base.follow(location).unwrap().with_query(), whole, "{location}");
        }
        for location in ["ftp://h/x", "file:///etc/passwd", "https://", "mailto:a"] {
            assert!(base.follow(location).is_err(), "{location}");
        }
    }
}
