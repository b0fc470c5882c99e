//! Which requests a browser may be made to send. A browser adds a password to each request to an address, whichever page caused
//! the request: so what acts must come from our own page, and our page must be reached by a name that is ours.
//!
//! - **Host**: an address, `localhost`, or a name of `web.names`. Another site whose name was made to lead here (DNS rebinding) has
//!   its own name there.
//! - **Origin, Sec-Fetch-Site**: what another site's page causes is refused, but for following a link to the page itself.
//! - **Path**: what the router doesn't need to interpret. No percent-encoding, no empty or dotted parts, no absolute form.
//! - **Token in an address**: refused, since addresses are logged and remembered.
use super::super::problem::{Kind, Problem};
use crate::config::tokens::PREFIX;
use axum::http::{HeaderMap, Method, Uri, header, request::Parts};
use std::net::IpAddr;

/// Parameters that people put secrets into.
const SECRETS: [&str; 7] = ["token", "access_token", "auth", "authorization", "password", "key", "bearer"];

/// How the page is reached.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// Names that are ours, in lower case.
    pub(super) names: Vec<String>,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
}

impl Guard {
    /// Let a request in, or not.
    pub(super) fn check(&self, head: &Parts) -> Result<(), Problem> {
        path(&head.uri)?;
        let host = self.host(&head.headers)?;
        self.page(head, &host)
    }

    /// The host by which the page is reached, with its port if it has one.
    fn host(&self, headers: &HeaderMap) -> Result<String, Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
            (Some(host), None) => host.to_ascii_lowercase(),
            _ => return Err(Problem::new(Kind::Malformed, "one Host header is expected")),
        };
        let name =
            name(&host).ok_or_else(|| Problem::new(Kind::Malformed, "the Host header is not a host's"))?;
        let literal = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        if literal || name == "localhost" || self.names.iter().any(|ours| ours == name) {
            return Ok(host);
        }
        let detail = format!("the name {name:?} is not one of this device: add it to web.names if it is");
        Err(Problem::new(Kind::Misdirected, detail))
    }

    /// Refuse what another site's page causes.
    fn page(&self, head: &Parts, host: &str) -> Result<(), Problem> {
        let Parts { method, uri, headers, .. } = head;
        let acts = method != Method::GET && method != Method::HEAD;
        let word =
            |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("?"));
        let refused = || {
            let detail = "it was caused by the page of another site: open this device's own page";
            Err(Problem::new(Kind::CrossSite, detail))
        };
        let (site, mode) = (word("sec-fetch-site"), word("sec-fetch-mode"));
        let own_origin = format!("{}://{host}", self.scheme);
        let origin = word("origin");
        if origin.is_some_and(|origin| !origin.eq_ignore_ascii_case(&own_origin)) {
            return refused();
        }
        match site {
            None | Some("same-origin" | "none") => {}
            // Following a link is what the web is made of; nothing is done by it.
            Some(_) if !acts && mode == Some("navigate") && matches!(uri.path(), "/" | "/login") => {}
            Some(_) => return refused(),
        }
        // A form is a browser's, and every browser says where a form is from.
        let from_form = uri.path().starts_with("/do/");
        if acts && from_form && origin.is_none() && site.is_none() {
            return refused();
        }
        Ok(())
    }
}

/// The host's name, without its port.
fn name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (&host[..address.len() + 2], rest),
        None => match host.find(':') {
            Some(at) => host.split_at(at),
            None => (host, ""),
        },
    };
    let digits = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(digits);
    // A dot at its end means the same name to DNS, and nothing else here.
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty() && port_fits).then_some(name)
}

/// A path that means one thing only, and an address without a secret.
fn path(uri: &Uri) -> Result<(), Problem> {
    let malformed = |why: &str| Err(Problem::new(Kind::Malformed, why));
    if uri.scheme().is_some() || uri.authority().is_some() {
        return malformed("the request's target must be a path");
    }
    let path = uri.path();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_');
    let mut parts = path.split('/').skip(1);
    let dotted = |part: &str| part.is_empty() || part == "." || part == "..";
    if !path.starts_with('/') || !path.bytes().all(plain) || path != "/" && parts.any(dotted) {
        return malformed("the path has empty, dotted or encoded parts");
    }
    let query = uri.query().unwrap_or_default();
    let named = query.split('&').filter_map(|pair| pair.split('=').next());
    let mut names = named.map(str::to_ascii_lowercase);
    if path.contains(PREFIX) || query.contains(PREFIX) || names.any(|name| SECRETS.contains(&name.as_str())) {
        return malformed(
            "a token in an address ends up in logs: send it as Authorization, and replace it by a new one",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn check(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<(), u16> {
        let guard = Guard { names: vec!["hub.local".into()], scheme: "http" };
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        guard.check(&head).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn name_must_be_ours_or_an_address() {
        for host in [
            "hub.local",
            "HUB.local:8080",
            "hub.local.",
            "localhost:1",
            "127.0.0.1:8080",
            "[::1]:80",
            "10.0.0.7",
        ] {
            assert_eq!(check("GET", "/", &[("host", host)]), Ok(()), "{host}");
        }
        for (host, status) in [
            ("evil.example", 421),
            ("hub.local.evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil", 421),
            ("hub.local:80:80", 400),
            ("hub.local:x", 400),
            ("", 400),
            ("[::1", 400),
            ("user@hub.local", 421),
        ] {
            assert_eq!(check("GET", "/", &[("host", host)]), Err(status), "{host}");
        }
        assert_eq!(check("GET", "/", &[]), Err(400));
        assert_eq!(check("GET", "/", &[("host", "hub.local"), ("host", "evil.example")]), Err(400));
    }

    #[test]
    fn page_of_another_site_gets_nothing_done_and_nothing_read() {
        let host = ("host", "hub.local:8080");
        let (ours, site) = (("origin", "http://hub.local:8080"), |site| ("sec-fetch-site", site));
        let navigate = ("sec-fetch-mode", "navigate");
        for (method, path, headers, fine) in [
            ("POST", "/v1/update", vec![ours, site("same-origin")], true),
            ("POST", "/do/update", vec![ours], true),
            ("POST", "/v1/update", vec![], true),
            ("POST", "/do/update", vec![], false),
            ("POST", "/v1/update", vec![("origin", "http://evil.example")], false),
            ("POST", "/v1/update", vec![("origin", "null")], false),
            ("POST", "/v1/update", vec![("origin", "https://hub.local:8080")], false),
            ("POST", "/v1/update", vec![("origin", "http://hub.local:8081")], false),
            ("POST", "/do/update", vec![site("cross-site"), navigate], false),
            ("POST", "/do/update", vec![ours, site("cross-site")], false),
            ("POST", "/v1/update", vec![site("same-site")], false),
            ("GET", "/v1/status", vec![site("cross-site")], false),
            ("GET", "/v1/status", vec![site("same-origin")], true),
            ("GET", "/v1/status", vec![site("cross-site"), navigate], false),
            ("GET", "/", vec![site("cross-site"), navigate], true),
            ("GET", "/", vec![site("cross-site")], false),
            ("GET", "/", vec![site("none"), navigate], true),
        ] {
            let mut all = vec![host];
            all.extend(headers);
            let checked = check(method, path, &all);
            assert_eq!(checked, if fine { Ok(()) } else { Err(403) }, "{method} {path} {all:?}");
        }
    }

    #[test]
    fn path_means_one_thing_only() {
        let host = ("host", "localhost");
        for path in
            ["/", "/v1/status", "/v1/jobs/4f1c-00-7/cancel", "/page.css", "/v1/events?type=update.%2A"]
        {
            assert_eq!(check("GET", path, &[host]), Ok(()), "{path}");
        }
        for path in [
            "//",
            "/v1//status",
            "/v1/../v1/status",
            "/v1/%2e%2e/status",
            "/%2e%2e%2fetc/passwd",
            "/v1/./status",
            "/v1/status/",
            "/v1/st%61tus",
            "http://localhost/v1/status",
            "http://evil.example/",
            "*",
            "/v1/a;b",
            "/v1/a@b",
            "/v1/status?token=x",
            "/v1/events?after=1&Access_Token=x",
            "/?x=bst_abc",
            "/v1/jobs/bst_abc",
        ] {
            assert_eq!(check("GET", path, &[host]), Err(400), "{path}");
        }
    }
}
