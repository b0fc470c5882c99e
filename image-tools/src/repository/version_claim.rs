//! The file of a version's name: it keeps the version for one release, permanently and in all channels.
use super::store::{Claim, Store, StoreError};
use bistable_format::name::{Subject, check_name};
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
    of: Subject<'_>,
    version: &Version,
    identity: &Digest,
) -> Result<Claim, StoreError> {
    store.claim(&names::version(of, version), &file(identity), BYTES)
}

/// The file's bytes: 64 hexadecimal digits and a line end.
pub(super) fn file(identity: &Digest) -> Vec<u8> {
    format!("{identity}\n").into_bytes()
}

/// The release that the file names. The file has nothing else in it.
pub(super) fn named(file: &[u8]) -> Option<Digest> {
    Digest::parse(std::str::from_utf8(file.strip_suffix(b"\n").unwrap_or(file)).ok()?)
}

/// Product, component and version in the name of such a file.
pub(super) fn version(path: &str) -> Option<Named> {
    let (of, version) = path.strip_prefix("versions/")?.rsplit_once('/')?;
    let version = Version::parse(version).ok()?;
    let (product, component) = match of.split_once('/') {
        None => (of, None),
        Some((product, component)) => (product, Some(component)),
    };
    let is_canonical = names::version((product, component), &version) == path
        && component.is_none_or(|name| Version::parse(name).is_err())
        && [Some(product), component].into_iter().flatten().all(|name| check_name("version", name).is_ok());
    is_canonical.then(|| (product.into(), component.map(Into::into), version))
}

/// A product, one of its components or none, and a version.
pub(super) type Named = (String, Option<String>, Version);

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
        assert_eq!(version("versions/hub/1.2.3"), Some(("hub".into(), None, Version::new(1, 2, 3))));
        let core = Some(("hub".into(), Some("core".into()), Version::new(1, 2, 3)));
        assert_eq!(version("versions/hub/core/1.2.3"), core);
        for bad in [
            "versions/hub",
            "versions/hub/one",
            "versions/hub/1.2.3/x",
            // The name of an image's file can't be a folder.
            "versions/hub/1.0.0/1.2.3",
            "channels/hub/1.2.3",
            "versions/hub/01.2.3",
            "versions/hub/core/more/1.2.3",
            "versions/hub//1.2.3",
            "versions//1.2.3",
            "versions/HUB/1.2.3",
        ] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }
}
