//! Reads CycloneDX, whoever wrote it: the file can be hostile. Only what Bistable relies on is looked at; all else is passed over.
use super::Package;
use bistable_format::limits;
use bistable_format::text::is_printable;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;

/// Packages of one SBOM at most: ten times what a desktop distribution has.
pub(super) const PACKAGES: usize = 100_000;
/// Bytes of a package's name, or of its group.
const NAME: usize = 1024;
/// Bytes of a package's version.
const VERSION: usize = 256;
/// Bytes of a package URL.
const PURL: usize = 4096;
/// The kind of component that is a part of a package, and none itself.
const FILE: &str = "file";

/// An SBOM that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sbom {
    /// The version of CycloneDX that it is of: `1.6`.
    pub spec: String,
    /// Its packages, each once.
    pub packages: BTreeSet<Package>,
}

/// Why a file is no SBOM that can be relied on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SbomError {
    /// More bytes than an SBOM may have.
    #[error("it has more than {} bytes, the most that an SBOM may have", limits::SBOM)]
    TooLarge,
    /// Not JSON, or not what CycloneDX has in that place.
    #[error("it is not CycloneDX in JSON")]
    Json(#[source] serde_json::Error),
    /// Another format in JSON.
    #[error(
        "its bomFormat is {found}, and CycloneDX is wanted: `syft convert FILE -o cyclonedx-json` converts an SPDX file, for example"
    )]
    Format {
        /// What it says it is.
        found: String,
    },
    /// A version of CycloneDX that isn't known.
    #[error("its specVersion is {found:?}: versions 1.2 to 1.7 are known")]
    Spec {
        /// The version.
        found: String,
    },
}

impl Sbom {
    /// Read one.
    ///
    /// # Errors
    /// See [`SbomError`].
    pub fn decode(bytes: &[u8]) -> Result<Sbom, SbomError> {
        if bytes.len() > limits::SBOM as usize {
            return Err(SbomError::TooLarge);
        }
        // As a list of fields it would read, too.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(SbomError::Format { found: "missing".into() });
        }
        let document: Document = serde_json::from_slice(bytes).map_err(SbomError::Json)?;
        if document.format.as_deref() != Some("CycloneDX") {
            let found = document.format.map_or_else(|| "missing".into(), |found| format!("{found:?}"));
            return Err(SbomError::Format { found });
        }
        let spec = document.spec.unwrap_or_default();
        let minor = spec.strip_prefix("1.").and_then(|minor| minor.parse::<u8>().ok());
        if !minor.is_some_and(|minor| (2..=7).contains(&minor) && spec.len() == 3) {
            return Err(SbomError::Spec { found: spec });
        }
        Ok(Sbom { spec, packages: document.components.map(|found| found.0.packages).unwrap_or_default() })
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "bomFormat")]
    format: Option<String>,
    #[serde(rename = "specVersion")]
    spec: Option<String>,
    components: Option<TopLevel>,
}

/// The packages so far.
#[derive(Default)]
struct Collected {
    packages: BTreeSet<Package>,
    /// Components that were read, files among them.
    count: usize,
}

struct TopLevel(Collected);

impl<'de> Deserialize<'de> for TopLevel {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut collected = Collected::default();
        Components(&mut collected).deserialize(from)?;
        Ok(TopLevel(collected))
    }
}

/// A list of components. They can have others in them: those are collected, too, without a tree of them in memory.
struct Components<'a>(&'a mut Collected);

impl<'de> DeserializeSeed<'de> for Components<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Components<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of components")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Component(self.0))?.is_some() {}
        Ok(())
    }
}

/// What is looked at of a component.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Type,
    Group,
    Name,
    Version,
    Purl,
    Components,
    #[serde(other)]
    Other,
}

struct Component<'a>(&'a mut Collected);

impl<'de> DeserializeSeed<'de> for Component<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Component<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a component")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut kind, mut group, mut name, mut version, mut purl) = (None, None, None, None, None);
        let mut inner = false;
        while let Some(field) = map.next_key::<Field>()? {
            let (slot, what, most) = match field {
                Field::Type => (&mut kind, "type", NAME),
                Field::Group => (&mut group, "group", NAME),
                Field::Name => (&mut name, "name", NAME),
                Field::Version => (&mut version, "version", VERSION),
                Field::Purl => (&mut purl, "purl", PURL),
                Field::Components if inner => return Err(A::Error::duplicate_field("components")),
                Field::Components => {
                    inner = true;
                    map.next_value_seed(Components(self.0))?;
                    continue;
                }
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let text: String = map.next_value()?;
            if text.len() > most || !is_printable(&text, &[]) {
                let why = format!(
                    "the {what} of a component has more than {most} bytes, or control characters or invisible ones"
                );
                return Err(A::Error::custom(why));
            }
            if slot.replace(text).is_some() {
                return Err(A::Error::duplicate_field(what));
            }
        }
        let name = name.filter(|name| !name.is_empty()).ok_or_else(|| A::Error::missing_field("name"))?;
        if purl.as_deref().is_some_and(|purl| super::split(purl).is_none()) {
            return Err(A::Error::custom(format!("the purl of component {name} does not begin with pkg:")));
        }
        self.0.count += 1;
        if self.0.count > PACKAGES {
            return Err(A::Error::custom(format!("more than {PACKAGES} components")));
        }
        if kind.as_deref() != Some(FILE) {
            let name = match group.filter(|group| !group.is_empty()) {
                Some(group) => format!("{group}/{name}"),
                None => name,
            };
            self.0.packages.insert(Package::new(name, version.unwrap_or_default(), purl.as_deref()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    fn document(components: &str) -> String {
        format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","components":{components}}}"#)
    }

    /// The error with its cause.
    fn told(text: &str) -> String {
        let e = Sbom::decode(text.as_bytes()).unwrap_err();
        let cause = e.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{e}{cause}")
    }

    #[test]
    fn packages_are_read_wherever_they_are_each_once() {
        let sbom = Sbom::decode(
            document(
                r#"[
                {"type":"library","name":"curl","version":"8.5.0","purl":"pkg:deb/debian/curl@8.5.0?arch=arm64",
                 "licenses":[{"license":{"id":"curl"}}],
                 "components":[{"name":"zlib","version":"1.3","purl":"pkg:deb/debian/zlib1g@1.3"}]},
                {"type":"file","name":"/usr/bin/curl"},
                {"name":"core","group":"@angular","purl":"pkg:npm/%40angular/core@17.0.0"},
                {"name":"curl","version":"8.5.0","purl":"pkg:deb/debian/curl@8.5.0?arch=arm64"},
                {"name":"own","version":"1"}]"#,
            )
            .as_bytes(),
        )
        .unwrap();
        let shown = |p: &Package| format!("{} {} {}", p.kind.as_deref().unwrap_or("-"), p.name, p.version);
        let found: Vec<String> = sbom.packages.iter().map(shown).collect();
        assert_eq!(found, ["- own 1", "deb curl 8.5.0", "deb zlib 1.3", "npm @angular/core 17.0.0"]);
        assert_eq!(sbom.spec, "1.5");
    }

    #[test]
    fn a_document_without_components_has_no_packages() {
        for text in [r#"{"bomFormat":"CycloneDX","specVersion":"1.2"}"#, &document("[]")] {
            assert!(Sbom::decode(text.as_bytes()).unwrap().packages.is_empty(), "{text}");
        }
    }

    #[test]
    fn each_problem_is_named() {
        let long = document(&format!(r#"[{{"name":"{}"}}]"#, "x".repeat(NAME + 1)));
        let deep = document(&format!("{}{}", r#"[{"name":"a","components":"#.repeat(100), "[".repeat(100)));
        for (text, words) in [
            ("", "not CycloneDX in JSON: EOF"),
            ("<bom/>", "not CycloneDX in JSON: expected value"),
            ("[]", "its bomFormat is missing"),
            ("{}", "its bomFormat is missing, and CycloneDX is wanted"),
            (r#"{"spdxVersion":"SPDX-2.3"}"#, "its bomFormat is missing"),
            (
                r#"{"bomFormat":"cyclonedx\u001b","specVersion":"1.6"}"#,
                r#"its bomFormat is "cyclonedx\u{1b}""#,
            ),
            (r#"{"bomFormat":7}"#, "invalid type: integer `7`, expected a string"),
            (r#"{"bomFormat":"CycloneDX"}"#, r#"its specVersion is "": versions 1.2 to 1.7"#),
            (r#"{"bomFormat":"CycloneDX","specVersion":"2.0"}"#, r#"its specVersion is "2.0""#),
            (r#"{"bomFormat":"CycloneDX","specVersion":"1.06"}"#, r#"its specVersion is "1.06""#),
            (r#"{"bomFormat":"CycloneDX","bomFormat":"CycloneDX"}"#, "duplicate field `bomFormat`"),
            (&(document("[]") + "x"), "trailing characters"),
            (&document("{}"), "expected a list of components"),
            (&document("[7]"), "expected a component"),
            (&document("[{}]"), "missing field `name`"),
            (&document(r#"[{"name":""}]"#), "missing field `name`"),
            (&document(r#"[{"name":null}]"#), "invalid type: null"),
            (&document(r#"[{"name":"a","version":1}]"#), "invalid type: integer `1`"),
            (&document(r#"[{"name":"a","name":"b"}]"#), "duplicate field `name`"),
            (&document(r#"[{"name":"a","components":[],"components":[]}]"#), "duplicate field `components`"),
            (
                &document(r#"[{"name":"a","purl":"https://a"}]"#),
                "the purl of component a does not begin with pkg:",
            ),
            (
                &document(r#"[{"name":"a\u001b[2J"}]"#),
                "the name of a component has more than 1024 bytes, or control",
            ),
            (&long, "the name of a component has more than 1024 bytes"),
            (&deep, "recursion limit exceeded"),
        ] {
            let told = told(text);
            assert!(told.contains(words), "{text:.80}: {told}");
            assert!(is_printable(&told, &[]), "{told:?}");
        }
    }

    #[test]
    fn what_is_huge_is_refused_before_it_takes_memory() {
        let large = vec![b' '; limits::SBOM as usize + 1];
        assert!(matches!(Sbom::decode(&large), Err(SbomError::TooLarge)));
        let many = document(&format!(r#"[{}{{"name":"a"}}]"#, r#"{"name":"a"},"#.repeat(PACKAGES)));
        assert!(told(&many).contains("more than 100000 components"));
        // What is passed over may be as deep as it likes.
        let deep = format!(r#"[{{"name":"a","x":{}1{}}}]"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Sbom::decode(document(&deep).as_bytes()).unwrap().packages.len(), 1);
    }
}
