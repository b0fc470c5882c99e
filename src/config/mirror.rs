//! Where a repository is: on the web or in a folder.
use std::{
    fmt,
    net::Ipv6Addr,
    path::{Component, Path, PathBuf},
};

/// Longest address, in bytes.
const WEB_MAX: usize = 2048;

/// One place that has the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// An http or https address, without a slash at its end; scheme and host in lower case, no port that is the usual one.
    Web(String),
    /// An absolute path, without `.` and `..`.
    Folder(PathBuf),
}

impl Mirror {
    /// Read an http or https address, `file:///path` or an absolute path.
    ///
    /// # Errors
    /// Why it is none of these, to be read after "not …:".
    pub(super) fn parse(text: &str) -> Result<Mirror, String> {
        match text.split_once("://") {
            Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => {
                // A path with these has two meanings; one without has the same with and without "file://".
                if path.contains(['%', '?', '#']) {
                    return Err("leave file:// out of a path with % ? #".into());
                }
                folder(path)
            }
            Some((scheme, _)) if !is_web(scheme) => {
                Err(format!("\"{}\" is none of http, https, file", scheme.escape_debug()))
            }
            Some(_) => web(text).map(Mirror::Web),
            None => folder(text),
        }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mirror::Web(url) => f.write_str(url),
            Mirror::Folder(path) => path.display().fmt(f),
        }
    }
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn folder(path: &str) -> Result<Mirror, String> {
    if !path.starts_with('/') {
        return Err("neither an address nor an absolute path".into());
    }
    if path.contains(char::is_control) || Path::new(path).components().any(|c| c == Component::ParentDir) {
        return Err("a path without .. and control characters is needed".into());
    }
    // Its components again: without slashes and dots that mean nothing.
    Ok(Mirror::Folder(Path::new(path).components().collect()))
}

/// An http or https address to which paths can be added, in one way of writing it, so that two can be compared.
///
/// # Errors
/// Why it is none, to be read after "not …:".
pub(super) fn web(text: &str) -> Result<String, String> {
    let (scheme, rest) = text
        .split_once("://")
        .filter(|(s, _)| is_web(s))
        .ok_or("it doesn't begin with http:// or https://")?;
    if text.len() > WEB_MAX {
        return Err(format!("it is longer than {WEB_MAX} bytes"));
    }
    if !text.chars().all(|c| c.is_ascii_graphic() && c != '\\') {
        return Err("spaces, \\ and letters beyond ASCII are written as %XX".into());
    }
    if rest.contains(['?', '#']) {
        return Err("paths are added at its end, so it has no ? and #".into());
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("a name or password in it would be shown to everybody".into());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !address.map_or(!host.is_empty() && host.chars().all(is_name), |a| a.parse::<Ipv6Addr>().is_ok()) {
        return Err("it names no host".into());
    }
    let scheme = scheme.to_ascii_lowercase();
    let usual = if scheme == "http" { 80 } else { 443 };
    let port = match port.map(|p| p.parse::<u16>().ok().filter(|n| *n > 0 && !p.starts_with('+'))) {
        Some(None) => return Err("a port is a number from 1 to 65535".into()),
        Some(Some(port)) if port != usual => format!(":{port}"),
        _ => String::new(),
    };
    Ok(format!("{scheme}://{}{port}{}", host.to_ascii_lowercase(), path.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_way_to_write_each() {
        for (text, one) in [
            ("https://example.org/repo", "https://example.org/repo"),
            ("HTTPS://Example.ORG:443/Repo//", "https://example.org/Repo"),
            ("http://example.org:80", "http://example.org"),
            ("https://example.org:80/", "https://example.org:80"),
            ("http://10.0.0.1:8080/a%20b", "http://10.0.0.1:8080/a%20b"),
            ("http://[FE80::1]:8080/", "http://[fe80::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("/media/usb/repo/", "/media/usb/repo"),
            ("/media//usb/./repo", "/media/usb/repo"),
            ("file:///media/usb/repo", "/media/usb/repo"),
            ("/100% ours?", "/100% ours?"),
            ("/", "/"),
        ] {
            assert_eq!(Mirror::parse(text).unwrap().to_string(), one);
        }
    }

    #[test]
    fn each_that_is_wrong_says_why() {
        let long = format!("http://x/{}", "y".repeat(WEB_MAX));
        for (text, why) in [
            ("ftp://x", "\"ftp\" is none of http, https, file"),
            ("media/usb", "neither an address nor an absolute path"),
            ("", "neither an address nor an absolute path"),
            ("example.org", "neither an address nor an absolute path"),
            ("file://host/x", "neither an address nor an absolute path"),
            ("file:///a%20b", "leave file:// out of a path with % ? #"),
            ("/media/../etc", "a path without .. and control characters is needed"),
            ("/a\nb", "a path without .. and control characters is needed"),
            ("http://", "it names no host"),
            ("http:///x", "it names no host"),
            ("http://:80/x", "it names no host"),
            ("http://[::g]/", "it names no host"),
            ("http://[::1/", "it names no host"),
            ("http://a:b:80/", "it names no host"),
            ("http://x:0/", "a port is a number from 1 to 65535"),
            ("http://x:+1/", "a port is a number from 1 to 65535"),
            ("http://x:65536/", "a port is a number from 1 to 65535"),
            ("http://x:/", "a port is a number from 1 to 65535"),
            ("http://me:secret@x/", "a name or password in it would be shown to everybody"),
            ("http://x/?a", "paths are added at its end, so it has no ? and #"),
            ("http://x/a b", "spaces, \\ and letters beyond ASCII are written as %XX"),
            ("http://ü/", "spaces, \\ and letters beyond ASCII are written as %XX"),
            (&long, "it is longer than 2048 bytes"),
        ] {
            assert_eq!(Mirror::parse(text).unwrap_err(), why, "{text}");
        }
        assert_eq!(web("/x").unwrap_err(), "it doesn't begin with http:// or https://");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(text in "(http://|HTTPS://|file://|/)?[a-zA-Z0-9./:%\\[\\]@?é -]{0,20}|.*") {
            if let Ok(mirror) = Mirror::parse(&text) {
                prop_assert_eq!(Mirror::parse(&mirror.to_string()), Ok(mirror));
            }
        }
    }
}
