//! What the owner says about the web page.
use super::kind::{Choice, List, Text};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// How the web page is reached, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Names by which it is reached, beside addresses and `localhost`; at most 16.
    pub names: Vec<HostName>,
    /// Who may read.
    pub read: WebRead,
    /// The certificate's chain, as PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, as PEM.
    pub key: Option<PathBuf>,
}

/// Who may read over the web page's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebRead {
    /// Whoever shows a token.
    #[default]
    Token,
    /// Whoever reaches it.
    Open,
}

impl WebRead {
    pub(super) const ALL: &[(&str, WebRead)] = &[("token", WebRead::Token), ("open", WebRead::Open)];
}

impl Default for WebSettings {
    fn default() -> WebSettings {
        WebSettings {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            names: Vec::new(),
            read: WebRead::default(),
            certificate: None,
            key: None,
        }
    }
}

/// A host's name, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    fn parse(text: &str) -> Result<HostName, String> {
        let part = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        if text.len() > 253 || !text.split('.').all(part) {
            return Err("expected a name like \"hub.local\", without port and without *".into());
        }
        Ok(HostName(text.to_ascii_lowercase()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) const LISTEN: Text<SocketAddr> = Text {
    allowed: "an address with a port in quotes, like \"127.0.0.1:8080\", \"0.0.0.0:443\" or \"[::]:443\"",
    read: |s| s.parse().map_err(|_| String::new()),
    show: SocketAddr::to_string,
};

pub(super) const NAMES: List<HostName> = List {
    allowed: "a list of host names, like [\"hub.local\"]",
    most: 16,
    read: HostName::parse,
    show: HostName::to_string,
};

pub(super) const READ: Choice<WebRead> = Choice(WebRead::ALL);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hosts() {
        assert_eq!(HostName::parse("Hub.Local").unwrap().as_str(), "hub.local");
        for bad in ["", "*", "*.local", "hub.local:80", "a..b", "-a", "a-", "ä", "http://a", &"a".repeat(64)]
        {
            assert!(HostName::parse(bad).is_err(), "{bad}");
        }
    }
}
