//! Writes CycloneDX: the same packages, release and time give the same bytes.
use super::component::Component;
use serde::Serialize;
use std::collections::BTreeSet;

/// The version of CycloneDX that is written.
const SPEC: &str = "1.6";

/// What the SBOM is of.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// The product, or the component of it.
    pub name: &'a str,
    /// The release's version.
    pub version: &'a str,
    /// Whether it is the image of a whole system.
    pub is_image: bool,
    /// Build time, in seconds since 1970.
    pub build_time: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    bom_format: &'static str,
    spec_version: &'static str,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Part<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: Option<String>,
    tools: Tools,
    component: Part<'a>,
}

#[derive(Serialize)]
struct Tools {
    components: [Part<'static>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    name: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
}

impl<'a> Part<'a> {
    fn new(kind: &'static str, name: &'a str, version: &'a str, purl: Option<String>) -> Part<'a> {
        Part { kind, reference: purl.clone(), name, version, purl }
    }
}

/// The SBOM of these packages.
///
/// # Errors
/// Never: they are texts.
pub fn make(of: &Described<'_>, components: &BTreeSet<Component>) -> Result<Vec<u8>, serde_json::Error> {
    let time = i64::try_from(of.build_time).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    let kind = if of.is_image { "firmware" } else { "application" };
    let tool = Part::new("application", "bistable-image", env!("CARGO_PKG_VERSION"), None);
    let mut bytes = serde_json::to_vec(&Document {
        bom_format: "CycloneDX",
        spec_version: SPEC,
        version: 1,
        metadata: Metadata {
            timestamp: time.map(|time| time.to_string()),
            tools: Tools { components: [tool] },
            component: Part::new(kind, of.name, of.version, None),
        },
        components: components.iter().map(|c| Part::new("library", &c.name, &c.version, c.purl())).collect(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::{Evidence, Sbom};
    use std::path::Path;

    fn evidence() -> Evidence {
        let mut evidence = Evidence::default();
        let status = "Package: curl\nStatus: install ok installed\nArchitecture: arm64\nVersion: 8.5.0-2+deb12u1\n\n\
                      Package: libstdc++6\nStatus: install ok installed\nVersion: 1:14.2.0~rc1\n";
        evidence.file("var/lib/dpkg/status", status.as_bytes(), true);
        evidence.file("usr/lib/os-release", b"ID=debian\nVERSION_ID=\"12\"\n", true);
        let metadata = b"Metadata-Version: 2.1\nName: Zope.Interface_x\nVersion: 6.1\n\nText\n";
        evidence.file("opt/app/zope_interface-6.1.dist-info/METADATA", metadata, true);
        evidence
    }

    fn described() -> Described<'static> {
        Described { name: "hub", version: "1.2.0", is_image: true, build_time: 1_700_000_000 }
    }

    /// The file that was written when this was last looked at by a person; `BLESS=1` writes it.
    #[test]
    fn the_sbom_is_as_in_the_golden_file_and_reads() {
        let made = make(&described(), &evidence().found().components).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sbom.cdx.json");
        if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
            #[expect(clippy::disallowed_methods, reason = "a file of the sources need not be durable")]
            std::fs::write(&path, &made).unwrap();
        }
        let golden = std::fs::read(&path).unwrap();
        assert_eq!(String::from_utf8(made).unwrap(), String::from_utf8(golden.clone()).unwrap());
        let packages = Sbom::decode(&golden).unwrap().packages;
        let shown: Vec<String> = packages
            .iter()
            .map(|p| format!("{} {} {}", p.kind.as_deref().unwrap_or("-"), p.name, p.version))
            .collect();
        assert_eq!(
            shown,
            ["deb curl 8.5.0-2+deb12u1", "deb libstdc++6 1:14.2.0~rc1", "pypi Zope.Interface_x 6.1"]
        );
    }

    #[test]
    fn a_component_is_an_application_and_an_impossible_time_is_left_out() {
        let of = Described { is_image: false, build_time: u64::MAX, ..described() };
        let made: serde_json::Value = serde_json::from_slice(&make(&of, &BTreeSet::new()).unwrap()).unwrap();
        assert_eq!(made["metadata"]["component"]["type"], "application");
        assert_eq!(made["metadata"]["timestamp"], serde_json::Value::Null);
    }
}
