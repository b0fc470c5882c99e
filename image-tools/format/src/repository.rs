//! Where things lie in a repository, which is at once a static web root, an OCI image layout and signed metadata.
//!
//! ```text
//! oci-layout  blobs/sha256/<hex>            content, by its digest
//! index.json                                a hint: what is on offer, for OCI tools
//! roots/<n>.root                            root n + 1 is signed by the keys of n and its own
//! channels/<name>/<00000042>.channel        signed, numbered, created once, never changed
//! channels/<name>/latest                    a hint: the newest number, perhaps
//! versions/<product>/<version>              which image has that version
//! versions/<product>/<component>/<version>  which release of a component has it
//! attestations/<release>/<kind>-<key>.attestation
//! deltas/<target>/<base>.delta              how one release is made from another: signed, created once
//! audit/<00000042>.json                     who did what
//! holds/  prune/                            what is just being published, and pruned
//! partial-copy  mirror                      a copy without the history, or with it: people act on the original
//! ```
use crate::{
    Digest, KeyId,
    name::{self, Subject},
};
use alloc::{format, string::String};

/// Content, by its digest.
pub fn blob(digest: &Digest) -> String {
    crate::bundle::blob_name(digest)
}

/// A version of the root.
pub fn root(version: u32) -> String {
    format!("roots/{version}.root")
}

/// Which release has a version of a product's images, or of one of its components: its identity. Created once, so that a version
/// never names two.
pub fn version(of: Subject<'_>, version: &semver::Version) -> String {
    format!("versions/{}/{version}", name::what(of))
}

/// The folder of a channel.
pub fn channel_folder(name: &str) -> String {
    format!("channels/{name}")
}

/// A channel's file of a number.
pub fn channel(name: &str, sequence: u64) -> String {
    format!("channels/{name}/{sequence:08}.channel")
}

/// The number in the name of a channel's file.
pub fn channel_sequence(file_name: &str) -> Option<u64> {
    number(file_name.strip_suffix(".channel")?)
}

/// A channel's hint.
pub fn channel_hint(name: &str) -> String {
    format!("channels/{name}/latest")
}

/// The number that a hint says. It is not signed: it only says where to begin to look.
pub fn parse_hint(bytes: &[u8]) -> Option<u64> {
    core::str::from_utf8(bytes.trim_ascii()).ok()?.parse().ok()
}

/// A record of the audit.
pub fn audit(sequence: u64) -> String {
    format!("audit/{sequence:08}.json")
}

/// The number in the name of an audit record.
pub fn audit_sequence(file_name: &str) -> Option<u64> {
    number(file_name.strip_suffix(".json")?)
}

/// The audit's hint.
pub fn audit_hint() -> String {
    "audit/latest".into()
}

/// The folder of what was attested of a release, by its identity.
pub fn attestations(release: &Digest) -> String {
    format!("attestations/{release}")
}

/// What a key attested of a release.
pub fn attestation(release: &Digest, kind: &str, key: &KeyId) -> String {
    format!("attestations/{release}/{kind}-{key}.attestation")
}

/// The folder of the deltas that make a release, by its identity.
pub fn deltas(target: &Digest) -> String {
    format!("deltas/{target}")
}

/// How a release is made from another one, both by identity.
pub fn delta(target: &Digest, base: &Digest) -> String {
    format!("deltas/{target}/{base}.delta")
}

/// A number as file names have it: at least eight digits, and no more zeros than that needs.
fn number(text: &str) -> Option<u64> {
    let value: u64 = text.parse().ok()?;
    (format!("{value:08}") == text).then_some(value)
}
