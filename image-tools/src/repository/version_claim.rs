//! The file of a version's name: it keeps the version for one release, permanently and in all channels.
use super::store::{Claim, Store, StoreError};
use bistable_format::{Digest, repository as names};
use semver::Version;

/// Most bytes of it.
pub(super) const BYTES: usize = 128;

/// Take the name for a release, by its identity. A process that died after it has it when it is started again.
///
/// # Errors
/// When the store fails.
pub(super) fn claim(
    store: &Store,
    product: &str,
    version: &Version,
    identity: &Digest,
) -> Result<Claim, StoreError> {
    store.claim(&names::version(product, version), &file(identity), BYTES)
}

/// The file's bytes: 64 hexadecimal digits and a line end.
pub(super) fn file(identity: &Digest) -> Vec<u8> {
    format!("{identity}\n").into_bytes()
}

/// The release that the file names. The file has nothing else in it.
pub(super) fn named(file: &[u8]) -> Option<Digest> {
    Digest::parse(std::str::from_utf8(file.strip_suffix(b"\n").unwrap_or(file)).ok()?)
}

/// Product and version in the name of such a file.
pub(super) fn version(path: &str) -> Option<(String, Version)> {
    let (product, version) = path.strip_prefix("versions/")?.split_once('/')?;
    let version = Version::parse(version).ok()?;
    (names::version(product, &version) == path).then(|| (product.into(), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_versions_file_is_64_hexadecimal_digits_and_nothing_else() {
        let identity = Digest::of(b"x");
        let good = file(&identity);
        assert_eq!(named(&good), Some(identity));
        assert_eq!(named(&good[..64]), Some(identity));
        let text = String::from_utf8(good).unwrap();
        for bad in [
            format!(" {text}"),
            format!("{text}\n"),
            format!("{text}root:x:0:0"),
            text.replace('\n', "\r\n"),
            text.to_uppercase(),
            text[1..].to_owned(),
            String::new(),
        ] {
            assert_eq!(named(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_path_has_one_product_and_one_canonical_version() {
        assert_eq!(version("versions/hub/1.2.3"), Some(("hub".into(), Version::new(1, 2, 3))));
        for bad in [
            "versions/hub",
            "versions/hub/one",
            "versions/hub/1.2.3/x",
            "channels/hub/1.2.3",
            "versions/hub/01.2.3",
        ] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }
}
