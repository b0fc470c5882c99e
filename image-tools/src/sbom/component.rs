//! A package that was found, and its package URL.
use bistable_format::text::is_printable;
use std::fmt::{self, Write as _};

/// Bytes of a name, a version or an architecture.
pub(super) const TEXT_MAX: usize = 200;

/// A package that goes into an SBOM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component {
    /// Its package URL begins like that: `deb/debian`; none if there is no URL.
    kind: Option<String>,
    pub(super) name: String,
    pub(super) version: String,
    /// The architecture, and what else tells packages of that name apart.
    qualifiers: Vec<(&'static str, String)>,
}

impl Component {
    /// One with a package URL that begins with this kind; none if a text can't be what it should be.
    pub(super) fn new(
        kind: Option<String>,
        name: &str,
        version: &str,
        qualifiers: Vec<(&'static str, String)>,
    ) -> Option<Component> {
        let is_possible = |text: &str| {
            (1..=TEXT_MAX).contains(&text.len())
                && is_printable(text, &[])
                && !text.contains(char::is_whitespace)
        };
        let values = qualifiers.iter().map(|(_, value)| value.as_str());
        let is_good = values.chain([name, version]).all(is_possible);
        is_good.then(|| Component { kind, name: name.into(), version: version.into(), qualifiers })
    }

    /// A crate. One that isn't from crates.io has no package URL: another crate may have its name there.
    pub(super) fn krate(name: &str, version: &str, is_public: bool) -> Option<Component> {
        Component::new(is_public.then(|| "cargo".into()), name, version, Vec::new())
    }

    /// Its package URL.
    pub(super) fn purl(&self) -> Option<String> {
        let kind = self.kind.as_deref()?;
        // As the package URL specification has it for this kind.
        let name = match kind {
            "pypi" => self.name.to_lowercase().replace('_', "-"),
            _ => self.name.clone(),
        };
        let mut purl = format!("pkg:{kind}/{}@{}", escaped(&name), escaped(&self.version));
        for (i, (key, value)) in self.qualifiers.iter().enumerate() {
            let _ = write!(purl, "{}{key}={}", if i == 0 { '?' } else { '&' }, escaped(value));
        }
        Some(purl)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// Percent-encoded, but for what stands for itself in a package URL.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'-' | b'_' | b'~' | b':' => {
                out.push(byte.into());
            }
            // Writing to a string never fails.
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
