//! What a registry's document is: the manifest of one image, or an index of several.
use super::image::{is_attestation, of_fields};
use super::platform::Platform;
use super::types::{DOCKER_MANIFEST, Descriptor, MANIFEST};
use bistable_format::Digest;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Entries of an index at most.
const ENTRIES: usize = 256;
/// Layers of a manifest at most: Docker makes no more than 127.
const PARTS: usize = 256;

/// What a document leads to, for a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Candidates {
    /// It is an image's manifest itself, of this kind.
    Manifest(&'static str),
    /// It is an index, and this one is meant.
    One(Digest),
    /// It is an index without such an image, but with these.
    None(Vec<Platform>),
    /// It is an index with several such images.
    Several,
}

/// Something that a manifest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// What a manifest or index is.
pub(crate) fn candidates(document: &[u8], platform: &Platform) -> Result<Candidates, String> {
    let document = parse(document)?;
    let entries = match (document.manifests, document.config) {
        (None, Some(_)) => {
            let docker = document.media_type.as_deref() == Some(DOCKER_MANIFEST);
            return Ok(Candidates::Manifest(if docker { DOCKER_MANIFEST } else { MANIFEST }));
        }
        (Some(entries), None) if entries.len() <= ENTRIES => entries,
        (Some(_), None) => return Err(format!("its index has more than {ENTRIES} entries")),
        // Two programs would take it for two things.
        (Some(_), Some(_)) => return Err("it is a manifest and an index at once".into()),
        (None, None) => {
            return Err(
                "it is neither a manifest nor an index; Docker's first format is not supported".into()
            );
        }
    };
    let (mut found, mut unsaid, mut others) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for entry in entries.iter().filter(|entry| !is_attestation(entry)) {
        let digest = digest(entry)?;
        match entry.platform.as_ref().map(of_fields) {
            Some(said) if said == *platform => found.insert(digest),
            Some(said) => {
                others.insert(said);
                false
            }
            None => unsaid.insert(digest),
        };
    }
    let candidates = if found.is_empty() { unsaid } else { found };
    let mut all = candidates.into_iter();
    Ok(match (all.next(), all.next()) {
        (Some(one), None) => Candidates::One(one),
        (Some(_), Some(_)) => Candidates::Several,
        (None, _) => Candidates::None(others.into_iter().collect()),
    })
}

/// The configuration and the layers of a manifest. Layers that are elsewhere are left out: they are refused later, by name.
pub(crate) fn parts(manifest: &[u8]) -> Result<Vec<Part>, String> {
    let document = parse(manifest)?;
    if document.layers.len() > PARTS {
        return Err(format!("its manifest has more than {PARTS} layers"));
    }
    let here = |layer: &&Descriptor| layer.urls.as_ref().is_none_or(Vec::is_empty);
    let all = document.config.iter().chain(document.layers.iter().filter(here));
    all.map(|entry| Ok(Part { digest: digest(entry)?, bytes: entry.size })).collect()
}

fn parse(document: &[u8]) -> Result<Document, String> {
    serde_json::from_slice(document).map_err(|e| format!("its manifest is not what it should be: {e}"))
}

fn digest(entry: &Descriptor) -> Result<Digest, String> {
    let parsed = entry.digest.strip_prefix("sha256:").and_then(Digest::parse);
    parsed.ok_or_else(|| format!("{:?} is not a SHA-256 digest", super::store::shown(&entry.digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    const B: &str = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d";

    fn entry(digest: &str, architecture: &str) -> String {
        let platform = match architecture {
            "" => String::new(),
            text => format!(r#","platform":{{"os":"linux","architecture":"{text}"}}"#),
        };
        format!(r#"{{"digest":"sha256:{digest}","size":1{platform}}}"#)
    }

    fn index(entries: &[String]) -> String {
        format!(r#"{{"manifests":[{}]}}"#, entries.join(","))
    }

    #[test]
    fn the_image_of_the_platform_is_chosen() {
        let platform: Platform = "linux/arm64".parse().unwrap();
        let digest = |text| Digest::parse(text).unwrap();
        let amd64: Platform = "linux/amd64".parse().unwrap();
        for (document, wanted) in [
            (r#"{"config":{"digest":"x","size":1}}"#.to_owned(), Candidates::Manifest(MANIFEST)),
            (
                format!(r#"{{"mediaType":"{DOCKER_MANIFEST}","config":{{"digest":"x","size":1}}}}"#),
                Candidates::Manifest(DOCKER_MANIFEST),
            ),
            (index(&[entry(A, "amd64"), entry(B, "arm64")]), Candidates::One(digest(B))),
            (index(&[entry(B, "arm64"), entry(B, "arm64")]), Candidates::One(digest(B))),
            (index(&[entry(A, "arm64"), entry(B, "arm64")]), Candidates::Several),
            (index(&[entry(A, ""), entry(B, "arm64")]), Candidates::One(digest(B))),
            (index(&[entry(A, "")]), Candidates::One(digest(A))),
            (index(&[entry(A, ""), entry(B, "")]), Candidates::Several),
            (index(&[entry(A, "amd64")]), Candidates::None(vec![amd64])),
            (index(&[]), Candidates::None(Vec::new())),
        ] {
            assert_eq!(candidates(document.as_bytes(), &platform).as_ref(), Ok(&wanted), "{document}");
        }
        let many = index(&vec![entry(A, "arm64"); ENTRIES + 1]);
        for document in [
            "",
            "[]",
            "{}",
            r#"{"manifests":[],"config":{"digest":"x","size":1}}"#,
            r#"{"manifests":[{"digest":"md5:1","size":1}]}"#,
            &many,
        ] {
            assert!(candidates(document.as_bytes(), &platform).is_err(), "{document}");
        }
    }

    #[test]
    fn parts_are_the_configuration_and_the_layers_that_are_here() {
        let manifest = format!(
            r#"{{"config":{},"layers":[{},{{"digest":"sha256:{A}","size":1,"urls":["https://elsewhere"]}}]}}"#,
            entry(A, ""),
            entry(B, "")
        );
        let found = parts(manifest.as_bytes()).unwrap();
        assert_eq!(found, [A, B].map(|text| Part { digest: Digest::parse(text).unwrap(), bytes: 1 }));
    }
}
